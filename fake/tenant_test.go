package fake_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/grpc"
	grpccodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/grpcclient"
	"github.com/seed-754044b3/roadworthy/fake"
)

// as is a context of calls over gRPC of a tenant.
func as(ctx context.Context, tenant string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, fake.TenantHeader, tenant)
}

// countAs counts over gRPC for a tenant.
func countAs(ctx context.Context, conn *grpc.ClientConn, tenant string) (int64, error) {
	out := new(wrapperspb.Int64Value)
	err := conn.Invoke(as(ctx, tenant), routeGRPC, wrapperspb.String("x"), out)
	return out.Value, err
}

func TestTenantsKeepTheirOwnStateOverOneConnection(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	a, b := f.Tenant("a"), f.Tenant("b")
	if f.Tenant("a") != a || a.Addr("http") != f.Addr("http") {
		t.Error("a tenant is another one the second time, or has other addresses")
	}
	conn := dial(t, f)
	for i, tenant := range []string{"a", "a", "", "b", "a"} {
		want := []string{"1", "2", "1", "1", "3"}[i]
		if got := of(t, f, tenant, "POST", "/count/x"); got.body != want {
			t.Errorf("call %d, of %q, over HTTP: %+v, want %s", i, tenant, got, want)
		}
	}
	for i, tenant := range []string{"a", "b", "b"} {
		want := []int64{4, 2, 3}[i]
		if got, err := countAs(t.Context(), conn, tenant); got != want || err != nil {
			t.Errorf("call %d, of %q, over gRPC: %d, %v, want %d", i, tenant, got, err, want)
		}
	}
	if got, err := countGRPC(t, conn); got != 2 || err != nil {
		t.Errorf("without a tenant: %d, %v", got, err)
	}
	if len(a.Calls()) != 4 || len(b.Calls()) != 3 || len(f.Calls()) != 2 {
		t.Errorf("recorded: %d, %d and %d calls, want 4, 3 and 2", len(a.Calls()), len(b.Calls()), len(f.Calls()))
	}
	if names := f.Tenants(); !slices.Equal(names, []string{"a", "b"}) {
		t.Errorf("tenants: %v", names)
	}
}

func TestFaultsAreOfOneTenant(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	a := f.Tenant("a")
	f.Tenant("b")
	conn := dial(t, f)
	a.FailNext(1, fake.Code(1001), fake.On(routeCount))
	a.FailNext(1, fake.Code(1002), fake.On(routeGRPC))
	a.Inject(fake.Rule{Phase: fake.AfterCommit, Action: fake.RST, Count: 1}, fake.On(routeVisit))
	for _, tenant := range []string{"", "b"} {
		if got := of(t, f, tenant, "POST", "/count/x"); got.status != 200 {
			t.Errorf("%q: %+v", tenant, got)
		}
		if _, err := countAs(t.Context(), conn, tenant); err != nil && tenant != "" {
			t.Errorf("%q: %v", tenant, err)
		}
	}
	if got := of(t, f, "a", "POST", "/count/x"); got.status != 409 {
		t.Errorf("%+v", got)
	}
	if _, err := countAs(t.Context(), conn, "a"); !isCode(err, 1002) {
		t.Errorf("%v", err)
	}
	if got, err := askTenant(t.Context(), f, "a", "GET", "/visit"); err != nil || got.status != 200 {
		// net/http sends a GET again whose connection was reset.
		t.Errorf("%+v, %v", got, err)
	}
	if again := a.Duplicates(); len(again) != 1 {
		t.Errorf("duplicates: %+v", again)
	}
	if _, err := a.Install(fake.Rule{Phase: fake.Connect, Action: fake.RST}); err == nil || !strings.Contains(err.Error(), "connections are not of one tenant") {
		t.Errorf("a fault of a tenant's connections: %v", err)
	}
}

func isCode(err error, code int) bool {
	f, _ := grpcclient.FailureOf(err)
	return f.Code == code
}

func TestTimeIsOfOneTenant(t *testing.T) {
	begin := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	f := fake.Start(t, spec, fake.Options[config]{Begin: begin})
	a := f.Tenant("a")
	of(t, f, "a", "POST", "/alarm/30")
	of(t, f, "", "POST", "/alarm/30")
	a.Advance(time.Minute)
	if own, other := of(t, f, "a", "GET", "/alarm").body, of(t, f, "", "GET", "/alarm").body; own != "1" || other != "0" {
		t.Errorf("alarms: %s in the tenant, %s beside it", own, other)
	}
	if now := f.Clock().Now(); !now.Equal(begin) || !a.Clock().Now().Equal(begin.Add(time.Minute)) {
		t.Errorf("clocks: %v and %v", now, a.Clock().Now())
	}
	f.Advance(time.Hour)
	if b := f.Tenant("b"); !b.Clock().Now().Equal(begin.Add(time.Hour)) {
		t.Errorf("the clock of a new tenant: %v", b.Clock().Now())
	}
	real := fake.Start(t, spec, fake.Options[config]{RealTime: true})
	if real.Tenant("a").Clock() != nil {
		t.Error("a tenant of a fake with real time has a virtual clock")
	}
}

