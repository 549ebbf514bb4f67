package grpcserver

import (
	"net"
	"net/netip"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// locate finds out where the call came from and who is calling.
func (cl *call) locate(method string) {
	c := cl.chain
	var remote net.Addr
	if p, ok := peer.FromContext(cl.Parent); ok {
		remote = p.Addr
	}
	from := c.guard.Peer(remote)
	var named []string
	if c.forwarded != "" && from.Trusted() {
		named = metadata.ValueFromIncomingContext(cl.Parent, c.forwarded)
	}
	cl.Peer, cl.Trusted = addrPort(remote), from.Trusted()
	cl.Client, cl.verdict = c.guard.Check(from, named, method)
}

// admit refuses clients that may not call.
func (cl *call) admit() error {
	if cl.verdict.Allowed() {
		return nil
	}
	return failure.Forbidden.With("client", cl.Client.String()).With("verdict", cl.verdict.String())
}

// addrPort is an address in its canonical form, the zero AddrPort for unix sockets.
func addrPort(a net.Addr) netip.AddrPort {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := tcp.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}
