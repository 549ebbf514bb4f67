package fake_test

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"google.golang.org/grpc"
	grpccodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/grpcclient"
	"github.com/seed-754044b3/roadworthy/fake"
)

// errorID is what differs between two answers of the same failure.
var errorID = regexp.MustCompile(`"id":"[^"]+"`)

func TestAnInjectedCodeIsAnsweredExactlyAsTheServiceAnswersIt(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	conn := dial(t, f)
	for _, code := range append(codes.Codes(), failure.Chassis.Codes()...) {
		number := code.Number()
		real := call(t, "GET", f.URL("http")+"/fail/"+strconv.Itoa(number))
		f.FailNext(1, fake.Code(number))
		injected := count(t, f)
		for _, header := range []string{"X-Request-Id", "Date"} {
			real.header.Del(header)
			injected.header.Del(header)
		}
		if real.status != injected.status || errorID.ReplaceAllString(real.body, "") != errorID.ReplaceAllString(injected.body, "") {
			t.Errorf("%d: %d %s\nreally %d %s", number, injected.status, injected.body, real.status, real.body)
		}
		for name := range real.header {
			if name != "Content-Length" && real.header.Get(name) != injected.header.Get(name) {
				t.Errorf("%d: header %s: %q, really %q", number, name, injected.header.Get(name), real.header.Get(name))
			}
		}
		if real.status != code.HTTPStatus() || len(real.header) != len(injected.header) {
			t.Errorf("%d: status %d, headers %v and %v", number, real.status, real.header, injected.header)
		}
		f.FailNext(1, fake.Code(number))
		_, err := countGRPC(t, conn)
		got, ok := grpcclient.FailureOf(err)
		if !ok || got.Code != number || got.Set != code.Set() || got.Status != grpccodes.Code(code.GRPCCode()) || got.RetryAfter != code.RetryAfter() {
			t.Errorf("%d over gRPC: %+v, %v", number, got, err)
		}
	}
	if got := count(t, f); got.body != "1" {
		t.Errorf("a handler ran though its call was to fail: %+v", got)
	}
}

func TestAStatusIsAnsweredInBothProtocols(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	conn := dial(t, f)
	for status, want := range map[int]grpccodes.Code{
		400: grpccodes.InvalidArgument, 401: grpccodes.Unauthenticated, 403: grpccodes.PermissionDenied, 404: grpccodes.NotFound,
		409: grpccodes.FailedPrecondition, 418: grpccodes.InvalidArgument, 429: grpccodes.ResourceExhausted, 499: grpccodes.Canceled,
		500: grpccodes.Internal, 501: grpccodes.Unimplemented, 502: grpccodes.Unavailable, 503: grpccodes.Unavailable,
		504: grpccodes.DeadlineExceeded, 599: grpccodes.Internal,
	} {
		f.FailNext(2, fake.HTTPStatus(status))
		got := count(t, f)
		if got.status != status || !strings.Contains(got.body, `"set":"chassis","code":3`) {
			t.Errorf("%d: %+v", status, got)
		}
		if _, err := countGRPC(t, conn); statusOf(err) != want {
			t.Errorf("%d over gRPC: %v, want %v", status, err, want)
		}
	}
}

func statusOf(err error) grpccodes.Code { return status.Code(err) }

func TestAFailureMaySayWhenToTryAgain(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	conn := dial(t, f)
	for _, c := range []struct {
		with   fake.Failure
		header string
		after  time.Duration
		retry  bool
	}{
		{fake.HTTPStatus(503), "", 0, false},
		{fake.HTTPStatus(503).After(1500 * time.Millisecond), "2", 1500 * time.Millisecond, true},
		{fake.HTTPStatus(429).After(-time.Second), "", 0, true},
		{fake.Code(1002), "3", 3 * time.Second, true},
		{fake.Code(1001).After(7 * time.Second), "7", 7 * time.Second, true},
	} {
		f.FailNext(2, c.with)
		if got := count(t, f); got.header.Get("Retry-After") != c.header || strings.Contains(got.body, `"retryable":true`) != c.retry {
			t.Errorf("%v: %+v", c.with, got)
		}
		_, err := countGRPC(t, conn)
		if got, _ := grpcclient.FailureOf(err); got.RetryAfter != c.after || got.Retryable != c.retry {
			t.Errorf("%v over gRPC: %+v", c.with, got)
		}
	}
}

