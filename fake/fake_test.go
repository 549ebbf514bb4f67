package fake_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/fake"
)

func TestTheServiceAnswersOverRealSockets(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{Configure: func(_ *chassis.Settings, c *config) { c.Start = 41 }})
	if got := count(t, f); got.status != 200 || got.body != "42" {
		t.Errorf("over HTTP: %+v", got)
	}
	if got, err := countGRPC(t, dial(t, f)); err != nil || got != 43 {
		t.Errorf("over gRPC: %d, %v", got, err)
	}
	for name, addr := range f.Listeners() {
		if host, _, err := net.SplitHostPort(addr); err != nil || host != "127.0.0.1" {
			t.Errorf("listener %s is at %s, not on loopback", name, addr)
		}
	}
	if got := f.Listeners(); len(got) != 2 || got["http"] != f.Addr("http") || f.URL("grpc") != "http://"+got["grpc"] {
		t.Errorf("listeners: %v", got)
	}
}

func TestFakesDoNotDisturbEachOther(t *testing.T) {
	for _, start := range []int{10, 20, 30} {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			f := fake.Start(t, spec, fake.Options[config]{Configure: func(_ *chassis.Settings, c *config) { c.Start = start }})
			f.FailNext(1, fake.Code(1001))
			f.Advance(time.Duration(start) * time.Hour)
			if got := count(t, f); got.status != 409 {
				t.Errorf("%+v", got)
			}
			for n := 1; n <= 5; n++ {
				if got := count(t, f); got.body != strconv.Itoa(start+n) {
					t.Errorf("%+v, want %d", got, start+n)
				}
			}
			if n := len(f.Calls()); n != 6 {
				t.Errorf("%d calls were recorded, want 6", n)
			}
		})
	}
}

func TestTimePassesOnlyWhenTheTestSaysSo(t *testing.T) {
	begin := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	f := fake.Start(t, spec, fake.Options[config]{Begin: begin})
	if got := f.Clock().Now(); !got.Equal(begin) {
		t.Errorf("the clock begins at %v", got)
	}
	call(t, "POST", f.URL("http")+"/alarm/60")
	f.Advance(59 * time.Second)
	if got := call(t, "GET", f.URL("http")+"/alarm"); got.body != "0" {
		t.Errorf("%s alarms after 59 s", got.body)
	}
	f.Advance(time.Second)
	if got := call(t, "GET", f.URL("http")+"/alarm"); got.body != "1" {
		t.Errorf("%s alarms after 60 s", got.body)
	}
	if got := call(t, "DELETE", f.URL("http")+"/alarm/1"); got.body != "true false" || f.Clock().Pending() != 0 {
		t.Errorf("a timer that is stopped twice: %s, %d wait", got.body, f.Clock().Pending())
	}
	if calls := f.Calls(); !calls[len(calls)-1].Time.Equal(begin.Add(time.Minute)) {
		t.Errorf("calls are recorded with %v", calls[len(calls)-1].Time)
	}
	now := fake.Start(t, spec, fake.Options[config]{}).Clock().Now()
	if d := time.Since(now); d < 0 || d > time.Minute {
		t.Errorf("without an instant the clock begins at %v", now)
	}
}

func TestRealTimePassesByItself(t *testing.T) {
	j := &judge{}
	f := fake.Start(j, spec, fake.Options[config]{RealTime: true})
	if f.Clock() != nil {
		t.Error("there is a virtual clock")
	}
	call(t, "POST", f.URL("http")+"/alarm/0")
	for call(t, "GET", f.URL("http")+"/alarm").body != "1" {
		runtime.Gosched()
	}
	f.Advance(time.Hour)
	if len(j.said) != 1 || !strings.Contains(j.said[0], "cannot be advanced") {
		t.Errorf("advancing it says %q", j.said)
	}
	j.end()
}

