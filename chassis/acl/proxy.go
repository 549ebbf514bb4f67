package acl

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Lengths of PROXY headers, in bytes, from the specification
// (https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt, sections 2.1 and 2.2).
const (
	signatureLength = 12 // of version 2, and less than any header of version 1
	longestV1       = 107
	fixedV2         = 16  // before the addresses
	longestV2       = 536 // which fits into one TCP segment; more is nothing but extensions
	ipv4Addresses   = 12
	ipv6Addresses   = 36
	unixAddresses   = 216
)

const (
	signatureV1 = "PROXY "
	signatureV2 = "\r\n\r\n\x00\r\nQUIT\n"
)

var errNotProxy = errors.New("want a PROXY header, got something else: is this connection from the proxy, and does it send one?")

// A ProxyHeader is what the PROXY header of a connection says of its origin. The zero ProxyHeader says
// that the proxy does not know.
type ProxyHeader struct {
	// Local: the proxy itself opened the connection, to check the service's health. The peer is the client.
	Local bool
	// Source is the client's address and port, invalid when the proxy gave none: UNKNOWN in version 1,
	// in version 2 an origin that is neither TCP over IPv4 nor over IPv6.
	Source netip.AddrPort
}

// String is "local", "unknown" or the source.
func (h ProxyHeader) String() string {
	switch {
	case h.Local:
		return "local"
	case !h.Source.IsValid():
		return "unknown"
	}
	return h.Source.String()
}

// MarshalText gives String, so that a process can hand the header on with the connection.
func (h ProxyHeader) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what MarshalText gave.
func (h *ProxyHeader) UnmarshalText(text []byte) error {
	switch string(text) {
	case "local":
		*h = ProxyHeader{Local: true}
		return nil
	case "unknown":
		*h = ProxyHeader{}
		return nil
	}
	source, err := netip.ParseAddrPort(string(text))
	if err != nil {
		return fmt.Errorf("origin of a connection: want local, unknown or address:port, got %.64q", text)
	}
	*h = ProxyHeader{Source: source}
	return nil
}

// ReadProxy reads the PROXY header, version 1 or 2, with which a connection must begin, and not one
// byte more. The whole header has to arrive within timeout (real time, as the connection's); afterwards
// the read deadline is cleared. The caller makes sure that the peer is to be believed.
//
// The longest header of version 1 has 107 bytes; of version 2 at most 536 are accepted. Extensions
// (TLV) are skipped, a checksum among them too: TCP has its own.
//
// The error is [io.EOF] when the peer closed the connection without a byte, as those do who look
// whether a port is open; otherwise it tells the peer. It wraps [io.ErrUnexpectedEOF] or
// [os.ErrDeadlineExceeded] where these are the cause.
func ReadProxy(c net.Conn, timeout time.Duration) (ProxyHeader, error) {
	if err := c.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return ProxyHeader{}, fmt.Errorf("PROXY header from %v: %w", c.RemoteAddr(), err)
	}
	h, err := readProxy(c)
	if err == nil {
		err = c.SetReadDeadline(time.Time{})
	}
	if err == io.EOF {
		return ProxyHeader{}, err
	}
	if err != nil {
		return ProxyHeader{}, fmt.Errorf("PROXY header from %v: %w", c.RemoteAddr(), err)
	}
	return h, nil
}

func readProxy(r io.Reader) (ProxyHeader, error) {
	b := make([]byte, 0, longestV2)
	for len(b) < signatureLength {
		// Whoever speaks something else is told so as soon as that is seen: it may have sent all it
		// will and wait for an answer.
		n, err := r.Read(b[len(b):signatureLength])
		b = b[:len(b)+n]
		if !startsAlike(b, signatureV1) && !startsAlike(b, signatureV2) {
			return ProxyHeader{}, errNotProxy
		}
		if err != nil && len(b) < signatureLength {
			if err == io.EOF && len(b) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return ProxyHeader{}, err
		}
	}
	if b[0] == signatureV1[0] {
		return readV1(r, b)
	}
	return readV2(r, b)
}

// startsAlike reports whether one of b and signature begins with the other.
func startsAlike(b []byte, signature string) bool {
	n := min(len(b), len(signature))
	return string(b[:n]) == signature[:n]
}

// readMore appends n bytes to b.
func readMore(r io.Reader, b []byte, n int) ([]byte, error) {
	if _, err := io.ReadFull(r, b[len(b):len(b)+n]); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return b[:len(b)+n], nil
}

