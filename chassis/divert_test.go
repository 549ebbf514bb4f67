package chassis_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// guests are instances by name.
type guests map[string]*chassis.Instance

// diverting is a world in which calls with the header X-To are diverted.
func (g guests) diverting(w *chassis.World) {
	w.Divert = &chassis.Divert{Header: "X-To", To: func(_ context.Context, name string) (*chassis.Instance, error) {
		if i := g[name]; i != nil {
			return i, nil
		}
		return nil, failure.Malformed.With("reason", failure.Safe(errors.New("nobody is called "+name)))
	}}
}

// to asks for a path, of the instance with a name.
func (h *host) to(name, path string) (int, string, error) {
	req, err := http.NewRequestWithContext(h.tb.Context(), "GET", h.url("http", path), nil)
	if err != nil {
		return 0, "", err
	}
	if name != "" {
		req.Header.Set("X-To", name)
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

var errWhole = errors.New("a request that was cut off is answered as if it was whole")

// called is a service that tells its name, and hangs until its context ends.
func called(name string, hangs chan struct{}) setup {
	return func(_ context.Context, s *chassis.Service, c conf) error {
		started := s.KPI().Counter("asked", "Questions.")
		return s.HTTP("http", c.HTTP, routes(map[string]chassis.Handler{
			"GET /name": func(w http.ResponseWriter, _ *http.Request) error {
				started.Inc()
				fmt.Fprint(w, name)
				return nil
			},
			"GET /hang": func(_ http.ResponseWriter, r *http.Request) error {
				close(hangs)
				<-r.Context().Done()
				return r.Context().Err()
			},
		}))
	}
}

func TestRequestsAreDivertedToAnotherInstance(t *testing.T) {
	in := guests{}
	h := start(t, options{world: in.diverting}, called("host", nil))
	hangs := make(chan struct{})
	g := start(t, options{world: func(w *chassis.World) { w.Guest = h.Instance }}, called("guest", hangs))
	in["g"] = g.Instance
	if !g.s.Guest() || h.s.Guest() || g.Addr("http") != nil || g.s.DivertBy() != "" || h.s.DivertBy() != "X-To" {
		t.Errorf("the guest listens on %v", g.Addr("http"))
	}
	for name, want := range map[string]string{"": "host", "g": "guest"} {
		if status, body, err := h.to(name, "/name"); status != 200 || body != want || err != nil {
			t.Errorf("%q: %d %s %v", name, status, body, err)
		}
	}
	if status, body, err := h.to("nobody", "/name"); status != 400 || !strings.Contains(body, "nobody is called nobody") || err != nil {
		t.Errorf("%d %s %v", status, body, err)
	}
	if d, err := g.s.Description(); err != nil || len(d.Listeners) != 1 || len(d.Config) != 0 {
		t.Errorf("the guest describes itself as %+v, %v", d, err)
	}
	ended := make(chan error, 1)
	go func() {
		status, _, err := h.to("g", "/hang")
		if err == nil && status == http.StatusOK {
			err = errWhole
		}
		ended <- err
	}()
	<-hangs
	cut, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Stop(cut); err != nil {
		t.Errorf("stop: %v", err)
	}
	// net/http may send a GET again whose connection was cut; then it hears that nobody is there.
	if err := <-ended; errors.Is(err, errWhole) {
		t.Error(err)
	}
	if status, _, err := h.to("g", "/name"); status != http.StatusServiceUnavailable || err != nil {
		t.Errorf("of an instance that has ended: %d, %v", status, err)
	}
	// Whoever asks for an instance that has ended waits for another.
	next := start(t, options{world: func(w *chassis.World) { w.Guest = h.Instance }}, called("next", nil))
	first := true
	h2 := start(t, options{world: func(w *chassis.World) {
		w.Divert = &chassis.Divert{Header: "X-To", To: func(context.Context, string) (*chassis.Instance, error) {
			if first {
				first = false
				return g.Instance, nil
			}
			return next.Instance, nil
		}}
	}}, called("host", nil))
	if status, body, err := h2.to("g", "/name"); status != 200 || body != "next" || err != nil {
		t.Errorf("%d %s %v", status, body, err)
	}
}

// TestARequestThatWaitsForItsCallerIsCutOff is about handlers that do not notice the end of their context,
// as those do not that read a body, or write to a caller that does not read.
func TestARequestThatWaitsForItsCallerIsCutOff(t *testing.T) {
	in := guests{}
	h := start(t, options{world: in.diverting}, called("host", nil))
	for name, wait := range map[string]func(w http.ResponseWriter, r *http.Request) error{
		"it reads": func(_ http.ResponseWriter, r *http.Request) error {
			_, err := io.Copy(io.Discard, r.Body)
			return err
		},
		"it writes": func(w http.ResponseWriter, _ *http.Request) error {
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return err
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			begun, ended := make(chan struct{}), make(chan error, 1)
			g := start(t, options{world: func(w *chassis.World) { w.Guest = h.Instance }}, serve(routes(map[string]chassis.Handler{
				"POST /wait": func(w http.ResponseWriter, r *http.Request) error {
					close(begun)
					err := wait(w, r)
					ended <- err
					return err
				},
			})))
			in["g"] = g.Instance
			conn, err := net.Dial("tcp", h.Addr("http").String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, "POST /wait HTTP/1.1\r\nHost: h\r\nX-To: g\r\nContent-Length: 10\r\n\r\nfive."); err != nil {
				t.Fatal(err)
			}
			<-begun
			cut, cancel := context.WithCancel(t.Context())
			cancel()
			if err := g.Stop(cut); err != nil {
				t.Errorf("stop: %v", err)
			}
			if err := <-ended; err == nil {
				t.Error("the handler does not learn of it")
			}
			_, _ = io.Copy(io.Discard, conn) // the connection ends, in one way or another
		})
	}
}

func TestAGuestIsLetFinishWhatItDoes(t *testing.T) {
	in := guests{}
	h := start(t, options{world: in.diverting}, called("host", nil))
	begun := make(chan struct{})
	g := start(t, options{world: func(w *chassis.World) { w.Guest = h.Instance }}, serve(routes(map[string]chassis.Handler{
		"GET /slow": func(w http.ResponseWriter, r *http.Request) error {
			close(begun)
			<-chassis.Draining(r.Context())
			fmt.Fprint(w, "done")
			return nil
		},
	})))
	in["g"] = g.Instance
	answered := make(chan string, 1)
	go func() {
		_, body, _ := h.to("g", "/slow")
		answered <- body
	}()
	<-begun
	if err := g.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if body := <-answered; body != "done" {
		t.Errorf("%q", body)
	}
}

func TestTheWorldHasAHandInHowJournalsAreOpened(t *testing.T) {
	opened := ""
	engine := journal.Engine{Schemes: []string{"none"}, Open: func(context.Context, journal.Request) (journal.Journal, error) {
		return nil, errors.New("there is none")
	}}
	open := func(ctx context.Context, s *chassis.Service, _ conf) error {
		_, err := journal.Open(ctx, s, "none:where", engine)
		return err
	}
	for _, world := range []func(*chassis.World){nil, func(w *chassis.World) {
		w.OpenJournal = func(ctx context.Context, e journal.Engine, r journal.Request) (journal.Journal, error) {
			opened = r.Scheme + " " + r.Rest
			return e.Open(ctx, r)
		}
	}} {
		if _, err := try(t, options{world: world}, open); err == nil || !strings.Contains(err.Error(), "open journal: there is none") {
			t.Errorf("%v", err)
		}
	}
	if opened != "none where" {
		t.Errorf("the world was asked for %q", opened)
	}
}
