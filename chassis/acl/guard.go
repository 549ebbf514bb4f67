package acl

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"time"
)

// maxPrefixes bounds the entries of a guard, files included. So many IPv6 networks take about 100 MB.
const maxPrefixes = 1 << 20

// How trusted proxies name the client.
const (
	fromNothing = iota
	fromXForwardedFor
	fromForwarded
	fromProxy
)

// A Guard tells who is calling and decides whether they may. The zero Guard trusts nobody and lets
// everyone in. It does not change, and its methods may be called concurrently.
type Guard struct {
	from         int
	proxyTimeout time.Duration
	trusted      table
	routes       node    // the listener's list is at the root
	lists        []*list // the same, in their order
}

// New makes the Guard of cfg and reads the files that cfg names. The error tells everything that is
// wrong, each with the key and item of the configuration, and if it is in a file with its line.
func New(cfg Config) (*Guard, error) {
	cfg.SetDefaults()
	r, err := cfg.parse()
	if err != nil {
		return nil, fmt.Errorf("acl: %w", err)
	}
	open := cfg.Open
	if open == nil {
		open = func(name string) (fs.File, error) { return os.Open(name) }
	}
	g := &Guard{proxyTimeout: cfg.ProxyTimeout}
	switch cfg.ClientFrom {
	case FromXForwardedFor:
		g.from = fromXForwardedFor
	case FromForwarded:
		g.from = fromForwarded
	case FromProxy:
		g.from = fromProxy
	}
	left := maxPrefixes
	count := func(netip.Prefix) error {
		if left--; left < 0 {
			return fmt.Errorf("more than %d entries", maxPrefixes)
		}
		return nil
	}
	errs := []error{g.trusted.fill(r.trusted, open, func(p netip.Prefix) error {
		if p.IsValid() && p.Bits() == 0 {
			return errTrustsAll
		}
		return count(p)
	})}
	for _, written := range r.lists {
		if len(written.allow)+len(written.deny) == 0 {
			continue
		}
		l := &list{route: written.route, exclusive: len(written.allow) > 0}
		errs = append(errs, l.allow.fill(written.allow, open, count), l.deny.fill(written.deny, open, count))
		g.lists = append(g.lists, l)
		if l.route == "" {
			g.routes.list = l
		} else {
			g.routes.add(l)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("acl: %w", err)
	}
	return g, nil
}

// Header is the canonical name of the header by which trusted proxies name the client, empty if they
// do not by a header. All its values belong into [Guard.Check]; in gRPC metadata it is found by its
// name in lower case.
func (g *Guard) Header() string {
	switch g.from {
	case fromXForwardedFor:
		return "X-Forwarded-For"
	case fromForwarded:
		return "Forwarded"
	}
	return ""
}

// Proxied reports whether the connections of trusted proxies begin with a PROXY header, so that
// [Guard.Receive] has something to read.
func (g *Guard) Proxied() bool { return g.from == fromProxy }

// Recall makes the Peer of a connection whose PROXY header has been read before, perhaps by another
// process: header is what [ProxyHeader.MarshalText] gave. What is no such text leaves the client
// unidentified.
func (g *Guard) Recall(remote net.Addr, header []byte) Peer {
	p := g.Peer(remote)
	var h ProxyHeader
	if !p.AwaitsHeader() || h.UnmarshalText(header) != nil {
		return p
	}
	return p.WithHeader(h)
}

// Receive makes the Peer of a connection of which nothing has been read. If it is a trusted proxy and
// the PROXY protocol is configured, it reads the header, for which it waits as long as
// Config.ProxyTimeout; then the read deadline is cleared. It must be called by the goroutine that
// serves the connection, never by the one that accepts connections: one silent peer would stop it. The
// error is one of [ReadProxy]; the connection is of no use then.
func (g *Guard) Receive(c net.Conn) (Peer, error) {
	p := g.Peer(c.RemoteAddr())
	if !p.AwaitsHeader() {
		return p, nil
	}
	h, err := ReadProxy(c, g.proxyTimeout)
	if err != nil {
		return p, err
	}
	return p.WithHeader(h), nil
}

// Check tells the client of a request and whether it may call. The values are all lines of
// [Guard.Header] in the order they came; they count only if the peer is a trusted proxy. The path is
// the URL's, decoded and as it came ([net/url.URL.Path]), or gRPC's full method. The client is the zero
// Addr for a peer of a unix socket, and the last trusted hop if the verdict is [Unidentified].
// Check allocates nothing, unless the path is not in its shortest form or a header is broken.
func (g *Guard) Check(p Peer, values []string, path string) (client netip.Addr, verdict Verdict) {
	client, identified := g.identify(p, values)
	verdict, _ = g.decide(client, identified, path)
	return client, verdict
}

// identify tells who the client is, and whether that is known.
func (g *Guard) identify(p Peer, values []string) (client netip.Addr, identified bool) {
	switch {
	case !p.trusted:
		return p.addr, p.known
	case g.from == fromProxy && (!p.heard || !p.header.Local && !p.header.Source.IsValid()):
		return p.addr, false
	case g.from == fromProxy && !p.header.Local:
		return canonical(p.header.Source.Addr()), true
	case g.from == fromProxy || len(values) == 0:
		return p.addr, true
	}
	return g.walk(p.addr, values)
}

// decide says what becomes of a client at a path, and whose rules say so.
func (g *Guard) decide(client netip.Addr, identified bool, path string) (Verdict, *list) {
	if len(g.routes.below) == 0 {
		return g.routes.list.decide(client, identified)
	}
	verdict, by := g.routes.find(path).decide(client, identified)
	if short := shortest(path); short != path && verdict.Allowed() {
		return g.routes.find(short).decide(client, identified)
	}
	return verdict, by
}