func TestAFaultStrikesTheCallsItSelects(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	conn := dial(t, f)
	post := func() bool { return count(t, f).status != 200 }
	get := func() bool { return call(t, "GET", f.URL("http")+"/alarm").status != 200 }
	unary := func() bool { _, err := countGRPC(t, conn); return err != nil }
	for name, c := range map[string]struct {
		on               []fake.Match
		post, get, unary bool
	}{
		"all":             {nil, true, true, true},
		"listener":        {[]fake.Match{fake.OnListener("http")}, true, true, false},
		"method":          {[]fake.Match{fake.OnMethod("POST")}, true, false, true},
		"both":            {[]fake.Match{fake.OnMethod("POST"), fake.OnListener("http")}, true, false, false},
		"the same twice":  {[]fake.Match{fake.OnMethod("GET"), fake.OnMethod("GET")}, false, true, false},
		"HTTP route":      {[]fake.Match{fake.On(routeCount)}, true, false, false},
		"gRPC route":      {[]fake.Match{fake.On(routeGRPC), fake.OnListener("grpc")}, false, false, true},
		"fields together": {[]fake.Match{{Listener: "http", Method: "GET", Route: "GET /alarm"}}, false, true, false},
	} {
		fault := f.Fail(fake.Code(1001), c.on...)
		if got := post(); got != c.post {
			t.Errorf("%s: POST struck: %v", name, got)
		}
		if got := get(); got != c.get {
			t.Errorf("%s: GET struck: %v", name, got)
		}
		if got := unary(); got != c.unary {
			t.Errorf("%s: gRPC struck: %v", name, got)
		}
		fault.Remove()
		fault.Remove()
		if post() || get() || unary() {
			t.Errorf("%s: it strikes after its removal", name)
		}
	}
}

func TestExactlyTheNextCallsFailHoweverManyComeAtOnce(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	first := f.FailNext(7, fake.Code(1001))
	second := f.FailNext(5, fake.HTTPStatus(503))
	conn := dial(t, f)
	var got [2]atomic.Int64
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			out := new(wrapperspb.Int64Value)
			switch status.Code(conn.Invoke(t.Context(), routeGRPC, wrapperspb.String("x"), out)) {
			case grpccodes.FailedPrecondition:
				got[0].Add(1)
			case grpccodes.Unavailable:
				got[1].Add(1)
			}
		})
	}
	wg.Wait()
	if got[0].Load() != 7 || got[1].Load() != 5 || first.Hits() != 7 || second.Hits() != 5 {
		t.Errorf("%d and %d calls failed, hits %d and %d; want 7 and 5", got[0].Load(), got[1].Load(), first.Hits(), second.Hits())
	}
	if len(f.Unused()) != 0 || len(f.Faults()) != 2 {
		t.Errorf("unused %v of %d", f.Unused(), len(f.Faults()))
	}
}

func TestLatencyComesBeforeTheHandler(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	f.Latency(30*time.Millisecond, fake.On(routeCount))
	f.Latency(20 * time.Millisecond)
	f.FailNext(1, fake.Code(1001), fake.OnListener("http"))
	for _, want := range []int{409, 200} {
		begin := time.Now()
		got := count(t, f)
		if took := time.Since(begin); got.status != want || took < 50*time.Millisecond {
			t.Errorf("%d after %v, want %d after 50ms", got.status, took, want)
		}
	}
	if calls := f.Calls(); len(calls) != 2 || calls[0].Latency != 50*time.Millisecond || !calls[0].Injected || calls[1].Injected {
		t.Errorf("recorded: %+v", calls)
	}
}

