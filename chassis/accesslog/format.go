package accesslog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// nicknames are the formats that Debian's httpd has names for.
var nicknames = map[string]string{
	"common":         `%h %l %u %t "%r" %>s %b`,
	"combined":       `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`,
	"vhost_combined": `%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i"`,
}

// A Format is a compiled LogFormat. Make one with [Compile]. It is safe for concurrent use.
type Format struct {
	items []item
	tail  string // text after the last directive
	most  int
	// breaks counts the line breaks of its texts: the lines of a record but one.
	breaks int
	// texts are all bytes of its texts that records would have escaped.
	texts string
	// headers are the names of the request's headers that it shows.
	headers []string
}

// item is one directive and the text in front of it.
type item struct {
	text   string
	name   string // as the format has it: %{Referer}i
	only   []int  // statuses that it is shown for, or with except those that it is not; empty is all
	except bool

	append func(dst []byte, r *Record) []byte
	most   int    // bytes that it may write
	header string // of the request, that it shows

	// For parsing: match is the length of the longest start of s that the directive could have
	// written, -1 for none. It is nil for escaped text, which ends where what follows begins.
	match func(s string) int
	want  string // what match accepts
	// read notes what the directive shows in p's record. text had its escapes undone.
	read func(p *parser, text string) error
}

// Compile reads a LogFormat as httpd has it, or one of the nicknames common, combined and
// vhost_combined:
//
//	%h %a %{c}h %{c}a        address of the client; {c} of the connection's other end
//	%A %p %{local}p %{canonical}p %{remote}p   address and port of this end; port of the other
//	%v %V                    name of the server; name that the client called it by
//	%l %u                    identd name, always -; user
//	%t %{…}t                 time the request began: strftime, or sec msec usec msec_frac usec_frac,
//	                         each with begin: or end: in front
//	%D %T %{ms}T %{us}T %{s}T   duration in µs; in s, or the unit in braces
//	%r %m %U %q %H           request line; method, path without escapes, query with its ?, protocol
//	%s %>s %X %k             status; connection broken X, kept +, closed -; requests before on it
//	%b %B                    bytes of the body sent, - or 0 for none
//	%I %O %S                 bytes received, sent, and both, with headers; - when not known
//	%{Name}i %{Name}o %{Name}C   header of the request, of the answer; cookie
//	%f %L %P %{pid}P         route; id of the request; id of the process
//	%{route}x %{failure}x %{error_id}x %{request_id}x %{trace_id}x %{grpc_status}x %{queue_wait_us}x %{listener}x
//	%%                       a percent sign
//
// Statuses between % and the rest limit a directive to requests that ended with one of them
// (%400,501{User-Agent}i) or, behind !, with none of them (%!200,304{Referer}i); for others it is -.
// Text may hold \n, \r, \t, \\ and \". strftime's conversions are those that have one form in all
// languages: %a %A %b %B %d %D %e %F %h %H %I %j %m %M %p %R %S %T %y %Y %z %Z %%.
//
// Headers that carry secrets, such as Authorization and Cookie, are refused unless allow lists them;
// every %{Name}C needs Cookie. Errors name the column, counted in bytes from 1.
func Compile(format string, allow ...string) (*Format, error) {
	source, named := nicknames[format]
	if !named {
		source = format
	}
	c := compiler{source: source, allow: make([]string, len(allow))}
	c.define = c.defineItem
	for i, name := range allow {
		var err error
		if c.allow[i], err = canonical(name); err != nil {
			return nil, fmt.Errorf("access log format: allowed header %q: %w", name, err)
		}
	}
	if err := c.compile(); err != nil {
		return nil, fmt.Errorf("access log format: column %d: %w", c.at+1, err)
	}
	f := &c.format
	if len(f.items) == 0 {
		return nil, fmt.Errorf(`access log format: %q shows nothing of a request: want directives such as %%h %%t "%%r" %%>s, or one of common, combined and vhost_combined`, format)
	}
	for _, it := range f.items {
		f.note(it.text)
		f.most += len(it.text) + it.most
		if it.header != "" {
			f.headers = append(f.headers, it.header)
		}
	}
	f.note(f.tail)
	f.most += len(f.tail)
	return f, nil
}

func (f *Format) note(text string) {
	f.breaks += strings.Count(text, "\n")
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' {
			f.texts += text[i : i+1]
		}
	}
}

// Append appends r as one line, without a line break, and returns the extended slice. It allocates
// only when dst has no room, and once a second for the time.
func (f *Format) Append(dst []byte, r *Record) []byte {
	for i := range f.items {
		it := &f.items[i]
		if len(it.text) == 1 {
			dst = append(dst, it.text[0]) // in most places a space
		} else {
			dst = append(dst, it.text...)
		}
		if it.only != nil && slices.Contains(it.only, r.Status) == it.except {
			dst = append(dst, '-')
			continue
		}
		dst = it.append(dst, r)
	}
	return append(dst, f.tail...)
}

