package accesslog

// truncated ends a field that was cut.
const truncated = "..."

// appendField writes s, escaped and cut at most bytes before that, and - for nothing.
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
	for n := plainPrefix(s); n < len(s); n = plainPrefix(s) {
		dst = appendEscape(append(dst, s[:n]...), s[n])
		s = s[n+1:]
	}
	return append(dst, s...)
}

// appendByte writes one byte as appendEscaped does.
func appendByte(dst []byte, c byte) []byte {
	if plain(c) {
		return append(dst, c)
	}
	return appendEscape(dst, c)
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
// everything else in a line. The last eight may overlap those before, which is cheaper than each by
// itself.
func plainPrefix(s string) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	i := 0
	for len(s) >= 8 {
		if i+8 > len(s) {
			i = len(s) - 8
		}
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
		if i += 8; i == len(s) {
			return i
		}
	}
	for ; i < len(s); i++ {
		if !plain(s[i]) {
			break
		}
	}
	return i
}

// plain reports whether c is written as it is.
func plain(c byte) bool { return c >= ' ' && c <= '~' && c != '"' && c != '\\' }
