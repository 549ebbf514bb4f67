package grpcserver_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	grpccodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/acl"
	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/grpcclient"
	"github.com/seed-754044b3/roadworthy/chassis/grpcserver"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
)

// both is a service that answers the same over HTTP and over gRPC, and may be asked by either.
type both struct {
	*host
	held chan struct{} // what is held has begun
	free chan struct{} // closed when it may end
	q    *queue.Queue  // that routes and methods named "queued" wait in
}

// refusing starts one, with what a case changes. When time stands still, nobody has waited for so long that a
// full queue would rather take who comes.
func refusing(t *testing.T, still bool, change func(*chassis.HTTPConfig, *grpcserver.Config)) *both {
	b := &both{held: make(chan struct{}, 8), free: make(chan struct{})}
	web := chassis.HTTPConfig{MaxBody: 100}
	o := options{grpc: grpcserver.Config{MaxReceive: 100}}
	if change != nil {
		change(&web, &o.grpc)
	}
	do := func(ctx context.Context, what string) error {
		switch what {
		case "coded":
			return errFull.New()
		case "dependency":
			return errBusy.Wrap(errors.New("hunter2"))
		case "unknown":
			return errors.New("hunter2")
		case "panic":
			panic("hunter2")
		case "goexit":
			runtime.Goexit()
		case "unauthenticated":
			return failure.Unauthenticated.New()
		case "draining":
			return b.q.Submit(ctx, queue.Meta{}, func(context.Context) error { return nil })
		case "late":
			return context.DeadlineExceeded
		case "hold":
			b.held <- struct{}{}
			<-b.free
		case "wait":
			b.held <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	if still {
		o.world = func(w *chassis.World) { w.Clock = clock.NewVirtual(time.Now()) }
	}
	o.settings = func(s *chassis.Settings) {
		s.AccessLog.Format = `%m %U %>s code=%{failure}x id=%{error_id}x grpc=%{grpc_status}x`
	}
	o.setup = func(s *chassis.Service) error {
		b.q = s.Queue("queued", queue.Limits{Workers: 1, Capacity: 1})
		r := chassis.NewRouter()
		r.Handle("POST /{what}", func(_ http.ResponseWriter, r *http.Request) error {
			if _, err := io.Copy(io.Discard, r.Body); err != nil {
				return err
			}
			return do(r.Context(), r.PathValue("what"))
		})
		return s.HTTP("http", web, r)
	}
	b.host = start(t, o, &echo{say: func(ctx context.Context, what string) (string, error) { return "", do(ctx, what) }})
	t.Cleanup(b.release)
	return b
}

// release lets what is held end.
func (b *both) release() {
	select {
	case <-b.free:
	default:
		close(b.free)
	}
}

// refused is what somebody was told.
type refused struct {
	set    string
	code   int
	class  failure.Class
	status int // of HTTP, 200 over gRPC
	grpc   grpccodes.Code
	id     string
	retry  bool
}

// post asks by HTTP.
func (b *both) post(t *testing.T, path, body string) refused {
	t.Helper()
	res, err := http.Post("http://"+b.Addr("http").String()+"/"+path, "text/plain", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return problemIn(t, res)
}

// problemIn reads a problem document.
func problemIn(t *testing.T, res *http.Response) refused {
	t.Helper()
	defer res.Body.Close()
	if got := res.Header.Get("Content-Type"); got != failure.ContentType {
		t.Errorf("over HTTP: %d with content type %q", res.StatusCode, got)
	}
	p, err := failure.ParseProblem(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(fmt.Sprintf("%+v", p), "hunter2") {
		t.Errorf("the answer tells of what is inside: %+v", p)
	}
	return refused{p.Set, p.Code, p.Class, res.StatusCode, 0, p.ID, p.Retryable}
}

// raw asks by HTTP/1.1 with a text.
func (b *both) raw(t *testing.T, text string) refused {
	t.Helper()
	c, err := net.Dial("tcp", b.Addr("http").String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return problemIn(t, res)
}

// call asks by gRPC.
func (b *both) call(t *testing.T, method string, m any) refused {
	t.Helper()
	err := b.conn.Invoke(t.Context(), method, m, new(wrapperspb.StringValue), grpc.StaticMethod())
	f, ok := grpcclient.FailureOf(err)
	if !ok && status.Code(err) == grpccodes.ResourceExhausted {
		return refused{status: 200, grpc: grpccodes.ResourceExhausted} // as grpc-go itself says it
	}
	if !ok || strings.Contains(fmt.Sprintf("%+v %v", f, err), "hunter2") {
		t.Errorf("over gRPC: %v", err)
	}
	return refused{f.Set, f.Code, f.Class, 200, f.Status, f.ID, f.Retryable}
}

// counted is how often failures of a code were counted, with the class that the metric gives it.
func (b *both) counted(code int) (n float64, class string) {
	for _, class := range []failure.Class{failure.Caller, failure.Service, failure.Dependency, failure.NotProblem} {
		if n, ok := b.metric("failure_total", []string{"code", strconv.Itoa(code), "class", class.String()}); ok {
			return n, class.String()
		}
	}
	return 0, "none"
}

// denied denies everybody.
func denied(h *chassis.HTTPConfig, g *grpcserver.Config) {
	h.ACL, g.ACL = acl.Config{Deny: []string{"all"}}, acl.Config{Deny: []string{"all"}}
}

// one has one request answered at a time and another one wait.
func one(h *chassis.HTTPConfig, g *grpcserver.Config) {
	h.Admission = chassis.AdmissionConfig{Workers: 1, Capacity: 1, MaxWait: time.Hour}
	g.Admission = h.Admission
}

// impatient is one where nobody waits for long.
func impatient(h *chassis.HTTPConfig, g *grpcserver.Config) {
	one(h, g)
	h.Admission.MaxWait, g.Admission.MaxWait = time.Millisecond, time.Millisecond
}

// bodies leaves a worker for what has arrived.
func bodies(h *chassis.HTTPConfig, _ *grpcserver.Config) {
	h.Admission = chassis.AdmissionConfig{Workers: 4, Capacity: 1, BodiesPerClient: 1}
}

// hasty gives bodies no time.
func hasty(h *chassis.HTTPConfig, _ *grpcserver.Config) { h.BodyTimeout = 50 * time.Millisecond }

// quick gives nobody time.
func quick(h *chassis.HTTPConfig, g *grpcserver.Config) {
	h.Timeout, g.Timeout = time.Millisecond, time.Millisecond
}

func TestWhateverIsRefusedHasACodeAndIsCountedOverBothProtocols(t *testing.T) {
	post := func(path string) func(*testing.T, *both) refused {
		return func(t *testing.T, b *both) refused { return b.post(t, path, "") }
	}
	call := func(text string) func(*testing.T, *both) refused {
		return func(t *testing.T, b *both) refused { return b.call(t, say, wrapperspb.String(text)) }
	}
	// busy has all workers of a listener held, and as many wait as say, before it asks.
	busy := func(listener string, waiting int, ask func(*testing.T, *both) refused) func(*testing.T, *both) refused {
		return func(t *testing.T, b *both) refused {
			for i := range 1 + waiting {
				go func() {
					if listener == "http" {
						if res, err := http.Post("http://"+b.Addr("http").String()+"/hold", "text/plain", nil); err == nil {
							_ = res.Body.Close()
						}
						return
					}
					_, _ = b.say(context.Background(), "hold")
				}()
				if i == 0 {
					<-b.held
				}
			}
			b.wantMetric(float64(waiting), "queue_depth", "queue", listener)
			return ask(t, b)
		}
	}
	type answer struct {
		set   string
		code  int
		class failure.Class
		http  int
		grpc  grpccodes.Code
		retry bool
	}
	for name, c := range map[string]struct {
		change func(*chassis.HTTPConfig, *grpcserver.Config)
		http   func(*testing.T, *both) refused
		grpc   func(*testing.T, *both) refused // nil where gRPC has no such thing
		want   answer
	}{
		"a declared failure":      {nil, post("coded"), call("coded"), answer{"test", 1001, failure.Caller, 400, grpccodes.FailedPrecondition, false}},
		"one of a dependency":     {nil, post("dependency"), call("dependency"), answer{"test", 1002, failure.Dependency, 503, grpccodes.Unavailable, true}},
		"an error without a code": {nil, post("unknown"), call("unknown"), answer{"chassis", 1, failure.Service, 500, grpccodes.Internal, false}},
		"a panic":                 {nil, post("panic"), call("panic"), answer{"chassis", 1, failure.Service, 500, grpccodes.Internal, false}},
		"a goroutine that ends":   {nil, post("goexit"), call("goexit"), answer{"chassis", 1, failure.Service, 500, grpccodes.Internal, false}},
		"who does not say who":    {nil, post("unauthenticated"), call("unauthenticated"), answer{"chassis", 401, failure.Caller, 401, grpccodes.Unauthenticated, false}},
		"whom the rules deny":     {denied, post("coded"), call("coded"), answer{"chassis", 403, failure.Caller, 403, grpccodes.PermissionDenied, false}},
		"what is not there":       {nil, post("no/such/route"), func(t *testing.T, b *both) refused { return b.call(t, "/test.Echo/Cheat", wrapperspb.String("")) }, answer{"chassis", 404, failure.Caller, 404, grpccodes.Unimplemented, false}},
		"a deadline that passes":  {quick, post("wait"), call("wait"), answer{"chassis", 504, failure.Service, 504, grpccodes.DeadlineExceeded, false}},
		"work that was late":      {nil, post("late"), call("late"), answer{"chassis", 504, failure.Service, 504, grpccodes.DeadlineExceeded, false}},
		"what is too large":       {nil, func(t *testing.T, b *both) refused { return b.post(t, "ok", strings.Repeat("x", 101)) }, call(strings.Repeat("x", 101)), answer{"chassis", 413, failure.Caller, 413, grpccodes.ResourceExhausted, false}},
		"one too many":            {one, busy("http", 1, post("ok")), busy("grpc", 1, call("ok")), answer{"chassis", 503, failure.Service, 503, grpccodes.Unavailable, true}},
		"who waits for too long":  {impatient, busy("http", 0, post("ok")), busy("grpc", 0, call("ok")), answer{"chassis", 503, failure.Service, 503, grpccodes.Unavailable, true}},
		"a queue that is closed":  {nil, post("draining"), call("draining"), answer{"chassis", 2, failure.Service, 503, grpccodes.Unavailable, true}},
		"a method that is none":   {nil, func(t *testing.T, b *both) refused { return b.raw(t, "GET /ok HTTP/1.1\r\nHost: x\r\n\r\n") }, nil, answer{"chassis", 405, failure.Caller, 405, 0, false}},
		"a body that is none": {nil, func(t *testing.T, b *both) refused {
			return b.raw(t, "POST /ok HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
		}, nil, answer{"chassis", 400, failure.Caller, 400, 0, false}},
		"a body that does not come": {hasty, func(t *testing.T, b *both) refused {
			return b.raw(t, "POST /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx")
		}, nil, answer{"chassis", 408, failure.Caller, 408, 0, false}},
		"a client's many bodies": {bodies, func(t *testing.T, b *both) refused {
			c, err := net.Dial("tcp", b.Addr("http").String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := io.WriteString(c, "POST /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"); err != nil {
				t.Fatal(err)
			}
			b.wantMetric(1, "queue_inflight", "queue", "http")
			return b.raw(t, "POST /ok HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx")
		}, nil, answer{"chassis", 429, failure.Caller, 429, 0, true}},
	} {
		t.Run(name, func(t *testing.T) {
			b := refusing(t, name == "one too many", c.change)
			if c.want.code == 2 {
				if err := b.q.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			var ids []string
			for protocol, ask := range map[string]func(*testing.T, *both) refused{"http": c.http, "grpc": c.grpc} {
				if ask == nil {
					continue
				}
				got := ask(t, b)
				want := refused{c.want.set, c.want.code, c.want.class, c.want.http, 0, got.id, c.want.retry}
				if protocol == "grpc" {
					want.status, want.grpc = 200, c.want.grpc
				}
				bare := protocol == "grpc" && c.want.code == failure.TooLarge.Number()
				if bare { // grpc-go refuses it by the length that stands before it, and has answered when the chain hears of it
					want = refused{status: 200, grpc: c.want.grpc}
				}
				if _, err := failure.ParseID(got.id); err != nil && !bare || got != want {
					t.Errorf("over %s: %+v\nwant %+v", protocol, got, want)
				}
				ids = append(ids, got.id)
			}
			b.release()
			b.stop()
			if i := slices.Index(ids, ""); i >= 0 { // nobody was told of it
				for _, l := range b.logged("request failed") {
					if id := l["error_id"].(string); !slices.Contains(ids, id) {
						ids[i] = id
					}
				}
			}
			if n, class := b.counted(c.want.code); n != float64(len(ids)) || class != c.want.class.String() {
				t.Errorf("counted %v times as %s, want %d and %v", n, class, len(ids), c.want.class)
			}
			for _, id := range ids {
				line := fmt.Sprintf(" code=%d id=%s ", c.want.code, id)
				if n := strings.Count(b.access.String(), line); n != 1 {
					t.Errorf("%d access lines have %q:\n%s", n, line, b.access.String())
				}
				if !slices.ContainsFunc(b.logged("request failed"), func(l map[string]any) bool {
					return l["error_id"] == id && fmt.Sprint(l["code"]) == strconv.Itoa(c.want.code) && l["class"] == c.want.class.String()
				}) {
					t.Errorf("the log does not tell of %s", id)
				}
			}
		})
	}
}