func TestACallOfATenantThatIsNotThereIsRefused(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	conn := dial(t, f)
	check := func(name string) {
		t.Helper()
		got := of(t, f, name, "POST", "/count/x")
		if got.status != 400 || !strings.Contains(got.body, `"code":400`) || !strings.Contains(got.body, "there is no tenant") {
			t.Errorf("over HTTP: %+v", got)
		}
		if _, err := countAs(t.Context(), conn, name); status.Code(err) != grpccodes.InvalidArgument || !strings.Contains(err.Error(), "there is no tenant") {
			t.Errorf("over gRPC: %v", err)
		}
		stream, err := conn.NewStream(as(t.Context(), name), &grpc.StreamDesc{ServerStreams: true}, routeWatch)
		if err == nil {
			err = stream.RecvMsg(new(wrapperspb.Int64Value))
		}
		if status.Code(err) != grpccodes.InvalidArgument {
			t.Errorf("a stream: %v", err)
		}
	}
	check("nobody")
	a := f.Tenant("a")
	of(t, f, "a", "POST", "/count/x")
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	check("a")
	if len(f.Tenants()) != 0 || len(f.Calls()) != 0 {
		t.Errorf("left: tenants %v, calls %+v", f.Tenants(), f.Calls())
	}
	if got := of(t, f, "", "POST", "/count/x"); got.body != "1" {
		t.Errorf("beside it: %+v", got)
	}
	if f.Tenant("a") == a {
		t.Error("a tenant that was removed is back")
	}
	if got := of(t, f, "a", "POST", "/count/x"); got.body != "1" {
		t.Errorf("made anew: %+v", got)
	}
}

func TestTenantsAreNamedAndBounded(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	for _, name := range []string{"", "-a", "a b", "a/b", "ä", strings.Repeat("a", 101)} {
		if _, err := f.NewTenant(t.Context(), name, nil); err == nil || !strings.Contains(err.Error(), "want 1 to 100 letters") {
			t.Errorf("%q: %v", name, err)
		}
	}
	a, err := f.NewTenant(t.Context(), "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.NewTenant(t.Context(), "a", nil)
	if exists, ok := errors.AsType[*fake.TenantExistsError](err); !ok || exists.Tenant != "a" || !strings.Contains(err.Error(), `there is a tenant "a" already`) {
		t.Errorf("the same again: %v", err)
	}
	if _, err := a.NewTenant(t.Context(), "b", nil); err == nil || !strings.Contains(err.Error(), "no tenants of its own") {
		t.Errorf("a tenant's tenant: %v", err)
	}
	if err := f.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.NewTenant(t.Context(), "b", nil); err == nil || !strings.Contains(err.Error(), "the fake is stopped") {
		t.Errorf("after the end: %v", err)
	}
	if err := a.Err(); err != nil {
		t.Errorf("the tenant ended with %v", err)
	}
	select {
	case <-a.Done():
	default:
		t.Error("the tenant outlives its fake")
	}
	j := &judge{}
	g := fake.Start(j, spec, fake.Options[config]{})
	g.Tenant("no good")
	j.end()
	if !j.failed || !strings.Contains(strings.Join(j.said, ""), "want 1 to 100 letters") {
		t.Errorf("a test with a wrong name is told %q", j.said)
	}
}

func TestManyAtOnceGetOneTenantOfAName(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	var wg sync.WaitGroup
	got := make([]*fake.Fake, 8)
	for i := range got {
		wg.Go(func() {
			got[i] = f.Tenant("a")
			of(t, f, "a", "POST", "/count/x")
		})
	}
	wg.Wait()
	if len(slices.Compact(got)) != 1 || len(got[0].Calls()) != 8 {
		t.Errorf("%d tenants, %d calls", len(slices.Compact(got)), len(got[0].Calls()))
	}
}

func TestAResetOfATenantLeavesOthersAndConnectionsAlone(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	a, conn := f.Tenant("a"), dial(t, f)
	beside, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, routeWatch)
	if err != nil {
		t.Fatal(err)
	}
	if err := beside.RecvMsg(new(wrapperspb.Int64Value)); err != nil {
		t.Fatal(err)
	}
	own, err := conn.NewStream(as(t.Context(), "a"), &grpc.StreamDesc{ServerStreams: true}, routeWatch)
	if err != nil {
		t.Fatal(err)
	}
	if err := own.RecvMsg(new(wrapperspb.Int64Value)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		of(t, f, "a", "POST", "/count/x")
		of(t, f, "", "POST", "/count/x")
	}
	a.Fail(fake.Code(1001))
	if err := a.Reset(); err != nil {
		t.Fatal(err)
	}
	if err := own.RecvMsg(new(wrapperspb.Int64Value)); status.Code(err) != grpccodes.Unavailable {
		t.Errorf("the tenant's stream: %v", err)
	}
	if got := of(t, f, "a", "POST", "/count/x"); got.body != "1" {
		t.Errorf("the tenant: %+v", got)
	}
	if got := of(t, f, "", "POST", "/count/x"); got.body != "3" {
		t.Errorf("beside it: %+v", got)
	}
	if len(a.Faults()) != 0 || len(a.Calls()) != 1 {
		t.Errorf("the tenant has %d faults and %d calls", len(a.Faults()), len(a.Calls()))
	}
	// The stream beside it goes on: it ends only with the reset of the fake itself.
	ended := make(chan error, 1)
	go func() { ended <- beside.RecvMsg(new(wrapperspb.Int64Value)) }()
	select {
	case err := <-ended:
		t.Errorf("the stream beside it has ended: %v", err)
	default:
	}
	if err := f.Reset(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("the stream of the fake itself outlives its reset")
	}
	if got := of(t, f, "a", "POST", "/count/x"); got.body != "2" {
		t.Errorf("the tenant after the reset of the fake itself: %+v", got)
	}
}

