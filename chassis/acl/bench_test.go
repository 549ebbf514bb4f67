package acl_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/acl"
)

// hundredThousand is a list of that many prefixes, and addresses that are spread over all.
func hundredThousand() (file string, addrs [1024]netip.Addr) {
	random := rand.New(rand.NewPCG(1, 2))
	address := func() netip.Addr {
		return netip.AddrFrom4([4]byte{byte(1 + random.IntN(222)), byte(random.IntN(256)), byte(random.IntN(256)), byte(random.IntN(256))})
	}
	var b strings.Builder
	for range 100_000 {
		fmt.Fprintln(&b, netip.PrefixFrom(address(), 16+random.IntN(17)).Masked())
	}
	for i := range addrs {
		addrs[i] = address()
	}
	return b.String(), addrs
}

// A usual request is one of these; what it costs is part of what every request costs.
type usual struct {
	name   string
	guard  *acl.Guard
	peers  []acl.Peer
	values []string
	path   string
}

func usuals(t testing.TB) []usual {
	file, addrs := hundredThousand()
	open := files(map[string]string{"list": file})
	cfg := acl.Config{TrustedProxies: []string{"10.0.0.0/8"}, ClientFrom: acl.FromXForwardedFor, Deny: []string{"file:list"}, Open: open}
	nobody := mustNew(t, acl.Config{})
	deny := mustNew(t, acl.Config{Deny: []string{"file:list"}, Open: open})
	both := mustNew(t, acl.Config{Deny: []string{"file:list"}, Allow: []string{"all"}, Open: open})
	cfg.Routes = map[string]string{"/admin": "allow 192.168.0.0/16", "/admin/audit": "deny 192.168.1.0/24"}
	forwarded := mustNew(t, cfg)
	cfg.ClientFrom = acl.FromForwarded
	rfc := mustNew(t, cfg)
	cfg.ClientFrom = acl.FromProxy
	proxy := mustNew(t, cfg)
	peers := func(g *acl.Guard, header bool) []acl.Peer {
		all := make([]acl.Peer, len(addrs))
		for i, a := range addrs {
			all[i] = g.Peer(remote(a.String()))
			if header {
				all[i] = g.Peer(remote("10.9.9.9")).WithHeader(acl.ProxyHeader{Source: netip.AddrPortFrom(a, 1)})
			}
		}
		return all
	}
	behind := []acl.Peer{forwarded.Peer(remote("10.9.9.9"))}
	return []usual{
		{"no rules", nobody, peers(nobody, false), nil, "/users/7"},
		{"100k denied", deny, peers(deny, false), nil, "/users/7"},
		{"100k denied, all allowed", both, peers(both, false), nil, "/users/7"},
		{"X-Forwarded-For", forwarded, behind, []string{"1.1.1.1", "203.0.113.5, 10.1.1.1"}, "/users/7"},
		{"Forwarded", rfc, behind, []string{`for="[2001:db8::1]:4711";proto=https, for=10.1.1.1`}, "/users/7"},
		{"PROXY", proxy, peers(proxy, true), nil, "/users/7"},
		{"a route", forwarded, behind, []string{"192.168.2.5"}, "/admin/audit/log"},
	}
}

func BenchmarkCheck(b *testing.B) {
	for _, u := range usuals(b) {
		b.Run(u.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				u.guard.Check(u.peers[i%len(u.peers)], u.values, u.path)
			}
		})
	}
}

func TestAUsualRequestAllocatesNothing(t *testing.T) {
	for _, u := range usuals(t) {
		i := 0
		if n := testing.AllocsPerRun(1000, func() {
			u.guard.Check(u.peers[i%len(u.peers)], u.values, u.path)
			i++
		}); n != 0 {
			t.Errorf("%s: %v allocations", u.name, n)
		}
	}
}

func BenchmarkNew(b *testing.B) {
	file, _ := hundredThousand()
	open := files(map[string]string{"list": file})
	b.ReportAllocs()
	for b.Loop() {
		mustNew(b, acl.Config{Deny: []string{"file:list"}, Open: open})
	}
}