func TestAWaitEndsWhenNobodyWantsIt(t *testing.T) {
	// A fake of its own: its server may learn of the deadline later than the client.
	late := fake.Start(t, spec, fake.Options[config]{})
	conn := dial(t, late)
	late.Latency(time.Hour)
	// Long enough for the call to arrive, on a busy machine too.
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := conn.Invoke(ctx, routeGRPC, wrapperspb.String(""), new(wrapperspb.Int64Value)); status.Code(err) != grpccodes.DeadlineExceeded {
		t.Errorf("a call whose deadline passed: %v", err)
	}

	f := fake.Start(t, spec, fake.Options[config]{})
	f.Latency(time.Hour)
	waiting := func() chan answer {
		n := len(f.Calls())
		done := make(chan answer, 1)
		go func() {
			got, _ := try(context.Background(), "POST", f.URL("http")+"/count/x")
			done <- got
		}()
		for len(f.Calls()) == n {
			runtime.Gosched()
		}
		return done
	}
	done := waiting()
	f.Clear()
	if got := <-done; got.body != "1" {
		t.Errorf("after Clear: %+v", got)
	}
	fault := f.Latency(time.Hour)
	done = waiting()
	fault.Remove()
	if got := <-done; got.body != "2" {
		t.Errorf("after Remove: %+v", got)
	}
	f.Latency(time.Hour)
	done = waiting()
	if err := f.Reset(); err != nil {
		t.Error(err)
	}
	<-done
}

func TestRulesAreInstalledAllOrNone(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	good := fake.Rule{Count: 1, Failure: fake.Code(1001)}
	for says, bad := range map[string]fake.Rule{
		"tally: fault 2: a fault strikes 1 or more calls, or 0 for every one; got -1": {Count: -1, Failure: fake.Code(1001)},
		"tally: fault 2: a fault needs a failure, a latency or an action":             {},
	} {
		if added, err := f.Install(good, bad); err == nil || err.Error() != says || added != nil {
			t.Errorf("%v, want %s", err, says)
		}
	}
	if len(f.Faults()) != 0 {
		t.Errorf("%d were installed", len(f.Faults()))
	}
	many := make([]fake.Rule, fake.MaxFaults)
	for i := range many {
		many[i] = good
	}
	if _, err := f.Install(many...); err != nil {
		t.Error(err)
	}
	if _, err := f.Install(good); err == nil || !strings.Contains(err.Error(), "1001 faults would be more than 1000") {
		t.Errorf("one more: %v", err)
	}
	count(t, f)
	oldest := f.Faults()[0]
	added, err := f.Install(fake.Rule{Match: fake.On(routeGRPC), Latency: time.Millisecond})
	if err != nil || len(f.Faults()) != fake.MaxFaults || f.Faults()[fake.MaxFaults-1] != added[0] {
		t.Errorf("after one was used up: %v", err)
	}
	oldest.Remove()
	if len(f.Faults()) != fake.MaxFaults || oldest.Hits() != 1 {
		t.Errorf("%d faults, %d hits", len(f.Faults()), oldest.Hits())
	}
	if got := len(f.Unused()); got != fake.MaxFaults {
		t.Errorf("%d unused", got)
	}
	f.Clear()
}

