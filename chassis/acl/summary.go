package acl

// A Summary says how much there is of a Guard's rules, for people who look whether a list was read.
type Summary struct {
	// ClientFrom is by what trusted proxies name the client, empty if nothing does.
	ClientFrom string
	// Proxies is the number of entries that name trusted proxies.
	Proxies int
	// Lists are the rules of the listener, if it has some, and of its routes, in their order.
	Lists []ListSummary
}

// A ListSummary counts the entries of one route, those that files have among them: prefixes, unix
// sockets, and three for the word all.
type ListSummary struct {
	Route string // empty: the listener's
	// Exclusive says that there is an allow list, if only an empty file: who is not on it is refused.
	Exclusive   bool
	Allow, Deny int
}

// Summary counts what g was made of.
func (g *Guard) Summary() Summary {
	s := Summary{Proxies: len(g.trusted.entries)}
	switch g.from {
	case fromXForwardedFor:
		s.ClientFrom = FromXForwardedFor
	case fromForwarded:
		s.ClientFrom = FromForwarded
	case fromProxy:
		s.ClientFrom = FromProxy
	}
	for _, l := range g.lists {
		s.Lists = append(s.Lists, ListSummary{l.route, l.exclusive, len(l.allow.entries), len(l.deny.entries)})
	}
	return s
}
