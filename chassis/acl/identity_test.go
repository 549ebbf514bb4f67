package acl_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/acl"
)

// everybody lets in whoever is identified, so that the verdict tells whether one is.
func everybody(from string, trusted ...string) acl.Config {
	return acl.Config{TrustedProxies: trusted, ClientFrom: from, Allow: []string{"all"}}
}

type hopCase struct {
	peer   string // 10.9.9.9 if empty
	values []string
	client string
	lost   bool // the client is unidentified
}

func checkHops(t *testing.T, from string, cases map[string]hopCase) {
	g := mustNew(t, everybody(from, "10.0.0.0/8", "fd00::/8", "fe80::/10", "unix"))
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if c.peer == "" {
				c.peer = "10.9.9.9"
			}
			client, verdict := g.Check(g.Peer(remote(c.peer)), c.values, "/")
			want := acl.Allowed
			if c.lost {
				want = acl.Unidentified
			}
			if text(client) != c.client || verdict != want {
				t.Errorf("client is %s, %s; want %s, %s", text(client), verdict, c.client, want)
			}
		})
	}
}

func TestXForwardedForNamesTheClientFromTheRight(t *testing.T) {
	checkHops(t, acl.FromXForwardedFor, map[string]hopCase{
		// What another library made of these is in the comments; with the peer 10.9.9.9 and 10.0.0.0/8 trusted.
		"one hop":                   {values: []string{"203.0.113.5"}, client: "203.0.113.5"},
		"the client prepends":       {values: []string{"1.1.1.1, 203.0.113.5"}, client: "203.0.113.5"},
		"two lines":                 {values: []string{"1.1.1.1", "203.0.113.5"}, client: "203.0.113.5"}, // 1.1.1.1: spoofed
		"a mapped trusted hop":      {values: []string{"203.0.113.5, ::ffff:10.1.1.1"}, client: "203.0.113.5"},
		"a mapped client":           {values: []string{"::ffff:203.0.113.5"}, client: "203.0.113.5"},
		"a port":                    {values: []string{"203.0.113.5:1234"}, client: "203.0.113.5"},
		"garbage on the right":      {values: []string{"1.1.1.1, unknown"}, client: "10.9.9.9", lost: true},
		"all trusted":               {values: []string{"10.1.1.1"}, client: "10.1.1.1"},
		"a zone":                    {values: []string{"2001:db8::1%eth0"}, client: "2001:db8::1"},
		"a zone at a trusted hop":   {values: []string{"203.0.113.5, fe80::1%eth0"}, client: "203.0.113.5"},
		"all trusted, several":      {values: []string{"10.1.1.1, 10.2.2.2", "10.3.3.3"}, client: "10.1.1.1"},
		"no header":                 {client: "10.9.9.9"},
		"an empty header":           {values: []string{""}, client: "10.9.9.9", lost: true},
		"nothing but commas":        {values: []string{", ,", "\t"}, client: "10.9.9.9", lost: true},
		"empty elements":            {values: []string{"203.0.113.5,, 10.1.1.1 ,"}, client: "203.0.113.5"},
		"garbage behind a hop":      {values: []string{"203.0.113.5, _hidden, 10.1.1.1"}, client: "10.1.1.1", lost: true},
		"IPv6":                      {values: []string{"2001:db8::1, fd00::1"}, client: "2001:db8::1"},
		"IPv6 with a port":          {values: []string{"[2001:db8::1]:1234"}, client: "2001:db8::1"},
		"IPv6 in brackets":          {values: []string{"[2001:db8::1]"}, client: "2001:db8::1"},
		"an untrusted peer":         {peer: "192.0.2.1", values: []string{"203.0.113.5"}, client: "192.0.2.1"},
		"a mapped untrusted peer":   {peer: "::ffff:192.0.2.1", values: []string{"203.0.113.5"}, client: "192.0.2.1"},
		"a mapped trusted peer":     {peer: "::ffff:10.1.2.3", values: []string{"203.0.113.5"}, client: "203.0.113.5"},
		"a zoned trusted peer":      {peer: "fe80::1%lo", values: []string{"203.0.113.5"}, client: "203.0.113.5"},
		"a trusted unix peer":       {peer: "unix", values: []string{"203.0.113.5"}, client: "203.0.113.5"},
		"a unix peer, no header":    {peer: "unix", client: "none"},
		"a unix peer, garbage":      {peer: "unix", values: []string{"?"}, client: "none", lost: true},
		"a bracket left open":       {values: []string{"[2001:db8::1"}, client: "10.9.9.9", lost: true},
		"IPv4 in brackets":          {values: []string{"[203.0.113.5]"}, client: "10.9.9.9", lost: true},
		"words behind brackets":     {values: []string{"[2001:db8::1]x"}, client: "10.9.9.9", lost: true},
		"an empty port":             {values: []string{"203.0.113.5:"}, client: "10.9.9.9", lost: true},
		"a port that is none":       {values: []string{"203.0.113.5:70000"}, client: "10.9.9.9", lost: true},
		"a signed port":             {values: []string{"203.0.113.5:+80"}, client: "10.9.9.9", lost: true},
		"an obfuscated port":        {values: []string{"203.0.113.5:_p"}, client: "10.9.9.9", lost: true},
		"IPv4 with a zone":          {values: []string{"203.0.113.5%eth0"}, client: "10.9.9.9", lost: true},
		"an empty zone":             {values: []string{"2001:db8::1%"}, client: "10.9.9.9", lost: true},
		"a leading zero":            {values: []string{"203.0.113.05"}, client: "10.9.9.9", lost: true},
		"hex":                       {values: []string{"0xcb007105"}, client: "10.9.9.9", lost: true},
		"too short":                 {values: []string{"203.0.5"}, client: "10.9.9.9", lost: true},
		"a decimal number":          {values: []string{"3405803781"}, client: "10.9.9.9", lost: true},
		"full-width digits":         {values: []string{"\uff12\uff10\uff13.0.113.5"}, client: "10.9.9.9", lost: true},
		"a blank in the address":    {values: []string{"203.0. 113.5"}, client: "10.9.9.9", lost: true},
		"NAT64 is not IPv4":         {values: []string{"64:ff9b::a00:1"}, client: "64:ff9b::a00:1"},
		"quotes are not understood": {values: []string{`"203.0.113.5"`}, client: "10.9.9.9", lost: true},
	})
}

