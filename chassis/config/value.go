package config

import (
	"encoding"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// A codec says how the values of one Go type are read and written. parse reads what a variable or a
// flag gives, decode what the file gives; format writes a value in the first form and, when it is called,
// as it was then in YAML, which few ever ask for and takes most of the time.
type codec interface {
	word() string
	parse(text string) (reflect.Value, error)
	decode(n *yaml.Node) (reflect.Value, error)
	format(v reflect.Value) (text string, yaml func() string, err error)
}

// codecFor finds the codec of a type. It reports false for what is no single value: structs, and types
// that cannot be configured.
func codecFor(t reflect.Type) (codec, bool) {
	if t == reflect.TypeFor[Secret]() {
		return secretCodec{}, true
	}
	if c, ok := scalarFor(t); ok {
		return c, true
	}
	switch {
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		item, ok := scalarFor(t.Elem())
		return &list{t: t, item: item}, ok
	case t.Kind() == reflect.Map && t.Key() == reflect.TypeFor[string]() && t.Elem() == reflect.TypeFor[string]():
		return &table{t: t}, true
	}
	return nil, false
}

// A wanted error says which form a value should have had.
type wanted struct {
	want  string // "a duration such as 30s"
	got   string // "", or what came instead
	hint  string
	cause error
}

func (e *wanted) Error() string {
	msg := "want " + e.want
	if e.got != "" {
		msg += ", got " + e.got
	}
	if e.cause != nil {
		msg += ": " + e.cause.Error()
	}
	if e.hint != "" {
		msg += "; " + e.hint
	}
	return msg
}

func (e *wanted) Unwrap() error { return e.cause }

// quote shows a value in an error; a longer one is cut, because the reader has its position.
func quote(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most]) + "…"
	}
	return strconv.Quote(s)
}

// A scalar is the codec of a single value.
type scalar struct {
	name  string
	want  string
	plain bool // numbers and bools: in YAML, quotes make them something else
	read  func(text string) (reflect.Value, error)
	write func(v reflect.Value) (string, error)
}

func (c *scalar) word() string { return c.name }

func (c *scalar) parse(text string) (reflect.Value, error) {
	if !utf8.ValidString(text) {
		return reflect.Value{}, errNotUTF8
	}
	v, err := c.read(text)
	if err != nil {
		return v, &wanted{want: c.want, got: quote(text), cause: cause(err)}
	}
	return v, nil
}

func (c *scalar) decode(n *yaml.Node) (reflect.Value, error) {
	switch {
	case n.Kind != yaml.ScalarNode:
		return reflect.Value{}, &wanted{want: c.want, got: nodeWord(n)}
	case n.ShortTag() == "!!null":
		hint := "leave the key out for its default"
		if !c.plain {
			hint = `write "" if empty is meant, or ` + hint
		}
		return reflect.Value{}, &wanted{want: c.want, got: "no value", hint: hint}
	case c.plain && n.Style != 0:
		return reflect.Value{}, &wanted{want: c.want, got: "the text " + quote(n.Value), hint: "write it without quotes"}
	case c.name == "bool" && n.ShortTag() != "!!bool":
		return reflect.Value{}, &wanted{want: c.want, got: quote(n.Value)}
	}
	return c.parse(n.Value)
}

func (c *scalar) format(v reflect.Value) (string, func() string, error) {
	text, err := c.write(v)
	if err != nil {
		return "", nil, err
	}
	if !utf8.ValidString(text) {
		return "", nil, errNotUTF8
	}
	return text, func() string {
		if c.plain {
			return text
		}
		return yamlString(text)
	}, nil
}

// cause drops the errors that say no more than "want …, got …" does.
func cause(err error) error {
	var num *strconv.NumError
	switch {
	case errors.Is(err, errPlain):
		return nil
	case errors.As(err, &num):
		if errors.Is(num.Err, strconv.ErrRange) {
			return num.Err
		}
		return nil
	}
	return err
}

// errPlain is an error that has nothing to add.
var errPlain = errors.New("malformed")

