package acl

import (
	"net"
	"net/netip"
)

// A Peer is the other end of a connection: where it is, whether it is a trusted proxy, and what its
// PROXY header has said. It is a value; the zero Peer is one of which nothing is known.
type Peer struct {
	addr    netip.Addr
	known   bool // addr is right, be it that there is none
	trusted bool
	speaks  bool // it begins with a PROXY header
	header  ProxyHeader
	heard   bool // header is what it said
}

// Peer makes the Peer of a connection from its remote address. It is called once per connection and
// does not read from it; where the PROXY protocol is configured, [Guard.Receive] does that too.
func (g *Guard) Peer(remote net.Addr) Peer {
	var p Peer
	switch a := remote.(type) {
	case *net.TCPAddr:
		p.addr = canonical(a.AddrPort().Addr())
		p.known = p.addr.IsValid()
	case *net.UnixAddr:
		p.known = true
	case nil:
	default:
		ap, err := netip.ParseAddrPort(a.String())
		p.addr, p.known = canonical(ap.Addr()), err == nil
	}
	p.trusted = p.known && g.trusted.contains(p.addr)
	p.speaks = p.trusted && g.from == fromProxy
	return p
}

// Addr is the address of the other end in the form that lists are compared with, the zero Addr where
// there is none: at a unix socket, and where it could not be read.
func (p Peer) Addr() netip.Addr { return p.addr }

// Trusted reports whether the peer is a trusted proxy. Only then does a header say who the client is,
// and only then can two requests of one connection be of different clients.
func (p Peer) Trusted() bool { return p.trusted }

// AwaitsHeader reports whether the connection begins with a PROXY header that has not been read. Its
// client is unidentified until then.
func (p Peer) AwaitsHeader() bool { return p.speaks && !p.heard }

// WithHeader is the peer after its connection's PROXY header has been read. A peer that does not
// await one stays as it is: what others than trusted proxies say does not count.
func (p Peer) WithHeader(h ProxyHeader) Peer {
	if p.AwaitsHeader() {
		p.header, p.heard = h, true
	}
	return p
}

// Header is the PROXY header that has been read, if one has. A process that hands its connections on
// hands this on with them, because it cannot be read again.
func (p Peer) Header() (ProxyHeader, bool) { return p.header, p.heard }

// canonical is the form in which addresses are compared.
func canonical(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// AddrPort is an end of a connection with its address in the form that lists are compared with, the
// zero AddrPort for unix sockets and for what has no port.
func AddrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		ap = a.AddrPort()
	case nil:
	default:
		ap, _ = netip.ParseAddrPort(a.String())
	}
	return netip.AddrPortFrom(canonical(ap.Addr()), ap.Port())
}
