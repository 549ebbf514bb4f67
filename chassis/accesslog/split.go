package accesslog

import "fmt"

// A Directive is one of a LogFormat, together with the text in front of it.
type Directive struct {
	Text   string // in front of it, without escapes
	Name   string // as the format has it: %!200{Referer}i
	Letter byte   // its last byte: i
	Arg    string // what stands in its braces: Referer
	Column int    // where it begins in the format, counted in bytes from 1
}

// Split takes a LogFormat, or one of the nicknames that [Compile] knows, apart without asking what its
// directives mean, for who reads logs that others wrote: httpd's modules add directives (%{name}n, %{name}e)
// that a service has no use for. Tail is the text behind the last directive. A format without a directive
// is one as well. Errors name the column.
func Split(format string) (directives []Directive, tail string, err error) {
	source, named := nicknames[format]
	if !named {
		source = format
	}
	c := compiler{source: source}
	c.define = func(it *item, letter byte, arg string) error {
		directives = append(directives, Directive{Name: it.name, Letter: letter, Arg: arg, Column: c.at - len(it.name) + 1})
		return nil
	}
	if err := c.compile(); err != nil {
		return nil, "", fmt.Errorf("access log format: column %d: %w", c.at+1, err)
	}
	for i, it := range c.format.items {
		directives[i].Text = it.text
	}
	return directives, c.format.tail, nil
}
