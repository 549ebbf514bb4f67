package chassis_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
)

func TestAListenerThatCannotBeOpenedIsNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	_, err = try(t, options{http: chassis.HTTPConfig{Addr: addr}}, serve(routes(nil)))
	if want := `test: listener "http": cannot listen on ` + addr + `: address already in use (another process listens there, or another listener of this service)`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	_, err = try(t, options{settings: func(s *chassis.Settings) { s.Admin.Addr = addr }}, serve(routes(nil)))
	if err == nil || !strings.HasPrefix(err.Error(), `test: listener "admin": cannot listen on `+addr) {
		t.Errorf("error %v", err)
	}
}

func TestAListenerThatDiesEndsTheService(t *testing.T) {
	broken := &brokenServer{err: errors.New("out of descriptors"), serve: make(chan struct{})}
	h := start(t, options{}, func(_ context.Context, s *chassis.Service, _ conf) error {
		return s.Serve("raw", "raw", "127.0.0.1:0", broken, nil)
	})
	close(broken.serve)
	receive(t, h.Done(), "the end")
	if err := h.Err(); err == nil || err.Error() != `listener "raw" on `+h.Addr("raw").String()+`: out of descriptors` {
		t.Errorf("error %v", err)
	}
	if h.s.State() != chassis.StateFailed {
		t.Errorf("ended in state %v", h.s.State())
	}
	if lines := h.logged("the service ends"); len(lines) != 1 || lines[0]["level"] != "error" {
		t.Errorf("logged %v", lines)
	}
	if err := h.Stop(t.Context()); err != h.Err() {
		t.Errorf("Stop returns %v", err)
	}
}

// brokenServer is a server whose verbs go wrong.
type brokenServer struct {
	err   error
	serve chan struct{}               // Serve waits for it
	drain func(context.Context) error // nil returns at once
	close func() error                // nil returns at once
}

func (b *brokenServer) Serve(net.Listener) error {
	<-b.serve
	return b.err
}

func (b *brokenServer) Drain(ctx context.Context) error {
	if b.drain != nil {
		return b.drain(ctx)
	}
	return nil
}

func (b *brokenServer) Close() error {
	if b.close != nil {
		return b.close()
	}
	return nil
}

func TestAServerThatNeverStopsHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		forever := make(chan struct{})
		defer close(forever)
		server := &brokenServer{serve: forever,
			drain: func(context.Context) error { <-forever; return nil },
			close: func() error { <-forever; return nil }}
		h := start(t, options{pipes: true, settings: func(s *chassis.Settings) { s.Drain.Timeout = 5 * time.Second }},
			func(_ context.Context, s *chassis.Service, _ conf) error {
				return s.Serve("raw", "raw", "127.0.0.1:0", server, nil)
			})
		begin := time.Now()
		if err := h.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took != 7*time.Second {
			t.Errorf("stopped after %v: want the drain's 5 s, and a second for each verb", took)
		}
	})
}

func TestAServerThatPanicsInItsDrainIsLogged(t *testing.T) {
	wait := make(chan struct{})
	defer close(wait)
	server := &brokenServer{serve: wait, drain: func(context.Context) error { panic("torn pipe") }}
	h := start(t, options{}, func(_ context.Context, s *chassis.Service, _ conf) error {
		return s.Serve("raw", "raw", "127.0.0.1:0", server, nil)
	})
	h.stop()
	if lines := h.logged("requests were cut off"); len(lines) != 1 || lines[0]["error"] != "panic: torn pipe" || lines[0]["stack"] == nil {
		t.Errorf("logged %v", lines)
	}
}

func TestListenersAreOpenedInSetupUnderNamesOfTheirOwn(t *testing.T) {
	h := start(t, options{}, func(_ context.Context, s *chassis.Service, c conf) error {
		if err := s.HTTP("http", c.HTTP, routes(nil)); err != nil {
			return err
		}
		for _, name := range []string{"http", "admin", ""} {
			if err := s.HTTP(name, c.HTTP, routes(nil)); err == nil {
				t.Errorf("a listener %q was opened", name)
			}
		}
		bad := chassis.HTTPConfig{Addr: "192.0.2.1:1"}
		if err := s.HTTP("other", bad, routes(nil)); err == nil || !strings.Contains(err.Error(), "no interface of this machine has that address") {
			t.Errorf("an address of somebody else: %v", err)
		}
		if err := s.HTTP("other", c.HTTP, routes(nil)); err != nil {
			t.Errorf("a name that failed cannot be used again: %v", err)
		}
		return nil
	})
	if h.Addr("nobody") != nil || h.Addr("other") == nil || h.s.Addr("admin").String() != h.Addr("admin").String() {
		t.Errorf("addresses %v, %v, %v", h.Addr("nobody"), h.Addr("other"), h.s.Addr("admin"))
	}
	err := h.s.HTTP("late", chassis.HTTPConfig{}, routes(nil))
	if err == nil || err.Error() != `listener "late": opened while the service is ready: listeners are opened in Setup` {
		t.Errorf("a late listener: %v", err)
	}
}

func TestAListenerThatIsBoundAfterSetupIsClosed(t *testing.T) {
	binding, proceed, refused := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	listener := &pipeListener{name: "slow", closed: make(chan struct{})}
	world := func(w *chassis.World) {
		w.Listen = func(context.Context, string, string, string) (net.Listener, error) {
			close(binding)
			<-proceed
			return listener, nil
		}
	}
	off := func(s *chassis.Settings) { s.Admin.Addr = "off" }
	start(t, options{world: world, settings: off}, func(_ context.Context, s *chassis.Service, c conf) error {
		go func() { refused <- s.HTTP("slow", c.HTTP, routes(nil)) }()
		<-binding
		return nil
	})
	close(proceed)
	if err := receive(t, refused, "the refusal"); err == nil || !strings.Contains(err.Error(), "opened while the service is ready") {
		t.Errorf("error %v", err)
	}
	receive(t, listener.closed, "the listener's end")
}

func TestTheWorldBindsListeners(t *testing.T) {
	type bound struct{ name, network, address string }
	var all []bound
	pipes := &network{listeners: map[string]*pipeListener{}}
	h := start(t, options{http: chassis.HTTPConfig{Addr: "127.0.0.1:8080"}, world: func(w *chassis.World) {
		w.Listen = func(ctx context.Context, name, network, address string) (net.Listener, error) {
			all = append(all, bound{name, network, address})
			return pipes.listen(ctx, name, network, address)
		}
	}, settings: func(s *chassis.Settings) { s.Admin.Addr = "unix:/run/test.sock" }}, serve(routes(nil)))
	want := []bound{{"admin", "unix", "/run/test.sock"}, {"http", "tcp", "127.0.0.1:8080"}}
	if !slices.Equal(all, want) {
		t.Errorf("bound %v, want %v", all, want)
	}
	if h.Addr("http").String() != "http" {
		t.Errorf("address %v", h.Addr("http"))
	}
}
