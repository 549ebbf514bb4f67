package config

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Flags adds a flag for every key to fs: its name is the key, its default is the key's. A bool's flag
// may stand without a value. What is given is checked when fs parses it, kept, and applied by Load
// after all other layers, so parse before Load. The error names a key whose flag fs has already, and
// then none is added.
func (s *Set) Flags(fs *flag.FlagSet) error {
	var errs []error
	s.root.each(func(f *field) {
		if fs.Lookup(f.key) != nil {
			errs = append(errs, fmt.Errorf("config: key %q (%s): the flag -%s is taken", f.key, f.goName, f.key))
		}
	})
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	s.root.each(func(f *field) {
		usage := docOf(f.tag)
		if word := f.codec.word(); word != "bool" {
			// Package flag shows the quoted word after the flag's name.
			usage = strings.TrimSpace(usage + " (`" + word + "`)")
		}
		fs.Var(&flagValue{set: s, field: f}, f.key, usage)
	})
	return nil
}

// NearestFlag is the flag of fs that a name, without its hyphen, is probably meant to be, guessed as unknown keys of a file
// are; "" if there is none. It is for the error of a FlagSet that knows no flag of that name.
func NearestFlag(fs *flag.FlagSet, name string) string {
	var names []string
	fs.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
	return nearestKey(name, names)
}

// A flagValue keeps what one flag was given.
type flagValue struct {
	set   *Set
	field *field
}

// String is the value given, or else the default; package flag calls it on a zero flagValue as well.
func (v *flagValue) String() string {
	switch {
	case v.field == nil:
		return ""
	case v.field.given.IsValid():
		if _, secret := v.field.codec.(secretCodec); secret {
			return NewSecret(v.field.givenText).String()
		}
		return v.field.givenText
	}
	return v.field.initialText
}

func (v *flagValue) Set(text string) error {
	if v.set.loaded {
		return errors.New("the configuration is loaded already")
	}
	parsed, err := v.field.codec.parse(text)
	if err != nil {
		// Package flag repeats the value before the error.
		var w *wanted
		if errors.As(err, &w) && w == err {
			err = &wanted{want: w.want, cause: w.cause}
		}
		return err
	}
	v.field.given, v.field.givenText = parsed, text
	return nil
}

func (v *flagValue) IsBoolFlag() bool { return v.field != nil && v.field.codec.word() == "bool" }

// Usage writes every key as -h should show it: flag, type, doc, default and environment variable,
// section by section. The error is the writer's.
func (s *Set) Usage(w io.Writer) error {
	const widest = 36
	width := 0
	s.root.each(func(f *field) {
		if n := utf8.RuneCountInString(f.flagText()); n <= widest {
			width = max(width, n)
		}
	})
	out := bufio.NewWriter(w)
	first := true
	var write func(sec *section)
	write = func(sec *section) {
		if len(sec.fields) > 0 {
			if !first {
				fmt.Fprintln(out)
			}
			first = false
			if sec.key != "" {
				fmt.Fprintln(out, heading(sec))
			}
		}
		for _, f := range sec.fields {
			texts := []string{"no default"}
			if f.initialText != "" {
				texts[0] = "default " + f.initialText
			}
			texts[0] += ", env " + f.env
			if doc := docOf(f.tag); doc != "" {
				texts = append([]string{doc}, texts...)
			}
			left := f.flagText()
			if utf8.RuneCountInString(left) > width {
				fmt.Fprintln(out, "  "+left)
				left = ""
			}
			for _, text := range texts {
				fmt.Fprintf(out, "  %-*s  %s\n", width, left, text)
				left = ""
			}
		}
		for _, sub := range sec.sections {
			write(sub)
		}
	}
	write(s.root)
	return out.Flush()
}

func heading(sec *section) string {
	if sec.doc == "" {
		return sec.key + ":"
	}
	return sec.key + ": " + sec.doc
}

// flagText is "-http.idle duration", and for a bool only "-http.h2c".
func (f *field) flagText() string {
	if word := f.codec.word(); word != "bool" {
		return "-" + f.key + " " + word
	}
	return "-" + f.key
}