func scalarFor(t reflect.Type) (*scalar, bool) {
	value := func(set func(v reflect.Value)) reflect.Value {
		v := reflect.New(t).Elem()
		set(v)
		return v
	}
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return &scalar{
			name: "duration", want: "a duration such as 30s",
			read: func(text string) (reflect.Value, error) {
				d, err := time.ParseDuration(text)
				if err != nil {
					err = errPlain
				}
				return reflect.ValueOf(d), err
			},
			write: func(v reflect.Value) (string, error) { return shortDuration(time.Duration(v.Int())), nil },
		}, true
	case t == reflect.TypeFor[Size]():
		return &scalar{
			name: "size", want: sizeForm,
			read: func(text string) (reflect.Value, error) {
				n, ok := parseSize(text)
				if !ok {
					return reflect.Value{}, errPlain
				}
				return reflect.ValueOf(n), nil
			},
			write: func(v reflect.Value) (string, error) {
				if v.Int() < 0 {
					return "", errors.New("a size cannot be negative")
				}
				return Size(v.Int()).String(), nil
			},
		}, true
	case t == reflect.TypeFor[Secret]():
		return nil, false
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return textScalar(t)
	}
	switch t.Kind() {
	case reflect.String:
		return &scalar{
			name: "string", want: "text",
			read: func(text string) (reflect.Value, error) {
				return value(func(v reflect.Value) { v.SetString(text) }), nil
			},
			write: func(v reflect.Value) (string, error) { return v.String(), nil },
		}, true
	case reflect.Bool:
		return &scalar{
			name: "bool", want: "true or false", plain: true,
			read: func(text string) (reflect.Value, error) {
				b, err := strconv.ParseBool(text)
				return value(func(v reflect.Value) { v.SetBool(b) }), err
			},
			write: func(v reflect.Value) (string, error) { return strconv.FormatBool(v.Bool()), nil },
		}, true
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		want := "a whole number"
		if bits := t.Bits(); bits < 64 {
			want = fmt.Sprintf("a whole number from %d to %d", int64(-1)<<(bits-1), int64(1)<<(bits-1)-1)
		}
		return &scalar{
			name: "int", want: want, plain: true,
			read: func(text string) (reflect.Value, error) {
				n, err := strconv.ParseInt(text, 0, t.Bits())
				return value(func(v reflect.Value) { v.SetInt(n) }), err
			},
			write: func(v reflect.Value) (string, error) { return strconv.FormatInt(v.Int(), 10), nil },
		}, true
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		want := "a whole number, 0 or more"
		if bits := t.Bits(); bits < 64 {
			want = fmt.Sprintf("a whole number from 0 to %d", uint64(1)<<bits-1)
		}
		return &scalar{
			name: "uint", want: want, plain: true,
			read: func(text string) (reflect.Value, error) {
				n, err := strconv.ParseUint(text, 0, t.Bits())
				return value(func(v reflect.Value) { v.SetUint(n) }), err
			},
			write: func(v reflect.Value) (string, error) { return strconv.FormatUint(v.Uint(), 10), nil },
		}, true
	case reflect.Float32, reflect.Float64:
		return &scalar{
			name: "float", want: "a number", plain: true,
			read: func(text string) (reflect.Value, error) {
				x, err := strconv.ParseFloat(text, t.Bits())
				if err == nil && (math.IsInf(x, 0) || math.IsNaN(x)) {
					err = errors.New("it must be finite")
				}
				return value(func(v reflect.Value) { v.SetFloat(x) }), err
			},
			write: func(v reflect.Value) (string, error) {
				x := v.Float()
				if math.IsInf(x, 0) || math.IsNaN(x) {
					return "", errors.New("it must be finite")
				}
				return strconv.FormatFloat(x, 'g', -1, t.Bits()), nil
			},
		}, true
	}
	return nil, false
}

// textScalar is the codec of a type that reads itself. A type that cannot also write itself is not
// taken: its value could be neither shown nor printed.
func textScalar(t reflect.Type) (*scalar, bool) {
	var write func(v reflect.Value) (string, error)
	switch p := reflect.PointerTo(t); {
	case p.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		write = func(v reflect.Value) (string, error) {
			text, err := addressed(v).(encoding.TextMarshaler).MarshalText()
			return string(text), err
		}
	case p.Implements(reflect.TypeFor[fmt.Stringer]()):
		write = func(v reflect.Value) (string, error) { return addressed(v).(fmt.Stringer).String(), nil }
	default:
		return nil, false
	}
	name := strings.ToLower(t.Name())
	article := "a "
	if name == "" {
		name = "text"
		article = ""
	} else if strings.ContainsRune("aeiou", rune(name[0])) {
		article = "an "
	}
	return &scalar{
		name: name, want: article + name,
		read: func(text string) (reflect.Value, error) {
			p := reflect.New(t)
			err := p.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text))
			return p.Elem(), err
		},
		write: write,
	}, true
}

// addressed is a pointer to a copy of v, so that methods of either receiver can be called.
func addressed(v reflect.Value) any {
	p := reflect.New(v.Type())
	p.Elem().Set(v)
	return p.Interface()
}

// A list is the codec of a slice of scalars.
type list struct {
	t    reflect.Type
	item *scalar
}

const listForm = "a list such as [a, b]"

func (c *list) word() string { return "list of " + c.item.name }