// MaxLine is a bound on the bytes of one line, its line break not counted: fields are cut at 256 (user, names), 32
// (method), 4096 (URI and its parts), 16 (protocol), 2048 (Referer) and 1024 (other headers, cookies)
// bytes, and then escaping may make four bytes of one.
func (f *Format) MaxLine() int { return f.most }

// Uses reports whether the format has a directive of one of these letters, whatever its argument, for
// callers to whom it costs something to know what it shows: Uses("Ap") for Record.Local.
func (f *Format) Uses(letters string) bool {
	for _, it := range f.items {
		if strings.IndexByte(letters, it.name[len(it.name)-1]) >= 0 {
			return true
		}
	}
	return false
}

// Shows reports whether the format shows the header of requests that has this name.
func (f *Format) Shows(header string) bool {
	name, err := canonical(header)
	return err == nil && slices.Contains(f.headers, name)
}

// A compiler reads source from left to right. After an error, at is where the offending part begins.
type compiler struct {
	source string
	allow  []string
	at     int
	format Format
	define func(it *item, letter byte, arg string) error // says what a directive does
}

func (c *compiler) compile() error {
	var text []byte
	for c.at < len(c.source) {
		switch b := c.source[c.at]; b {
		case '\\':
			plain, err := c.escape()
			if err != nil {
				return err
			}
			text = append(text, plain)
		case '%':
			if strings.HasPrefix(c.source[c.at:], "%%") {
				text = append(text, '%')
				c.at += 2
				continue
			}
			it, err := c.directive()
			if err != nil {
				return err
			}
			it.text = string(text)
			text = text[:0]
			c.format.items = append(c.format.items, it)
		default:
			text = append(text, b)
			c.at++
		}
	}
	c.format.tail = string(text)
	return nil
}

// escape reads a backslash and what it stands before.
func (c *compiler) escape() (byte, error) {
	escapes := map[byte]byte{'n': '\n', 'r': '\r', 't': '\t', '\\': '\\', '"': '"'}
	if c.at+1 < len(c.source) {
		if b, ok := escapes[c.source[c.at+1]]; ok {
			c.at += 2
			return b, nil
		}
	}
	return 0, fmt.Errorf(`%q is no escape: want \n, \r, \t, \\ or \"`, c.source[c.at:min(c.at+2, len(c.source))])
}

// directive reads %, what limits the directive, its argument and its letter, in httpd's order, which
// is any.
func (c *compiler) directive() (item, error) {
	start := c.at
	var it item
	arg, argAt := "", 0
	for c.at++; c.at < len(c.source); c.at++ {
		switch b := c.source[c.at]; {
		case b == '!':
			it.except = !it.except
		case b == '<', b == '>', b == ',': // there are no internal redirects to look through
		case digit(b):
			if err := c.status(&it); err != nil {
				return item{}, err
			}
		case b == '{':
			end := strings.IndexByte(c.source[c.at:], '}')
			if end < 0 {
				return item{}, errors.New("the brace is not closed: want the argument of a directive in braces, such as %{Referer}i")
			}
			arg, argAt = c.source[c.at+1:c.at+end], c.at+1
			c.at += end
		default:
			if it.except && it.only == nil {
				c.at = start
				return item{}, errors.New("! without a status: want such as %!200,304{Referer}i")
			}
			c.at++
			it.name = c.source[start:c.at]
			if err := c.define(&it, b, arg); err != nil {
				c.at = start
				if e, ok := errors.AsType[*argError](err); ok {
					c.at, err = argAt+e.at, e.err
				}
				return item{}, err
			}
			return it, nil
		}
	}
	c.at = start
	return item{}, fmt.Errorf("%q ends inside a directive: want a letter such as h, or %%%% for a percent sign", c.source[start:])
}

// argError is an error at a byte of a directive's argument.
type argError struct {
	at  int
	err error
}

func (e *argError) Error() string { return e.err.Error() }

// status reads a status code; at stands on its last digit afterwards.
func (c *compiler) status(it *item) error {
	digits := c.source[c.at:]
	for i := range len(digits) {
		if !digit(digits[i]) {
			digits = digits[:i]
			break
		}
	}
	if len(digits) != 3 || digits[0] == '0' {
		return fmt.Errorf("%s is no status: want three digits, such as 404", digits)
	}
	it.only = append(it.only, int(digits[0]-'0')*100+int(digits[1]-'0')*10+int(digits[2]-'0'))
	c.at += 2
	return nil
}

