package wire

import "encoding/binary"

const (
	frameHeader   = 9 // RFC 9113, section 4.1
	frameSettings = 4
	frameGoAway   = 7
	maxStream     = 1<<31 - 1
)

// frames follows what a server writes, to tell HTTP/2 from all else and to know where its frames
// end. The zero value is at the beginning of a connection.
type frames struct {
	header [frameHeader]byte
	have   int   // bytes of header that have come
	rest   int64 // bytes of the frame that are still to come
	began  bool  // the first header was whole
	other  bool  // it is not HTTP/2
}

// pass takes note of b, which was written.
func (f *frames) pass(b []byte) {
	for len(b) > 0 && !f.other {
		if f.rest > 0 {
			n := min(f.rest, int64(len(b)))
			f.rest -= n
			b = b[n:]
			continue
		}
		n := copy(f.header[f.have:], b)
		f.have += n
		b = b[n:]
		if f.have < frameHeader {
			return
		}
		f.have = 0
		f.rest = int64(f.header[0])<<16 | int64(f.header[1])<<8 | int64(f.header[2])
		if !f.began {
			// A server's first frame is SETTINGS, of six bytes each, on stream 0 (section 3.4). No
			// answer of HTTP/1 and no record of TLS begins like that.
			f.began = true
			f.other = f.header[3] != frameSettings || f.rest%6 != 0 || binary.BigEndian.Uint32(f.header[5:]) != 0
		}
	}
}

// until is how many bytes of b end the frame under way, as far as that can be seen. Between two frames,
// and at the beginning, it is that which b begins with.
func (f *frames) until(b []byte) int {
	g, n := *f, 0
	if g.rest == 0 {
		n = min(frameHeader-g.have, len(b))
		g.pass(b[:n])
	}
	return n + int(min(g.rest, int64(len(b)-n)))
}

// between reports whether the next byte begins a frame of HTTP/2, and not the first.
func (f *frames) between() bool { return f.began && !f.other && f.rest == 0 && f.have == 0 }

// goAway is a frame that has the client use another connection for its next calls and lets those
// under way end: the last stream is the highest there can be (RFC 9113, section 6.8).
func goAway() []byte {
	b := make([]byte, frameHeader+8)
	b[2], b[3] = 8, frameGoAway
	binary.BigEndian.PutUint32(b[frameHeader:], maxStream)
	return b
}
