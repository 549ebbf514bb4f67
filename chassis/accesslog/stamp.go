package accesslog

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// clfLayout is how %t shows a time, as package time writes it.
const clfLayout = "[02/Jan/2006:15:04:05 -0700]"

// appendCLF writes t as clfLayout, with years from 0 to 9999.
func appendCLF(dst []byte, t time.Time) []byte {
	if year := t.Year(); year < 0 || year > 9999 {
		_, offset := t.Zone()
		t = time.Date(min(max(year, 0), 9999), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.FixedZone("", offset))
	}
	return t.AppendFormat(dst, clfLayout)
}

// A stamp is the text of one second, which under load thousands of lines share. Zone offsets change
// only between seconds, so second and location decide the text.
type stamp struct {
	second   int64
	location *time.Location
	text     string
}

// stamped makes of write, which must look at whole seconds alone, a function that keeps the text of
// the latest second. It is safe for concurrent use.
func stamped(write func(dst []byte, t time.Time) []byte) func(dst []byte, t time.Time) []byte {
	last := new(atomic.Pointer[stamp])
	return func(dst []byte, t time.Time) []byte {
		s := last.Load()
		if second, location := t.Unix(), t.Location(); s == nil || second != s.second || location != s.location {
			s = &stamp{second, location, string(write(nil, t))}
			last.Store(s)
		}
		return append(dst, s.text...)
	}
}

// strftime are the conversions of strftime(3) that %{format}t knows, as layouts of package time. Names
// are English, as in the C locale. %Z is read back as text only, since an abbreviation names no zone.
var strftime = [...]struct {
	conversion byte
	layout     string
}{
	{'a', "Mon"}, {'A', "Monday"}, {'b', "Jan"}, {'B', "January"}, {'d', "02"}, {'D', "01/02/06"}, {'e', "_2"},
	{'F', "2006-01-02"}, {'h', "Jan"}, {'H', "15"}, {'I', "03"}, {'j', "002"}, {'m', "01"}, {'M', "04"}, {'p', "PM"},
	{'R', "15:04"}, {'S', "05"}, {'T', "15:04:05"}, {'y', "06"}, {'Y', "2006"}, {'z', "-0700"}, {'Z', zoneName},
}

const zoneName = "MST"

// A piece of a time format is text, or a layout of package time.
type piece struct {
	text   string
	layout string
}

// compileTime reads a format of strftime(3) without the tokens that are httpd's own. Its error
// stands at a byte of format.
func compileTime(format string) ([]piece, int, error) {
	var pieces []piece
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			n := strings.IndexByte(format[i:]+"%", '%')
			if j := strings.IndexFunc(format[i:i+n], func(r rune) bool { return r > '~' || !plain(byte(r)) }); j >= 0 {
				return nil, i + j, fmt.Errorf("%q in a time: want printable ASCII without quotes and backslashes", format[i+j:i+j+1])
			}
			pieces = append(pieces, piece{text: format[i : i+n]})
			i += n - 1
			continue
		}
		i++
		if i < len(format) && format[i] == '%' {
			pieces = append(pieces, piece{text: "%"})
			continue
		}
		known, layout := "", ""
		for _, c := range strftime {
			if i < len(format) && format[i] == c.conversion {
				layout = c.layout
			}
			known += " %" + string(c.conversion)
		}
		if layout == "" {
			return nil, i - 1, fmt.Errorf("%q is no conversion of a time that is known here: want%s or %%%%", format[i-1:min(i+1, len(format))], known)
		}
		pieces = append(pieces, piece{layout: layout})
	}
	return pieces, 0, nil
}

func appendPieces(dst []byte, pieces []piece, t time.Time) []byte {
	for _, p := range pieces {
		if p.layout == "" {
			dst = append(dst, p.text...)
			continue
		}
		dst = t.AppendFormat(dst, p.layout)
	}
	return dst
}

// matchPieces is the length of a time at the start of s that looks like pieces, -1 if there is none.
func matchPieces(s string, pieces []piece) int {
	at := 0
	for _, p := range pieces {
		n := p.match(s[at:])
		if n < 0 {
			return -1
		}
		at += n
	}
	return at
}

func (p piece) match(s string) int {
	switch p.layout {
	case "":
		if !strings.HasPrefix(s, p.text) {
			return -1
		}
		return len(p.text)
	case "Monday", "January", zoneName:
		n := 0
		for n < len(s) && (letter(s[n]) || p.layout == zoneName && (digit(s[n]) || s[n] == '+' || s[n] == '-')) {
			n++
		}
		if n == 0 {
			return -1
		}
		return n
	}
	if len(s) < len(p.layout) {
		return -1
	}
	for i := range len(p.layout) {
		c, like := s[i], p.layout[i]
		switch {
		case like == '_' && (c == ' ' || digit(c)):
		case digit(like) && digit(c), letter(like) && letter(c):
		case like == '-' && (i == 0 || p.layout[i-1] == ' ') && (c == '+' || c == '-'): // of a zone
		case like == c && !digit(c) && !letter(c):
		default:
			return -1
		}
	}
	return len(p.layout)
}

func digit(c byte) bool  { return '0' <= c && c <= '9' }
func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
