package accesslog

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Parse reads one line of the Combined Log Format, with or without its line break, and returns
// the request it tells of. Escapes are undone and - becomes the empty value. The client must be
// an address, so lines of an httpd that looks host names up are refused, as are bytes that
// httpd would have escaped; errors name the column, counted from 1.
//
// Encoding what Parse returns gives back the line, for lines that AppendCombined wrote.
func Parse(line []byte) (Record, error) {
	p := parser{text: strings.TrimSuffix(string(line), "\n")}
	var r Record
	err := p.record(&r)
	if err != nil {
		return Record{}, fmt.Errorf("parse access line: column %d: %w", p.at+1, err)
	}
	return r, nil
}

// A parser reads text from left to right; at is where it stands, and after an error where the
// offending part begins.
type parser struct {
	text string
	at   int
}

func (p *parser) record(r *Record) error {
	for i := range len(p.text) {
		if c := p.text[i]; c < ' ' || c > '~' {
			p.at = i
			return fmt.Errorf(`byte 0x%02x is not printable ASCII; httpd would have escaped it`, c)
		}
	}
	if err := p.client(r); err != nil {
		return err
	}
	if err := p.userAndTime(r); err != nil {
		return err
	}
	request, err := p.quoted("request line")
	if err != nil {
		return err
	}
	splitRequest(r, request)
	status, err := p.number("status", 31)
	if err != nil {
		return err
	}
	r.Status = int(status)
	if r.Bytes, err = p.number("byte count", 63); err != nil {
		return err
	}
	if r.Referer, err = p.quoted("referer"); err != nil {
		return err
	}
	if r.UserAgent, err = p.quoted("user agent"); err != nil {
		return err
	}
	if p.at < len(p.text) {
		return errors.New("text after the user agent, where a line of the Combined format ends")
	}
	return nil
}

func (p *parser) client(r *Record) error {
	host, rest, found := strings.Cut(p.text, " ")
	if !found {
		return errors.New("no space: want client, identd name, user, [time] and so on")
	}
	if host != "-" {
		a, err := netip.ParseAddr(host)
		if err != nil {
			return fmt.Errorf("client %q is neither an IP address nor -", host)
		}
		r.Client = a
	}
	p.at = len(host) + 1
	name, _, found := strings.Cut(rest, " ")
	if !found {
		return errors.New("the line ends with the identd name")
	}
	p.at += len(name) + 1
	return nil
}

// userAndTime reads %u and %t together: a user may hold spaces and brackets, but never a quote
// that is not escaped, so the time is what stands before the first of those.
func (p *parser) userAndTime(r *Record) error {
	const emptyUser = `"" [` // how httpd shows a user that is present and empty
	user := p.at
	if strings.HasPrefix(p.text[p.at:], emptyUser) {
		p.at += len(`""`)
		user = p.at
	}
	quote := p.closing(p.at)
	if quote < 0 {
		return errors.New("no quoted request line")
	}
	open := quote - 1 - timeLen
	if open <= user || p.text[open-1] != ' ' || p.text[open] != '[' || p.text[quote-2:quote] != "] " {
		return errors.New("want user, [day/month/year:hour:minute:second zone] and a quoted request line")
	}
	const layout = "02/Jan/2006:15:04:05 -0700"
	start, err := time.Parse(layout, p.text[open+1:quote-2])
	if err != nil {
		p.at = open
		return fmt.Errorf("time %s is not like [10/Oct/2000:13:55:36 -0700]", p.text[open:quote-1])
	}
	// Parse picks time.Local where the offsets agree; a fixed zone is the same everywhere.
	_, offset := start.Zone()
	r.Start = start.In(time.FixedZone("", offset))
	if r.User, err = p.unescape(user, open-1); err != nil {
		return err
	}
	p.at = quote - 1
	return nil
}

// quoted reads a space and a quoted field.
func (p *parser) quoted(what string) (string, error) {
	if !strings.HasPrefix(p.text[p.at:], ` "`) {
		return "", fmt.Errorf("want a space and the %s in quotes", what)
	}
	p.at += 2
	end := p.closing(p.at)
	if end < 0 {
		return "", fmt.Errorf("the %s has no closing quote", what)
	}
	s, err := p.unescape(p.at, end)
	if err != nil {
		return "", err
	}
	p.at = end + 1
	return s, nil
}

// closing is the place of the first quote from i on that no backslash escapes, or -1.
func (p *parser) closing(i int) int {
	for ; i < len(p.text); i++ {
		switch p.text[i] {
		case '"':
			return i
		case '\\':
			i++
		}
	}
	return -1
}

// number reads a space and a count.
func (p *parser) number(what string, bits int) (int64, error) {
	if !strings.HasPrefix(p.text[p.at:], " ") {
		return 0, fmt.Errorf("want a space and the %s", what)
	}
	p.at++
	digits, _, _ := strings.Cut(p.text[p.at:], " ")
	var n uint64
	if digits != "-" {
		var err error
		if n, err = strconv.ParseUint(digits, 10, bits); err != nil {
			return 0, fmt.Errorf("%s %q is neither a count nor -", what, digits)
		}
	}
	p.at += len(digits)
	return int64(n), nil
}

// unescape undoes the escapes in text[i:end].
func (p *parser) unescape(i, end int) (string, error) {
	s := p.text[i:end]
	if s == "-" {
		return "", nil
	}
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
		if i == end {
			return "", errors.New("a backslash with nothing to escape")
		}
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

// splitRequest takes a request line apart. The method ends at the first space and the protocol
// begins at the last, because a target sent over HTTP/2 may hold spaces. Text without a method
// stays whole, in URI.
func splitRequest(r *Record, line string) {
	r.URI = line
	if method, rest, _ := strings.Cut(line, " "); method != "" && len(method) <= maxMethod && rest != "" {
		r.Method, r.URI = method, rest
	}
	if i := strings.LastIndexByte(r.URI, ' '); i > 0 {
		if proto := r.URI[i+1:]; strings.HasPrefix(proto, "HTTP/") && len(proto) <= maxProto {
			r.URI, r.Proto = r.URI[:i], proto
		}
	}
}
