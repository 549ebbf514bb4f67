package fake_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	grpccodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/seed-754044b3/roadworthy/fake"
)

// late is a context whose deadline passes when the test says so.
type late struct {
	context.Context
	done   chan struct{}
	passed atomic.Bool
}

func newLate(tb testing.TB) *late { return &late{Context: tb.Context(), done: make(chan struct{})} }

func (l *late) pass()                       { l.passed.Store(true); close(l.done) }
func (l *late) Deadline() (time.Time, bool) { return time.Now().Add(time.Hour), true }
func (l *late) Done() <-chan struct{}       { return l.done }
func (l *late) Err() error {
	if l.passed.Load() {
		return context.DeadlineExceeded
	}
	return l.Context.Err()
}

// line is a dialer that counts connections.
type line struct{ made atomic.Int64 }

func (l *line) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	l.made.Add(1)
	var d net.Dialer
	return d.DialContext(ctx, network, addr)
}

// dialCounted is dial with a count of the connections.
func dialCounted(tb testing.TB, f *fake.Fake) (*grpc.ClientConn, *line) {
	tb.Helper()
	l := new(line)
	conn, err := grpc.NewClient(f.Addr("grpc"), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return l.dial(ctx, "tcp", addr) }))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return conn, l
}

// browser is net/http's client, which keeps its connections.
func browser(tb testing.TB) (*http.Client, *line) {
	l := new(line)
	transport := &http.Transport{DialContext: l.dial}
	tb.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}, l
}

