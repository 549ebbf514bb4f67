package acl_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/seed-754044b3/roadworthy/chassis/acl"
)

const signature = "\r\n\r\n\x00\r\nQUIT\n"

// v2 is a header of version 2 with its length filled in.
func v2(command, family byte, addresses string) string {
	return signature + string([]byte{command, family, byte(len(addresses) >> 8), byte(len(addresses))}) + addresses
}

const (
	ipv4 = "\xcb\x00\x71\x05\x0a\x00\x00\x01\x12\x67\x01\xbb" // 203.0.113.5:4711 to 10.0.0.1:443
	ipv6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x12\x67\x01\xbb"
	mapped = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xcb\x00\x71\x05" +
		"\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x12\x67\x01\xbb"
)

// stream is a connection on which what the reader holds has come.
type stream struct {
	io.Reader
	net.Conn
	deadlines []time.Time
	refuses   error
}

func (s *stream) Read(p []byte) (int, error) { return s.Reader.Read(p) }
func (s *stream) RemoteAddr() net.Addr       { return remote("10.9.9.9") }
func (s *stream) SetReadDeadline(t time.Time) error {
	s.deadlines = append(s.deadlines, t)
	return s.refuses
}

// trickle gives one byte a read.
type trickle struct{ io.Reader }

func (t trickle) Read(p []byte) (int, error) { return t.Reader.Read(p[:min(1, len(p))]) }

func TestAHeaderIsReadToItsEndAndNoFurther(t *testing.T) {
	const rest = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"
	long := "2001:0db8:0000:0000:0000:0000:0000:0001"
	for name, c := range map[string]struct{ header, want string }{
		"version 1, IPv4":                     {"PROXY TCP4 203.0.113.5 10.0.0.1 4711 443\r\n", "203.0.113.5:4711"},
		"version 1, IPv6":                     {"PROXY TCP6 2001:db8::1 fd00::1 4711 443\r\n", "[2001:db8::1]:4711"},
		"version 1, shortest IPv4":            {"PROXY TCP4 1.1.1.1 1.1.1.1 0 0\r\n", "1.1.1.1:0"},
		"version 1, shortest IPv6":            {"PROXY TCP6 :: :: 1 1\r\n", "[::]:1"},
		"version 1, longest IPv6":             {"PROXY TCP6 " + long + " " + long + " 65535 65535\r\n", "[2001:db8::1]:65535"},
		"version 1, unknown":                  {"PROXY UNKNOWN\r\n", "unknown"},
		"version 1, unknown, with addresses":  {"PROXY UNKNOWN 203.0.113.5 10.0.0.1 4711 443\r\n", "unknown"},
		"version 1, 107 bytes":                {"PROXY UNKNOWN " + strings.Repeat("f", 107-16) + "\r\n", "unknown"},
		"version 2, IPv4":                     {v2(0x21, 0x11, ipv4), "203.0.113.5:4711"},
		"version 2, IPv6":                     {v2(0x21, 0x21, ipv6), "[2001:db8::1]:4711"},
		"version 2, a mapped address":         {v2(0x21, 0x21, mapped), "203.0.113.5:4711"},
		"version 2, extensions":               {v2(0x21, 0x11, ipv4+"\x04\x00\x01\x00"), "203.0.113.5:4711"},
		"version 2, 536 bytes":                {v2(0x21, 0x11, ipv4+strings.Repeat("\x04", 536-16-12)), "203.0.113.5:4711"},
		"version 2, local":                    {v2(0x20, 0x00, ""), "local"},
		"version 2, local with an address":    {v2(0x20, 0x11, ipv4), "local"},
		"version 2, unspecified":              {v2(0x21, 0x00, ""), "unknown"},
		"version 2, unspecified with a part":  {v2(0x21, 0x00, "something"), "unknown"},
		"version 2, a unix socket":            {v2(0x21, 0x31, strings.Repeat("\x00", 216)), "unknown"},
		"version 2, datagrams":                {v2(0x21, 0x12, ipv4), "unknown"},
		"version 2, an unspecified transport": {v2(0x21, 0x10, ipv4), "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			for way, r := range map[string]io.Reader{
				"at once":      strings.NewReader(c.header + rest),
				"byte by byte": trickle{strings.NewReader(c.header + rest)},
			} {
				s := &stream{Reader: r}
				h, err := acl.ReadProxy(s, time.Second)
				if err != nil || h.String() != c.want {
					t.Fatalf("%s: %v, %v; want %s", way, h, err, c.want)
				}
				if left, _ := io.ReadAll(r); string(left) != rest {
					t.Errorf("%s: %q is left", way, left)
				}
				if len(s.deadlines) != 2 || s.deadlines[0].IsZero() || !s.deadlines[1].IsZero() {
					t.Errorf("%s: read deadlines were %v", way, s.deadlines)
				}
			}
		})
	}
}

