package acl

import (
	"net/netip"
	"strconv"
	"strings"
)

// Bounds of what is read of a header. Who is not found within them is unidentified.
const (
	maxHops  = 32
	maxBytes = 4 << 10
)

// walk reads a trusted peer's header from the right until there is a hop that is not trusted.
func (g *Guard) walk(peer netip.Addr, values []string) (client netip.Addr, identified bool) {
	h := hops{values: values, quotes: g.from == fromForwarded, bytes: maxBytes}
	last, named := peer, false
	for {
		element, ok := h.previous()
		if !ok {
			return last, named && !h.exceeded
		}
		if element == "" {
			continue // RFC 9110, section 5.6.1.2: empty elements are to be ignored
		}
		var addr netip.Addr
		if g.from == fromForwarded {
			addr, ok = forwardedFor(element)
		} else {
			addr, ok = parseNode(element, false)
		}
		if !ok {
			return last, false
		}
		if !g.trusted.contains(addr) {
			return addr, true
		}
		last, named = addr, true
	}
}

// hops are the elements of a header's lines, from the last to the first. They are read backwards,
// because what is on the left is the client's: whatever it writes, quotes left open too, cannot change
// how the elements on the right are read.
type hops struct {
	values   []string // lines not begun yet
	rest     string   // of the line that was, if open
	open     bool
	quotes   bool // commas in quoted strings do not separate
	count    int
	bytes    int // that may still be read
	exceeded bool
}

// previous is the next element to the left, without blanks around it. It gives none at the beginning of
// the first line, and beyond the bounds.
func (h *hops) previous() (string, bool) {
	if !h.open {
		if len(h.values) == 0 {
			return "", false
		}
		last := len(h.values) - 1
		h.values, h.rest, h.open = h.values[:last], h.values[last], true
	}
	if h.count == maxHops {
		h.exceeded = true
		return "", false
	}
	visible := h.rest[max(0, len(h.rest)-max(0, h.bytes)):]
	comma := lastComma(visible, h.quotes)
	if comma < 0 && len(visible) < len(h.rest) || h.bytes <= 0 {
		h.exceeded = true
		return "", false
	}
	element := visible[comma+1:]
	h.count++
	h.bytes -= len(element) + 1
	h.open = comma >= 0
	h.rest = h.rest[:max(0, len(h.rest)-len(element)-1)]
	return trimRight(trimLeft(element)), true
}

// lastComma is the index of the last comma, -1 if there is none. With quotes, those in a quoted string
// (RFC 9110, section 5.6.4) do not count.
func lastComma(s string, quotes bool) int {
	if !quotes {
		return strings.LastIndexByte(s, ',')
	}
	quoted := false
	for i := len(s) - 1; i >= 0; i-- {
		switch {
		case s[i] == ',' && !quoted:
			return i
		case s[i] == '"' && !escaped(s, i):
			quoted = !quoted
		}
	}
	return -1
}

// escaped reports whether an odd number of backslashes is before s[i].
func escaped(s string, i int) bool {
	n := 0
	for n < i && s[i-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

// forwardedFor is the address in the parameter "for" of an element of a Forwarded header (RFC 7239,
// section 4). There is none if the element is broken, has no such parameter or two of them, or names
// no address.
func forwardedFor(element string) (addr netip.Addr, ok bool) {
	for more := true; more; {
		var name, value string
		if name, value, element, more, ok = pair(element); !ok {
			return netip.Addr{}, false
		}
		if !strings.EqualFold(name, "for") {
			continue
		}
		if addr.IsValid() {
			return netip.Addr{}, false
		}
		// An IPv6 address is in brackets, which need quotes. Some proxies leave the quotes out, which
		// does no harm; without brackets the end of the address is not to be told from a port.
		if addr, ok = parseNode(value, true); !ok {
			return netip.Addr{}, false
		}
	}
	return addr, addr.IsValid()
}

// pair takes the first parameter off an element, name=value or name="value"; between semicolons there
// may be none. What is escaped in a quoted value stays so: no address needs it.
func pair(s string) (name, value, rest string, more, ok bool) {
	s = trimLeft(s)
	if s == "" || s[0] == ';' {
		return "", "", strings.TrimPrefix(s, ";"), s != "", true
	}
	name, s, ok = strings.Cut(s, "=")
	if !ok || name == "" || !plain(name) {
		return "", "", "", false, false
	}
	if !strings.HasPrefix(s, `"`) {
		value, rest, more = strings.Cut(s, ";")
		value = trimRight(value)
		return name, value, rest, more, value != "" && plain(value)
	}
	end := 1
	for end < len(s) && s[end] != '"' {
		if s[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(s) {
		return "", "", "", false, false
	}
	value, s = s[1:end], trimLeft(s[end+1:])
	rest, more = strings.CutPrefix(s, ";")
	return name, value, rest, more, more || s == ""
}

// plain reports whether s needs no quotes. It is more liberal than the grammar of a token, for the sake
// of proxies that leave quotes out.
func plain(s string) bool {
	for i := range len(s) {
		switch s[i] {
		case ' ', '\t', ';', '"', '\\':
			return false
		}
	}
	return true
}

// The functions of package strings do the same at several times the price.

func trimLeft(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	return s
}

func trimRight(s string) string {
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// parseNode reads an address with or without a port: 203.0.113.5, 203.0.113.5:4711, [2001:db8::1],
// [2001:db8::1]:4711 and, unless IPv6 must be in brackets, 2001:db8::1. The port is dropped; RFC 7239
// allows it to be an obfuscated name.
func parseNode(s string, brackets bool) (netip.Addr, bool) {
	text, port, bracketed, hasPort := s, "", false, false
	if strings.HasPrefix(s, "[") {
		var after string
		if text, after, bracketed = strings.Cut(s[1:], "]"); !bracketed {
			return netip.Addr{}, false
		}
		if port, hasPort = strings.CutPrefix(after, ":"); !hasPort && after != "" {
			return netip.Addr{}, false
		}
	} else if i := strings.IndexByte(s, ':'); i >= 0 && i == strings.LastIndexByte(s, ':') {
		text, port, hasPort = s[:i], s[i+1:], true
	}
	if hasPort && !validPort(port, brackets) {
		return netip.Addr{}, false
	}
	// A zone means nothing here, and netip would keep each that it parses in memory.
	text, zone, zoned := strings.Cut(text, "%")
	addr, err := netip.ParseAddr(text)
	if err != nil || zoned && (zone == "" || addr.Is4()) || bracketed && addr.Is4() || brackets && !bracketed && addr.Is6() {
		return netip.Addr{}, false
	}
	return canonical(addr), true
}

func validPort(s string, obfuscated bool) bool {
	if obfuscated && len(s) > 1 && s[0] == '_' {
		return strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == ""
	}
	if len(s) == 0 || len(s) > 5 || strings.Trim(s, "0123456789") != "" {
		return false
	}
	_, err := strconv.ParseUint(s, 10, 16)
	return err == nil
}
