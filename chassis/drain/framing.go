package drain

import (
	"bytes"
	"strconv"
)

// Where a framing stands in a request (RFC 9112, 2.1, 6 and 7.1).
const (
	inRequestLine = iota
	inHeader
	inBody      // of a length
	inChunkSize // a line of its own
	inChunk     // with the line break behind it
	inTrailer
)

// maxFolded is how much is kept of a line that did not come at once, in bytes: more than a client
// needs to say how long a body is.
const maxFolded = 256

// framing finds where the requests of an HTTP/1 connection end, whichever way their bytes are cut,
// and nothing else: what net/http refuses ends the connection, wherever it ends for us. The zero
// framing stands at the beginning of a request.
type framing struct {
	in      int
	line    []byte // the beginning of the line under way
	left    int64  // bytes of the body or of the chunk
	length  int64  // Content-Length
	chunked bool
}

// next goes over p up to the end of the request under way: n bytes, and whether it has ended.
func (f *framing) next(p []byte) (n int, ended bool) {
	for n < len(p) {
		if f.in == inBody || f.in == inChunk {
			k := min(f.left, int64(len(p)-n))
			f.left -= k
			n += int(k)
			if f.left > 0 {
				return n, false
			}
			if f.in == inBody {
				*f = framing{line: f.line[:0]}
				return n, true
			}
			f.in = inChunkSize
			continue
		}
		line, _, whole := bytes.Cut(p[n:], []byte("\n"))
		n += len(line)
		if len(f.line) > 0 || !whole {
			f.line = append(f.line, line[:min(len(line), maxFolded-len(f.line))]...)
			line = f.line
		}
		if !whole {
			return n, false
		}
		n++
		ended = f.end(bytes.TrimSuffix(line, []byte("\r")))
		f.line = f.line[:0]
		if ended {
			*f = framing{line: f.line}
			return n, true
		}
	}
	return n, false
}

// end is told of a whole line, and says whether it is the last of the request.
func (f *framing) end(line []byte) bool {
	switch f.in {
	case inRequestLine:
		// What some clients send behind a body is no request: net/http passes over it after a POST, and
		// RFC 9112, section 2.2, has a server do so.
		if len(bytes.Trim(line, "\r")) > 0 {
			f.in = inHeader
		}
	case inHeader:
		if len(line) > 0 {
			f.field(line)
			return false
		}
		switch {
		case f.chunked:
			f.in = inChunkSize
		case f.length > 0:
			f.in, f.left = inBody, f.length
		default:
			return true
		}
	case inChunkSize:
		size, _, _ := bytes.Cut(line, []byte(";"))
		// net/http reads no further behind one that is none.
		n, _ := strconv.ParseUint(string(bytes.TrimRight(size, " \t\r\n")), 16, 62)
		if n == 0 {
			f.in = inTrailer
			return false
		}
		f.in, f.left = inChunk, int64(n)+int64(len("\r\n"))
	case inTrailer:
		return len(line) == 0
	}
	return false
}

// field learns from a line of the header how long the body is. Transfer-Encoding overrides
// Content-Length (RFC 9112, 6.3), and net/http knows no other than chunked.
func (f *framing) field(line []byte) {
	if c := line[0] | 0x20; c != 'c' && c != 't' {
		return
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	switch {
	case bytes.EqualFold(name, []byte("Content-Length")):
		f.length, _ = strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 63)
	case bytes.EqualFold(name, []byte("Transfer-Encoding")):
		f.chunked = true
	}
}
