package accesslog

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Parse reads one line of the Combined Log Format; see [Format.Parse].
func Parse(line []byte) (Record, error) {
	f, err := Compile("combined")
	if err != nil {
		return Record{}, err
	}
	return f.Parse(line)
}

// Parse reads one line of the format, with or without its line break, and returns what it tells of
// the request. Escapes are undone, and - becomes the empty value. Clients must be addresses, so lines
// of an httpd that looks host names up are refused, as are bytes that httpd would have escaped; errors
// name the column, counted in bytes from 1.
//
// Encoding what Parse returns gives back the line, for lines that Append wrote, if the format keeps
// its fields apart: text that stands in no quotes ends where the text behind it and the next
// number, address or time begin. A time of which the format shows only a part is read as that part.
// What %P, %S and times with end: show is checked and not kept.
func (f *Format) Parse(line []byte) (Record, error) {
	p := parser{format: f, text: strings.TrimSuffix(string(line), "\n"), zone: time.UTC}
	if err := p.parse(); err != nil {
		return Record{}, fmt.Errorf("parse access line: column %d: %w", p.at+1, err)
	}
	return p.record, nil
}

// A parser reads text from left to right; at is where it stands, and after an error where the
// offending part begins.
type parser struct {
	format *Format
	text   string
	at     int
	record Record

	hasLine     bool   // the request line was read, which tells more than its parts
	path, query string // of %U and %q
	unit        time.Duration
	request     fields
	response    fields

	layout, value []string       // what is known of the time, as package time reads it
	zone          *time.Location // of the time
	seconds       *time.Time     // the time to a unit of its own
	exact         time.Duration  // precision of seconds
	nanos         time.Duration  // part of a second that was read
	part          time.Duration  // precision of nanos
}

func (p *parser) parse() error {
	for i := range len(p.text) {
		if c := p.text[i]; (c < ' ' || c > '~') && strings.IndexByte(p.format.texts, c) < 0 {
			p.at = i
			return fmt.Errorf(`byte 0x%02x is not printable ASCII; httpd would have escaped it`, c)
		}
	}
	for i := range p.format.items {
		if err := p.item(i); err != nil {
			return err
		}
	}
	if err := p.literal(p.format.tail, "the end of the line"); err != nil {
		return err
	}
	if p.at < len(p.text) {
		last := p.format.items[len(p.format.items)-1]
		return fmt.Errorf("text after %s, where a line of this format ends", last.name+p.format.tail)
	}
	return p.finish()
}

// literal reads text of the format.
func (p *parser) literal(text, before string) error {
	if !strings.HasPrefix(p.text[p.at:], text) {
		return fmt.Errorf("want %s and %s", strconv.Quote(text), before)
	}
	p.at += len(text)
	return nil
}

// item reads one directive and the text before it.
func (p *parser) item(i int) error {
	it := &p.format.items[i]
	if err := p.literal(it.text, it.name); err != nil {
		return err
	}
	start := p.at
	end, err := p.end(i)
	if err != nil {
		return err
	}
	raw := p.text[start:end]
	switch {
	case raw == "-":
	case it.match != nil:
		err = it.read(p, raw)
	case raw == `""` && strings.HasSuffix(it.name, "u"):
		p.record.EmptyUser = true
	default:
		var s string
		if s, err = p.unescape(start, end); err != nil {
			return err
		}
		err = it.read(p, s)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", it.name, err)
	}
	p.at = end
	return nil
}

// end is where the item that begins at p.at ends.
func (p *parser) end(i int) (int, error) {
	it := &p.format.items[i]
	if it.match != nil {
		n := it.length(p.text[p.at:])
		if n < 0 {
			token, _, _ := strings.Cut(p.text[p.at:], " ")
			return 0, fmt.Errorf("%s: want %s, got %q", it.name, it.want, token)
		}
		return p.at + n, nil
	}
	start := p.at
	if strings.HasPrefix(p.text[start:], `""`) && p.follows(i+1, start+len(`""`)) {
		start += len(`""`) // how httpd shows a user that is present and empty
	}
	closing := p.next(i)
	for at := start; at <= len(p.text); at++ {
		quote := at < len(p.text) && p.text[at] == '"'
		// A quote that no backslash escapes ends a field in quotes, whatever follows.
		if quote && strings.HasPrefix(closing, `"`) || p.follows(i+1, at) {
			return at, nil
		}
		if quote {
			break
		}
		if at < len(p.text) && p.text[at] == '\\' {
			at++
		}
	}
	if i+1 < len(p.format.items) {
		return 0, fmt.Errorf("%s is not followed by %s and %s", it.name, strconv.Quote(closing), p.format.items[i+1].name)
	}
	return 0, fmt.Errorf("%s is not followed by %s and the end of the line", it.name, strconv.Quote(closing))
}

// next is the text behind item i.
func (p *parser) next(i int) string {
	if i+1 < len(p.format.items) {
		return p.format.items[i+1].text
	}
	return p.format.tail
}

// follows reports whether item i with its text can begin at a place: up to the next item whose end
// only what follows it shows.
func (p *parser) follows(i, at int) bool {
	for ; i < len(p.format.items); i++ {
		it := &p.format.items[i]
		if !strings.HasPrefix(p.text[min(at, len(p.text)):], it.text) {
			return false
		}
		at += len(it.text)
		if it.match == nil {
			// Two texts side by side: only a query shows where it begins.
			return it.text != "" || !strings.HasSuffix(it.name, "q") || at >= len(p.text) || p.text[at] == '?' || p.follows(i+1, at)
		}
		n := it.length(p.text[at:])
		if n < 0 {
			return false
		}
		at += n
	}
	return at <= len(p.text) && p.text[at:] == p.format.tail
}