func TestResetStartsAnewAtTheSameAddresses(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	clk, addrs := f.Clock(), f.Listeners()
	conn := dial(t, f)
	stream, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, routeWatch)
	if err == nil {
		err = errors.Join(stream.SendMsg(wrapperspb.String("")), stream.CloseSend(), stream.RecvMsg(new(wrapperspb.Int64Value)))
	}
	if err != nil {
		t.Fatal(err)
	}
	hanging := make(chan error, 1)
	reached := make(chan struct{})
	go func() {
		resp, err := http.Get(f.URL("http") + "/hang")
		close(reached)
		if err == nil {
			_, err = resp.Body.Read(make([]byte, 1))
			resp.Body.Close()
		}
		hanging <- err
	}()
	<-reached
	count(t, f)
	call(t, "POST", f.URL("http")+"/alarm/5")
	f.Fail(fake.Code(1001))
	f.Advance(time.Second)
	before := clk.Now()

	if err := f.Reset(); err != nil {
		t.Fatal(err)
	}
	if err := <-hanging; err == nil {
		t.Error("a request under way was not cut")
	}
	if err := stream.RecvMsg(new(wrapperspb.Int64Value)); err == nil {
		t.Error("a stream under way was not cut")
	}
	if len(f.Calls()) != 0 || len(f.Faults()) != 0 || f.Clock() != clk || !clk.Now().Equal(before) {
		t.Errorf("after the reset: calls %v, faults %v, clock %v, want none, none, %v", f.Calls(), f.Faults(), clk.Now(), before)
	}
	if clk.Pending() != 0 {
		t.Errorf("%d timers of the former life wait", clk.Pending())
	}
	for name, addr := range addrs {
		if f.Addr(name) != addr {
			t.Errorf("%s moved from %s to %s", name, addr, f.Addr(name))
		}
	}
	if got := count(t, f); got.body != "1" {
		t.Errorf("the count goes on: %+v", got)
	}
	if got, err := countGRPC(t, conn); err != nil || got != 2 {
		t.Errorf("over the old connection's address: %d, %v", got, err)
	}
}