func TestACallIsCutWhenItsTenantIsRemoved(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	a := f.Tenant("a")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", f.URL("http")+"/hang", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(fake.TenantHeader, "a")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Stop(); err != nil {
		t.Errorf("the tenant: %v", err)
	}
	if _, err := readAll(resp); err == nil {
		t.Error("an answer that was cut off looks whole")
	}
}

func TestAFaultOfATenantThatNeverStruckFailsTheTest(t *testing.T) {
	for name, end := range map[string]func(*fake.Fake){"removed": func(t *fake.Fake) { _ = t.Stop() }, "left": func(*fake.Fake) {}} {
		j := &judge{}
		f := fake.Start(j, spec, fake.Options[config]{})
		a := f.Tenant("a")
		a.FailNext(1, fake.Code(1001))
		end(a)
		j.end()
		if len(j.said) != 1 || !strings.Contains(j.said[0], `tenant "a": this fault never struck: next call: fail with code 1001`) {
			t.Errorf("%s: %q", name, j.said)
		}
	}
}

func TestTheSeedIsToldWhenChanceHadASayInATenant(t *testing.T) {
	j := &judge{}
	f := fake.Start(j, spec, fake.Options[config]{Seed: 7})
	f.Tenant("a").Inject(fake.Rule{Probability: 0.5, Failure: fake.Code(1001)})
	j.Errorf("something else")
	j.end()
	if said := strings.Join(j.logged, "\n"); !strings.Contains(said, "seed 7") || !strings.Contains(said, "with probability 0.5") {
		t.Errorf("logged: %q", said)
	}
}

func TestCoverageIsThatOfAllTenants(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	a, b := f.Tenant("a"), f.Tenant("b")
	of(t, f, "a", "POST", "/count/x")
	of(t, f, "b", "GET", "/fail/1002")
	if err := b.Stop(); err != nil {
		t.Fatal(err)
	}
	c := f.Coverage()
	if !slices.Equal(c.Methods, []string{"GET /fail/{code}", routeCount}) || !slices.Contains(c.Codes, 1002) {
		t.Errorf("of all: %+v", c)
	}
	if own := a.Coverage(); !slices.Equal(own.Methods, []string{routeCount}) || slices.Contains(own.Codes, 1002) {
		t.Errorf("of one: %+v", own)
	}
}