// fetch makes a request and reads the whole answer.
func fetch(ctx context.Context, c *http.Client, method, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// total is how often the service has counted.
func total(tb testing.TB, f *fake.Fake) string {
	tb.Helper()
	return call(tb, "GET", f.URL("http")+"/total").body
}

// done waits until the fake has recorded the end of all calls, of which a client may know first.
func done(tb testing.TB, f *fake.Fake) []fake.Call {
	tb.Helper()
	if err := f.WaitQuiescent(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	var calls []fake.Call
	for _, c := range f.Calls() {
		if c.Route != "GET /total" {
			calls = append(calls, c)
		}
	}
	return calls
}

// TestWhatAGRPCClientSeesOfAFault is the table of faults with grpc-go: what it sees, whether the
// service had done what was asked, and how often.
func TestWhatAGRPCClientSeesOfAFault(t *testing.T) {
	ok := func(err error) bool { return err == nil }
	says := func(code grpccodes.Code, words ...string) func(error) bool {
		return func(err error) bool {
			for _, w := range words {
				if !strings.Contains(err.Error(), w) {
					return false
				}
			}
			return statusOf(err) == code
		}
	}
	lost := says(grpccodes.Unavailable)
	for name, c := range map[string]struct {
		rule  fake.Rule
		sees  []func(error) bool // call by call
		total string
		sent  []fake.Sent
		conns int64
	}{
		"the next two fail": {
			fake.Rule{Count: 2, Failure: fake.HTTPStatus(503)},
			[]func(error) bool{lost, lost, ok}, "1", []fake.Sent{fake.SentFailure, fake.SentFailure, fake.SentAnswer}, 1},
		"an error after commit": {
			fake.Rule{Count: 1, Failure: fake.HTTPStatus(503), Phase: fake.AfterCommit},
			[]func(error) bool{lost, ok}, "2", []fake.Sent{fake.SentFailure, fake.SentAnswer}, 1},
		"GOAWAY": {
			fake.Rule{Count: 1, Action: fake.GoAway},
			[]func(error) bool{ok, ok}, "2", []fake.Sent{fake.SentAnswer, fake.SentAnswer}, 2},
		"GOAWAY in an answer": {
			fake.Rule{Count: 1, Action: fake.GoAway, Phase: fake.DuringResponse, At: 20},
			[]func(error) bool{ok, ok}, "2", []fake.Sent{fake.SentAnswer, fake.SentAnswer}, 2},
		"RST before the handler": {
			fake.Rule{Count: 1, Action: fake.RST},
			[]func(error) bool{says(grpccodes.Unavailable, "connection reset"), ok}, "1", []fake.Sent{fake.SentNothing, fake.SentAnswer}, 2},
		"RST after commit": {
			fake.Rule{Count: 1, Action: fake.RST, Phase: fake.AfterCommit},
			[]func(error) bool{says(grpccodes.Unavailable, "connection reset"), ok}, "2", []fake.Sent{fake.SentNothing, fake.SentAnswer}, 2},
		"RST on the response": {
			fake.Rule{Count: 1, Action: fake.RST, Phase: fake.DuringResponse},
			[]func(error) bool{says(grpccodes.Unavailable, "connection reset"), ok}, "2", []fake.Sent{fake.SentNothing, fake.SentAnswer}, 2},
		"FIN after commit": {
			fake.Rule{Count: 1, Action: fake.FIN, Phase: fake.AfterCommit},
			[]func(error) bool{says(grpccodes.Unavailable, "EOF"), ok}, "2", []fake.Sent{fake.SentNothing, fake.SentAnswer}, 2},
		"half of a frame": {
			fake.Rule{Count: 1, Action: fake.Truncate, Phase: fake.AfterCommit},
			[]func(error) bool{says(grpccodes.Unavailable, "EOF"), ok}, "2", []fake.Sent{fake.SentPart, fake.SentAnswer}, 2},
		"five bytes of a frame": {
			fake.Rule{Count: 1, Action: fake.Truncate, Phase: fake.DuringResponse, At: 5},
			[]func(error) bool{says(grpccodes.Unavailable, "unexpected EOF"), ok}, "2", []fake.Sent{fake.SentPart, fake.SentAnswer}, 2},
		"garbage": {
			fake.Rule{Count: 1, Action: fake.Garbage, Phase: fake.AfterCommit},
			[]func(error) bool{lost, ok}, "2", []fake.Sent{fake.SentNothing, fake.SentAnswer}, 2},
		"a byte every 2 ms": {
			fake.Rule{Count: 1, Action: fake.Slow, Rate: 500},
			[]func(error) bool{ok}, "1", []fake.Sent{fake.SentAnswer}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := fake.Start(t, spec, fake.Options[config]{})
			conn, line := dialCounted(t, f)
			fault := f.Inject(c.rule, fake.On(routeGRPC))
			for i, sees := range c.sees {
				begin := time.Now()
				if _, err := countGRPC(t, conn); !sees(err) {
					t.Errorf("call %d: %v", i+1, err)
				}
				// The answer has 60 bytes or more: header, message and trailer in frames.
				if took := time.Since(begin); c.rule.Action == fake.Slow && took < 80*time.Millisecond {
					t.Errorf("call %d took %v", i+1, took)
				}
			}
			if got := total(t, f); got != c.total {
				t.Errorf("the service did it %s times, want %s", got, c.total)
			}
			calls := done(t, f)
			for i, want := range c.sent {
				if len(calls) <= i || calls[i].Sent != want || calls[i].Committed != calls[i].Ran {
					t.Errorf("recorded %+v, want call %d sent %q", calls, i+1, want)
				}
			}
			if got := line.made.Load(); got != c.conns {
				t.Errorf("%d connections, want %d", got, c.conns)
			}
			if fault.Hits() != max(1, c.rule.Count) {
				t.Errorf("%d hits", fault.Hits())
			}
		})
	}
}

func TestAGRPCClientWaitsForAHalfOpenConnectionAndUsesItAfterwards(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	conn, line := dialCounted(t, f)
	fault := f.Inject(fake.Rule{Count: 1, Action: fake.HalfOpen, Phase: fake.AfterCommit}, fake.On(routeGRPC))
	deadline := newLate(t)
	first := make(chan error, 1)
	go func() { first <- invoke(deadline, conn) }()
	if err := fault.WaitHeld(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if got := f.Calls()[0]; !got.Committed || got.Sent != fake.SentNothing {
		t.Errorf("recorded while it is silent: %+v", got)
	}
	deadline.pass()
	if err := <-first; statusOf(err) != grpccodes.DeadlineExceeded {
		t.Errorf("the client sees %v", err)
	}
	fault.Release()
	if got, err := countGRPC(t, conn); err != nil || got != 2 || line.made.Load() != 1 {
		t.Errorf("on the same connection: %d, %v, %d connections", got, err, line.made.Load())
	}
}

// TestWhatAnHTTPClientSeesOfAFault is the table of faults with net/http.
func TestWhatAnHTTPClientSeesOfAFault(t *testing.T) {
	says := func(words string) func(string, error) bool {
		return func(_ string, err error) bool { return err != nil && strings.Contains(err.Error(), words) }
	}
	fine := func(body string, err error) bool { return err == nil && len(body) == visitSize }
	for name, c := range map[string]struct {
		method string
		fresh  bool // the connection was not used before
		rule   fake.Rule
		sees   func(string, error) bool
		total  string // what the call has added
		twice  bool
	}{
		"GET, RST on a fresh connection": {"GET", true,
			fake.Rule{Action: fake.RST, Phase: fake.AfterCommit, Count: 1}, says("connection reset by peer"), "1", false},
		"GET, RST on a reused connection, each time": {"GET", false,
			fake.Rule{Action: fake.RST, Phase: fake.AfterCommit}, says("connection reset by peer"), "2", true},
		"GET, RST on a reused connection, once": {"GET", false,
			fake.Rule{Action: fake.RST, Phase: fake.AfterCommit, Count: 1}, fine, "2", true},
		"GET, FIN on a reused connection, once": {"GET", false,
			fake.Rule{Action: fake.FIN, Phase: fake.AfterCommit, Count: 1}, fine, "2", true},
		"GET, RST before the handler, once": {"GET", false,
			fake.Rule{Action: fake.RST, Count: 1}, fine, "1", false},
		"GET, RST at the first byte of the answer, once": {"GET", false,
			fake.Rule{Action: fake.RST, Phase: fake.DuringResponse, Count: 1}, fine, "2", true},
		"POST, RST on a reused connection": {"POST", false,
			fake.Rule{Action: fake.RST, Phase: fake.AfterCommit, Count: 1}, says("connection reset by peer"), "1", false},
		"GET, half of the answer": {"GET", false,
			fake.Rule{Action: fake.Truncate, Phase: fake.AfterCommit, Count: 1}, func(body string, err error) bool {
				return errors.Is(err, io.ErrUnexpectedEOF) && len(body) > 0 && len(body) < visitSize
			}, "1", false},
		"GET, the answer cut at a byte": {"GET", false,
			fake.Rule{Action: fake.Truncate, Phase: fake.DuringResponse, At: 2000, Count: 1}, func(body string, err error) bool {
				return errors.Is(err, io.ErrUnexpectedEOF) && len(body) > 1000 && len(body) < 2000 // the header counts
			}, "1", false},
		"GET, FIN in the header of the answer": {"GET", true,
			fake.Rule{Action: fake.FIN, Phase: fake.DuringResponse, At: 10, Count: 1}, says("malformed HTTP status code"), "1", false},
		"GET, garbage": {"GET", true,
			fake.Rule{Action: fake.Garbage, Phase: fake.AfterCommit, Count: 1}, says("malformed HTTP"), "1", false},
		"GET, garbage in the answer": {"GET", true,
			fake.Rule{Action: fake.Garbage, Phase: fake.DuringResponse, At: 1000, Count: 1}, func(body string, err error) bool {
				return errors.Is(err, io.ErrUnexpectedEOF) && strings.Contains(body, "garbage")
			}, "1", false},
		"GET, slow": {"GET", false,
			fake.Rule{Action: fake.Slow, Rate: 40000, Count: 1}, fine, "1", false},
		"GET, a pause in the answer": {"GET", false,
			fake.Rule{Latency: 80 * time.Millisecond, Phase: fake.DuringResponse, At: 100, Count: 1}, fine, "1", false},
		"GET, a late answer": {"GET", false,
			fake.Rule{Latency: 80 * time.Millisecond, Phase: fake.AfterCommit, Count: 1}, fine, "1", false},
		"GET, a failure after commit": {"GET", false,
			fake.Rule{Failure: fake.Code(1002), Phase: fake.AfterCommit, Count: 1}, func(body string, err error) bool {
				return err == nil && strings.Contains(body, `"code":1002`)
			}, "1", false},
	} {
		t.Run(name, func(t *testing.T) {
			f := fake.Start(t, spec, fake.Options[config]{})
			client, _ := browser(t)
			if !c.fresh {
				if _, err := fetch(t.Context(), client, "GET", f.URL("http")+"/total"); err != nil {
					t.Fatal(err)
				}
			}
			path, route := "/visit", routeVisit
			if c.method == "POST" {
				path, route = "/count/x", routeCount
			}
			fault := f.Inject(c.rule, fake.On(route))
			begin := time.Now()
			if body, err := fetch(t.Context(), client, c.method, f.URL("http")+path); !c.sees(body, err) {
				t.Errorf("the client sees %v after %d bytes", err, len(body))
			}
			if slow := c.rule.Action == fake.Slow || c.rule.Latency > 0; slow && time.Since(begin) < 80*time.Millisecond {
				t.Errorf("it took %v", time.Since(begin))
			}
			if got := total(t, f); got != c.total {
				t.Errorf("the handler did it %s times, want %s", got, c.total)
			}
			calls := done(t, f)
			if got := f.Duplicates(); c.twice != (len(got) == 1 && got[0].Duplicate == calls[0].Seq && calls[0].Committed) {
				t.Errorf("duplicates %+v of %+v", got, calls)
			}
			if fault.Hits() == 0 {
				t.Error("it never struck")
			}
			if body, err := fetch(t.Context(), client, "GET", f.URL("http")+"/total"); err != nil || body != c.total {
				t.Errorf("the next request: %q, %v", body, err)
			}
			fault.Remove()
		})
	}
}

func TestTroubleThatACallAskedForDoesNotStrikeTheNextOnThatHasNone(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	client, _ := browser(t)
	req, err := http.NewRequestWithContext(t.Context(), "GET", f.URL("http")+"/visit", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(fake.FaultHeader, "action=rst;phase=during-response;at=5000")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := readAll(resp); len(body) != visitSize || err != nil {
		t.Errorf("%d bytes, %v", len(body), err)
	}
	if body, err := fetch(t.Context(), client, "GET", f.URL("http")+"/visit"); len(body) != visitSize || err != nil {
		t.Errorf("%d bytes, %v", len(body), err)
	}
	// Go's client would have sent it again, unseen.
	if calls := done(t, f); len(calls) != 2 || calls[1].Sent != fake.SentAnswer {
		t.Errorf("recorded %+v", calls)
	}
}

func TestTroubleThatACallAskedForDoesNotStrikeAnotherTenantOnTheSameConnection(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	other := f.Tenant("other")
	client, _ := browser(t)
	for _, header := range [][2]string{{fake.FaultHeader, "action=rst;phase=during-response;at=5000"}, {fake.TenantHeader, "other"}} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", f.URL("http")+"/visit", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(header[0], header[1])
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := readAll(resp); len(body) != visitSize || err != nil {
			t.Errorf("%s: %d bytes, %v", header, len(body), err)
		}
	}
	if calls := done(t, other); len(calls) != 1 || calls[0].Sent != fake.SentAnswer {
		t.Errorf("recorded %+v", calls)
	}
}

func TestAFaultOfATenantDoesNotStrikeAnotherOneOnTheSameConnection(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	a, b := f.Tenant("a"), f.Tenant("b")
	client, line := browser(t)
	for _, c := range []struct {
		struck *fake.Fake
		tenant [2]string // who calls, one after the other
		other  *fake.Fake
	}{{a, [2]string{"a", "b"}, b}, {b, [2]string{"b", ""}, f}, {f, [2]string{"", "a"}, a}} {
		// It is armed, and the answer is too short for it.
		fault := c.struck.Inject(fake.Rule{Action: fake.RST, Phase: fake.DuringResponse, At: 5000}, fake.On(routeVisit))
		for _, tenant := range c.tenant {
			req, err := http.NewRequestWithContext(t.Context(), "GET", f.URL("http")+"/visit", nil)
			if err != nil {
				t.Fatal(err)
			}
			if tenant != "" {
				req.Header.Set(fake.TenantHeader, tenant)
			}
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := readAll(resp); len(body) != visitSize || err != nil {
				t.Errorf("%q of %q: %d bytes, %v", tenant, c.tenant, len(body), err)
			}
		}
		if calls := done(t, c.other); calls[len(calls)-1].Sent != fake.SentAnswer || fault.Hits() != 0 {
			t.Errorf("%q: %d hits, recorded %+v", c.tenant, fault.Hits(), calls)
		}
		fault.Remove()
	}
	if n := line.made.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

// TestATenantsFaultFindsTheConnectionOfItsCall is about what a tenant, which has no sockets, does to those
// of its fake.
func TestATenantsFaultFindsTheConnectionOfItsCall(t *testing.T) {
	for name, c := range map[string]struct {
		rule  fake.Rule
		sees  grpccodes.Code
		conns int64
	}{
		"GOAWAY":              {fake.Rule{Count: 1, Action: fake.GoAway}, grpccodes.OK, 2},
		"RST after commit":    {fake.Rule{Count: 1, Action: fake.RST, Phase: fake.AfterCommit}, grpccodes.Unavailable, 2},
		"RST on the response": {fake.Rule{Count: 1, Action: fake.RST, Phase: fake.DuringResponse}, grpccodes.Unavailable, 2},
		"an error":            {fake.Rule{Count: 1, Failure: fake.HTTPStatus(503)}, grpccodes.Unavailable, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := fake.Start(t, spec, fake.Options[config]{})
			a := f.Tenant("a")
			conn, line := dialCounted(t, f)
			if _, err := countGRPC(t, conn); err != nil {
				t.Fatal(err)
			}
			fault := a.Inject(c.rule, fake.On(routeGRPC))
			if _, err := countGRPC(t, conn); err != nil || fault.Hits() != 0 {
				t.Errorf("beside the tenant: %v, %d hits", err, fault.Hits())
			}
			if _, err := countAs(t.Context(), conn, "a"); statusOf(err) != c.sees || fault.Hits() != 1 {
				t.Errorf("the tenant: %v, %d hits", err, fault.Hits())
			}
			if _, err := countAs(t.Context(), conn, "a"); err != nil {
				t.Errorf("the tenant again: %v", err)
			}
			if got := line.made.Load(); got != c.conns {
				t.Errorf("%d connections, want %d", got, c.conns)
			}
		})
	}
}

func TestAnHTTPClientWaitsForAHalfOpenConnection(t *testing.T) {
	for name, rule := range map[string]fake.Rule{
		"after commit":  {Action: fake.HalfOpen, Phase: fake.AfterCommit},
		"in the answer": {Action: fake.HalfOpen, Phase: fake.DuringResponse, At: 500},
		"held":          {Action: fake.Hold, Phase: fake.DuringResponse},
	} {
		t.Run(name, func(t *testing.T) {
			f := fake.Start(t, spec, fake.Options[config]{})
			fault := f.Inject(rule, fake.On(routeVisit))
			client, _ := browser(t)
			deadline := newLate(t)
			first, second := make(chan error, 1), make(chan string, 1)
			go func() {
				_, err := fetch(deadline, client, "GET", f.URL("http")+"/visit")
				first <- err
			}()
			if err := fault.WaitHeld(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			deadline.pass()
			if err := <-first; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the client sees %v", err)
			}
			go func() {
				body, _ := fetch(t.Context(), client, "GET", f.URL("http")+"/visit")
				second <- body
			}()
			// The server writes to the first connection still; nothing has told it that nobody reads.
			if err := fault.WaitHeld(t.Context(), 2); err != nil {
				t.Fatal(err)
			}
			fault.Release()
			if body := <-second; len(body) != visitSize {
				t.Errorf("after its release the client got %d bytes", len(body))
			}
			if got := total(t, f); got != "2" {
				t.Errorf("the handler did it %s times", got)
			}
			calls := done(t, f)
			if calls[1].Sent != fake.SentAnswer || rule.Phase == fake.AfterCommit && calls[1].Duplicate != calls[0].Seq {
				t.Errorf("recorded: %+v", calls)
			}
		})
	}
}

func TestACallWaitsOnAHalfOpenConnectionBeforeItsHandler(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	conn := dial(t, f)
	fault := f.Inject(fake.Rule{Action: fake.HalfOpen}, fake.On(routeGRPC))
	for _, end := range []func(){fault.Release, fault.Remove} {
		var wg sync.WaitGroup
		before := total(t, f)
		wg.Go(func() {
			if _, err := countGRPC(t, conn); err != nil {
				t.Error(err)
			}
		})
		if err := fault.WaitHeld(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if got := total(t, f); got != before {
			t.Errorf("the handler ran: %s, before %s", got, before)
		}
		end()
		wg.Wait()
	}
	fault = f.Inject(fake.Rule{Action: fake.HalfOpen}, fake.On(routeGRPC))
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() { gone <- invoke(ctx, conn) }()
	if err := fault.WaitHeld(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-gone; statusOf(err) != grpccodes.Canceled || total(t, f) != "2" {
		t.Errorf("a client that gives up: %v, the handler did it %s times", err, total(t, f))
	}
}