func (c *list) parse(text string) (reflect.Value, error) {
	out := reflect.MakeSlice(c.t, 0, 0)
	if strings.TrimSpace(text) == "" {
		return out, nil
	}
	for i, item := range strings.Split(text, ",") {
		item = strings.TrimSpace(item)
		v, err := c.item.parse(item)
		if err == nil && item == "" { // of texts; one comma too many rather than an empty host
			err = &wanted{want: c.item.want, got: quote(item)}
		}
		if err != nil {
			return out, fmt.Errorf("item %d: %w", i+1, err)
		}
		out = reflect.Append(out, v)
	}
	return out, nil
}

func (c *list) decode(n *yaml.Node) (reflect.Value, error) {
	out := reflect.MakeSlice(c.t, 0, 0)
	if n.Kind != yaml.SequenceNode {
		return out, &wanted{want: listForm, got: nodeWord(n)}
	}
	for i, item := range n.Content {
		err := refuse(item)
		var v reflect.Value
		if err == nil {
			v, err = c.item.decode(item)
		}
		if err != nil {
			return out, at(item, fmt.Errorf("item %d: %w", i+1, err))
		}
		out = reflect.Append(out, v)
	}
	return out, nil
}

func (c *list) format(v reflect.Value) (string, func() string, error) {
	var texts []string
	var items []func() string
	for i := range v.Len() {
		text, yaml, err := c.item.format(v.Index(i))
		if err != nil {
			return "", nil, fmt.Errorf("item %d: %w", i+1, err)
		}
		texts, items = append(texts, text), append(items, yaml)
	}
	return strings.Join(texts, ","), func() string {
		var yamls []string
		for _, yaml := range items {
			yamls = append(yamls, yaml())
		}
		return "[" + strings.Join(yamls, ", ") + "]"
	}, nil
}

// A table is the codec of map[string]string.
type table struct{ t reflect.Type }

const (
	tableForm = "a mapping such as {name: value}"
	// tableName bounds the length of a name: YAML allows no simple key of more than 1024 characters.
	tableName = 256
)

func (c *table) word() string { return "map" }

func (c *table) parse(text string) (reflect.Value, error) {
	out := make(map[string]string)
	if !utf8.ValidString(text) {
		return reflect.Value{}, errNotUTF8
	}
	if strings.TrimSpace(text) != "" {
		for pair := range strings.SplitSeq(text, ",") {
			name, value, ok := strings.Cut(pair, "=")
			name = strings.TrimSpace(name)
			if !ok || name == "" {
				return reflect.Value{}, &wanted{want: "pairs such as name=value,name=value", got: quote(pair)}
			}
			if err := put(out, name, strings.TrimSpace(value)); err != nil {
				return reflect.Value{}, err
			}
		}
	}
	return reflect.ValueOf(out).Convert(c.t), nil
}

func put(m map[string]string, name, value string) error {
	if len(name) > tableName {
		return fmt.Errorf("the name %s is longer than %d bytes", quote(name), tableName)
	}
	if _, twice := m[name]; twice {
		return fmt.Errorf("%s is given twice", quote(name))
	}
	m[name] = value
	return nil
}

func (c *table) decode(n *yaml.Node) (reflect.Value, error) {
	if n.Kind != yaml.MappingNode {
		return reflect.Value{}, &wanted{want: tableForm, got: nodeWord(n)}
	}
	out := make(map[string]string)
	text, _ := scalarFor(reflect.TypeFor[string]())
	for i := 0; i < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		err := refuse(name)
		if err == nil && name.Kind != yaml.ScalarNode {
			err = &wanted{want: "a name", got: nodeWord(name)}
		}
		if err != nil {
			return reflect.Value{}, at(name, err)
		}
		var v reflect.Value
		if err = refuse(value); err == nil {
			v, err = text.decode(value)
		}
		if err != nil {
			return reflect.Value{}, at(value, fmt.Errorf("%s: %w", quote(name.Value), err))
		}
		if err := put(out, name.Value, v.String()); err != nil {
			return reflect.Value{}, at(name, err)
		}
	}
	return reflect.ValueOf(out).Convert(c.t), nil
}

func (c *table) format(v reflect.Value) (string, func() string, error) {
	m := v.Convert(reflect.TypeFor[map[string]string]()).Interface().(map[string]string)
	var texts, yamls []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if !utf8.ValidString(name) || !utf8.ValidString(m[name]) {
			return "", nil, errNotUTF8
		}
		texts = append(texts, name+"="+m[name])
		yamls = append(yamls, yamlString(name)+": "+yamlString(m[name]))
	}
	return strings.Join(texts, ","), func() string { return "{" + strings.Join(yamls, ", ") + "}" }, nil
}

// shortDuration leaves out the zero units that Duration.String writes: 2m, not 2m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}