// readV1 reads the rest of a line whose beginning is b.
func readV1(r io.Reader, b []byte) (ProxyHeader, error) {
	for !bytes.HasSuffix(b, []byte("\r\n")) {
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			return ProxyHeader{}, fmt.Errorf("version 1 line %.120q: want CR LF at its end only", b)
		}
		missing := missingV1(b)
		if len(b)+missing > longestV1 {
			return ProxyHeader{}, fmt.Errorf("version 1 line of more than %d bytes: %.120q", longestV1, b)
		}
		var err error
		if b, err = readMore(r, b, missing); err != nil {
			return ProxyHeader{}, err
		}
	}
	return parseV1(string(b[:len(b)-2]))
}

// missingV1 is the least number of bytes that are missing from a line: so many can be read at once
// without reading beyond it.
func missingV1(b []byte) int {
	missing := len("\r\n")
	if b[len(b)-1] == '\r' {
		return 1
	}
	if !bytes.HasPrefix(b, []byte("PROXY U")) { // UNKNOWN may be the only word
		// Six words, each of one byte at least and behind a blank.
		missing += 2 * max(0, 5-bytes.Count(b, []byte(" ")))
	}
	return missing
}

// parseV1 reads a line without its end.
func parseV1(line string) (ProxyHeader, error) {
	if line == "PROXY UNKNOWN" || strings.HasPrefix(line, "PROXY UNKNOWN ") {
		return ProxyHeader{}, nil // what follows is to be ignored
	}
	words := strings.Split(line, " ")
	if len(words) != 6 || words[1] != "TCP4" && words[1] != "TCP6" {
		return ProxyHeader{}, fmt.Errorf("version 1 line %q: want PROXY TCP4|TCP6 SOURCE DESTINATION PORT PORT, or PROXY UNKNOWN", line)
	}
	var addrs [2]netip.Addr
	var ports [2]uint16
	for i := range 2 {
		var err error
		addrs[i], err = netip.ParseAddr(words[2+i])
		if err != nil || addrs[i].Is4() != (words[1] == "TCP4") || addrs[i].Zone() != "" {
			return ProxyHeader{}, fmt.Errorf("version 1 line %q: %q is no address of %s", line, words[2+i], words[1])
		}
		port, err := strconv.ParseUint(words[4+i], 10, 16)
		if err != nil || len(words[4+i]) > 1 && words[4+i][0] == '0' {
			return ProxyHeader{}, fmt.Errorf("version 1 line %q: want a port from 0 to 65535, got %q", line, words[4+i])
		}
		ports[i] = uint16(port)
	}
	return ProxyHeader{Source: netip.AddrPortFrom(addrs[0], ports[0])}, nil
}

// readV2 reads the rest of a header whose signature is b.
func readV2(r io.Reader, b []byte) (ProxyHeader, error) {
	b, err := readMore(r, b, fixedV2-len(b))
	if err != nil {
		return ProxyHeader{}, err
	}
	length := int(binary.BigEndian.Uint16(b[14:]))
	if fixedV2+length > longestV2 {
		return ProxyHeader{}, fmt.Errorf("version 2 header of %d bytes: want at most %d", fixedV2+length, longestV2)
	}
	if b, err = readMore(r, b, length); err != nil {
		return ProxyHeader{}, err
	}
	return parseV2(b)
}

// parseV2 reads a header whose length is right.
func parseV2(b []byte) (ProxyHeader, error) {
	command, family, transport, addresses := b[12], b[13]>>4, b[13]&0xf, b[fixedV2:]
	switch {
	case command>>4 != 2:
		return ProxyHeader{}, fmt.Errorf("version 2 header: want version 2, got %d", command>>4)
	case command&0xf > 1:
		return ProxyHeader{}, fmt.Errorf("version 2 header: want command 0 (LOCAL) or 1 (PROXY), got %d", command&0xf)
	case family > 3 || transport > 2:
		return ProxyHeader{}, fmt.Errorf("version 2 header: address family %d over transport %d is not defined", family, transport)
	case command&0xf == 0:
		return ProxyHeader{Local: true}, nil // the addresses are to be ignored
	}
	if least := [...]int{0, ipv4Addresses, ipv6Addresses, unixAddresses}[family]; len(addresses) < least {
		return ProxyHeader{}, fmt.Errorf("version 2 header: %d bytes of addresses, want %d", len(addresses), least)
	}
	const stream = 1
	switch {
	case transport != stream:
		return ProxyHeader{}, nil
	case family == 1:
		addr := netip.AddrFrom4([4]byte(addresses))
		return ProxyHeader{Source: netip.AddrPortFrom(addr, binary.BigEndian.Uint16(addresses[8:]))}, nil
	case family == 2:
		addr := netip.AddrFrom16([16]byte(addresses)).Unmap()
		return ProxyHeader{Source: netip.AddrPortFrom(addr, binary.BigEndian.Uint16(addresses[32:]))}, nil
	}
	return ProxyHeader{}, nil
}
