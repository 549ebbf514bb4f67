package grpcserver_test

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	grpccodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/seed-754044b3/roadworthy/chassis/acl"
	"github.com/seed-754044b3/roadworthy/chassis/grpcserver"
	"github.com/seed-754044b3/roadworthy/chassis/request"
)

func TestCallsHaveTheClientThatATrustedProxyNamesAndAreRefusedByIt(t *testing.T) {
	var origin request.Origin
	e := back()
	e.say = func(ctx context.Context, _ string) (string, error) {
		origin = *request.OriginOf(ctx)
		return "", nil
	}
	h := start(t, options{grpc: grpcserver.Config{ACL: acl.Config{
		TrustedProxies: []string{"127.0.0.1"}, ClientFrom: acl.FromForwarded, Deny: []string{"2001:db8::/32"},
		Routes: map[string]string{count: "deny 192.0.2.0/24"},
	}}}, e)
	named := func(values ...string) context.Context {
		ctx := t.Context()
		for _, v := range values {
			ctx = metadata.AppendToOutgoingContext(ctx, "forwarded", v)
		}
		return ctx
	}
	if _, err := h.say(named("for=192.0.2.7"), ""); err != nil || origin.Client.String() != "192.0.2.7" || !origin.Trusted || !origin.Peer.Addr().IsLoopback() {
		t.Errorf("%v, %+v", err, origin)
	}
	if _, err := h.say(t.Context(), ""); err != nil || origin.Client.String() != "127.0.0.1" {
		t.Errorf("%v, %+v", err, origin)
	}
	for name, err := range map[string]error{
		"unary":  second(h.say(named("for=192.0.2.7", `for="[2001:db8::1]"`), "")),
		"route":  second(next(h.stream(named("for=192.0.2.7"), count, ""))),
		"broken": second(h.say(named("for=_hidden"), "")),
	} {
		if status.Code(err) != grpccodes.PermissionDenied || strings.Contains(err.Error(), "192.0.2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.wantMetric(3, "failure_total", "code", "403")
	h.stop()
	var lines []string
	for _, rec := range h.lines() {
		lines = append(lines, rec.Client.String())
	}
	slices.Sort(lines)
	if got := strings.Join(lines, " "); got != "127.0.0.1 127.0.0.1 192.0.2.7 192.0.2.7 2001:db8::1" {
		t.Errorf("the access log has the clients %s", got)
	}
}

func second[T any](_ T, err error) error { return err }

func TestThePROXYHeaderOfAConnectionNamesTheClientOfItsCalls(t *testing.T) {
	var origin request.Origin
	e := back()
	e.say = func(ctx context.Context, _ string) (string, error) {
		origin = *request.OriginOf(ctx)
		return "", nil
	}
	h := start(t, options{grpc: grpcserver.Config{ACL: acl.Config{TrustedProxies: []string{"127.0.0.1"}, ClientFrom: acl.FromProxy}},
		dial: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
			if err == nil {
				_, err = io.WriteString(c, "PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n")
			}
			return c, err
		})}}, e)
	for range 2 {
		if _, err := h.say(metadata.AppendToOutgoingContext(t.Context(), "x-forwarded-for", "198.51.100.1"), ""); err != nil {
			t.Fatal(err)
		}
		if origin.Client.String() != "192.0.2.7" || !origin.Peer.Addr().IsLoopback() || !origin.Trusted {
			t.Errorf("%+v", origin)
		}
	}
}
