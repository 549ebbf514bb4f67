// Package acl tells who is calling, and whether they may.
//
// A [Guard] is made of a [Config], once per listener. It answers two questions, and asks nothing of
// the kind of server: an HTTP server hands it header lines, a gRPC server metadata.
//
//	guard, err := acl.New(cfg)                                // at start; reads the lists
//	peer, err := guard.Receive(conn)                          // once per connection, in its own goroutine
//	client, verdict := guard.Check(peer, header, r.URL.Path)  // once per request; allocates nothing
//
// # Who is calling
//
// Addresses are compared in one form: an IPv4 address in IPv6 clothes (::ffff:10.1.2.3) is the IPv4
// address, and a zone (fe80::1%eth0) is dropped. Without that they are in no prefix.
//
// A peer that is not among the trusted proxies is the client, and what it says of others is ignored.
// A trusted one speaks for the client by the one means that Config.ClientFrom names: the header
// X-Forwarded-For, the header Forwarded (RFC 7239) or the PROXY protocol. Never by two of them: a
// proxy rewrites one and passes the other on as the client sent it.
//
// Of a header all lines count, joined in their order: a proxy may add a line below the client's own.
// They are read from the right, where the nearest proxy has written. Trusted hops are skipped; the
// first that is not trusted is the client.
//
//   - Nothing but trusted hops: the leftmost is the client.
//   - No such header: the peer is the client; a proxy that checks the service's health sends none.
//   - An element that is no address (garbage, "unknown", an obfuscated name), a header that names
//     nobody, more than 32 hops or 4 KiB of trusted ones: the client is unidentified. It goes by the
//     address of the last trusted hop, and is refused wherever a rule applies.
//
// Whoever is in trusted_proxies can pretend to be anybody. Keep it as narrow as the proxies are.
//
// # May they
//
// Lists of prefixes allow and deny, for the listener and for single routes. Among the entries of one
// list the longest prefix that contains the client decides; deny wins a tie. Where an allow list is,
// whoever is not in it is denied. The list of the longest route is asked first; if it has nothing to
// say of the client, which can only be when it has no allow list, the next shorter one is, and at last
// the listener's. Without any rule everyone is let in.
//
// A route is a path and all below it: /admin is for /admin, /admin/ and /admin/users, but not for
// /administrator. The rules of gRPC methods are written alike: /game.v1.Game for a service,
// /game.v1.Game/Move for a method. Paths are compared decoded, letter by letter. One that is not in
// its shortest form (//admin, /x/../admin) must be allowed both as it came and in that form, since it
// is not known here how a handler reads it.
//
// An entry is a prefix (10.0.0.0/8), an address (10.1.2.3), "unix" for peers of a unix socket, which
// have no address, "all" for everybody who is identified, or file:PATH, a file of prefixes and
// addresses, one a line, with comments from # to the end of the line.
package acl