func TestWhatIsNoHeaderIsRefused(t *testing.T) {
	const other = "want a PROXY header, got something else"
	for name, c := range map[string]struct{ sent, want string }{
		"HTTP":                        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", other},
		"a short request":             {"GET\r\n", other},
		"TLS":                         {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", other},
		"HTTP/2":                      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", other},
		"lower case":                  {"proxy TCP4 1.1.1.1 1.1.1.1 1 1\r\n", other},
		"a broken signature":          {"\r\n\r\n\x00\r\nQUIP\n", other},
		"12 bytes of a line":          {"PROXY TCP4 1", "unexpected EOF"},
		"half a signature":            {signature[:7], "unexpected EOF"},
		"half a line":                 {"PROXY TCP4 1.1.1.1 1.1", "unexpected EOF"},
		"half a header":               {v2(0x21, 0x11, ipv4)[:20], "unexpected EOF"},
		"a header without its length": {signature + "\x21\x11", "unexpected EOF"},
		"a line of 108 bytes":         {"PROXY UNKNOWN " + strings.Repeat("f", 108-16) + "\r\n", "version 1 line of more than 107 bytes"},
		"a line without end":          {"PROXY UNKNOWN " + strings.Repeat("f", 1<<20), "version 1 line of more than 107 bytes"},
		"a bare LF":                   {"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\nGET", "want CR LF at its end only"},
		"a bare LF behind UNKNOWN":    {"PROXY UNKNOWN\nGET / HTTP/1.1\r\n", "want CR LF at its end only"},
		"a CR in the line":            {"PROXY TCP4 1.1.1.1\r1.1.1.1 1 1\r\nGET", "want CR LF at its end only"},
		"no addresses":                {"PROXY TCP4\r\n" + strings.Repeat("x", 20), "want PROXY TCP4|TCP6"},
		"too few words":               {"PROXY TCP4 1.1.1.1 1.1.1.1 12345\r\nx\r\n", "want CR LF at its end only"},
		"too many words":              {"PROXY TCP4 1.1.1.1 1.1.1.1 1 1 1\r\n", "want PROXY TCP4|TCP6"},
		"two blanks":                  {"PROXY TCP4  1.1.1.1 1.1.1.1 1 1\r\n", "want PROXY TCP4|TCP6"},
		"an unknown protocol":         {"PROXY UDP4 1.1.1.1 1.1.1.1 1 1\r\n", "want PROXY TCP4|TCP6"},
		"UNKNOWNS":                    {"PROXY UNKNOWNS 1.1.1.1 1.1.1.1 1 1\r\n", "want PROXY TCP4|TCP6"},
		"IPv6 as TCP4":                {"PROXY TCP4 2001:db8::1 1.1.1.1 1 1\r\n", `"2001:db8::1" is no address of TCP4`},
		"IPv4 as TCP6":                {"PROXY TCP6 1.1.1.1 2001:db8::1 1 1\r\n", `"1.1.1.1" is no address of TCP6`},
		"a bad destination":           {"PROXY TCP4 1.1.1.1 1.1.1.256 1 1\r\n", `"1.1.1.256" is no address of TCP4`},
		"a zone":                      {"PROXY TCP6 fe80::1%lo ::1 1 1\r\n", `"fe80::1%lo" is no address of TCP6`},
		"a leading zero":              {"PROXY TCP4 1.1.1.01 1.1.1.1 1 1\r\n", `"1.1.1.01" is no address of TCP4`},
		"a port beyond":               {"PROXY TCP4 1.1.1.1 1.1.1.1 65536 1\r\n", `want a port from 0 to 65535, got "65536"`},
		"a port with a zero":          {"PROXY TCP4 1.1.1.1 1.1.1.1 1 01\r\n", `want a port from 0 to 65535, got "01"`},
		"a signed port":               {"PROXY TCP4 1.1.1.1 1.1.1.1 +1 1\r\n", `want a port from 0 to 65535, got "+1"`},
		"version 3":                   {v2(0x31, 0x11, ipv4), "want version 2, got 3"},
		"an unknown command":          {v2(0x22, 0x11, ipv4), "want command 0 (LOCAL) or 1 (PROXY), got 2"},
		"an unknown family":           {v2(0x21, 0x41, ipv4), "address family 4 over transport 1 is not defined"},
		"an unknown transport":        {v2(0x20, 0x13, ipv4), "address family 1 over transport 3 is not defined"},
		"a short IPv4 part":           {v2(0x21, 0x11, ipv4[:11]), "11 bytes of addresses, want 12"},
		"a short IPv6 part":           {v2(0x21, 0x21, ipv4), "12 bytes of addresses, want 36"},
		"a short unix part":           {v2(0x21, 0x31, ipv4), "12 bytes of addresses, want 216"},
		"537 bytes":                   {v2(0x21, 0x11, strings.Repeat("x", 537-16)), "version 2 header of 537 bytes: want at most 536"},
		"64 KiB":                      {v2(0x20, 0x00, strings.Repeat("x", 1<<16-1)), "version 2 header of 65551 bytes: want at most 536"},
	} {
		t.Run(name, func(t *testing.T) {
			for way, r := range map[string]io.Reader{"at once": strings.NewReader(c.sent), "byte by byte": trickle{strings.NewReader(c.sent)}} {
				h, err := acl.ReadProxy(&stream{Reader: r}, time.Second)
				if err == nil || !strings.HasPrefix(err.Error(), "PROXY header from 10.9.9.9:4711: ") || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s: %v, %v; want %s", way, h, err, c.want)
				}
				if h != (acl.ProxyHeader{}) || len(err.Error()) > 400 {
					t.Errorf("%s: with an error of %d bytes came %v", way, len(err.Error()), h)
				}
			}
		})
	}
}

