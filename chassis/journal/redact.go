package journal

import "strings"

// Redact returns a journal's URL as it may be shown: without the user, the password and what comes
// before them, if it has them.
func Redact(url string) string {
	scheme, rest, found := strings.Cut(url, "//")
	at := strings.LastIndexByte(rest, '@')
	if !found || at < 0 {
		return url
	}
	return scheme + "//…" + rest[at:]
}
