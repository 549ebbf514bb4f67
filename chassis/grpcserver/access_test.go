package grpcserver_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

func TestStreamsHaveALineAtTheirStartWhereItIsAskedFor(t *testing.T) {
	for streams, want := range map[string]string{
		"end":   "/test.Echo/Count 200 0\n/nobody.Knows/This 200 12\n",
		"start": "/test.Echo/Count - -\n/test.Echo/Count 200 0\n/nobody.Knows/This 200 12\n",
	} {
		h := start(t, options{settings: func(s *chassis.Settings) { s.AccessLog.Format, s.AccessLog.Streams = "%U %>s %{grpc_status}x", streams }},
			&echo{count: func(_ string, send func(string) error, _ context.Context) error { return send("one") }})
		for _, method := range []string{count, "/nobody.Knows/This"} {
			stream := h.stream(t.Context(), method, "x")
			for {
				if _, err := next(stream); err != nil {
					break
				}
			}
		}
		h.stop()
		if got := h.access.String(); got != want {
			t.Errorf("%s: lines\n%s, want\n%s", streams, got, want)
		}
	}
}

func TestLinesTellWhatIsKnownOfACall(t *testing.T) {
	h := start(t, options{settings: func(s *chassis.Settings) {
		s.AccessLog.Format = `%v %h %{c}a %A %k%I%O%S %X "%r" %>s %{grpc_status}x %{failure}x "%{route}x" %{listener}x %{trace_id}x "%{X-Tenant}i" "%{Referer}i" "%{User-Agent}i" %{Host}i %{request_id}x`
		s.AccessLog.Exclude = []string{}
	}}, &echo{
		say: func(_ context.Context, text string) (string, error) {
			if text == "fail" {
				return "", failure.Malformed.Wrap(errors.New("no"))
			}
			return text, nil
		},
		count: func(_ string, send func(string) error, ctx context.Context) error {
			if err := send("one"); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		},
	})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-tenant", "a \"b\"", "x-tenant", "c", "x-request-id", "given",
		"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if _, err := h.say(ctx, "hi"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.say(ctx, "fail"); err == nil {
		t.Error("no failure")
	}
	leaving, leave := context.WithCancel(ctx)
	if _, err := next(h.stream(leaving, count, "x")); err != nil {
		t.Fatal(err)
	}
	leave()
	if _, err := h.health(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	h.stop()
	lines := strings.Split(strings.TrimSuffix(h.access.String(), "\n"), "\n")
	if len(lines) != 4 {
		t.Fatalf("lines %q", lines)
	}
	const rest = ` grpc 0af7651916cd43dd8448eb211c80319c "a \"b\", c" "-" "tests grpc-go/`
	for _, want := range []string{
		`test 127.0.0.1 127.0.0.1 127.0.0.1 ---- + "POST /test.Echo/Say HTTP/2.0" 200 0 - "/test.Echo/Say"` + rest,
		`test 127.0.0.1 127.0.0.1 127.0.0.1 ---- + "POST /test.Echo/Say HTTP/2.0" 200 3 400 "/test.Echo/Say"` + rest,
		`test 127.0.0.1 127.0.0.1 127.0.0.1 ---- X "POST /test.Echo/Count HTTP/2.0" 200 1 499 "/test.Echo/Count"` + rest,
		`test 127.0.0.1 127.0.0.1 127.0.0.1 ---- + "POST /grpc.health.v1.Health/Check HTTP/2.0" 200 0 - "/grpc.health.v1.Health/Check" grpc `,
	} {
		found := false
		for _, line := range lines {
			host := strings.Contains(line, `" 127.0.0.1:`)
			found = found || strings.HasPrefix(line, want) && host && (strings.HasSuffix(line, " given") || strings.Contains(want, "health"))
		}
		if !found {
			t.Errorf("no line begins with\n%s among\n%s", want, strings.Join(lines, "\n"))
		}
	}
}
