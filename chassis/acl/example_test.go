package acl_test

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"

	"github.com/seed-754044b3/roadworthy/chassis/acl"
)

// Behind a proxy, the client is decided about, not the proxy; what clients write themselves does not
// count.
func Example() {
	guard, err := acl.New(acl.Config{
		TrustedProxies: []string{"10.0.0.5"},
		ClientFrom:     acl.FromXForwardedFor,
		Deny:           []string{"203.0.113.0/24"},
		Routes:         map[string]string{"/admin": "allow 192.0.2.0/24"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	proxy := guard.Peer(&net.TCPAddr{IP: net.IPv4(10, 0, 0, 5), Port: 4711})
	stranger := guard.Peer(&net.TCPAddr{IP: net.IPv4(203, 0, 113, 9), Port: 4711})
	for _, c := range []struct {
		peer  acl.Peer
		lines []string // of X-Forwarded-For
		path  string
	}{
		{proxy, []string{"192.0.2.7"}, "/admin"},
		{proxy, []string{"192.0.2.7", "198.51.100.1"}, "/admin"}, // the first is by the client
		{proxy, []string{"unknown"}, "/"},
		{stranger, []string{"192.0.2.7"}, "/"},
	} {
		client, verdict := guard.Check(c.peer, c.lines, c.path)
		fmt.Println(client, verdict)
	}
	// Output:
	// 192.0.2.7 allowed
	// 198.51.100.1 unlisted
	// 10.0.0.5 unidentified
	// 203.0.113.9 denied
}

func ExampleGuard_Explain() {
	guard, err := acl.New(acl.Config{Routes: map[string]string{"/admin": "allow 10.0.0.0/8 deny 10.0.0.13"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, addr := range []string{"10.0.0.12", "10.0.0.13", "192.0.2.1"} {
		fmt.Println(guard.Explain(netip.MustParseAddr(addr), "/admin/users"))
	}
	// Output:
	// 10.0.0.12 may call /admin/users: 10.0.0.0/8 is allowed (routes /admin, allow item 1)
	// 10.0.0.13 may not call /admin/users: 10.0.0.13 is denied (routes /admin, deny item 1)
	// 192.0.2.1 may not call /admin/users: route /admin has an allow list, and no entry of it is for this client
}

// The address of the proxy is not the client's, once the connection's first bytes are read.
func ExampleGuard_Receive() {
	guard, err := acl.New(acl.Config{TrustedProxies: []string{"127.0.0.1"}, ClientFrom: acl.FromProxy})
	if err != nil {
		fmt.Println(err)
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	go func() { // a proxy
		if c, err := net.Dial("tcp", l.Addr().String()); err == nil {
			fmt.Fprint(c, "PROXY TCP4 203.0.113.5 198.51.100.1 4711 443\r\nGET / HTTP/1.1\r\n")
			c.Close()
		}
	}()
	c, err := l.Accept()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	peer, err := guard.Receive(c)
	if err != nil {
		fmt.Println(err)
		return
	}
	client, verdict := guard.Check(peer, nil, "/")
	request, _ := bufio.NewReader(c).ReadString('\n')
	fmt.Printf("%s by %s for %s: %q\n", verdict, peer.Addr(), client, request)
	// Output: allowed by 127.0.0.1 for 203.0.113.5: "GET / HTTP/1.1\r\n"
}
