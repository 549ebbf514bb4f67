package config

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Print writes the configuration in force as a YAML file, with where each value came from beside it.
// The file can be loaded again and then gives the same values, but for secrets: one given as file:PATH
// is printed as that reference; one given literally as "[redacted]", which Load refuses unless a
// variable or a flag overrides it, so that no service starts without its secret by mistake. The error
// is the writer's.
func (s *Set) Print(w io.Writer) error {
	p := printer{}
	p.section(s.root, "")
	width := 0
	for _, l := range p.lines {
		// One long list must not push all comments off the screen.
		if n := utf8.RuneCountInString(l.text); l.comment != "" && n <= 60 {
			width = max(width, n)
		}
	}
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "# The configuration of %s, and where each value came from.\n", s.service)
	for _, l := range p.lines {
		if l.comment == "" {
			fmt.Fprintln(out, l.text)
			continue
		}
		pad := max(0, width-utf8.RuneCountInString(l.text))
		fmt.Fprintf(out, "%s%s  # %s\n", l.text, strings.Repeat(" ", pad), l.comment)
	}
	return out.Flush()
}

type printer struct {
	lines []struct{ text, comment string }
}

func (p *printer) add(text, comment string) {
	p.lines = append(p.lines, struct{ text, comment string }{text, comment})
}

func (p *printer) section(sec *section, indent string) {
	for _, f := range sec.fields {
		_, name := split(f.key)
		p.add(indent+name+": "+f.yaml(), printable(f.source.String()))
	}
	for _, sub := range sec.sections {
		p.add(indent+sub.name+":", "")
		p.section(sub, indent+"  ")
	}
}

// printable keeps a strange file name from ending the comment it stands in.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}

var plainString = regexp.MustCompile(`^[A-Za-z0-9_/.](?:[A-Za-z0-9_/.:@%+=-]*[A-Za-z0-9_/.@%+=-])?$`)

// yamlString writes a string so that every YAML reader takes it for that string: plain where that is
// certain, otherwise in double quotes, whose escapes in YAML 1.2 (section 5.7) include those of Go.
func yamlString(s string) string {
	if plainString.MatchString(s) && (&yaml.Node{Kind: yaml.ScalarNode, Value: s}).ShortTag() == "!!str" {
		switch strings.ToLower(s) {
		case "y", "n", "yes", "no", "on", "off": // bools to readers of YAML 1.1
		default:
			return s
		}
	}
	return strconv.Quote(s)
}
