package drain

import "encoding/binary"

// HTTP/2 on the wire (RFC 9113): the client's preface (3.4) begins with greeting; everything
// after it, in both directions, is frames of a 9-byte header and a payload (4.1).
const (
	greeting      = "PRI * HTTP/2.0" // with it, net/http takes a connection for HTTP/2
	prefaceLength = len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	headerLength  = 9

	typeHeaders = 1
	typePing    = 6
	typeGoAway  = 7
	flagAck     = 1

	pingPayload = "roadGone"
)

// headsUp is what tells a client to open its next stream elsewhere, while all those that it has
// opened by then are still served (RFC 9113, 6.8): GOAWAY with the highest possible stream id and
// no error, and a PING (6.7). When the answer to that comes, so has every stream opened before
// the client knew.
const headsUp = "\x00\x00\x08\x07\x00\x00\x00\x00\x00" + "\x7f\xff\xff\xff" + "\x00\x00\x00\x00" +
	"\x00\x00\x08\x06\x00\x00\x00\x00\x00" + pingPayload

// frames follows one direction of an HTTP/2 connection, whichever way its bytes are cut. The
// zero frames stands at the beginning, after the preface.
type frames struct {
	header  [headerLength]byte // of the frame under way, or of the last
	have    int                // bytes of header; 0 between two frames
	left    int                // bytes of the payload to come
	payload [len(pingPayload)]byte
	kept    int  // bytes of payload, of a PING and a GOAWAY
	any     bool // a frame has ended
}

// next goes over p up to the end of the frame under way: n bytes, and whether it has ended.
func (f *frames) next(p []byte) (n int, ended bool) {
	if f.have < headerLength {
		n = copy(f.header[f.have:], p)
		f.have += n
		if f.have < headerLength {
			return n, false
		}
		f.left = int(f.header[0])<<16 | int(f.header[1])<<8 | int(f.header[2])
		f.kept = 0
	}
	k := min(f.left, len(p)-n)
	if f.header[3] == typePing || f.header[3] == typeGoAway {
		f.kept += copy(f.payload[f.kept:], p[n:n+k])
	}
	f.left -= k
	n += k
	if f.left > 0 {
		return n, false
	}
	f.have = 0
	f.any = true
	return n, true
}

// skip goes over all of p, and returns the error of the last GOAWAY in it that has one, or 0
// (RFC 9113, 6.8 and 7).
func (f *frames) skip(p []byte) (code uint32) {
	for len(p) > 0 {
		n, ended := f.next(p)
		p = p[n:]
		if ended && f.header[3] == typeGoAway && f.kept == len(f.payload) {
			code = max(code, binary.BigEndian.Uint32(f.payload[4:]))
		}
	}
	return code
}

// between says whether a frame of our own may be put here. The server's first must be its own
// SETTINGS (RFC 9113, 3.4).
func (f *frames) between() bool { return f.any && f.have == 0 }

// acknowledged says whether the frame that has just ended answers our PING.
func (f *frames) acknowledged() bool {
	return f.header[3] == typePing && f.header[4]&flagAck != 0 &&
		f.header[0]|f.header[1] == 0 && f.header[2] == byte(len(pingPayload)) && string(f.payload[:]) == pingPayload
}
