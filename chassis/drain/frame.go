package drain

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// HTTP/2 on the wire (RFC 9113): the client's preface (3.4) begins with greeting; everything
// after it, in both directions, is frames of a 9-byte header and a payload (4.1).
const (
	greeting      = "PRI * HTTP/2.0" // with it, net/http takes a connection for HTTP/2
	prefaceLength = len("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	headerLength  = 9

	typeData    = 0
	typeHeaders = 1
	typeReset   = 3 // RST_STREAM
	typePing    = 6
	typeGoAway  = 7
	flagAck     = 1

	pingPayload = "roadGone"

	// maxKept is how much is kept of a payload, in bytes: what net/http answers by itself is no longer.
	maxKept = 80
)

// What net/http answers by itself over HTTP/2. It has no hook for that; a test pins the texts.
const (
	tooLarge  = "<h1>HTTP Error 431</h1><p>Request Header Field(s) Too Large</p>"
	forbidden = "request header " // "Connection" is not valid in HTTP/2
	inHTTP2   = " in HTTP/2\n"
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
	payload [maxKept]byte
	kept    int  // bytes of payload, of those frames that are looked into
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
	if f.looked() {
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

// looked says whether something is to be learned from the payload of the frame under way.
func (f *frames) looked() bool {
	switch f.header[3] {
	case typePing, typeGoAway, typeReset:
		return true
	case typeData:
		return f.header[0]|f.header[1] == 0 && f.header[2] <= maxKept
	}
	return false
}

// refusal is what a server has refused with the frame that has just ended, if it has.
func (f *frames) refusal() (reason Reason, status int, err error) {
	payload := f.payload[:f.kept]
	switch f.header[3] {
	case typeGoAway: // RFC 9113, 6.8 and 7
		if len(payload) >= 8 {
			if code := binary.BigEndian.Uint32(payload[4:]); code != 0 {
				return ReasonHTTP2, 0, fmt.Errorf("HTTP/2 error code %d", code)
			}
		}
	case typeReset: // RFC 9113, 6.4 and 8.1.1
		if len(payload) >= 4 {
			switch code := binary.BigEndian.Uint32(payload); code {
			case 1, 3, 6: // PROTOCOL_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR
				return ReasonRequest, 0, fmt.Errorf("HTTP/2 error code %d for stream %d", code, binary.BigEndian.Uint32(f.header[5:]))
			}
		}
	case typeData:
		switch {
		case string(payload) == tooLarge:
			return ReasonRequest, 431, nil
		case bytes.HasPrefix(payload, []byte(forbidden)) && bytes.HasSuffix(payload, []byte(inHTTP2)):
			return ReasonRequest, 400, errors.New(string(bytes.TrimSuffix(payload, []byte("\n"))))
		}
	}
	return "", 0, nil
}

// between says whether a frame of our own may be put here. The server's first must be its own
// SETTINGS (RFC 9113, 3.4).
func (f *frames) between() bool { return f.any && f.have == 0 }

// acknowledged says whether the frame that has just ended answers our PING.
func (f *frames) acknowledged() bool {
	return f.header[3] == typePing && f.header[4]&flagAck != 0 &&
		f.header[0]|f.header[1] == 0 && f.header[2] == byte(len(pingPayload)) && string(f.payload[:f.kept]) == pingPayload
}
