package failcode

import (
	"cmp"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
	"strconv"

	"golang.org/x/tools/go/types/typeutil"
)

// Read reads the package.
//
// An answer is every mention of a code that can make it leave the function: returning it, calling
// its New, With, Wrap or Failure, handing it to a function, putting it into a table or a variable.
// These mentions are none: comparing it (==, switch, errors.Is, errors.As), reading what was declared
// of it (errFull.Number()), using it as a key, handing it to a package of the network fakes, and
// assigning it to the blank variable.
//
// Values are not followed: a code in a local variable or a table counts once, where it was put
// there, however often it is taken out again.
func Read(s *Source) Contents {
	r := &reader{
		Source: s,
		sets:   map[*types.Var]string{},
		direct: map[*ast.CallExpr]bool{},
		codes:  map[*types.Var]int{},
	}
	files := s.sources()
	vars := variables(files)
	for _, v := range vars {
		r.readSet(v)
	}
	for found := -1; found != len(r.sets); { // one name may be for another name
		found = len(r.sets)
		for _, v := range vars {
			r.readOtherName(v)
		}
	}
	for _, v := range vars {
		r.readCode(v)
	}
	for _, f := range files {
		r.readStrays(f)
	}
	r.readUses(files)
	slices.SortStableFunc(r.Unread, func(a, b Problem) int { return cmp.Compare(a.Pos, b.Pos) })
	return r.Contents
}

// A reader is one call of Read.
type reader struct {
	*Source
	Contents
	sets   map[*types.Var]string  // package-level variables that hold a set
	direct map[*ast.CallExpr]bool // calls that are the whole value of a package-level variable
	codes  map[*types.Var]int     // index in Codes
}

func (r *reader) unread(pos token.Pos, text string) {
	r.Unread = append(r.Unread, Problem{pos, text})
}

// A variable of a package, with its value.
type variable struct {
	name  *ast.Ident
	value ast.Expr // without parentheses
}

// variables are the package-level variables with a value of their own; those of var a, b = f() have none.
func variables(files []*ast.File) []variable {
	var all []variable
	for _, f := range files {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, spec := range g.Specs {
				spec := spec.(*ast.ValueSpec)
				if len(spec.Names) != len(spec.Values) {
					continue
				}
				for i, name := range spec.Names {
					all = append(all, variable{name, ast.Unparen(spec.Values[i])})
				}
			}
		}
	}
	return all
}

// readSet takes v in if its value makes a set: by NewSet, or as the chassis makes its own.
func (r *reader) readSet(v variable) {
	name, made := r.setMade(v.value)
	if !made {
		return
	}
	if name == "" {
		r.unread(v.value.Pos(), "the name of a failure set is not a constant: write it in the call, failure.NewSet(\"game\"), so that its codes can be told from those of others without running the program")
	}
	r.addSet(v, name, true)
}

// readOtherName takes v in if its value is a variable that holds a set.
func (r *reader) readOtherName(v variable) {
	name, ok := r.setOf(v.value)
	if to, _ := r.Info.Defs[v.name].(*types.Var); ok && to != nil {
		if _, known := r.sets[to]; !known {
			r.addSet(v, name, false)
		}
	}
}

func (r *reader) addSet(v variable, name string, made bool) {
	set := Set{Name: name, Pos: v.name.Pos(), Made: made}
	if set.Var, _ = r.Info.Defs[v.name].(*types.Var); set.Var != nil {
		r.sets[set.Var] = name
	}
	r.Sets = append(r.Sets, set)
}

// setMade is the name of the set that e makes, empty if that is no constant; made is false if e makes none.
func (r *reader) setMade(e ast.Expr) (name string, made bool) {
	switch e := e.(type) {
	case *ast.CallExpr:
		if f := typeutil.StaticCallee(r.Info, e); isFunction(f, "NewSet") && len(e.Args) == 1 {
			return r.text(e.Args[0]), true
		}
	case *ast.UnaryExpr:
		// Only package failure itself can write one as a literal: the fields are its own.
		literal, ok := ast.Unparen(e.X).(*ast.CompositeLit)
		if e.Op != token.AND || !ok || !r.Own() || !isNamed(r.Info.TypeOf(literal), "Set") {
			return "", false
		}
		for _, element := range literal.Elts {
			if field, ok := element.(*ast.KeyValueExpr); ok && field.Key.(*ast.Ident).Name == "name" {
				return r.text(field.Value), true
			}
		}
	}
	return "", false
}

// text is the constant string e, or empty.
func (r *reader) text(e ast.Expr) string {
	if v := r.Info.Types[e].Value; v != nil && v.Kind() == constant.String {
		return constant.StringVal(v)
	}
	return ""
}