// defineItem defines the directives that this package writes.
func (c *compiler) defineItem(it *item, letter byte, arg string) error {
	if ok, err := c.defineHeader(it, letter, arg); ok || err != nil {
		return err
	}
	if letter == 't' {
		return defineTime(it, arg)
	}
	d, ok := directives[string(letter)+arg]
	if !ok {
		d, ok = directives[string(letter)+strings.ToLower(arg)]
	}
	if !ok {
		return fmt.Errorf("%s is no directive: %s", it.name, advise(letter))
	}
	it.append, it.most, it.match, it.want, it.read = d.append, d.most, d.match, d.want, d.read
	return nil
}

func (c *compiler) defineHeader(it *item, letter byte, arg string) (bool, error) {
	if letter != 'i' && letter != 'o' && letter != 'C' {
		return false, nil
	}
	name, err := canonical(arg)
	if err != nil {
		return false, &argError{err: err}
	}
	most := maxHeader
	if name == "Referer" {
		most = maxReferer
	}
	it.most = 4 * most
	switch {
	case letter == 'C':
		err = permit("Cookie", c.allow)
		it.append = func(dst []byte, r *Record) []byte { return appendCookie(dst, r.Request, name, most) }
		it.read = func(p *parser, text string) error { p.request.cookie(arg, text); return nil }
	case letter == 'i' && name == "Host":
		it.append = func(dst []byte, r *Record) []byte {
			if r.Host != "" && len(valuesOf(r.Request, name)) == 0 {
				return appendField(dst, r.Host, most) // net/http has it here alone
			}
			return appendHeader(dst, r.Request, name, most)
		}
		it.read = func(p *parser, text string) error { p.request.set(name, text); return nil }
	case letter == 'i':
		err = permit(name, c.allow)
		it.header = name
		it.append = func(dst []byte, r *Record) []byte { return appendHeader(dst, r.Request, name, most) }
		it.read = func(p *parser, text string) error { p.request.set(name, text); return nil }
	default:
		err = permit(name, c.allow)
		it.append = func(dst []byte, r *Record) []byte { return appendHeader(dst, r.Response, name, most) }
		if name == "Content-Type" {
			it.append = func(dst []byte, r *Record) []byte { return appendType(dst, r.Response, most) }
		}
		it.read = func(p *parser, text string) error { p.response.set(name, text); return nil }
	}
	return true, err
}

func defineTime(it *item, arg string) error {
	end := false
	if rest, ok := strings.CutPrefix(arg, "end"); ok && (rest == "" || rest[0] == ':') {
		end, arg = true, strings.TrimPrefix(rest, ":")
	} else if rest, ok := strings.CutPrefix(arg, "begin"); ok && (rest == "" || rest[0] == ':') {
		arg = strings.TrimPrefix(rest, ":")
	}
	skipped := len(it.name) - len("}t") - len(arg) // of the name, before arg
	write, err := timeWriter(it, arg)
	if err != nil {
		if e, ok := errors.AsType[*argError](err); ok {
			e.at += skipped - strings.IndexByte(it.name, '{') - 1
		}
		return err
	}
	it.append = func(dst []byte, r *Record) []byte { return write(dst, r.Start) }
	if end {
		it.append = func(dst []byte, r *Record) []byte { return write(dst, r.Start.Add(r.Duration)) }
		it.read = func(*parser, string) error { return nil } // the duration has directives of its own
	}
	return nil
}

// timeWriter says how the time that arg describes is written, and in it how it is read.
func timeWriter(it *item, arg string) (func([]byte, time.Time) []byte, error) {
	if token, ok := timeTokens[arg]; ok {
		it.most, it.match, it.want, it.read = 21, matchNumber, "a number", token.read
		return token.write, nil
	}
	if arg == "" {
		it.most, it.want = len(clfLayout), "a time like [10/Oct/2000:13:55:36 -0700]"
		pieces := []piece{{layout: clfLayout}}
		it.match = func(s string) int { return matchPieces(s, pieces) }
		it.read = func(p *parser, text string) error { return p.time(pieces, text) }
		return stamped(appendCLF), nil
	}
	pieces, at, err := compileTime(arg)
	if err != nil {
		return nil, &argError{at, err}
	}
	for _, p := range pieces {
		it.most += len(p.text) + len(p.layout) + 8 // Wednesday for Monday; years of many digits
	}
	it.want = "a time like " + arg
	it.match = func(s string) int { return matchPieces(s, pieces) }
	it.read = func(p *parser, text string) error { return p.time(pieces, text) }
	return stamped(func(dst []byte, t time.Time) []byte { return appendPieces(dst, pieces, t) }), nil
}
