package accesslog

import (
	"strconv"
	"time"
)

// Longest fields in bytes before escaping, truncation mark included. httpd itself takes
// request lines up to 8190 bytes (LimitRequestLine); half of that keeps every URI worth
// reading and halves what a flood of long ones costs.
const (
	maxUser      = 256
	maxMethod    = 32
	maxURI       = 4096
	maxProto     = 16
	maxReferer   = 2048
	maxUserAgent = 1024

	truncated = "..."
)

// MaxLine is a bound on the bytes of one line: escaping makes four bytes of one, and fields
// are cut at 256 (user), 32 (method), 4096 (URI), 16 (protocol), 2048 (Referer) and 1024
// (User-Agent) bytes before it.
const MaxLine = 4*(maxUser+maxMethod+maxURI+maxProto+maxReferer+maxUserAgent) + 160

// AppendCombined appends r as one line of the Combined Log Format, without a line break, and
// returns the extended slice. It allocates only when dst has no room. It is safe for
// concurrent use; a [Writer] is faster because it formats each second's time stamp once.
func AppendCombined(dst []byte, r *Record) []byte {
	dst = appendClient(dst, r)
	dst = appendTime(dst, r.Start)
	return appendRest(dst, r)
}

// appendClient writes what stands before the time: %h %l %u.
func appendClient(dst []byte, r *Record) []byte {
	if r.Client.IsValid() {
		a := r.Client.Unmap()
		if a.Is6() {
			a = a.WithZone("")
		}
		dst = a.AppendTo(dst)
	} else {
		dst = append(dst, '-')
	}
	dst = append(dst, " - "...)
	dst = appendField(dst, r.User, maxUser)
	return append(dst, ' ')
}

// appendRest writes what stands after the time: "%r" %>s %b "%{Referer}i" "%{User-Agent}i".
func appendRest(dst []byte, r *Record) []byte {
	dst = append(dst, ` "`...)
	dst = appendRequest(dst, r)
	dst = append(dst, `" `...)
	dst = appendCount(dst, int64(r.Status))
	dst = append(dst, ' ')
	dst = appendCount(dst, r.Bytes)
	dst = append(dst, ` "`...)
	dst = appendField(dst, r.Referer, maxReferer)
	dst = append(dst, `" "`...)
	dst = appendField(dst, r.UserAgent, maxUserAgent)
	return append(dst, '"')
}

func appendRequest(dst []byte, r *Record) []byte {
	start := len(dst)
	for _, part := range [...]struct {
		text string
		most int
	}{{r.Method, maxMethod}, {r.URI, maxURI}, {r.Proto, maxProto}} {
		if part.text == "" {
			continue
		}
		if len(dst) > start {
			dst = append(dst, ' ')
		}
		dst = appendField(dst, part.text, part.most)
	}
	if len(dst) == start {
		return append(dst, '-')
	}
	return dst
}

func appendCount(dst []byte, n int64) []byte {
	if n <= 0 {
		return append(dst, '-')
	}
	return strconv.AppendInt(dst, n, 10)
}

func appendField(dst []byte, s string, most int) []byte {
	switch {
	case s == "":
		return append(dst, '-')
	case len(s) > most:
		return append(appendEscaped(dst, s[:most-len(truncated)]), truncated...)
	}
	return appendEscaped(dst, s)
}

// appendEscaped writes s as httpd's ap_escape_logitem does.
func appendEscaped(dst []byte, s string) []byte {
	for {
		n := plainPrefix(s)
		dst = append(dst, s[:n]...)
		if n == len(s) {
			return dst
		}
		dst = appendEscape(dst, s[n])
		s = s[n+1:]
	}
}

func appendEscape(dst []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, `\b`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	case '\v':
		return append(dst, `\v`...)
	}
	return append(dst, '\\', 'x', hex[c>>4], hex[c&15])
}

// plainPrefix is the number of bytes at the start of s that need no escape. It looks at eight
// at a time: a user agent is 120 bytes of plain text, and byte by byte it would cost more than
// everything else in a line.
func plainPrefix(s string) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	i := 0
	for ; i+8 <= len(s); i += 8 {
		b := s[i : i+8]
		x := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
			uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
		quote, slash := x^ones*'"', x^ones*'\\'
		low := (x - ones*' ') & ^x                         // a byte below space
		high := x | (x + ones)                             // one above '~'
		found := (quote-ones)&^quote | (slash-ones)&^slash // a quote or a backslash
		if (low|high|found)&tops != 0 {
			break
		}
	}
	for ; i < len(s); i++ {
		if !plain(s[i]) {
			return i
		}
	}
	return i
}

// plain reports whether c is written as it is.
func plain(c byte) bool { return c >= ' ' && c <= '~' && c != '"' && c != '\\' }

// timeLen is the length of a time as appendTime writes it, brackets included.
const timeLen = len("[10/Oct/2000:13:55:36 -0700]")

func appendTime(dst []byte, t time.Time) []byte {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	_, zone := t.Zone()
	zone /= 60
	sign := byte('+')
	if zone < 0 {
		sign, zone = '-', -zone
	}
	year = min(max(year, 0), 9999)
	dst = append(dst, '[')
	dst = append(appendTwo(dst, day), '/')
	dst = append(append(dst, month.String()[:3]...), '/')
	dst = append(appendTwo(appendTwo(dst, year/100), year%100), ':')
	dst = append(appendTwo(dst, hour), ':')
	dst = append(appendTwo(dst, minute), ':')
	dst = append(appendTwo(dst, second), ' ', sign)
	return append(appendTwo(appendTwo(dst, zone/60%100), zone%60), ']')
}

func appendTwo(dst []byte, n int) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }

// stamp keeps the text of the latest second, which under load hundreds of lines share. Zone
// offsets change only between seconds, so second and location decide the text.
type stamp struct {
	second   int64
	location *time.Location
	text     [timeLen]byte
}

func (s *stamp) append(dst []byte, t time.Time) []byte {
	if second, location := t.Unix(), t.Location(); second != s.second || location != s.location {
		s.second, s.location = second, location
		appendTime(s.text[:0], t)
	}
	return append(dst, s.text[:]...)
}