func TestAConnectionThatBringsNothingEnds(t *testing.T) {
	if _, err := acl.ReadProxy(&stream{Reader: strings.NewReader("")}, time.Second); err != io.EOF {
		t.Errorf("a closed connection gives %v", err)
	}
	closed := errors.New("closed")
	if _, err := acl.ReadProxy(&stream{refuses: closed}, time.Second); !errors.Is(err, closed) {
		t.Errorf("a connection without deadlines gives %v", err)
	}
}

// A client that sends its header byte by byte has no more time than others.
func TestAHeaderHasToArriveInTime(t *testing.T) {
	g := mustNew(t, acl.Config{TrustedProxies: []string{"10.0.0.0/8"}, ClientFrom: acl.FromProxy})
	for name, header := range map[string]string{"silence": "", "version 1": "PROXY TCP4 203.0.113.5 10.0.0.1 4711 443\r\n", "version 2": v2(0x21, 0x21, ipv6)} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer far.Close()
				for _, b := range []byte(header) {
					time.Sleep(time.Second / 2) // virtual
					if _, err := far.Write([]byte{b}); err != nil {
						return
					}
				}
				_, _ = io.Copy(io.Discard, far) // stays open as long as the other end
			}()
			begun := time.Now()
			_, err := g.Receive(at{near, remote("10.9.9.9")})
			if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) != 3*time.Second {
				t.Errorf("%s: %v after %v", name, err, time.Since(begun))
			}
			near.Close()
			<-done
		})
	}
}

// at is a connection from another address.
type at struct {
	net.Conn
	remote net.Addr
}

func (a at) RemoteAddr() net.Addr { return a.remote }

func TestOnlyTrustedPeersAreReadFrom(t *testing.T) {
	for name, c := range map[string]struct {
		cfg    acl.Config
		peer   string
		client string
		left   string
	}{
		"a trusted proxy":         {everybody(acl.FromProxy, "10.0.0.0/8"), "10.9.9.9", "203.0.113.5", "GET"},
		"a stranger":              {everybody(acl.FromProxy, "10.0.0.0/8"), "192.0.2.1", "192.0.2.1", "PROXY TCP4 203.0.113.5 10.0.0.1 4711 443\r\nGET"},
		"another way is set":      {everybody(acl.FromForwarded, "10.0.0.0/8"), "10.9.9.9", "10.9.9.9", "PROXY TCP4 203.0.113.5 10.0.0.1 4711 443\r\nGET"},
		"nobody is trusted":       {acl.Config{}, "10.9.9.9", "10.9.9.9", "PROXY TCP4 203.0.113.5 10.0.0.1 4711 443\r\nGET"},
		"a proxy at unix sockets": {everybody(acl.FromProxy, "unix"), "unix", "203.0.113.5", "GET"},
	} {
		t.Run(name, func(t *testing.T) {
			g := mustNew(t, c.cfg)
			s := &stream{Reader: strings.NewReader("PROXY TCP4 203.0.113.5 10.0.0.1 4711 443\r\nGET")}
			p, err := g.Receive(at{s, remote(c.peer)})
			left, _ := io.ReadAll(s)
			client, verdict := g.Check(p, nil, "/")
			if err != nil || text(client) != c.client || verdict != acl.Allowed || string(left) != c.left {
				t.Errorf("client is %s, %s, %v; %q is left", text(client), verdict, err, left)
			}
		})
	}
}