func TestForwardedNamesTheClientFromTheRight(t *testing.T) {
	checkHops(t, acl.FromForwarded, map[string]hopCase{
		// Of RFC 7239.
		"an obfuscated name":      {values: []string{`for="_gazonk"`}, client: "10.9.9.9", lost: true},
		"quoted IPv6 with a port": {values: []string{`For="[2001:db8:cafe::17]:4711"`}, client: "2001:db8:cafe::17"},
		"other parameters":        {values: []string{"for=192.0.2.60;proto=http;by=203.0.113.43"}, client: "192.0.2.60"},
		"several":                 {values: []string{"for=192.0.2.43, for=10.51.100.17"}, client: "192.0.2.43"},
		"unknown":                 {values: []string{"for=192.0.2.43, for=unknown, for=10.1.1.1"}, client: "10.1.1.1", lost: true},
		"an obfuscated port":      {values: []string{`for="192.0.2.43:_p-1.a"`}, client: "192.0.2.43"},

		"two lines":                      {values: []string{"for=1.1.1.1", "for=203.0.113.5"}, client: "203.0.113.5"},
		"the order of parameters":        {values: []string{"proto=https; FOR=203.0.113.5 ;by=_x"}, client: "203.0.113.5"},
		"a port without quotes":          {values: []string{"for=203.0.113.5:80"}, client: "203.0.113.5"},
		"brackets without quotes":        {values: []string{"for=[2001:db8::1]:80"}, client: "2001:db8::1"},
		"a mapped client":                {values: []string{`for="[::ffff:203.0.113.5]"`}, client: "203.0.113.5"},
		"a comma in quotes":              {values: []string{`for=203.0.113.5;host="a,b"`}, client: "203.0.113.5"},
		"an escaped quote":               {values: []string{`for=203.0.113.5;host="a\",for=1.1.1.1;x=\""`}, client: "203.0.113.5"},
		"an escaped backslash":           {values: []string{`for=1.1.1.1;host="\\", for=203.0.113.5`}, client: "203.0.113.5"},
		"a quote left open by a client":  {values: []string{`for="1.1.1.1, for=203.0.113.5`}, client: "203.0.113.5"},
		"a quote left open behind a hop": {values: []string{`for="1.1.1.1, for=10.1.1.1`}, client: "10.1.1.1", lost: true},
		"empty parameters":               {values: []string{";for=203.0.113.5;;"}, client: "203.0.113.5"},
		"an empty element":               {values: []string{"for=203.0.113.5, ,"}, client: "203.0.113.5"},
		"all trusted":                    {values: []string{"for=10.1.1.1, for=10.2.2.2"}, client: "10.1.1.1"},
		"no header":                      {client: "10.9.9.9"},
		"no for":                         {values: []string{"proto=https"}, client: "10.9.9.9", lost: true},
		"two of them":                    {values: []string{"for=203.0.113.5;for=1.1.1.1"}, client: "10.9.9.9", lost: true},
		"a bare address":                 {values: []string{"203.0.113.5"}, client: "10.9.9.9", lost: true},
		"IPv6 without brackets":          {values: []string{`for="2001:db8::1"`}, client: "10.9.9.9", lost: true},
		"an escaped digit":               {values: []string{`for="203.0.113.\5"`}, client: "10.9.9.9", lost: true},
		"words behind the quotes":        {values: []string{`for="203.0.113.5"x`}, client: "10.9.9.9", lost: true},
		"blanks around the equals sign":  {values: []string{"for = 203.0.113.5"}, client: "10.9.9.9", lost: true},
		"no value":                       {values: []string{"for="}, client: "10.9.9.9", lost: true},
		"a quote that stays open":        {values: []string{`for="203.0.113.5`}, client: "10.9.9.9", lost: true},
		"an untrusted peer":              {peer: "192.0.2.1", values: []string{"for=203.0.113.5"}, client: "192.0.2.1"},
	})
}

