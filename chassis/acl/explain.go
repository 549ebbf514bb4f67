package acl

import (
	"fmt"
	"net/netip"
	"strings"
)

// An Explanation says which rule decides about a client at a path.
type Explanation struct {
	Client  netip.Addr // zero: a peer of a unix socket
	Path    string
	Verdict Verdict
	Ruled   bool         // some rule decided; otherwise all are let in
	Route   string       // whose rules did, empty for the listener's
	Prefix  netip.Prefix // the entry that did, zero if it is no prefix or the client is in none
	Origin  Origin       // of that entry, zero if the client is in none
	Trusted bool         // the client is a trusted proxy, so requests it passes on are others'
}

// Explain decides as [Guard.Check] does about an identified client and tells why. It searches the lists
// from their beginning: it is for people who wait for it, not for every request.
func (g *Guard) Explain(client netip.Addr, path string) Explanation {
	client = canonical(client)
	verdict, by := g.decide(client, true, path)
	e := Explanation{Client: client, Path: path, Verdict: verdict, Trusted: g.trusted.contains(client)}
	if by == nil {
		return e
	}
	e.Ruled, e.Route = true, by.route
	switch verdict {
	case Allowed:
		e.Prefix, e.Origin = by.allow.origin(client)
	case Denied:
		e.Prefix, e.Origin = by.deny.origin(client)
	}
	return e
}

// String is a sentence or two for people.
func (e Explanation) String() string {
	var b strings.Builder
	who := "a peer of a unix socket"
	if e.Client.IsValid() {
		who = e.Client.String()
	}
	may := "may"
	if !e.Verdict.Allowed() {
		may = "may not"
	}
	fmt.Fprintf(&b, "%s %s call %s: ", who, may, e.Path)
	what := wordUnix
	if e.Prefix.IsValid() {
		what = brief(e.Prefix)
	}
	switch {
	case !e.Ruled:
		b.WriteString("no rule says otherwise")
	case e.Verdict == Unlisted && e.Route == "":
		b.WriteString("the listener has an allow list, and no entry of it is for this client")
	case e.Verdict == Unlisted:
		fmt.Fprintf(&b, "route %s has an allow list, and no entry of it is for this client", e.Route)
	default:
		fmt.Fprintf(&b, "%s is %s (%v)", what, e.Verdict, e.Origin)
	}
	if e.Trusted {
		fmt.Fprintf(&b, "\nnote: it is a trusted proxy; a request it passes on is decided by the client it names")
	}
	return b.String()
}
