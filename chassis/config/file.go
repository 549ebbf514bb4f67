package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// mistakes bounds what is reported of one file: a file of another program has an unknown key on
// every line.
const mistakes = 20

// A located error belongs to a position in the file.
type located struct {
	line, column int
	err          error
}

func (e *located) Error() string { return e.err.Error() }
func (e *located) Unwrap() error { return e.err }

// at gives err the position of n.
func at(n *yaml.Node, err error) error { return &located{n.Line, n.Column, err} }

func (s *Set) loadFile(name string, open func(string) (fs.File, error)) []error {
	data, err := readBounded(open, name, fileBytes, nil)
	if err != nil {
		return []error{fmt.Errorf("configuration file: %w", err)}
	}
	r := reader{set: s, file: name}
	r.read(data)
	slices.SortStableFunc(r.errs, func(a, b *located) int {
		return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
	var errs []error
	for i, e := range r.errs {
		if i == mistakes {
			errs = append(errs, fmt.Errorf("%s: %d more mistakes follow", Source{FromFile, name, e.line, e.column}, len(r.errs)-i))
			break
		}
		errs = append(errs, fmt.Errorf("%s: %w", Source{FromFile, name, e.line, e.column}, e.err))
	}
	return errs
}

// A reader applies one file to a set.
type reader struct {
	set  *Set
	file string
	errs []*located
}

// fail notes an error at n, or at the part of n that the error tells.
func (r *reader) fail(n *yaml.Node, err error) {
	var l *located
	if !errors.As(err, &l) {
		l = &located{line: n.Line, column: n.Column}
	}
	r.errs = append(r.errs, &located{l.line, l.column, err})
}

func (r *reader) read(data []byte) {
	if line, ok := notUTF8(data); !ok {
		r.errs = append(r.errs, &located{line: line, err: errNotUTF8})
		return
	}
	docs, err := documents(data)
	if err != nil {
		r.errs = append(r.errs, syntaxError(data, err))
		return
	}
	if len(docs) > 1 {
		r.fail(docs[1], errors.New("a second document begins here; a configuration file holds one"))
		return
	}
	for _, doc := range docs {
		r.section(r.set.root, doc.Content[0])
	}
}

// section reads one mapping.
func (r *reader) section(sec *section, n *yaml.Node) {
	label := ""
	if sec.key != "" {
		label = fmt.Sprintf("key %q: ", sec.key)
	}
	if err := refuse(n); err != nil {
		r.fail(n, fmt.Errorf("%s%w", label, err))
		return
	}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.fail(n, fmt.Errorf("%s%w", label, &wanted{want: "a mapping of keys to values", got: nodeWord(n)}))
		return
	}
	seen := make(map[string]*yaml.Node)
	for i := 0; i < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		if name.ShortTag() == "!!merge" {
			r.fail(name, errors.New("merge keys (<<) are refused; write the values out"))
			continue
		}
		if err := refuse(name); err != nil {
			r.fail(name, fmt.Errorf("%s%w", label, err))
			continue
		}
		if name.Kind != yaml.ScalarNode || name.Value == "" { // an empty one would lead back into this section
			r.fail(name, fmt.Errorf("%s%w", label, &wanted{want: "a name as key", got: nodeWord(name)}))
			continue
		}
		key := join(sec.key, name.Value)
		if first := seen[name.Value]; first != nil {
			r.fail(name, fmt.Errorf("key %q is given twice; it is already on line %d", key, first.Line))
			continue
		}
		seen[name.Value] = name
		r.entry(sec, key, name, value)
	}
}

func (r *reader) entry(sec *section, key string, name, value *yaml.Node) {
	// The maps hold full keys; a name with a dot must not reach into another section.
	dotted := strings.Contains(name.Value, ".")
	if sub := r.set.sections[key]; sub != nil && !dotted {
		r.section(sub, value)
		return
	}
	f := r.set.byKey[key]
	if f == nil || dotted {
		r.fail(name, r.unknown(sec, key, name.Value, value, dotted))
		return
	}
	err := refuse(value)
	if err == nil {
		err = r.assign(f, value)
	}
	if err != nil {
		where := value
		if value.Kind == yaml.ScalarNode && value.ShortTag() == "!!null" {
			where = name // where nothing is written, the parser tells the place of what comes next
		}
		r.fail(where, fmt.Errorf("key %q: %w", key, err))
	}
}