func TestHopsBeyondTheBoundsAreNotRead(t *testing.T) {
	hops := func(n int) string { return strings.TrimSuffix(strings.Repeat("10.1.1.1,", n), ",") }
	checkHops(t, acl.FromXForwardedFor, map[string]hopCase{
		"32 trusted hops":                        {values: []string{hops(32)}, client: "10.1.1.1"},
		"33 trusted hops":                        {values: []string{"10.7.7.7, " + hops(32)}, client: "10.1.1.1", lost: true},
		"a client as hop 32":                     {values: []string{"203.0.113.5", hops(31)}, client: "203.0.113.5"},
		"a client as hop 33":                     {values: []string{"203.0.113.5", hops(32)}, client: "10.1.1.1", lost: true},
		"33 empty lines":                         {values: make([]string, 33), client: "10.9.9.9", lost: true},
		"4 KiB of blanks before the hop":         {values: []string{"203.0.113.5," + strings.Repeat(" ", 4<<10)}, client: "10.9.9.9", lost: true},
		"4 KiB of blanks in a line of its own":   {values: []string{"203.0.113.5", strings.Repeat(" ", 4<<10)}, client: "10.9.9.9", lost: true},
		"4 KiB with the hop":                     {values: []string{"203.0.113.5," + strings.Repeat(" ", 4<<10-len("203.0.113.5,")-1)}, client: "203.0.113.5"},
		"1 MiB to the left of the client":        {values: []string{strings.Repeat("x", 1<<20) + ", 203.0.113.5"}, client: "203.0.113.5"},
		"an element longer than what is read":    {values: []string{strings.Repeat("x", 1<<20)}, client: "10.9.9.9", lost: true},
		"1,000 addresses to the left of a spoof": {values: []string{strings.Repeat("1.1.1.1,", 1000) + "203.0.113.5"}, client: "203.0.113.5"},
	})
}

func TestOnlyTheConfiguredMeansCounts(t *testing.T) {
	xff, forwarded := mustNew(t, everybody(acl.FromXForwardedFor, "10.0.0.0/8")), mustNew(t, everybody(acl.FromForwarded, "10.0.0.0/8"))
	proxy, nothing := mustNew(t, everybody(acl.FromProxy, "10.0.0.0/8")), mustNew(t, acl.Config{})
	for g, want := range map[*acl.Guard]string{xff: "X-Forwarded-For", forwarded: "Forwarded", proxy: "", nothing: ""} {
		if got := g.Header(); got != want {
			t.Errorf("Header is %q, want %q", got, want)
		}
	}
	p := proxy.Peer(remote("10.9.9.9")).WithHeader(acl.ProxyHeader{Source: netip.MustParseAddrPort("203.0.113.5:80")})
	if client, _ := proxy.Check(p, []string{"1.1.1.1"}, "/"); text(client) != "203.0.113.5" {
		t.Errorf("with the PROXY protocol, a header line makes the client %s", client)
	}
	for name, values := range map[string][]string{"xff": {"for=1.1.1.1"}, "forwarded": {"1.1.1.1"}} {
		g := map[string]*acl.Guard{"xff": xff, "forwarded": forwarded}[name]
		if client, verdict := g.Check(g.Peer(remote("10.9.9.9")), values, "/"); text(client) != "10.9.9.9" || verdict != acl.Unidentified {
			t.Errorf("%s reads the other header: %s, %s", name, client, verdict)
		}
	}
}