func TestAClientNeedNotNoticeAReset(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	conn := dial(t, f)
	for range 50 {
		for want := range int64(2) {
			if got, err := countGRPC(t, conn); err != nil || got != want+1 {
				t.Fatalf("%d, %v, want %d", got, err, want+1)
			}
		}
		if err := f.Reset(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestADialDuringAResetIsAnsweredAfterIt(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	for range 20 {
		reset := make(chan error, 1)
		go func() { reset <- f.Reset() }()
		for done := false; !done; {
			conn, err := net.Dial("tcp", f.Addr("http"))
			if err != nil {
				t.Fatalf("a dial was refused: %v", err)
			}
			conn.Close()
			select {
			case err := <-reset:
				if err != nil {
					t.Fatal(err)
				}
				done = true
			default:
			}
		}
		if got := count(t, f); got.body != "1" {
			t.Fatalf("%+v", got)
		}
	}
}

func TestMistakesEndTheTest(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(f *fake.Fake)
		says string
	}{
		"unknown listener":   {func(f *fake.Fake) { f.Addr("htpp") }, `tally: there is no listener "htpp": the service has grpc, http`},
		"listener of a URL":  {func(f *fake.Fake) { f.URL("x") }, `there is no listener "x"`},
		"undeclared code":    {func(f *fake.Fake) { f.FailNext(1, fake.Code(1003)) }, "there is no failure code 1003: declared are 1 (internal error), 1001 (the counter is full), 1002"},
		"status of success":  {func(f *fake.Fake) { f.Fail(fake.HTTPStatus(200)) }, "HTTP status 200 is no failure: want 400 to 599"},
		"no failure":         {func(f *fake.Fake) { f.Fail(fake.Failure{}) }, "a fault needs a failure, a latency or an action"},
		"no calls":           {func(f *fake.Fake) { f.FailNext(0, fake.Code(1001)) }, "FailNext fails 1 call or more; got 0"},
		"negative latency":   {func(f *fake.Fake) { f.Latency(-1) }, "latency -1ns: want 0 to 1h0m0s"},
		"endless latency":    {func(f *fake.Fake) { f.Latency(2 * time.Hour) }, "latency 2h0m0s: want 0 to 1h0m0s"},
		"unknown route":      {func(f *fake.Fake) { f.Fail(fake.Code(1001), fake.On("/count")) }, `there is no route "/count": the service has /tally.v1.Tally/Count, /tally.v1.Tally/Watch, DELETE /alarm/{seconds}, GET /alarm`},
		"route of another":   {func(f *fake.Fake) { f.Fail(fake.Code(1001), fake.On(routeGRPC), fake.OnListener("http")) }, "there is no route"},
		"match for listener": {func(f *fake.Fake) { f.Fail(fake.Code(1001), fake.OnListener("tcp")) }, `there is no listener "tcp": the service has grpc, http`},
		"two routes":         {func(f *fake.Fake) { f.Fail(fake.Code(1001), fake.On(routeGRPC), fake.On(routeWatch)) }, `no call has two routes, "/tally.v1.Tally/Count" and "/tally.v1.Tally/Watch"`},
		"method in small":    {func(f *fake.Fake) { f.Fail(fake.Code(1001), fake.OnMethod("get")) }, `methods are written in capitals, got "get"`},
		"method of another":  {func(f *fake.Fake) { f.Fail(fake.Code(1001), fake.On(routeCount), fake.OnMethod("GET")) }, `route "POST /count/{name}" has no calls with method GET`},
	} {
		t.Run(name, func(t *testing.T) {
			j := &judge{}
			f := fake.Start(j, spec, fake.Options[config]{})
			c.do(f)
			if len(j.said) == 0 || !strings.Contains(j.said[0], c.says) {
				t.Errorf("the test is told %q, want %q", j.said, c.says)
			}
			if len(f.Faults()) != 0 {
				t.Errorf("a fault was installed: %v", f.Faults()[0].Rule())
			}
			j.end()

			f, err := fake.New(t.Context(), spec, fake.Options[config]{})
			if err != nil {
				t.Fatal(err)
			}
			defer f.Stop()
			defer func() {
				if got, _ := recover().(string); !strings.Contains(got, c.says) {
					t.Errorf("without a test it panics with %q, want %q", got, c.says)
				}
			}()
			c.do(f)
		})
	}
}

func TestAFaultThatNeverStruckFailsTheTest(t *testing.T) {
	j := &judge{}
	f := fake.Start(j, spec, fake.Options[config]{})
	f.FailNext(1, fake.Code(1001))
	count(t, f)
	f.FailNext(2, fake.HTTPStatus(503).After(time.Second), fake.On(routeCount))
	j.end()
	want := `fake: tally: this fault never struck: next 2 calls of route "POST /count/{name}": fail with HTTP status 503, retry after 1s`
	if len(j.said) != 1 || j.said[0] != want {
		t.Errorf("the test is told\n%q, want\n%q", j.said, want)
	}
	j = &judge{}
	f = fake.Start(j, spec, fake.Options[config]{})
	f.FailNext(1, fake.Code(1001))
	f.Clear()
	j.end()
	if j.failed {
		t.Errorf("a fault that was cleared counts as unused: %q", j.said)
	}
}

func TestAFailingTestShowsTheServicesLog(t *testing.T) {
	j := &judge{}
	f := fake.Start(j, spec, fake.Options[config]{})
	f.FailNext(300, fake.Code(1001))
	for range 300 {
		count(t, f)
	}
	j.Errorf("wrong")
	j.end()
	if len(j.logged) != 1 {
		t.Fatalf("%d logs", len(j.logged))
	}
	lines := strings.Split(j.logged[0], "\n")
	if lines[0] != "the log of tally:" || len(lines) != 201 || !strings.Contains(lines[1], "request failed") || !strings.HasSuffix(lines[200], "closed") {
		t.Errorf("%d lines, from %q to %q", len(lines), lines[1], lines[len(lines)-1])
	}

	core, observed := observer.New(zapcore.InfoLevel)
	j = &judge{}
	fake.Start(j, spec, fake.Options[config]{Log: zap.New(core)})
	j.Errorf("wrong")
	j.end()
	if len(j.logged) != 0 || observed.FilterMessage("ready").Len() != 1 {
		t.Errorf("with a log of one's own: %q, %d lines", j.logged, observed.Len())
	}
}

func TestAServiceThatDoesNotStartEndsTheTest(t *testing.T) {
	j := &judge{}
	broken := fake.Options[config]{Configure: func(_ *chassis.Settings, c *config) { c.Break = "setup" }}
	if f := fake.Start(j, spec, broken); f != nil || len(j.said) != 1 || j.said[0] != "fake: tally: the disk is upside down" {
		t.Errorf("the test is told %q", j.said)
	}
	j.end()

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for says, ports := range map[string]map[string]int{
		"cannot listen on " + taken.Addr().String() + ": address already in use (another process listens there": {"http": taken.Addr().(*net.TCPAddr).Port},
		`port 70000 for listener "http": want 0 (any free one) to 65535`:                                        {"http": 70000},
		`tally: a port is given for listener "web": the service has grpc, http`:                                 {"web": 0},
	} {
		f, err := fake.New(t.Context(), spec, fake.Options[config]{Ports: ports})
		if f != nil || err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v, want %q", ports, err, says)
		}
	}
	silent := spec
	silent.Setup = func(context.Context, *chassis.Service, config) error { return nil }
	if _, err := fake.New(t.Context(), silent, fake.Options[config]{Ports: map[string]int{"http": 0}}); err == nil || !strings.Contains(err.Error(), "the service has none") {
		t.Errorf("a port for a service without listeners: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := fake.New(ended, spec, fake.Options[config]{}); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
}

func TestAServiceThatDoesNotStopCleanlyFailsTheTest(t *testing.T) {
	j := &judge{}
	f := fake.Start(j, spec, fake.Options[config]{Configure: func(_ *chassis.Settings, c *config) { c.Break = "close" }})
	if f.Err() != nil {
		t.Errorf("while it runs: %v", f.Err())
	}
	j.end()
	if len(j.said) != 1 || !strings.Contains(j.said[0], "the drawer is stuck") || f.Err() == nil {
		t.Errorf("the test is told %q", j.said)
	}
	if err := f.Stop(); err == nil || err.Error() != f.Err().Error() {
		t.Errorf("stopping again: %v", err)
	}
}

func TestAResetThatFailsFailsTheTest(t *testing.T) {
	j := &judge{}
	what := ""
	f := fake.Start(j, spec, fake.Options[config]{Configure: func(_ *chassis.Settings, c *config) { c.Break = what }})
	what = "setup"
	addr := f.Addr("http")
	if err := f.Reset(); err == nil || len(j.said) != 1 || !strings.Contains(j.said[0], "upside down") {
		t.Errorf("%v; the test is told %q", err, j.said)
	}
	<-f.Done()
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("its address still answers")
	}
	if err := f.Reset(); err == nil || err.Error() != "the fake is stopped" {
		t.Errorf("resetting it again: %v", err)
	}
	if _, err := f.Install(fake.Rule{Latency: 1}); err == nil || err.Error() != "the fake is stopped" {
		t.Errorf("a fault in it: %v", err)
	}
	j.end()
}

func TestAServiceThatFailsByItselfStopsTheFake(t *testing.T) {
	j := &judge{}
	f := fake.Start(j, spec, fake.Options[config]{})
	call(t, "POST", f.URL("http")+"/break")
	<-f.Done()
	if err := f.Err(); err == nil || !strings.Contains(err.Error(), "the worker fell over") {
		t.Errorf("it ended with %v", err)
	}
	if _, err := try(t.Context(), "GET", "http://"+f.Addr("http")); err == nil {
		t.Error("it still answers")
	}
	j.end()
	if len(j.said) != 1 || !strings.Contains(j.said[0], "the worker fell over") {
		t.Errorf("the test is told %q", j.said)
	}
}

func TestFixedPortsAreUsedAndFreed(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	for range 3 {
		f, err := fake.New(t.Context(), spec, fake.Options[config]{Ports: map[string]int{"http": port}})
		if err != nil {
			t.Fatal(err)
		}
		if f.Addr("http") != addr || count(t, f).status != 200 {
			t.Errorf("it is at %s, want %s", f.Addr("http"), addr)
		}
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
	}
}

func TestHealthIsServedAndNotFaulted(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	fault := f.Fail(fake.Code(1001))
	client := healthpb.NewHealthClient(dial(t, f))
	if got, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil || got.Status != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("%v, %v", got, err)
	}
	fault.Remove()
	f.FailNext(1, fake.HTTPStatus(503), fake.On("/grpc.health.v1.Health/Check"))
	if _, err := client.Check(t.Context(), &healthpb.HealthCheckRequest{}); err == nil {
		t.Error("its own route does not select it")
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	cycle := func() {
		f, err := fake.New(t.Context(), spec, fake.Options[config]{})
		if err != nil {
			t.Fatal(err)
		}
		f.Inject(fake.Rule{Count: 1, Phase: fake.AfterCommit, Action: fake.RST})
		_, _ = try(t.Context(), "POST", f.URL("http")+"/count/x") // is reset
		count(t, f)
		held := f.Inject(fake.Rule{Phase: fake.Connect, Action: fake.Hold}, fake.OnListener("grpc"))
		conn, err := net.Dial("tcp", f.Addr("grpc"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := held.WaitHeld(t.Context(), 1); err != nil {
			t.Error(err)
		}
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
		for _, addr := range f.Listeners() {
			if conn, err := net.Dial("tcp", addr); err == nil {
				conn.Close()
				t.Errorf("%s still answers", addr)
			}
		}
	}
	cycle()
	before := settle(runtime.NumGoroutine())
	files := descriptors(t)
	for range leakCycles {
		cycle()
	}
	now := descriptors(t)
	for deadline := time.Now().Add(10 * time.Second); now > files && time.Now().Before(deadline); runtime.Gosched() {
		now = descriptors(t) // the test's own clients close what they had in the background
	}
	if now > files {
		t.Errorf("%d descriptors, %d before", now, files)
	}
	if after := settle(before); after > before {
		stacks := make([]byte, 64<<10)
		t.Errorf("%d goroutines, %d before:\n%s", after, before, stacks[:runtime.Stack(stacks, true)])
	}
}

// descriptors is how many this process has open, where the system tells.
func descriptors(t *testing.T) int {
	t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// settle waits until at most want goroutines run, and gives up after a while: those that end
// need a moment for it.
func settle(want int) int {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		if n := runtime.NumGoroutine(); n <= want {
			return n
		}
	}
	return runtime.NumGoroutine()
}

func BenchmarkStart(b *testing.B) {
	times := make([]time.Duration, 0, 1024)
	for b.Loop() {
		begin := time.Now()
		f, err := fake.New(b.Context(), spec, fake.Options[config]{})
		times = append(times, time.Since(begin))
		if err != nil {
			b.Fatal(err)
		}
		if err := f.Stop(); err != nil {
			b.Fatal(err)
		}
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds()), "µs/ready")
}

func BenchmarkReset(b *testing.B) {
	f := fake.Start(b, spec, fake.Options[config]{})
	for b.Loop() {
		if err := f.Reset(); err != nil {
			b.Fatal(err)
		}
	}
}
