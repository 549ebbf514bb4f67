package accesslog

import "strings"

// hiddenPassword stands for a password in a request target, as in httpd.
const hiddenPassword = "XXXXXXXX"

// appendRequest writes the request line.
func appendRequest(dst []byte, r *Record) []byte {
	start := len(dst)
	if r.Method != "" {
		dst = appendField(dst, r.Method, maxMethod)
	}
	if r.URI != "" {
		if len(dst) > start {
			dst = append(dst, ' ')
		}
		dst = appendTarget(dst, r.URI)
	}
	if r.Proto != "" {
		if len(dst) > start {
			dst = append(dst, ' ')
		}
		dst = appendField(dst, r.Proto, maxProto)
	}
	if len(dst) == start {
		return append(dst, '-')
	}
	return dst
}

// appendTarget writes a request target. One in absolute form may hold a password, which is hidden.
func appendTarget(dst []byte, uri string) []byte {
	if uri[0] == '/' {
		return appendField(dst, uri, maxURI)
	}
	i := strings.Index(uri, "://")
	if i < 0 {
		return appendField(dst, uri, maxURI)
	}
	authority := uri[i+3:]
	if end := strings.IndexAny(authority, "/?#"); end >= 0 {
		authority = authority[:end]
	}
	at := strings.LastIndexByte(authority, '@')
	colon := strings.IndexByte(authority[:max(at, 0)], ':')
	if colon < 0 || i+3+at > maxURI/2 {
		return appendField(dst, uri, maxURI)
	}
	head := i + 3 + colon + 1
	dst = appendEscaped(dst, uri[:head])
	dst = append(dst, hiddenPassword...)
	return appendField(dst, uri[i+3+at:], maxURI-head)
}

// splitTarget takes a request target apart: its path, and the query with its question mark. A target
// without a path, such as a host to connect to, has the path /, as in httpd.
func splitTarget(uri string) (path, query string) {
	uri, _, _ = strings.Cut(uri, "#")
	path = uri
	if i := strings.IndexByte(uri, '?'); i >= 0 {
		path, query = uri[:i], uri[i:]
	}
	if path == "" || path[0] == '/' || path == "*" {
		return path, query
	}
	if _, rest, ok := strings.Cut(path, "://"); ok {
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			return rest[i:], query
		}
	}
	return "/", query
}

// appendPath writes the path with its percent-encoding undone, as httpd keeps it.
func appendPath(dst []byte, r *Record) []byte {
	path, _ := splitTarget(r.URI)
	if strings.IndexByte(path, '%') < 0 {
		return appendField(dst, path, maxURI)
	}
	length := 0
	for rest := path; rest != ""; length++ {
		_, n := decode(rest)
		rest = rest[n:]
	}
	most := length
	if length > maxURI {
		most = maxURI - len(truncated)
	}
	for range most {
		c, n := decode(path)
		dst = appendByte(dst, c)
		path = path[n:]
	}
	if length > maxURI {
		dst = append(dst, truncated...)
	}
	return dst
}

// decode is the first byte of s, which must not be empty, with its percent-encoding undone, and how
// many bytes of s stand for it.
func decode(s string) (byte, int) {
	if s[0] == '%' && len(s) >= 3 {
		high, ok := nibble(s[1])
		low, ok2 := nibble(s[2])
		if ok && ok2 {
			return high<<4 | low, 3
		}
	}
	return s[0], 1
}

func nibble(c byte) (byte, bool) {
	switch {
	case digit(c):
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}

// encodePath is what appendPath would read path from.
func encodePath(path string) string {
	const hex = "0123456789ABCDEF"
	if path == "*" {
		return path
	}
	var b strings.Builder
	for i := range len(path) {
		c := path[i]
		if c == '%' || c == '?' || c == '#' || !plain(c) || c == ' ' {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}

// appendQuery writes the query with its question mark, and nothing where there is none.
func appendQuery(dst []byte, r *Record) []byte {
	_, query := splitTarget(r.URI)
	if query == "" {
		return dst
	}
	return appendField(dst, query, maxURI)
}

// splitRequest takes a request line apart. The method ends at the first space and the protocol
// begins at the last, because a target sent over HTTP/2 may hold spaces. Text without a method
// stays whole, in URI.
func splitRequest(r *Record, line string) {
	r.Method, r.URI, r.Proto = "", line, ""
	if method, rest, _ := strings.Cut(line, " "); method != "" && len(method) <= maxMethod && rest != "" {
		r.Method, r.URI = method, rest
	}
	if i := strings.LastIndexByte(r.URI, ' '); i > 0 {
		if proto := r.URI[i+1:]; strings.HasPrefix(proto, "HTTP/") && len(proto) <= maxProto {
			r.URI, r.Proto = r.URI[:i], proto
		}
	}
}
