package report

import "bytes"

// Bounds of what of a path tells routes apart.
const (
	maxRoute    = 200 // bytes of a path
	maxSegments = 12
	maxSegment  = 64 // bytes of a part between slashes
)

// appendRoute appends the path of a request, as it is in a log, with placeholders for what tells one thing
// from others of its kind: numbers {n}, dates {date}, UUIDs {uuid}, hexadecimal {hex} and other random text
// {token}, e-mail addresses {email}. Deep and long paths end in ….
func appendRoute(dst, path []byte) []byte {
	if i := bytes.IndexAny(path, "?#"); i >= 0 {
		path = path[:i]
	}
	if len(path) <= maxSegment && !bytes.ContainsAny(path, "0123456789@%") && bytes.Count(path, slash) <= maxSegments {
		return append(dst, path...)
	}
	start := len(dst)
	for segments := 0; ; segments++ {
		end := bytes.IndexByte(path, '/')
		segment := path
		if end >= 0 {
			segment = path[:end]
		}
		dst = appendSegment(dst, segment)
		if end < 0 {
			return dst
		}
		dst = append(dst, '/')
		path = path[end+1:]
		if len(dst)-start > maxRoute || segments == maxSegments {
			return append(dst, "…"...)
		}
	}
}

var slash = []byte("/")

func appendSegment(dst, s []byte) []byte {
	switch digits, letters := census(s); {
	case digits == 0 && len(s) <= maxSegment && !bytes.ContainsAny(s, "@%"):
		return append(dst, s...)
	case digits == len(s):
		return append(dst, "{n}"...)
	case isUUID(s):
		return append(dst, "{uuid}"...)
	case isDate(s):
		return append(dst, "{date}"...)
	case bytes.IndexByte(s, '@') > 0 || bytes.Contains(s, []byte("%40")):
		return append(dst, "{email}"...)
	case len(s) > maxSegment || len(s) >= 16 && digits >= 3 && letters >= 3 && bytes.IndexByte(s, '.') < 0 && bytes.Count(s, []byte("-")) < 2:
		return append(dst, "{token}"...)
	}
	// Parts of a name: article-12345, app.3f2a9c1b.js.
	for {
		end := bytes.IndexAny(s, "-._~:,;=")
		part := s
		if end >= 0 {
			part = s[:end]
		}
		switch digits, _ := census(part); {
		case digits >= 2 && digits == len(part):
			dst = append(dst, "{n}"...)
		case digits >= 1 && len(part) >= 8 && isHex(part):
			dst = append(dst, "{hex}"...)
		case digits >= 3 && len(part) >= 16:
			dst = append(dst, "{token}"...)
		default:
			dst = append(dst, part...)
		}
		if end < 0 {
			return dst
		}
		dst = append(dst, s[end])
		s = s[end+1:]
	}
}

func census(s []byte) (digits, letters int) {
	for _, c := range s {
		switch {
		case isDigit(c):
			digits++
		case 'a' <= c|0x20 && c|0x20 <= 'z':
			letters++
		}
	}
	return digits, letters
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isHex(s []byte) bool {
	for _, c := range s {
		if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	return true
}

// isUUID reports whether s has the form of RFC 9562.
func isUUID(s []byte) bool {
	return len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' &&
		isHex(s[:8]) && isHex(s[9:13]) && isHex(s[14:18]) && isHex(s[19:23]) && isHex(s[24:])
}

// isDate reports whether s is like 2026-11-28.
func isDate(s []byte) bool {
	if len(s) != 10 || s[4] != '-' || s[7] != '-' {
		return false
	}
	digits, _ := census(s)
	return digits == 8
}