func TestTheReaderRefusesOnBehalfOfAGuard(t *testing.T) {
	g := mustNew(t, everybody(acl.FromProxy, "10.0.0.0/8"))
	p, err := g.Receive(&stream{Reader: strings.NewReader("GET / HTTP/1.1\r\n\r\n")})
	if err == nil || !p.AwaitsHeader() {
		t.Errorf("a request without a header gives %v, awaits one: %v", err, p.AwaitsHeader())
	}
}

func TestHeadersAreHandedOnAsText(t *testing.T) {
	for _, h := range []acl.ProxyHeader{
		{}, {Local: true}, {Source: netip.MustParseAddrPort("203.0.113.5:80")}, {Source: netip.MustParseAddrPort("[2001:db8::1]:80")},
	} {
		b, err := h.MarshalText()
		var back acl.ProxyHeader
		if err == nil {
			err = back.UnmarshalText(b)
		}
		if err != nil || back != h {
			t.Errorf("%+v becomes %q becomes %+v, %v", h, b, back, err)
		}
	}
	var h acl.ProxyHeader
	if err := h.UnmarshalText([]byte("10.0.0.1")); err == nil || err.Error() != `origin of a connection: want local, unknown or address:port, got "10.0.0.1"` {
		t.Errorf("%v", err)
	}
}

// compare holds what ReadProxy accepts against go-proxyproto, which may accept more: it is more liberal
// than the specification, and its bounds are wider.
func compare(t *testing.T, b []byte) {
	r := bytes.NewReader(b)
	h, err := acl.ReadProxy(&stream{Reader: r}, time.Second)
	their := bufio.NewReader(bytes.NewReader(b))
	other, otherErr := proxyproto.Read(their)
	if err != nil {
		return
	}
	if len(b)-r.Len() > 536 {
		t.Fatalf("%d bytes were read", len(b)-r.Len())
	}
	if otherErr == nil {
		if left, _ := io.ReadAll(their); r.Len() != len(left) || h.Local && !other.Command.IsLocal() {
			t.Fatalf("%q is %v and %d bytes are left; go-proxyproto says %v and leaves %d", b, h, r.Len(), other, len(left))
		}
	}
	if h.Source.IsValid() { // it refuses some without one, of which the specification says that they are to be ignored
		if otherErr != nil {
			t.Fatalf("%q is %v, but go-proxyproto says %v", b, h, otherErr)
		}
		a, ok := other.SourceAddr.(*net.TCPAddr)
		if !ok || a.AddrPort().Addr().Unmap() != h.Source.Addr().Unmap() || a.AddrPort().Port() != h.Source.Port() {
			t.Fatalf("%q is from %v, but go-proxyproto says %v", b, h, other.SourceAddr)
		}
	}
}

func FuzzProxyHeader(f *testing.F) {
	for _, s := range []string{
		"PROXY TCP4 203.0.113.5 10.0.0.1 4711 443\r\nGET", "PROXY TCP6 2001:db8::1 fd00::1 4711 443\r\n", "PROXY UNKNOWN\r\n", "PROXY UNKNOWN x\r\n",
		v2(0x21, 0x11, ipv4), v2(0x21, 0x21, ipv6), v2(0x21, 0x21, mapped), v2(0x20, 0, ""), v2(0x21, 0x12, ipv4), v2(0x21, 0x11, ipv4+"\x04\x00\x01\x00"),
		v2(0x20, 0x11, ipv4), v2(0x21, 0x31, strings.Repeat("\x00", 216)), v2(0x21, 0, ""), "GET / HTTP/1.1\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) { compare(t, b) })
}

// What go-proxyproto writes is understood.
func TestHeadersOfGoProxyprotoAreUnderstood(t *testing.T) {
	for version := byte(1); version <= 2; version++ {
		for _, source := range []string{"203.0.113.5:4711", "[2001:db8::1]:65535"} {
			from := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(source))
			b, err := proxyproto.HeaderProxyFromAddrs(version, from, from).Format()
			if err != nil {
				t.Fatal(err)
			}
			h, err := acl.ReadProxy(&stream{Reader: bytes.NewReader(b)}, time.Second)
			if err != nil || h.Source.String() != source {
				t.Errorf("%q is %v, %v", b, h, err)
			}
			if version == 2 && int(binary.BigEndian.Uint16(b[14:])) != len(b)-16 {
				t.Errorf("%q does not tell its length", b)
			}
		}
	}
}