// length is how much of s the item takes, whose end it knows itself.
func (it *item) length(s string) int {
	n := it.match(s)
	if n < 0 && strings.HasPrefix(s, "-") {
		return 1
	}
	return n
}

// unescape undoes the escapes in text[i:end], where no backslash is the last byte.
func (p *parser) unescape(i, end int) (string, error) {
	s := p.text[i:end]
	if strings.IndexByte(s, '\\') < 0 {
		return s, nil
	}
	plain := make([]byte, 0, len(s))
	for ; i < end; i++ {
		c := p.text[i]
		if c != '\\' {
			plain = append(plain, c)
			continue
		}
		p.at = i
		i++
		switch c = p.text[i]; c {
		case '"', '\\':
		case 'b':
			c = '\b'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'v':
			c = '\v'
		case 'x':
			hex := p.text[i+1 : min(i+3, end)]
			u, err := strconv.ParseUint(hex, 16, 8)
			if err != nil || len(hex) != 2 {
				return "", fmt.Errorf(`\x%s is not followed by two hexadecimal digits`, hex)
			}
			c = byte(u)
			i += 2
		default:
			return "", fmt.Errorf(`\%c is not an escape of httpd`, c)
		}
		plain = append(plain, c)
	}
	return string(plain), nil
}

// time notes a time, or a part of one, that was written as pieces.
func (p *parser) time(pieces []piece, text string) error {
	var layout, value []string
	for rest := text; len(pieces) > 0; pieces = pieces[1:] {
		n := pieces[0].match(rest)
		if l := pieces[0].layout; l != "" && l != zoneName {
			layout, value = append(layout, l), append(value, rest[:n])
		}
		rest = rest[n:]
	}
	if _, err := time.Parse(strings.Join(layout, "|"), strings.Join(value, "|")); err != nil {
		return fmt.Errorf("%s is no time", text)
	}
	p.layout, p.value = append(p.layout, layout...), append(p.value, value...)
	return nil
}

// unix reads a time in units since 1970.
func unix(from func(int64) time.Time) func(*parser, string) error {
	return func(p *parser, text string) error {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("%s is no time", text)
		}
		t := from(n)
		if exact := from(1).Sub(from(0)); p.seconds == nil || exact < p.exact {
			p.seconds, p.exact = &t, exact
		}
		return nil
	}
}

// fraction reads a part of a second.
func fraction(unit time.Duration) func(*parser, string) error {
	return func(p *parser, text string) error {
		n, err := strconv.ParseUint(text, 10, 63)
		if err != nil || n >= uint64(time.Second/unit) {
			return fmt.Errorf("%s is no part of a second", text)
		}
		if p.part == 0 || unit < p.part {
			p.nanos, p.part = time.Duration(n)*unit, unit
		}
		return nil
	}
}

// finish puts together what stood in several places.
func (p *parser) finish() error {
	r := &p.record
	if r.URI == "" && !p.hasLine && p.path+p.query != "" {
		r.URI = encodePath(p.path) + p.query
	}
	if p.request != nil {
		r.Request = p.request
	}
	if p.response != nil {
		r.Response = p.response
	}
	if p.layout != nil {
		t, err := time.Parse(strings.Join(p.layout, "|"), strings.Join(p.value, "|"))
		if err != nil {
			return fmt.Errorf("the parts of the time contradict each other: %w", err)
		}
		// Parse picks time.Local where the offsets agree; a fixed zone is the same everywhere.
		if _, offset := t.Zone(); slices.Contains(p.layout, "-0700") || slices.Contains(p.layout, clfLayout) {
			p.zone = time.FixedZone("", offset)
		}
		r.Start = t.In(p.zone)
	}
	if p.seconds != nil {
		r.Start = p.seconds.In(p.zone)
	}
	if p.part != 0 && (p.seconds == nil || p.exact > p.part) {
		r.Start = r.Start.Truncate(time.Second).Add(p.nanos)
	}
	return nil
}

// fields are the headers that a line shows. Lines of one name are one.
type fields map[string][]string

// Values implements Header.
func (f fields) Values(name string) []string { return f[name] }

func (f *fields) set(name, value string) {
	if *f == nil {
		*f = fields{}
	}
	(*f)[name] = []string{value}
}

// cookie adds a cookie, unless the whole header is known already.
func (f *fields) cookie(name, value string) {
	if value == "" {
		value = " " // for httpd a cookie of blanks has an empty value, and one without any none
	}
	pair := name + "=" + value
	if before := f.Values("Cookie"); before != nil {
		pair = before[0] + "; " + pair
	}
	f.set("Cookie", pair)
}

// What follows tells how much of s a directive may have written.

// matchNumber takes a number, which may be negative.
func matchNumber(s string) int {
	n := matchCount(s)
	if n == 1 && s[0] == '-' && len(s) > 1 && digit(s[1]) {
		return 1 + matchCount(s[1:])
	}
	return n
}

// matchCount takes a number, or -.
func matchCount(s string) int {
	n := 0
	for n < len(s) && digit(s[n]) {
		n++
	}
	switch {
	case n > 0:
		return n
	case strings.HasPrefix(s, "-"):
		return 1
	}
	return -1
}

func matchAddr(s string) int {
	n := 0
	for n < len(s) && (digit(s[n]) || letter(s[n]) || s[n] == ':' || s[n] == '.' || s[n] == '%') {
		n++
	}
	if n == 0 && !strings.HasPrefix(s, "-") {
		return -1
	}
	return max(n, 1)
}

func matchConn(s string) int {
	if s == "" || strings.IndexByte("X+-", s[0]) < 0 {
		return -1
	}
	return 1
}
