package request

import (
	"context"
	"net/netip"
)

// Origin is where a request came from. It is set before the handler runs and read-only from then on.
// Addresses are in their canonical form: IPv4 as such, and without a zone.
type Origin struct {
	// Peer is the other end of the connection, the zero AddrPort for a unix socket.
	Peer netip.AddrPort
	// Client is who is calling: Peer's address, or whom it names, if it is a trusted proxy. The zero
	// Addr is a peer of a unix socket that names nobody.
	Client netip.Addr
	// Trusted says that the peer is a trusted proxy.
	Trusted bool
}

// OriginKey is what a context knows its Origin by, as it does its Info by [Key].
type OriginKey struct{}

// OriginOf returns where the request that ctx belongs to came from, and nil when it belongs to none.
func OriginOf(ctx context.Context) *Origin {
	o, _ := ctx.Value(OriginKey{}).(*Origin)
	return o
}
