package docsync

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
)

// Excerpt returns the part called name of a Go source file, without its doc comment and moved to the
// left edge. name is, in this order, a region between lines //doc:begin NAME and //doc:end NAME, the
// body of an example function (ExampleX), or a declaration: a function, a method (T.M), a type, a
// constant or a variable. The empty name stands for the whole file. Lines that mark regions are left
// out. The result ends in a newline.
func Excerpt(source []byte, name string) (string, error) {
	if name == "" {
		return finish(string(source)), nil
	}
	if text, found, err := region(string(source), name); found || err != nil {
		return finish(text), err
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "", source, parser.SkipObjectResolution)
	if err != nil {
		return "", fmt.Errorf("parse Go source: %w", err)
	}
	from, to := find(file, name)
	if from == token.NoPos {
		return "", fmt.Errorf("no region, function, method, type, constant or variable is called %s", name)
	}
	// From the start of the line, so that the first line has the indent of the others.
	start := set.Position(from).Offset
	start = strings.LastIndexByte(string(source[:start]), '\n') + 1
	return finish(string(source[start:set.Position(to).Offset])), nil
}

func region(source, name string) (text string, found bool, err error) {
	var inside bool
	for line := range strings.Lines(source) {
		switch strings.TrimSpace(line) {
		case "//doc:begin " + name:
			inside, found = true, true
		case "//doc:end " + name:
			inside = false
		default:
			if inside {
				text += line
			}
		}
	}
	if inside {
		return "", true, fmt.Errorf("region %s has no //doc:end %s", name, name)
	}
	return text, found, nil
}

func find(file *ast.File, name string) (from, to token.Pos) {
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if funcName(d) != name || d.Body == nil {
				continue
			}
			if strings.HasPrefix(name, "Example") && len(d.Body.List) > 0 {
				return d.Body.List[0].Pos(), d.Body.Rbrace
			}
			return d.Pos(), d.End()
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if !declares(spec, name) {
					continue
				}
				if d.Lparen.IsValid() {
					return spec.Pos(), spec.End()
				}
				return d.Pos(), d.End()
			}
		}
	}
	return token.NoPos, token.NoPos
}

func funcName(d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return d.Name.Name
	}
	receiver := d.Recv.List[0].Type
	for {
		switch t := receiver.(type) {
		case *ast.StarExpr:
			receiver = t.X
		case *ast.IndexExpr:
			receiver = t.X
		case *ast.IndexListExpr:
			receiver = t.X
		case *ast.Ident:
			return t.Name + "." + d.Name.Name
		default:
			return d.Name.Name
		}
	}
}

func declares(spec ast.Spec, name string) bool {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		return s.Name.Name == name
	case *ast.ValueSpec:
		for _, n := range s.Names {
			if n.Name == name {
				return true
			}
		}
	}
	return false
}

// finish drops region marks, moves the text to the left edge and ends it in one newline.
func finish(text string) string {
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		trimmed := strings.TrimSpace(line)
		if strings.HasPrefix(trimmed, "//doc:begin ") || strings.HasPrefix(trimmed, "//doc:end ") {
			continue
		}
		lines = append(lines, strings.TrimRight(line, " \t\r"))
	}
	indent := -1
	for _, line := range lines {
		if line == "" {
			continue
		}
		if n := len(line) - len(strings.TrimLeft(line, "\t")); indent < 0 || n < indent {
			indent = n
		}
	}
	for i, line := range lines {
		if line != "" {
			lines[i] = line[indent:]
		}
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n") + "\n"
}
