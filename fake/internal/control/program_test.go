package control_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/fake/internal/control"
)

// running is a program whose ready line has been read.
type running struct {
	addr  string
	ended chan error
}

func run(t *testing.T, ctx context.Context, change func(*control.Program)) running {
	t.Helper()
	out, stdout := io.Pipe()
	p := control.Program{
		Control: handler(&lamp{}), Addr: "127.0.0.1:0", Stdout: stdout,
		Ready: func(addr string) any { return map[string]string{"control": addr} },
	}
	if change != nil {
		change(&p)
	}
	r := running{ended: make(chan error, 1)}
	go func() { r.ended <- p.Run(ctx) }()
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	var ready struct{ Control string }
	if err := json.Unmarshal(line, &ready); err != nil {
		t.Fatalf("%v in %q", err, line)
	}
	r.addr = ready.Control
	return r
}

func TestAProgramServesUntilItIsToldToEnd(t *testing.T) {
	stdin, input := io.Pipe()
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	for name, c := range map[string]struct {
		change func(*control.Program)
		end    func()
	}{
		"by its context":               {nil, cancel},
		"by the end of standard input": {func(p *control.Program) { p.Stdin = stdin }, func() { input.Close() }},
		"by the fake, which has ended": {func(p *control.Program) { p.Done = done }, func() { close(done) }},
	} {
		t.Run(name, func(t *testing.T) {
			within := t.Context()
			if c.change == nil {
				within = ctx
			}
			r := run(t, within, c.change)
			resp, err := http.Get("http://" + r.addr + "/lamp/")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Error(resp.Status)
			}
			http.DefaultClient.CloseIdleConnections()
			c.end()
			if err := <-r.ended; err != nil {
				t.Error(err)
			}
			if conn, err := net.Dial("tcp", r.addr); err == nil {
				conn.Close()
				t.Error("the control plane still listens")
			}
		})
	}
}

func TestAProgramThatCannotBeginSaysWhy(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	closed, stdout := io.Pipe()
	closed.CloseWithError(errors.New("nobody reads"))
	for name, c := range map[string]struct {
		p    control.Program
		want string
	}{
		"an address that is taken":       {control.Program{Addr: taken.Addr().String()}, "control plane: listen tcp"},
		"a ready line that nobody reads": {control.Program{Addr: "127.0.0.1:0", Stdout: stdout, Ready: func(string) any { return 1 }}, "ready line: nobody reads"},
		"a ready line that is not JSON":  {control.Program{Addr: "127.0.0.1:0", Stdout: io.Discard, Ready: func(string) any { return func() {} }}, "ready line: json"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.p.Run(t.Context()); err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestAControlPlaneListensOnLoopbackOnly(t *testing.T) {
	for addr, want := range map[string]string{
		"127.0.0.1:9090": "", "localhost:0": "",
		"0.0.0.0:9090": "a fake listens on loopback only", ":9090": "a fake listens on loopback only",
		"9090": "want host:port", "127.0.0.1:http": "want a port from 0 to 65535", "127.0.0.1:65536": "want a port from 0 to 65535",
	} {
		port, err := control.Loopback(addr)
		if want == "" && (err != nil || addr == "127.0.0.1:9090" && port != 9090) || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%s: %d, %v; want %q", addr, port, err, want)
		}
	}
}