func TestATenantThatDoesNotStartIsNoTenant(t *testing.T) {
	what := ""
	f := fake.Start(t, spec, fake.Options[config]{Configure: func(_ *chassis.Settings, c *config) { c.Break = what }})
	what = "setup"
	if _, err := f.NewTenant(t.Context(), "a", nil); err == nil || !strings.Contains(err.Error(), `tenant "a": tally: the disk is upside down`) {
		t.Errorf("%v", err)
	}
	if len(f.Tenants()) != 0 {
		t.Errorf("tenants: %v", f.Tenants())
	}
	what = ""
	if got := of(t, f, "", "POST", "/count/x"); got.body != "1" {
		t.Errorf("beside it: %+v", got)
	}
	f.Tenant("a")
	if got := of(t, f, "a", "POST", "/break"); got.status != 200 {
		t.Errorf("%+v", got)
	}
	// The service of the tenant fails by itself, and with it the tenant; nothing else does.
	for got := of(t, f, "a", "POST", "/count/x"); got.status != 400; got = of(t, f, "a", "POST", "/count/x") {
		if t.Context().Err() != nil {
			t.Fatal("the tenant goes on")
		}
	}
	if got := of(t, f, "", "POST", "/count/x"); got.body != "2" {
		t.Errorf("beside it: %+v", got)
	}
}

// gate has the nth configuration of a service wait.
type gate struct {
	nth     int64
	n       atomic.Int64
	reached chan struct{}
	open    chan struct{}
}

func newGate(nth int64) *gate {
	return &gate{nth: nth, reached: make(chan struct{}), open: make(chan struct{})}
}

// pass reports whether it was the nth.
func (g *gate) pass() bool {
	if g.n.Add(1) != g.nth {
		return false
	}
	close(g.reached)
	<-g.open
	return true
}

func TestWhoeverFindsATenantThatDoesNotStartGetsAnotherOne(t *testing.T) {
	g := newGate(2)
	f := fake.Start(t, spec, fake.Options[config]{Configure: func(_ *chassis.Settings, c *config) {
		if g.pass() {
			c.Break = "setup"
		}
	}})
	failed := make(chan error, 1)
	go func() {
		_, err := f.NewTenant(t.Context(), "a", nil)
		failed <- err
	}()
	<-g.reached
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.NewTenant(over, "a", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("whoever does not wait for it: %v", err)
	}
	found := make(chan *fake.Fake, 1)
	go func() { found <- f.Tenant("a") }()
	for range 1000 {
		runtime.Gosched() // it finds the first one, if the machine lets it
	}
	close(g.open)
	if err := <-failed; err == nil || !strings.Contains(err.Error(), "the disk is upside down") {
		t.Errorf("the first: %v", err)
	}
	a := <-found
	if got := of(t, f, "a", "POST", "/count/x"); got.body != "1" || len(a.Calls()) != 1 {
		t.Errorf("the second: %+v, recorded %+v", got, a.Calls())
	}
}

func TestACallThatWaitsForItsTenantEndsWithItsConnection(t *testing.T) {
	core, logs := observer.New(zapcore.WarnLevel)
	g := newGate(3)
	f := fake.Start(t, spec, fake.Options[config]{Log: zap.New(core), Configure: func(*chassis.Settings, *config) { g.pass() }})
	a := f.Tenant("a")
	reset, called := make(chan error, 1), make(chan error, 1)
	go func() { reset <- a.Reset() }()
	<-g.reached
	go func() {
		_, err := askTenant(t.Context(), f, "a", "POST", "/count/x")
		called <- err
	}()
	for stacks := ""; !strings.Contains(stacks, "fake.(*Fake).answering"); {
		var all strings.Builder
		if err := pprof.Lookup("goroutine").WriteTo(&all, 1); err != nil {
			t.Fatal(err)
		}
		stacks = all.String()
	}
	if err := f.Reset(); err != nil {
		t.Error(err)
	}
	if err := <-called; err == nil {
		t.Error("the call was answered")
	}
	if cut := logs.FilterMessage("requests were cut off").All(); len(cut) != 0 {
		t.Errorf("the fake has waited for it: %+v", cut)
	}
	close(g.open)
	if err := <-reset; err != nil {
		t.Error(err)
	}
	if got := of(t, f, "a", "POST", "/count/x"); got.body != "1" {
		t.Errorf("afterwards: %+v", got)
	}
}

func ExampleFake_Tenant() {
	f, err := fake.New(context.Background(), spec, fake.Options[config]{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Stop()
	acme := f.Tenant("acme")
	acme.FailNext(1, fake.Code(1002))
	for _, tenant := range []string{"acme", "", "acme"} {
		got, err := askTenant(context.Background(), f, tenant, "POST", "/count/x")
		fmt.Println(got.status, err)
	}
	fmt.Println(len(acme.Calls()), len(f.Calls()))
	// Output:
	// 503 <nil>
	// 200 <nil>
	// 200 <nil>
	// 2 1
}