// readCode takes v in if it declares a code.
func (r *reader) readCode(v variable) {
	call, ok := v.value.(*ast.CallExpr)
	if !ok {
		return
	}
	callee, ok := ast.Unparen(call.Fun).(*ast.SelectorExpr)
	class := r.declarer(callee)
	if !ok || class == "" || r.Info.Selections[callee].Kind() != types.MethodVal {
		return // what is wrong with the others is said by readStrays
	}
	r.direct[call] = true
	if len(call.Args) < 2 { // what a function returns: codes.Caller(f())
		r.unread(call.Args[0].Pos(), "number and message of a failure code are not literals: write them out, "+class+"(1042, \"the column is full\")")
		return
	}
	set, ok := r.setOf(callee.X)
	if !ok {
		r.unread(callee.X.Pos(), "the set of this failure code cannot be told: declare the code in a package-level variable that holds what failure.NewSet returned")
	}
	code := Code{Name: v.name.Name, Set: set, Class: class, Pos: v.name.Pos(), At: call.Args[0].Pos()}
	code.Var, _ = r.Info.Defs[v.name].(*types.Var)
	readable := ok
	if literal, isLiteral := ast.Unparen(call.Args[0]).(*ast.BasicLit); isLiteral && literal.Kind == token.INT {
		n, _ := constant.Int64Val(r.Info.Types[literal].Value)
		code.Number = int(n)
	} else {
		r.unread(call.Args[0].Pos(), "the number of a failure code is not a literal: write it out, "+class+"(1042, …), so that whoever searches for the number finds the code")
		readable = false
	}
	if message, ok := r.literal(call.Args[1]); ok {
		code.Message = message
	} else {
		r.unread(call.Args[1].Pos(), "the message of a failure code is not a literal: write it out, so that whoever searches for what a client was told finds the code; what differs from time to time is an argument, .With(\"column\", failure.Safe(n))")
		readable = false
	}
	code.Options = call.Args[2:]
	if !readable {
		return
	}
	if code.Var != nil && code.Name != "_" {
		r.codes[code.Var] = len(r.Codes)
	}
	r.Codes = append(r.Codes, code)
}

// literal is a string written as literals, several joined by + for long ones.
func (r *reader) literal(e ast.Expr) (string, bool) {
	switch e := ast.Unparen(e).(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		x, ok := r.literal(e.X)
		y, also := r.literal(e.Y)
		return x + y, ok && also && e.Op == token.ADD
	}
	return "", false
}

// setOf is the name of the set that e holds.
func (r *reader) setOf(e ast.Expr) (name string, ok bool) {
	v := r.variableOf(e)
	if v == nil {
		return "", false
	}
	if name, ok = r.sets[v]; !ok && r.Imported != nil {
		name, ok = r.Imported(v)
	}
	return name, ok
}

// variableOf is the variable that e is: name, or package.name.
func (r *reader) variableOf(e ast.Expr) *types.Var {
	var name *ast.Ident
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		name = e
	case *ast.SelectorExpr:
		name = e.Sel
	default:
		return nil
	}
	v, _ := r.Info.Uses[name].(*types.Var)
	if v == nil || v.IsField() {
		return nil
	}
	return v
}

// declarer is the name of the method of Set that s selects, if that declares codes.
func (r *reader) declarer(s *ast.SelectorExpr) string {
	if s == nil {
		return ""
	}
	if f, ok := r.Info.Uses[s.Sel].(*types.Func); ok && isMethod(f, "Set") {
		switch f.Name() {
		case "Caller", "Service", "Dependency", "NotProblem":
			return f.Name()
		}
	}
	return ""
}

// readStrays finds declarations that are elsewhere than in a variable of their own.
func (r *reader) readStrays(f *ast.File) {
	called := map[*ast.SelectorExpr]*ast.CallExpr{}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if s, ok := ast.Unparen(n.Fun).(*ast.SelectorExpr); ok {
				called[s] = n
			}
		case *ast.SelectorExpr:
			class := r.declarer(n)
			if class == "" || r.direct[called[n]] {
				break
			}
			switch call := called[n]; {
			case call == nil:
				r.unread(n.Pos(), "Set."+class+" is not called here but taken as a value, which hides what it declares: call it, var errFull = codes."+class+"(1042, …)")
			case r.Info.Selections[n].Kind() == types.MethodExpr:
				r.unread(n.Pos(), "Set."+class+" is called as a method expression, which hides the set: call it on the set, var errFull = codes."+class+"(1042, …)")
			default:
				r.unread(n.Pos(), "a failure code is declared elsewhere than in a package-level variable of its own: write var errFull = codes."+class+"(1042, …), so that the set is complete when the program starts and each use of the code can be found")
			}
		}
		return true
	})
}

// isFunction reports whether f is the function of package failure with that name.
func isFunction(f *types.Func, name string) bool {
	return f != nil && f.Pkg() != nil && f.Pkg().Path() == Package && f.Name() == name && f.Signature().Recv() == nil
}

// isMethod reports whether f is a method of the type of package failure with that name.
func isMethod(f *types.Func, of string) bool {
	recv := f.Signature().Recv()
	return recv != nil && isNamed(recv.Type(), of)
}

// isNamed reports whether t is the type of package failure with that name, or a pointer to it.
func isNamed(t types.Type, name string) bool {
	if p, ok := types.Unalias(t).(*types.Pointer); ok {
		t = p.Elem()
	}
	named, ok := types.Unalias(t).(*types.Named)
	return ok && named.Obj().Name() == name && named.Obj().Pkg() != nil && named.Obj().Pkg().Path() == Package
}