func TestRulesReadAsSentences(t *testing.T) {
	for want, rule := range map[string]fake.Rule{
		"next call: fail with code 1001":                               {Count: 1, Failure: fake.Code(1001)},
		"next 3 calls of listener \"grpc\": fail with HTTP status 503": {Count: 3, Match: fake.OnListener("grpc"), Failure: fake.HTTPStatus(503)},
		"every call of method \"GET\", route \"GET /x\": wait 20ms":    {Match: fake.Match{Method: "GET", Route: "GET /x"}, Latency: 20 * time.Millisecond},
		"every call: wait 1s and fail with code 1001, retry after 2s":  {Latency: time.Second, Failure: fake.Code(1001).After(2 * time.Second)},
	} {
		if got := rule.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := (fake.Failure{}).String(); got != "nothing" {
		t.Errorf("no failure: %s", got)
	}
}

func TestTheLatestCallsAreRecorded(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	got := count(t, f)
	f.FailNext(1, fake.Code(1002))
	_, err := countGRPC(t, dial(t, f))
	call(t, "GET", f.URL("http")+"/nowhere")
	calls := f.Calls()
	if err == nil || len(calls) != 2 {
		t.Fatalf("recorded: %+v", calls)
	}
	now := f.Clock().Now()
	want := fake.Call{Seq: 1, Time: now, Listener: "http", Method: "POST", Route: routeCount, RequestID: got.header.Get("X-Request-Id"), Ran: true, Committed: true, Sent: fake.SentAnswer}
	if calls[0] != want {
		t.Errorf("%+v, want %+v", calls[0], want)
	}
	want = fake.Call{Seq: 2, Time: now, Listener: "grpc", Method: "POST", Route: routeGRPC, RequestID: calls[1].RequestID, Sent: fake.SentFailure, Fault: "next call: fail with code 1002", Injected: true, Code: 1002, Status: 503}
	if calls[1] != want || calls[1].RequestID == "" {
		t.Errorf("%+v, want %+v", calls[1], want)
	}
}

func TestTheRecordingForgetsTheOldest(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	f.Fail(fake.Code(1001))
	conn := dial(t, f)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for range fake.MaxCalls/10 + 1 {
				if err := conn.Invoke(t.Context(), routeGRPC, wrapperspb.String(""), new(wrapperspb.Int64Value)); err == nil || errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	calls := f.Calls()
	if len(calls) != fake.MaxCalls {
		t.Fatalf("%d calls are kept", len(calls))
	}
	for i, c := range calls {
		if c.Seq != uint64(i+11) {
			t.Fatalf("call %d is number %d", i, c.Seq)
		}
	}
}

// BenchmarkCall shows what the fault layer costs a call: of a service without one, of a fake without
// faults, and of one with faults that never match. The calls of each take turns in changing order, so that
// what else the machine does is the same for all, and each turn is held against the same one without a
// layer: the medians of that, in percent more, are what the layer costs.
func BenchmarkCall(b *testing.B) {
	for _, protocol := range []string{"grpc", "http"} {
		var calls []func()
		names := []string{"no-layer", "no-faults", "10-faults"}
		for _, name := range names {
			var addr func(listener string) string
			if name == "no-layer" {
				i, err := chassis.Start(b.Context(), spec, func(s *chassis.Settings, c *config) {
					s.Admin.Addr, s.AccessLog.Path = "off", "off"
					c.HTTP.Addr, c.GRPC.Addr = "127.0.0.1:0", "127.0.0.1:0"
				}, chassis.World{Log: zap.NewNop()})
				if err != nil {
					b.Fatal(err)
				}
				defer i.Stop(context.Background())
				addr = func(listener string) string { return i.Addr(listener).String() }
			} else {
				f := fake.Start(&judge{}, spec, fake.Options[config]{})
				defer f.Stop()
				for range map[string]int{"10-faults": 10}[name] {
					f.Fail(fake.Code(1001), fake.On(routeWatch))
				}
				addr = f.Addr
			}
			calls = append(calls, caller(b, protocol, addr(protocol)))
		}
		b.Run(protocol, func(b *testing.B) {
			const turn = 50
			took := make([][]float64, len(calls)) // ns a call, turn by turn
			for round := 0; b.Loop(); round++ {
				for i := range calls {
					i = (i + round) % len(calls)
					if round%2 == 1 {
						i = len(calls) - 1 - i
					}
					begin := time.Now()
					for range turn {
						calls[i]()
					}
					took[i] = append(took[i], float64(time.Since(begin).Nanoseconds())/turn)
				}
			}
			for i, name := range names {
				more := make([]float64, len(took[i]))
				for round, t := range took[i] {
					more[round] = 100 * (t/took[0][round] - 1)
				}
				b.ReportMetric(median(took[i]), "ns/"+name)
				if i > 0 {
					b.ReportMetric(median(more), "%/"+name)
				}
			}
		})
	}
}

// median is the middle of values, of which there are some.
func median(values []float64) float64 {
	values = slices.Sorted(slices.Values(values))
	return values[len(values)/2]
}

// caller makes calls on one connection.
func caller(b *testing.B, protocol, addr string) func() {
	if protocol == "grpc" {
		conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { conn.Close() })
		return func() {
			if err := invoke(b.Context(), conn); err != nil {
				b.Fatal(err)
			}
		}
	}
	transport := new(http.Transport)
	b.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	return func() {
		if _, err := fetch(b.Context(), client, "POST", "http://"+addr+"/count/x"); err != nil {
			b.Fatal(err)
		}
	}
}