func TestAPROXYHeaderNamesTheClient(t *testing.T) {
	g := mustNew(t, everybody(acl.FromProxy, "10.0.0.0/8"))
	source := acl.ProxyHeader{Source: netip.MustParseAddrPort("[::ffff:203.0.113.5]:80")}
	for name, c := range map[string]struct {
		peer   string
		header *acl.ProxyHeader
		client string
		want   acl.Verdict
	}{
		"a source":                       {"10.9.9.9", &source, "203.0.113.5", acl.Allowed},
		"the proxy's own connection":     {"10.9.9.9", &acl.ProxyHeader{Local: true}, "10.9.9.9", acl.Allowed},
		"an origin the proxy knows not":  {"10.9.9.9", &acl.ProxyHeader{}, "10.9.9.9", acl.Unidentified},
		"a header that was not read":     {"10.9.9.9", nil, "10.9.9.9", acl.Unidentified},
		"a header of an untrusted peer":  {"192.0.2.1", &source, "192.0.2.1", acl.Allowed},
		"no header of an untrusted peer": {"192.0.2.1", nil, "192.0.2.1", acl.Allowed},
	} {
		t.Run(name, func(t *testing.T) {
			p := g.Peer(remote(c.peer))
			if awaits := c.peer == "10.9.9.9"; p.AwaitsHeader() != awaits || p.Trusted() != awaits {
				t.Errorf("awaits a header: %v, trusted: %v", p.AwaitsHeader(), p.Trusted())
			}
			if c.header != nil {
				p = p.WithHeader(*c.header)
			}
			if h, heard := p.Header(); heard && (h != *c.header || !p.Trusted()) || heard != (c.header != nil && p.Trusted()) {
				t.Errorf("Header gives %v, %v", h, heard)
			}
			if p.AwaitsHeader() && c.header != nil {
				t.Error("still awaits a header")
			}
			client, verdict := g.Check(p, nil, "/")
			if text(client) != c.client || verdict != c.want || text(p.Addr()) != c.peer {
				t.Errorf("client is %s, %s, peer is %s; want %s, %s", text(client), verdict, p.Addr(), c.client, c.want)
			}
		})
	}
}

type otherAddr string

func (otherAddr) Network() string  { return "other" }
func (a otherAddr) String() string { return string(a) }

func TestPeersOfEveryKind(t *testing.T) {
	var noAddr *net.TCPAddr
	g := mustNew(t, acl.Config{Deny: []string{"192.0.2.9"}})
	for name, c := range map[string]struct {
		addr   net.Addr
		client string
		want   acl.Verdict
	}{
		"TCP":                    {&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, "192.0.2.1", acl.Allowed},
		"TCP with a zone":        {&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "lo", Port: 1}, "fe80::1", acl.Allowed},
		"a unix socket":          {&net.UnixAddr{}, "none", acl.Allowed},
		"one that tells address": {otherAddr("[::ffff:192.0.2.9]:80"), "192.0.2.9", acl.Denied},
		"one that does not":      {otherAddr("@"), "none", acl.Unidentified},
		"nil":                    {nil, "none", acl.Unidentified},
		"a nil TCP address":      {noAddr, "none", acl.Unidentified},
	} {
		t.Run(name, func(t *testing.T) {
			client, verdict := g.Check(g.Peer(c.addr), []string{"1.1.1.1"}, "/")
			if text(client) != c.client || verdict != c.want {
				t.Errorf("client is %s, %s; want %s, %s", text(client), verdict, c.client, c.want)
			}
		})
	}
}

func TestTheZeroConfigLetsEveryoneIn(t *testing.T) {
	for name, g := range map[string]*acl.Guard{"zero Guard": {}, "zero Config": mustNew(t, acl.Config{})} {
		for _, addr := range []net.Addr{remote("10.9.9.9"), remote("unix"), nil, otherAddr("@")} {
			p := g.Peer(addr)
			if _, verdict := g.Check(p, []string{"garbage"}, "//../"); verdict != acl.Allowed || p.Trusted() || p.AwaitsHeader() {
				t.Errorf("%s: %v is %s, trusted: %v", name, addr, verdict, p.Trusted())
			}
		}
	}
}
