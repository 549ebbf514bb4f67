package acl_test

import (
	"io/fs"
	"net"
	"net/netip"
	"testing"
	"testing/fstest"

	"github.com/seed-754044b3/roadworthy/chassis/acl"
)

func mustNew(t testing.TB, cfg acl.Config) *acl.Guard {
	t.Helper()
	g, err := acl.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// files opens lists from memory.
func files(lists map[string]string) func(string) (fs.File, error) {
	all := fstest.MapFS{}
	for name, text := range lists {
		all[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return all.Open
}

// remote is the address of a peer; "unix" is one of a unix socket.
func remote(addr string) net.Addr {
	if addr == "unix" {
		return &net.UnixAddr{Net: "unix"}
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr), 4711))
}

// text is an address that may be zero.
func text(a netip.Addr) string {
	if !a.IsValid() {
		return "none"
	}
	return a.String()
}
