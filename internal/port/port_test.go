package port_test

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/internal/port"
)

func TestAddressesAreFreeAndNoneOfThoseThatConnectionsGet(t *testing.T) {
	addrs, err := port.Addrs(20)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, addr := range addrs {
		if a, err := netip.ParseAddrPort(addr); err != nil || a.Addr() != netip.MustParseAddr("127.0.0.1") || a.Port() < 20_000 || a.Port() >= 32_768 {
			t.Errorf("address %s, %v", addr, err)
		}
		seen[addr] = true
	}
	if len(addrs) != 20 || len(seen) != 20 {
		t.Errorf("%d addresses, %d different ones", len(addrs), len(seen))
	}
	l, err := net.Listen("tcp", addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestAPortThatIsTakenIsPassedOver(t *testing.T) {
	addrs, err := port.Addrs(1)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", addrs[0])
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().(*net.TCPAddr).Port
	ports := []int{taken, taken, 0}
	got, err := port.Choose(1, func() (p int) { p, ports = ports[0], ports[1:]; return p })
	if err != nil || len(got) != 1 || got[0] == addrs[0] {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := port.Choose(2, func() int { return taken }); err == nil || len(got) != 0 || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("%q, %v", got, err)
	}
}
