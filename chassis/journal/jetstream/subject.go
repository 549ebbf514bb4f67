package jetstream

import (
	"strings"
)

// Subjects of a journal: its events; what the servers say of each event that they have stored; and what it
// keeps beside the events, in a JetStream stream of its own.
func eventSubject(name, token string) string { return "journal." + name + ".event." + token }
func tailSubject(name, token string) string  { return "journal." + name + ".tail." + token }
func stateSubject(name, kind, token string) string {
	return "journal." + name + ".state." + kind + "." + token
}
func stateName(name string) string { return name + "-state" }

const hexDigits = "0123456789ABCDEF"

// plain reports whether a byte stands for itself in a token: what NATS and people read without doubt.
func plain(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '-' || b == '_'
}

// tokenOf writes the name of a journal's stream as one token of a subject: other bytes than plain ones are
// escaped as in URLs. A name of 255 bytes becomes 765 at most.
func tokenOf(stream string) string {
	var b strings.Builder
	for i := range len(stream) {
		if c := stream[i]; plain(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
		}
	}
	return b.String()
}

// streamOf undoes tokenOf; ok is false for what tokenOf does not write.
func streamOf(token string) (stream string, ok bool) {
	if !strings.Contains(token, "%") {
		stream = token
	} else {
		var b strings.Builder
		for i := 0; i < len(token); i++ {
			if token[i] != '%' {
				b.WriteByte(token[i])
				continue
			}
			if i+2 >= len(token) {
				return "", false
			}
			high, low := strings.IndexByte(hexDigits, token[i+1]), strings.IndexByte(hexDigits, token[i+2])
			if high < 0 || low < 0 {
				return "", false
			}
			b.WriteByte(byte(high<<4 | low))
			i += 2
		}
		stream = b.String()
	}
	return stream, tokenOf(stream) == token
}
