package roadworthy

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// section cuts what is at a path of keys out of a YAML file, with the lines before it left blank, so that
// errors tell the places in the file. It is not ok if the last key is missing; if another one is, that is
// an error.
func section(data []byte, path []string) (text []byte, ok bool, err error) {
	// As in package config: the parser panics where it finds itself in a state it holds impossible.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, false, err
	}
	if len(doc.Content) == 0 {
		doc.Content = []*yaml.Node{{Kind: yaml.MappingNode}} // an empty file
	}
	n := doc.Content[0]
	for i, key := range path {
		var names []string
		next := (*yaml.Node)(nil)
		if n.Kind == yaml.MappingNode {
			for j := 0; j < len(n.Content); j += 2 {
				names = append(names, n.Content[j].Value)
				if n.Content[j].Value == key {
					next = n.Content[j+1]
				}
			}
		}
		if next == nil && i == len(path)-1 {
			return nil, false, nil
		}
		if next == nil {
			return nil, false, fmt.Errorf("there is no section %s; there is: %s", strings.Join(path[:i+1], "."), strings.Join(names, ", "))
		}
		n = next
	}
	if n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle == 0 {
		return lines(data, n.Line, lineBehind(&doc, n)), true, nil
	}
	// In flow style, or not the mapping that it should be, which the reader will say.
	spellNulls(n)
	value, err := yaml.Marshal(n)
	return append([]byte(strings.Repeat("\n", n.Line-1)+strings.Repeat(" ", n.Column-1)), value...), true, err
}

// spellNulls gives values that are left out, which would be written as empty text, their name.
func spellNulls(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.Value == "" && n.ShortTag() == "!!null" {
		n.Value = "null"
	}
	for _, child := range n.Content {
		spellNulls(child)
	}
}

// lines keeps those from first up to but without last, 0 for all; the others before are blank.
func lines(data []byte, first, last int) []byte {
	var out bytes.Buffer
	n := 0
	for line := range bytes.Lines(data) {
		n++
		switch {
		case n == last:
			return out.Bytes()
		case n < first:
			out.WriteByte('\n')
		default:
			out.Write(line)
		}
	}
	return out.Bytes()
}

// lineBehind is the line of what follows n in doc, 0 if nothing does.
func lineBehind(doc, n *yaml.Node) int {
	line, past := 0, false
	var walk func(at *yaml.Node)
	walk = func(at *yaml.Node) {
		if past && line == 0 {
			line = at.Line
		}
		for _, child := range at.Content {
			walk(child)
		}
		if at == n {
			past = true
		}
	}
	walk(doc)
	return line
}
