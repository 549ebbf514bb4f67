// Package config fills a struct from four layers: the defaults it already holds, a YAML file, the
// environment and the command line's flags. A later layer overrides an earlier one, key by key.
//
// A program describes its configuration as a struct whose values are the defaults:
//
//	type Config struct {
//		HTTP    HTTPConfig `config:"http" doc:"the public listener"`
//		Journal string     `doc:"where games are kept: mem: or file:PATH"`
//		Token   config.Secret
//	}
//	type HTTPConfig struct {
//		Addr    string        `doc:"address to listen on"`
//		MaxBody config.Size   `doc:"largest request body"`
//		Idle    time.Duration `doc:"how long an idle connection is kept"`
//	}
//
// Every field becomes a key, and a key has one spelling per layer. In a service called "game" the
// field HTTP.MaxBody is
//
//	the key      http.max_body
//	in the file  http: {max_body: 1MiB}
//	in the env   GAME_HTTP_MAX_BODY=1MiB
//	as a flag    -http.max_body 1MiB
//
// # From struct to keys
//
// A field's name is its Go name in lower case, split at the case boundaries with "_". The tag
// config:"name" gives another one, config:"-" leaves the field out. A nested struct is a section:
// its name and a dot come before its keys. An embedded struct, or one tagged config:",inline", adds
// its keys to the section around it. The tag doc is the line [Set.Usage] shows. Fields can be
//
//   - strings, bools, ints, uints and floats of any size, and types built on them;
//   - [time.Duration] ("30s"), [Size] ("1MiB") and [Secret];
//   - whatever implements [encoding.TextUnmarshaler] and can be printed ([netip.Prefix], [slog.Level], …);
//   - lists of those except Secret: a YAML list, or in a variable or flag "a,b,c";
//   - map[string]string: a YAML mapping, or in a variable or flag "name=value,name=value".
//
// Whole numbers are read as Go reads them: 0x1f, 0b11, 0o17, also 017 (which is 15), and 1_000. An item
// of a list that is empty, and one of a list or map that has a comma, can be given in the file alone.
//
// [New] refuses anything else and names the Go field. A list or map replaces the one of an earlier
// layer whole; a flag given twice counts once, the last time.
//
// # What the layers accept
//
// The file is read strictly. An unknown or repeated key, a value of the wrong type, a number in quotes,
// a second document, anchors, aliases, merge keys and tags are errors that tell file, line and column,
// and what would be right. Aliases are refused rather than bounded: a configuration never needs them,
// and without them a small file is a small configuration. A file holds at most 1 MiB.
// A key without a value ("addr:") is an error as well; a section without keys is not.
//
// Of the environment only the variables that spell a key are read. Others with the service's prefix are
// left alone, because platforms add such (Kubernetes sets GAME_PORT and GAME_SERVICE_HOST for a service
// called game), but one that nearly spells a key is reported by [Set.Warnings].
//
// All mistakes are reported together, the file's in the order of its lines.
//
// # Validation
//
// When all layers are read, the method Validate() error is called on every field, section and struct
// that has one, parts before the whole. A Validate that knows which of its fields is wrong returns
// [Invalid], and the reader is told where that very value came from.
//
// # Secrets
//
// A [Secret] is given as text or, better, as "file:/run/secrets/token". It redacts itself wherever it is
// printed; only [Secret.Reveal] tells it.
//
// Nothing is read but what [Sources] names, and the package keeps no state of its own: many services,
// or many of one, can be configured in one process.
package config

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// A Set is the keys of one or more configuration structs, and, once loaded, where the value of each
// came from. Use it from one goroutine until Load has returned; after that its methods, which then
// only read, are safe for concurrent use.
type Set struct {
	service  string
	prefix   string // of environment variables, with its underscore
	root     *section
	parts    []*part // one per struct handed to New
	byKey    map[string]*field
	byEnv    map[string]*field
	sections map[string]*section
	loaded   bool
	warnings []string
}

// A Field is one key of a Set as a reader is shown it.
type Field struct {
	Key     string // dotted: "http.addr"
	Env     string // "GAME_HTTP_ADDR"
	Type    string // one word: "duration", "list of string"
	Doc     string // one line, may be empty
	Value   string // in force, written as a variable or flag would be; "[redacted]" if secret
	Default string // the value before any layer, written in the same way
	Source  Source // which layer Value came from
}

// New makes the Set of the structs that dst points to; what they hold are the defaults. The service's
// name (letters, digits, "-" and "_") prefixes the environment variables: "web-front" reads
// WEB_FRONT_HTTP_ADDR. The structs share one key space and may share sections. New reports all its
// errors at once: a type that cannot be configured, a key used twice, two keys that one variable would
// set. It keeps the pointers; Load writes through them.
func New(service string, dst ...any) (*Set, error) {
	if !serviceName.MatchString(service) {
		return nil, fmt.Errorf("config: service name %q: want a letter, then letters, digits, - or _", service)
	}
	s := &Set{
		service:  service,
		prefix:   strings.ToUpper(strings.ReplaceAll(service, "-", "_")) + "_",
		root:     &section{},
		byKey:    make(map[string]*field),
		byEnv:    make(map[string]*field),
		sections: make(map[string]*section),
	}
	var errs []error
	for i, d := range dst {
		v := reflect.ValueOf(d)
		if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
			errs = append(errs, fmt.Errorf("config: destination %d is a %T: want a pointer to a struct that holds the defaults", i+1, d))
			continue
		}
		p := &part{v: v.Elem()}
		s.parts = append(s.parts, p)
		w := walker{set: s}
		w.walk(p, s.root, typeName(v.Elem().Type()))
		errs = append(errs, w.errs...)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return s, nil
}

var serviceName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$`)

// Fields lists all keys, a section's own before those of the sections in it, otherwise in the order
// the structs declare them. Before Load every Value is the default. After a failed Load it tells what
// could be read.
func (s *Set) Fields() []Field {
	var out []Field
	s.root.each(func(f *field) { out = append(out, f.public()) })
	return out
}

// Lookup finds one field by its dotted key.
func (s *Set) Lookup(key string) (Field, bool) {
	f, ok := s.byKey[key]
	if !ok {
		return Field{}, false
	}
	return f.public(), true
}

// Warnings tells what Load found that is probably a mistake but no error, one line each: a variable
// of the environment that nearly spells a key, or a secret written on the command line.
func (s *Set) Warnings() []string { return slices.Clone(s.warnings) }

func (f *field) public() Field {
	return Field{Key: f.key, Env: f.env, Type: f.codec.word(), Doc: docOf(f.tag), Value: f.text, Default: f.initialText, Source: f.source}
}
