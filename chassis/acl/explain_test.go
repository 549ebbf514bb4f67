package acl_test

import (
	"net/netip"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/acl"
)

func TestExplanationsTellTheRuleAndItsPlace(t *testing.T) {
	g := mustNew(t, acl.Config{
		TrustedProxies: []string{"10.0.0.5", "unix"},
		ClientFrom:     acl.FromForwarded,
		Deny:           []string{"198.51.100.1", "file:bad", "2001:db8::/32"},
		Routes:         map[string]string{"/admin": "allow 10.0.0.0/8 file:office deny 10.0.0.13", "/socket": "allow unix", "/all": "deny all"},
		Open:           files(map[string]string{"bad": "# known\n203.0.113.0/24\n", "office": "192.0.2.0/24\n192.0.2.7 # Ann\n"}),
	})
	const note = "\nnote: it is a trusted proxy; a request it passes on is decided by the client it names"
	for _, c := range []struct{ client, path, want string }{
		{"192.0.2.1", "/", "192.0.2.1 may call /: no rule says otherwise"},
		{"10.0.0.5", "/", "10.0.0.5 may call /: no rule says otherwise" + note},
		{"203.0.113.9", "/x", "203.0.113.9 may not call /x: 203.0.113.0/24 is denied (deny item 2, bad:2)"},
		{"::ffff:198.51.100.1", "/x", "198.51.100.1 may not call /x: 198.51.100.1 is denied (deny item 1)"},
		{"2001:db8::1", "/x", "2001:db8::1 may not call /x: 2001:db8::/32 is denied (deny item 3)"},
		{"10.1.2.3", "/admin/users", "10.1.2.3 may call /admin/users: 10.0.0.0/8 is allowed (routes /admin, allow item 1)"},
		{"10.0.0.13", "/admin", "10.0.0.13 may not call /admin: 10.0.0.13 is denied (routes /admin, deny item 1)"},
		{"192.0.2.7", "/admin", "192.0.2.7 may call /admin: 192.0.2.7 is allowed (routes /admin, allow item 2, office:2)"},
		{"192.0.3.7", "/x/../admin", "192.0.3.7 may not call /x/../admin: route /admin has an allow list, and no entry of it is for this client"},
		{"", "/admin", "a peer of a unix socket may not call /admin: route /admin has an allow list, and no entry of it is for this client" + note},
		{"", "/socket", "a peer of a unix socket may call /socket: unix is allowed (routes /socket, allow item 1)" + note},
		{"", "/all", "a peer of a unix socket may not call /all: unix is denied (routes /all, deny item 1)" + note},
		{"192.0.2.1", "/all", "192.0.2.1 may not call /all: 0.0.0.0/0 is denied (routes /all, deny item 1)"},
	} {
		var client netip.Addr
		if c.client != "" {
			client = netip.MustParseAddr(c.client)
		}
		if got := g.Explain(client, c.path).String(); got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
	g = mustNew(t, acl.Config{Allow: []string{"10.0.0.0/8"}})
	e := g.Explain(netip.MustParseAddr("192.0.2.1"), "/")
	if want := "192.0.2.1 may not call /: the listener has an allow list, and no entry of it is for this client"; e.String() != want {
		t.Errorf("%s\nwant %s", e, want)
	}
	if e.Verdict != acl.Unlisted || !e.Ruled || e.Trusted || e.Route != "" || e.Prefix.IsValid() || e.Origin != (acl.Origin{}) {
		t.Errorf("%+v", e)
	}
}
