package drain

import (
	"bytes"
	"net/http"
	"strconv"
)

// maxLine is how much is kept of the first line of a request, in bytes.
const maxLine = 512

// remember keeps what is known of the beginning of HTTP/1's next request: p, if it is what the
// first read for it has given. That lies in net/http's buffer until more is read into it, which
// is before the handler is called only if the header did not come at once. c.mu is held.
func (c *conn) remember(p []byte) {
	switch {
	case c.clean && c.empty:
		c.head, c.whole = p, true
	case c.whole && c.follows(p):
		// net/http first reads no more than it needs to recognize HTTP/2.
		c.head = c.head[:len(c.head)+len(p)]
	default:
		c.whole = false
		return
	}
	if !bytes.HasSuffix(c.head, []byte("\r\n\r\n")) { // more may come
		c.line = append(c.line[:0], c.head[:min(len(c.head), maxLine)]...)
	}
}

// follows says whether p, not empty, lies behind head, which then has not moved.
func (c *conn) follows(p []byte) bool {
	n := len(c.head)
	return n < cap(c.head) && &c.head[:n+1][n] == &p[0]
}

// first is the first line of the request under way, as far as it is known.
func (c *conn) first() []byte {
	p := c.line
	if c.whole {
		p = c.head
	}
	p = bytes.TrimLeft(p, "\r\n")
	if i := bytes.IndexByte(p, '\n'); i >= 0 {
		p = p[:i]
	}
	return bytes.Clone(bytes.TrimSuffix(p[:min(len(p), maxLine)], []byte("\r")))
}

// stray says whether all that came are line breaks. Some clients send one behind a body, and net/http passes
// over it as RFC 9112, section 2.2, has a server do: it is no request.
func (c *conn) stray() bool { return len(c.line) > 0 && len(bytes.Trim(c.line, "\r\n")) == 0 }

// begin notes that the handler of HTTP/1's r is called. True says that the connection must end
// with the answer, because r may have two lengths.
//
// Who stands before us may have gone by the other length than net/http, and taken for the next
// client's request what is the end of this one's body, or the other way round. RFC 9112, section
// 6.1, lets us process such a request and demands that the connection is closed. net/http drops the
// one header and does not, nor can a handler see what was there.
func (c *conn) begin(r *http.Request) bool {
	c.handled = true
	c.mu.Lock()
	c.clean = false // it may have come with the one before, in the same read
	c.mu.Unlock()
	if r.ContentLength >= 0 && (r.ContentLength == 0 || r.ProtoMinor > 0) {
		return false
	}
	if !c.whole {
		return true
	}
	return ambiguous(c.head)
}

// ambiguous says whether the header that p begins with has both lengths, or cannot be seen whole.
func ambiguous(p []byte) bool {
	var length, encoding bool
	for {
		line, rest, found := bytes.Cut(p, []byte("\n"))
		if !found {
			return true
		}
		p = rest
		if line = bytes.TrimSuffix(line, []byte("\r")); len(line) == 0 {
			return length && encoding
		}
		name, _, _ := bytes.Cut(line, []byte(":"))
		length = length || bytes.EqualFold(name, []byte("Content-Length"))
		encoding = encoding || bytes.EqualFold(name, []byte("Transfer-Encoding"))
	}
}

// answer writes p, which net/http writes without having called the handler. Who wants to know how
// much is told afterwards.
func (c *conn) answer(p []byte) (int, error) {
	if c.meter == nil {
		c.answered(p)
		return c.stream.Write(p)
	}
	n, err := c.stream.Write(p)
	c.answered(p)
	return n, err
}

// answered is told of such an answer.
func (c *conn) answered(p []byte) {
	if c.server.entry.Refused == nil || len(p) < len("HTTP/1.1 400") || !bytes.HasPrefix(p, []byte("HTTP/1.")) {
		return
	}
	status, err := strconv.Atoi(string(p[len("HTTP/1.1 "):len("HTTP/1.1 400")]))
	if err != nil {
		return
	}
	c.handled = true // what follows belongs to it
	c.refused(ReasonRequest, status, nil)
}

// refused tells who wants to know.
func (c *conn) refused(reason Reason, status int, err error) {
	if c.server.entry.Refused == nil {
		return
	}
	r := Refusal{Peer: c.raw.RemoteAddr(), Note: c.note, Reason: reason, Status: status, Err: err}
	if r.HTTP2 = c.proto.Load() == http2; !r.HTTP2 {
		r.Line = c.first()
		r.Traffic = c.traffic()
	}
	c.server.entry.Refused(r)
}
