package chassis

import (
	"context"
	"net"
	"net/http"
	"net/netip"

	"github.com/seed-754044b3/roadworthy/chassis/acl"
	"github.com/seed-754044b3/roadworthy/chassis/drain"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
	"github.com/seed-754044b3/roadworthy/chassis/request"
)

// origin is where requests come from: those of a connection, or one that a trusted proxy passes on.
type origin struct {
	request.Origin
	peer acl.Peer
}

type originKey struct{}

// connContext keeps with a connection what all its requests have in common.
func (e *endpoint) connContext(ctx context.Context, c net.Conn) context.Context {
	if e.service.logs.reuse {
		ctx = countUses(ctx, c)
	}
	return context.WithValue(ctx, originKey{}, e.originAt(c.RemoteAddr()))
}

func (e *endpoint) originAt(remote net.Addr) *origin {
	o := &origin{peer: e.guard.Peer(remote)}
	o.Peer, o.Client, o.Trusted = acl.AddrPort(remote), o.peer.Addr(), o.peer.Trusted()
	return o
}

// originOf is where r came from, as far as its connection tells.
func (e *endpoint) originOf(r *http.Request) *origin {
	if o, ok := r.Context().Value(originKey{}).(*origin); ok {
		if o.peer.AwaitsHeader() { // it was read when the context was there already
			named := *o
			named.peer = e.guard.Recall(remote(r), drain.Note(r.Context()))
			return &named
		}
		return o
	}
	return e.originAt(remote(r)) // without a connection of net/http's
}

// remote is the address of r's peer.
func remote(r *http.Request) net.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return &net.UnixAddr{Name: r.RemoteAddr, Net: "unix"}
	}
	return net.TCPAddrFromAddrPort(ap)
}

// admit finds out who is calling, and answers those who may not.
func (ex *exchange) admit(r *http.Request) bool {
	g := ex.endpoint.guard
	client, verdict := g.Check(ex.origin.peer, r.Header[g.Header()], r.URL.Path)
	if client != ex.origin.Client { // it is another one's request on a proxy's connection
		o := *ex.origin
		o.Client = client
		ex.origin = &o
	}
	if verdict.Allowed() {
		return true
	}
	ex.endpoint.counts.RefuseRequest(kpi.DeniedRequest)
	// Which rule says so is not the client's business.
	ex.fail(ex, r, failure.Forbidden.With("client", client.String()).With("verdict", verdict.String()))
	return false
}
