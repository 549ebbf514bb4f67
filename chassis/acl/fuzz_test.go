package acl_test

import (
	"io/fs"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/seed-754044b3/roadworthy/chassis/acl"
)

// attack checks that whatever a client writes to the left of what proxies wrote does not change who the
// client is, be it in the same line or in lines above.
func attack(t *testing.T, from, evil, honest string, client string) {
	g := mustNew(t, everybody(from, "10.0.0.0/8"))
	p := g.Peer(remote("10.9.9.9"))
	for _, values := range [][]string{{evil, honest}, {evil + ", " + honest}, {evil, evil, honest}} {
		got, verdict := g.Check(p, values, "/")
		if text(got) != client || verdict != acl.Allowed {
			t.Fatalf("%q make the client %s, %s", values, text(got), verdict)
		}
	}
	// Alone it may be anything but a crash, an address that is not canonical or, identified, none.
	got, verdict := g.Check(p, []string{evil}, "/")
	if got != got.Unmap().WithZone("") || !got.IsValid() || verdict != acl.Allowed && verdict != acl.Unidentified {
		t.Fatalf("%q makes the client %s, %s", evil, text(got), verdict)
	}
	if verdict == acl.Unidentified && !netip.MustParsePrefix("10.0.0.0/8").Contains(got) {
		t.Fatalf("%q makes an unidentified client go by %s, which is no trusted hop", evil, got)
	}
}

func FuzzXForwardedFor(f *testing.F) {
	for _, s := range []string{"", "1.1.1.1", "1.1.1.1, unknown", "[2001:db8::1]:80,::ffff:10.1.1.1", "fe80::1%eth0", ",,", strings.Repeat("10.1.1.1,", 40)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, evil string) {
		attack(t, acl.FromXForwardedFor, evil, "203.0.113.5, 10.1.1.1", "203.0.113.5")
	})
}

func FuzzForwarded(f *testing.F) {
	for _, s := range []string{"", "for=1.1.1.1", `for="[2001:db8::1]:80";proto=https`, `for="_x`, `for=1.1.1.1;host="a,\"b\\"`, `";,=\`, "for=unknown,, for=10.1.1.1", `host="`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, evil string) {
		attack(t, acl.FromForwarded, evil, `for=203.0.113.5;host="a,b", for=10.1.1.1`, "203.0.113.5")
	})
}

// What a list takes must be in it, and in the form in which addresses are compared.
func FuzzListFile(f *testing.F) {
	for _, s := range []string{"", "10.0.0.0/8 # office\n", "::ffff:10.0.0.0/104", "10.0.0.5/8\n", "2001:db8::/32\r\n192.0.2.1", "fe80::1%eth0", "#", "\xff\n\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		open := func(string) (fs.File, error) { return fstest.MapFS{"list": {Data: data}}.Open("list") }
		g, err := acl.New(acl.Config{Allow: []string{"file:list"}, Open: open})
		for i, line := range strings.SplitAfter(string(data), "\n") {
			line, _, _ = strings.Cut(line, "#")
			line = strings.TrimSpace(line)
			if err != nil || line == "" {
				continue
			}
			addr, perr := netip.ParseAddr(line)
			if perr != nil {
				p := netip.MustParsePrefix(line) // panics if it should have been refused
				addr = p.Addr()
			}
			if e := g.Explain(addr, "/"); e.Verdict != acl.Allowed || !e.Prefix.Contains(addr) || addr.Is4In6() || e.Origin.Line > i+1 {
				t.Fatalf("line %d: %q gives %v", i+1, line, e)
			}
		}
		if err != nil && !strings.Contains(err.Error(), "allow item 1: list:") {
			t.Fatalf("the error does not tell where: %v", err)
		}
	})
}

// No spelling of a path may lead around the rules of a route: what a handler sees when it shortens the
// path, or when it does not, is below the route in neither case or refused.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"/admin", "//admin", "/x/../admin/y", "/./admin", "/admin/..", "admin", "", "/adminx", "/x/%2e%2e/admin"} {
		f.Add(s)
	}
	g, err := acl.New(acl.Config{Routes: map[string]string{"/admin": "deny all"}})
	if err != nil {
		f.Fatal(err)
	}
	below := func(p string) bool { return p == "/admin" || strings.HasPrefix(p, "/admin/") }
	f.Fuzz(func(t *testing.T, path string) {
		_, verdict := g.Check(g.Peer(remote("203.0.113.5")), nil, path)
		var stack []string
		for segment := range strings.SplitSeq(path, "/") {
			switch segment {
			case "", ".":
			case "..":
				stack = stack[:max(0, len(stack)-1)]
			default:
				stack = append(stack, segment)
			}
		}
		refused := below(path) || strings.HasPrefix(path, "/") && below("/"+strings.Join(stack, "/"))
		if refused != (verdict == acl.Denied) {
			t.Fatalf("%q is %s", path, verdict)
		}
	})
}
