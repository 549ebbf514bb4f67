package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode"
)

// A field is one key: where it is stored, how its type is read, and what is known of its value.
type field struct {
	key, env    string
	goName      string            // "game.Config.HTTP.Addr"
	tag         reflect.StructTag // of the Go field, with its documentation
	codec       codec
	v           reflect.Value // the destination, settable
	initial     reflect.Value // the default
	initialText string
	source      Source

	given     reflect.Value // by flag, else invalid
	givenText string

	reference string        // how a secret that was read from a file was given
	text      string        // the value as Field.Value shows it
	yaml      func() string // the value as Print writes it
}

// A section is the keys below one dotted prefix.
type section struct {
	key, name, doc string
	fields         []*field
	sections       []*section
}

// each visits the section's fields, then those of the sections in it.
func (sec *section) each(visit func(*field)) {
	for _, f := range sec.fields {
		visit(f)
	}
	for _, sub := range sec.sections {
		sub.each(visit)
	}
}

// A part is a value that may have a Validate method: a struct, or the field of a leaf. It differs from
// a section in that several structs can make up one section, and inlined ones have none.
type part struct {
	key   string
	v     reflect.Value
	field *field // nil for a struct
	parts []*part
}

// A walker turns structs into the fields of a set and collects what is wrong with them.
type walker struct {
	set  *Set
	errs []error
}

func (w *walker) fail(goName, format string, args ...any) {
	w.errs = append(w.errs, fmt.Errorf("config: field "+goName+": "+format, args...))
}

func (w *walker) walk(p *part, sec *section, goName string) {
	t := p.v.Type()
	for i := range t.NumField() {
		sf := t.Field(i)
		w.member(p, sec, sf, p.v.Field(i), goName+"."+sf.Name)
	}
}

// member adds one field of a struct, which is a key, a section, or more of the same section.
func (w *walker) member(p *part, sec *section, sf reflect.StructField, v reflect.Value, goName string) {
	tag, tagged := sf.Tag.Lookup("config")
	if tag == "-" {
		return
	}
	name, option, _ := strings.Cut(tag, ",")
	if !sf.IsExported() && !(sf.Anonymous && sf.Type.Kind() == reflect.Struct) {
		if tagged {
			w.fail(goName, "has a config tag but is not exported")
		}
		return
	}
	if option != "" && option != "inline" {
		w.fail(goName, "tag config:%q: the option %q is unknown; there is only inline", tag, option)
		return
	}
	c, isLeaf := codecFor(sf.Type)
	isStruct := !isLeaf && sf.Type.Kind() == reflect.Struct
	if isStruct && (option == "inline" || sf.Anonymous && name == "") {
		if name != "" {
			w.fail(goName, "tag config:%q: what is inlined has no name", tag)
			return
		}
		child := &part{key: p.key, v: v}
		p.parts = append(p.parts, child)
		w.walk(child, sec, goName)
		return
	}
	if option == "inline" {
		w.fail(goName, "a %s cannot be inlined; only a struct can", sf.Type)
		return
	}
	if name == "" {
		name = keyName(sf.Name)
	}
	if !segment(name) {
		w.fail(goName, "key %q: want a lower-case letter, then lower-case letters, digits or _; name it with a config tag", name)
		return
	}
	key := join(sec.key, name)
	switch {
	case isLeaf && v.CanSet():
		w.leaf(p, sec, &field{key: key, tag: sf.Tag, goName: goName, codec: c, v: v})
	case isStruct && configurable(sf.Type):
		sub := w.section(sec, key, name, goName)
		if sub == nil {
			return
		}
		if sub.doc == "" {
			sub.doc = docOf(sf.Tag)
		}
		child := &part{key: key, v: v}
		p.parts = append(p.parts, child)
		w.walk(child, sub, goName)
	default:
		w.fail(goName, "a %s cannot be configured; use a string, bool, number, time.Duration, config.Size, config.Secret, "+
			"an encoding.TextUnmarshaler that can be printed, a list of those, map[string]string or a struct, or tag the field config:\"-\"", sf.Type)
	}
}

