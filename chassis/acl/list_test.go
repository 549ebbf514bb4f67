package acl_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/acl"
)

func TestTheLongestPrefixDecidesAndDenyWinsATie(t *testing.T) {
	for name, c := range map[string]struct {
		allow, deny string
		want        map[string]acl.Verdict
	}{
		"nothing": {"", "", map[string]acl.Verdict{"10.0.0.1": acl.Allowed, "unix": acl.Allowed}},
		"deny alone": {"", "10.0.0.0/8 2001:db8::/32", map[string]acl.Verdict{
			"10.0.0.1": acl.Denied, "::ffff:10.0.0.1": acl.Denied, "11.0.0.1": acl.Allowed, "2001:db8::1": acl.Denied, "unix": acl.Allowed}},
		"allow alone": {"10.0.0.0/8", "", map[string]acl.Verdict{
			"10.0.0.1": acl.Allowed, "::ffff:10.0.0.1": acl.Allowed, "11.0.0.1": acl.Unlisted, "2001:db8::1": acl.Unlisted, "unix": acl.Unlisted}},
		"a hole in what is allowed": {"10.0.0.0/8", "10.1.0.0/16", map[string]acl.Verdict{"10.0.0.1": acl.Allowed, "10.1.0.1": acl.Denied}},
		"an island in what is denied": {"10.1.0.0/16", "10.0.0.0/8", map[string]acl.Verdict{
			"10.0.0.1": acl.Denied, "10.1.0.1": acl.Allowed, "11.0.0.1": acl.Unlisted}},
		"a tie":         {"10.0.0.0/8 10.1.0.0/16", "10.0.0.0/8", map[string]acl.Verdict{"10.0.0.1": acl.Denied, "10.1.0.1": acl.Allowed}},
		"one address":   {"10.0.0.1", "", map[string]acl.Verdict{"10.0.0.1": acl.Allowed, "10.0.0.2": acl.Unlisted}},
		"all":           {"all", "10.0.0.1", map[string]acl.Verdict{"10.0.0.1": acl.Denied, "10.0.0.2": acl.Allowed, "::1": acl.Allowed, "unix": acl.Allowed}},
		"unix":          {"unix", "", map[string]acl.Verdict{"unix": acl.Allowed, "10.0.0.2": acl.Unlisted}},
		"no unix":       {"all", "unix", map[string]acl.Verdict{"unix": acl.Denied, "10.0.0.2": acl.Allowed}},
		"only unix":     {"unix", "all", map[string]acl.Verdict{"unix": acl.Allowed, "10.0.0.2": acl.Denied, "::1": acl.Denied}},
		"a tie of all":  {"all", "all", map[string]acl.Verdict{"unix": acl.Denied, "10.0.0.2": acl.Denied, "::1": acl.Denied}},
		"a tie of unix": {"unix all", "all unix", map[string]acl.Verdict{"unix": acl.Denied}},
		"all of IPv4":   {"0.0.0.0/0", "", map[string]acl.Verdict{"10.0.0.1": acl.Allowed, "::1": acl.Unlisted, "unix": acl.Unlisted}},
	} {
		t.Run(name, func(t *testing.T) {
			g := mustNew(t, acl.Config{Allow: strings.Fields(c.allow), Deny: strings.Fields(c.deny)})
			for addr, want := range c.want {
				if _, got := g.Check(g.Peer(remote(addr)), nil, "/any"); got != want || got.Allowed() != (want == acl.Allowed) {
					t.Errorf("%s is %s, want %s", addr, got, want)
				}
			}
		})
	}
}

func TestTheUnidentifiedAreRefusedWhereARuleApplies(t *testing.T) {
	cfg := acl.Config{TrustedProxies: []string{"10.0.0.5"}, ClientFrom: acl.FromXForwardedFor}
	check := func(cfg acl.Config, path string) acl.Verdict {
		g := mustNew(t, cfg)
		_, verdict := g.Check(g.Peer(remote("10.0.0.5")), []string{"unknown"}, path)
		return verdict
	}
	if v := check(cfg, "/"); v != acl.Allowed {
		t.Errorf("without rules: %s", v)
	}
	cfg.Routes = map[string]string{"/admin": "deny 203.0.113.0/24"}
	if v := check(cfg, "/"); v != acl.Allowed {
		t.Errorf("outside of the rules: %s", v)
	}
	if v := check(cfg, "/admin/users"); v != acl.Unidentified {
		t.Errorf("at a route with rules: %s", v)
	}
	cfg.Routes, cfg.Allow = nil, []string{"10.0.0.5"} // the identity it goes by
	if v := check(cfg, "/"); v != acl.Unidentified {
		t.Errorf("with its proxy allowed: %s", v)
	}
}

func TestVerdictsHaveNames(t *testing.T) {
	got := fmt.Sprint(acl.Allowed, acl.Denied, acl.Unlisted, acl.Unidentified, acl.Verdict(9))
	if want := "allowed denied unlisted unidentified verdict 9"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A table of prefixes must decide as somebody would who reads the lists from top to bottom.
func TestTablesDecideAsReadingTheListsDoes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 200 {
		var cfg acl.Config
		prefix := func() string {
			// Few addresses, so that many prefixes overlap.
			a := netip.AddrFrom4([4]byte{10, byte(random.IntN(2)), byte(random.IntN(4)), byte(random.IntN(8))})
			if random.IntN(3) == 0 {
				a = netip.AddrFrom16([16]byte{0x20, 1, 15: byte(random.IntN(8))})
			}
			return netip.PrefixFrom(a, random.IntN(a.BitLen()+1)).Masked().String()
		}
		for range random.IntN(8) {
			cfg.Allow = append(cfg.Allow, prefix())
		}
		for range random.IntN(8) {
			cfg.Deny = append(cfg.Deny, prefix())
		}
		g := mustNew(t, cfg)
		for range 50 {
			a := netip.MustParsePrefix(prefix()).Addr()
			best := func(list []string) int {
				longest := -1
				for _, s := range list {
					if p := netip.MustParsePrefix(s); p.Contains(a) {
						longest = max(longest, p.Bits())
					}
				}
				return longest
			}
			allow, deny := best(cfg.Allow), best(cfg.Deny)
			want := acl.Allowed
			switch {
			case deny >= 0 && deny >= allow:
				want = acl.Denied
			case allow < 0 && len(cfg.Allow) > 0:
				want = acl.Unlisted
			}
			_, got := g.Check(g.Peer(remote(a.String())), nil, "/")
			e := g.Explain(a, "/")
			if got != want || e.Verdict != want {
				t.Fatalf("round %d: allow %q, deny %q: %s is %s, explained as %s, want %s", round, cfg.Allow, cfg.Deny, a, got, e, want)
			}
			if want == acl.Denied && e.Prefix.Bits() != deny || want == acl.Allowed && e.Ruled && e.Prefix.Bits() != allow {
				t.Fatalf("round %d: allow %q, deny %q: %s is explained as %s", round, cfg.Allow, cfg.Deny, a, e)
			}
		}
	}
}