func (r *reader) assign(f *field, n *yaml.Node) error {
	v, err := f.codec.decode(n)
	if err != nil {
		return err
	}
	f.v.Set(v)
	f.source = Source{FromFile, r.file, n.Line, n.Column}
	return nil
}

// unknown says what a key should have been, as far as that can be guessed.
func (r *reader) unknown(sec *section, key, name string, value *yaml.Node, dotted bool) error {
	msg := "key " + quote(key) + " is unknown"
	var candidates []string
	if value.Kind == yaml.MappingNode {
		candidates = slices.Sorted(maps.Keys(r.set.sections))
	}
	r.set.root.each(func(f *field) {
		if _, isTable := f.codec.(*table); isTable || value.Kind != yaml.MappingNode {
			candidates = append(candidates, f.key)
		}
	})
	if dotted && (r.set.byKey[key] != nil || r.set.sections[key] != nil) {
		outer, inner, _ := strings.Cut(name, ".")
		return fmt.Errorf("%s: a dot does not lead into a section; write %s below %q", msg, quote(inner), outer)
	}
	if near := nearestKey(key, candidates); near != "" {
		return fmt.Errorf("%s; did you mean %q?", msg, near)
	}
	return fmt.Errorf("%s; known here: %s", msg, sec.contents())
}

// contents lists the names in a section, as many as one likes to read.
func (sec *section) contents() string {
	const most = 12
	var names []string
	for _, f := range sec.fields {
		_, name := split(f.key)
		names = append(names, name)
	}
	for _, sub := range sec.sections {
		names = append(names, sub.name)
	}
	switch {
	case len(names) == 0:
		return "none"
	case len(names) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// refuse reports the parts of YAML that a configuration does without.
func refuse(n *yaml.Node) error {
	switch {
	case n.Kind == yaml.AliasNode:
		return fmt.Errorf("aliases are refused; write the value of %s out", quote("*"+n.Value))
	case n.Anchor != "":
		return fmt.Errorf("anchors are refused; leave %s out", quote("&"+n.Anchor))
	case n.Style&yaml.TaggedStyle != 0:
		return fmt.Errorf("tags are refused; leave %s out", quote(n.Tag))
	}
	return nil
}

// nodeWord says what a node is, for "want …, got …".
func nodeWord(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.ShortTag() == "!!null":
		return "no value"
	}
	return quote(n.Value)
}

// documents parses at most the first two documents: a second one is a mistake whatever follows it.
func documents(data []byte) (docs []*yaml.Node, err error) {
	// The parser panics where it finds itself in a state it holds impossible. A file must never
	// bring a service down, so that is an error like the others.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for len(docs) < 2 {
		doc := new(yaml.Node)
		err := dec.Decode(doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
	return docs, nil
}

var syntaxPrefix = regexp.MustCompile(`^(?:yaml: )?(?:line (\d+): )?`)

// syntaxError finds the line of a syntax error. The parser tells the line on which the construct
// began that it could not finish, sometimes one less, and often none at all. The line meant here is
// the first at whose end the parser already fails in the same way, which a binary search finds.
func syntaxError(data []byte, err error) *located {
	bare := func(err error) string { return syntaxPrefix.ReplaceAllString(err.Error(), "") }
	lines := bytes.SplitAfter(data, []byte("\n"))
	first := 1
	if told := syntaxPrefix.FindStringSubmatch(err.Error())[1]; told != "" {
		n, _ := strconv.Atoi(told)
		first = max(1, min(n, len(lines)))
	}
	ends := make([]int, len(lines)+1) // of the first n lines
	for i, text := range lines {
		ends[i+1] = ends[i] + len(text)
	}
	line := first + sort.Search(len(lines)-first, func(i int) bool {
		_, shorter := documents(data[:ends[first+i]])
		return shorter != nil && bare(shorter) == bare(err)
	})
	text := lines[line-1]
	hint := ""
	if indent := text[:len(text)-len(bytes.TrimLeft(text, " \t"))]; bytes.ContainsRune(indent, '\t') {
		hint = "; indent with spaces, not with tabs"
	}
	return &located{line: line, err: fmt.Errorf("not valid YAML: %s%s", bare(err), hint)}
}

func notUTF8(data []byte) (line int, ok bool) {
	if utf8.Valid(data) {
		return 0, true
	}
	valid := 0
	for valid < len(data) {
		r, n := utf8.DecodeRune(data[valid:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		valid += n
	}
	return 1 + bytes.Count(data[:valid], []byte("\n")), false
}
