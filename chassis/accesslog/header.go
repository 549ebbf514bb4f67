package accesslog

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// secrets are headers that whoever reads a log could act as somebody else with. They are logged only
// where that is asked for by name.
var secrets = [...]string{
	"Authentication-Info", "Authorization", "Cookie", "Proxy-Authentication-Info", "Proxy-Authorization", "Set-Cookie",
	"X-Amz-Security-Token", "X-Api-Key", "X-Auth-Token", "X-Csrf-Token", "X-Goog-Iap-Jwt-Assertion", "X-Xsrf-Token",
}

// canonical is name as net/http writes it: User-Agent. Its error says why name is none of a header
// (RFC 9110, section 5.6.2).
func canonical(name string) (string, error) {
	b := []byte(name)
	upper := true
	for i, c := range b {
		if !digit(c) && !letter(c) && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return "", fmt.Errorf("%q cannot be in the name of a header: want letters, digits and -", name[i:i+1])
		}
		if letter(c) {
			b[i] = c | 0x20
			if upper {
				b[i] &^= 0x20
			}
		}
		upper = c == '-'
	}
	if len(b) == 0 {
		return "", fmt.Errorf("want the name of a header in braces, such as %%{Referer}i")
	}
	return string(b), nil
}

// permit refuses secret headers that allow does not list.
func permit(name string, allow []string) error {
	if slices.Contains(secrets[:], name) && !slices.Contains(allow, name) {
		return fmt.Errorf("%s carries secrets and would show them to whoever reads the log: leave it out, or list it among the allowed headers", name)
	}
	return nil
}

// valuesOf is h.Values(name), without the time in which an http.Header finds out that name has the form
// it wants.
func valuesOf(h Header, name string) []string {
	switch h := h.(type) {
	case nil:
		return nil
	case http.Header:
		return h[name]
	}
	return h.Values(name)
}

// appendHeader writes the values of a header, several lines joined as httpd joins them. A header
// without a value is written as it is, empty; one that is missing as -.
func appendHeader(dst []byte, h Header, name string, most int) []byte {
	values := valuesOf(h, name)
	switch len(values) {
	case 0:
		return append(dst, '-')
	case 1:
		if values[0] == "" {
			return dst
		}
		return appendField(dst, values[0], most)
	}
	return appendJoined(dst, values, most)
}

const comma = ", "

func appendJoined(dst []byte, values []string, most int) []byte {
	size := (len(values) - 1) * len(comma)
	for _, v := range values {
		size += len(v)
	}
	cut := size > most
	if cut {
		most -= len(truncated)
	}
	for i, v := range values {
		if i > 0 {
			n := min(len(comma), most)
			dst = append(dst, comma[:n]...)
			most -= n
		}
		n := min(len(v), most)
		dst = appendEscaped(dst, v[:n])
		most -= n
	}
	if cut {
		dst = append(dst, truncated...)
	}
	return dst
}

// appendType writes a Content-Type without its parameters, which is how httpd shows it in answers.
func appendType(dst []byte, h Header, most int) []byte {
	values := valuesOf(h, "Content-Type")
	if len(values) == 0 {
		return append(dst, '-')
	}
	kind, _, _ := strings.Cut(values[0], ";")
	return appendField(dst, strings.TrimRight(kind, " \t"), most)
}

// appendCookie writes the value of the first cookie of a name, whose case does not matter, without
// the spaces around it: - when there is none or it is empty.
func appendCookie(dst []byte, h Header, name string, most int) []byte {
	for _, line := range valuesOf(h, "Cookie") {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			key, value, _ := strings.Cut(pair, "=")
			if strings.EqualFold(strings.Trim(key, " \t"), name) && value != "" {
				if value = strings.Trim(value, " \t"); value == "" {
					return dst
				}
				return appendField(dst, value, most)
			}
		}
	}
	return append(dst, '-')
}
