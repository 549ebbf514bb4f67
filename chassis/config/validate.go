package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Invalid is the error with which a Validate method names the field that is wrong: by its key below
// the struct, "addr", or "tls.cert" for one in a nested section. Format and args are those of
// fmt.Errorf. Load then tells where that value came from. Several, or an Invalid together with other
// errors, are joined with errors.Join.
func Invalid(field, format string, args ...any) error {
	return &invalid{field, fmt.Errorf(format, args...)}
}

type invalid struct {
	field string
	err   error
}

func (e *invalid) Error() string { return e.field + ": " + e.err.Error() }
func (e *invalid) Unwrap() error { return e.err }

func (s *Set) validate() []error {
	var errs []error
	for _, p := range s.parts {
		errs = append(errs, s.check(p)...)
	}
	return errs
}

// check validates the parts of p and, if they are right, p itself, whose Validate may rely on them.
func (s *Set) check(p *part) []error {
	var errs []error
	for _, sub := range p.parts {
		errs = append(errs, s.check(sub)...)
	}
	if p.field != nil && p.v.Kind() == reflect.Slice {
		for i := range p.v.Len() {
			for _, err := range failures(p.v.Index(i)) {
				errs = append(errs, &problem{p.field.source, p.key, fmt.Errorf("item %d: %w", i+1, err)})
			}
		}
	}
	if len(errs) > 0 {
		return errs
	}
	for _, err := range failures(p.v) {
		errs = append(errs, s.explain(p, err))
	}
	return errs
}

// failures calls Validate, if v has it, and takes what it joined apart.
func failures(v reflect.Value) []error {
	if !v.Addr().CanInterface() {
		return nil // an embedded struct of an unexported type; its promoted method is called
	}
	validator, ok := v.Addr().Interface().(interface{ Validate() error })
	if !ok {
		return nil
	}
	return flatten(validator.Validate())
}

// flatten takes apart what errors.Join joined, but not what a format wove together.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	several, ok := err.(interface{ Unwrap() []error })
	if !ok || errors.Join(several.Unwrap()...).Error() != err.Error() {
		return []error{err}
	}
	var out []error
	for _, e := range several.Unwrap() {
		out = append(out, flatten(e)...)
	}
	return out
}

// explain says which key or section an error of Validate is about and where its values came from.
func (s *Set) explain(p *part, err error) error {
	if p.field != nil {
		return &problem{p.field.source, p.key, err}
	}
	what, each := "configuration", p.each
	if p.key != "" {
		what = fmt.Sprintf("section %q", p.key)
	}
	var inv *invalid
	if errors.As(err, &inv) {
		key := join(p.key, inv.field)
		f, sub := s.byKey[key], s.sections[key]
		if (f != nil || sub != nil) && err == error(inv) {
			err = inv.err // its field is told below
		}
		if f != nil {
			return &problem{f.source, f.key, err}
		}
		if sub != nil {
			what, each = fmt.Sprintf("section %q", key), sub.each
		}
	}
	return fmt.Errorf("%s: %w (%s)", what, err, origin(each))
}

// each visits the fields of a struct and of those in it.
func (p *part) each(visit func(*field)) {
	if p.field != nil {
		visit(p.field)
	}
	for _, sub := range p.parts {
		sub.each(visit)
	}
}

// origin lists where those of the fields came from that are not defaults.
func origin(each func(visit func(*field))) string {
	const most = 4
	var from []string
	each(func(f *field) {
		if f.source.Layer != FromDefault {
			from = append(from, f.source.String())
		}
	})
	switch {
	case len(from) == 0:
		return "all defaults"
	case len(from) > most:
		return fmt.Sprintf("from %s and %d more", strings.Join(from[:most], ", "), len(from)-most)
	}
	return "from " + strings.Join(from, ", ")
}