func (w *walker) leaf(p *part, sec *section, f *field) {
	s := w.set
	f.env = s.prefix + strings.ToUpper(strings.ReplaceAll(f.key, ".", "_"))
	if other, taken := s.byKey[f.key]; taken {
		w.fail(f.goName, "the key %q is also that of %s", f.key, other.goName)
		return
	}
	if _, taken := s.sections[f.key]; taken {
		w.fail(f.goName, "the key %q is also the name of a section", f.key)
		return
	}
	if other, taken := s.byEnv[f.env]; taken {
		w.fail(f.goName, "the environment variable %s of key %q is also that of %q (%s)", f.env, f.key, other.key, other.goName)
		return
	}
	f.initial = reflect.New(f.v.Type()).Elem()
	f.initial.Set(f.v)
	if err := f.render(); err != nil {
		w.fail(f.goName, "print its default: %w", err)
		return
	}
	f.initialText = f.text
	s.byKey[f.key], s.byEnv[f.env] = f, f
	sec.fields = append(sec.fields, f)
	p.parts = append(p.parts, &part{key: f.key, v: f.v, field: f})
}

// section finds or makes the section a nested struct fills; two structs may fill the same one.
func (w *walker) section(parent *section, key, name, goName string) *section {
	if other, taken := w.set.byKey[key]; taken {
		w.fail(goName, "the section %q is also the key of %s", key, other.goName)
		return nil
	}
	if sub, ok := w.set.sections[key]; ok {
		return sub
	}
	sub := &section{key: key, name: name}
	w.set.sections[key] = sub
	parent.sections = append(parent.sections, sub)
	return sub
}

// render brings text and yaml up to date with the value.
func (f *field) render() error {
	text, yaml, err := f.codec.format(f.v)
	if err != nil {
		return err
	}
	if f.reference != "" {
		text, yaml = f.reference, func() string { return yamlString(f.reference) }
	}
	f.text, f.yaml = text, yaml
	return nil
}

// configurable tells structs that are sections from opaque ones such as sync.Mutex.
func configurable(t reflect.Type) bool {
	for i := range t.NumField() {
		if sf := t.Field(i); sf.IsExported() || sf.Anonymous {
			return true
		}
	}
	return t.NumField() == 0
}

// segment reports whether s can be the name of a key or section: [a-z][a-z0-9_]*.
func segment(s string) bool {
	for i, c := range []byte(s) {
		if !('a' <= c && c <= 'z' || i > 0 && ('0' <= c && c <= '9' || c == '_')) {
			return false
		}
	}
	return s != ""
}

// docOf is the documentation of a Go field. It is not looked for before somebody asks: a start needs none of it.
func docOf(tag reflect.StructTag) string { return oneLine(tag.Get("doc")) }

// oneLine is s with a space for every run of white space. Most of what is written needs no copy.
func oneLine(s string) string {
	other := func(r rune) bool { return r != ' ' && unicode.IsSpace(r) }
	if s != strings.TrimSpace(s) || strings.Contains(s, "  ") || strings.ContainsFunc(s, other) {
		return strings.Join(strings.Fields(s), " ")
	}
	return s
}

// keyName splits a Go name at its case boundaries: MaxBodyBytes is max_body_bytes, HTTPAddr is
// http_addr, MaxH2Streams is max_h2_streams, and H2C stays h2c.
func keyName(name string) string {
	runes := []rune(name)
	var b strings.Builder
	for i, r := range runes {
		if i > 0 && unicode.IsUpper(r) {
			afterLower := unicode.IsLower(runes[i-1])
			beforeLower := i+1 < len(runes) && unicode.IsLower(runes[i+1])
			if afterLower || beforeLower && runes[i-1] != '_' {
				b.WriteByte('_')
			}
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

func join(section, name string) string {
	if section == "" || name == "" {
		return section + name
	}
	return section + "." + name
}

func typeName(t reflect.Type) string {
	if t.Name() == "" {
		return "struct"
	}
	return t.String()
}

// A problem is what is wrong with the value of one key.
type problem struct {
	source Source
	key    string
	err    error
}

func (p *problem) Error() string {
	return fmt.Sprintf("%s: key %q: %v", p.source, p.key, p.err)
}

func (p *problem) Unwrap() error { return p.err }

var errNotUTF8 = errors.New("want UTF-8 text")
