package fake_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
	"github.com/seed-754044b3/roadworthy/fake"
)

var newYear = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func startLedger(tb fake.TB) *fake.Fake {
	tb.Helper()
	return fake.Start(tb, ledgerSpec, fake.Options[ledgerConfig]{Begin: newYear})
}

// added is a history of the ledger.
func added(ago time.Duration, amounts ...string) fake.Past {
	p := fake.Past{Stream: "sums", Ago: ago}
	for _, a := range amounts {
		p.Events = append(p.Events, journal.Event{Type: "added", Data: []byte(a)})
	}
	return p
}

func TestAServiceStartsWithWhatItWasGiven(t *testing.T) {
	for _, tenant := range []string{"", "a"} {
		f := startLedger(t)
		g := f
		if tenant != "" {
			g = f.Tenant(tenant)
		}
		of(t, f, tenant, "POST", "/add/1")
		if err := g.Given(t.Context(), added(time.Minute, "20", "300")); err != nil {
			t.Fatal(err)
		}
		if got := of(t, f, tenant, "GET", "/total"); !strings.HasPrefix(got.body, "321; 3 ") || !strings.HasSuffix(got.body, " 23:59:00") {
			t.Errorf("%q: %+v", tenant, got)
		}
		if got := of(t, f, tenant, "POST", "/add/4000"); got.body != "4321" {
			t.Errorf("%q, afterwards: %+v", tenant, got)
		}
		if len(g.Calls()) != 3 {
			t.Errorf("%q: recorded calls are not those of before and after: %+v", tenant, g.Calls())
		}
	}
}

func TestWhatIsNoHistoryOfTheServiceIsRefused(t *testing.T) {
	f := startLedger(t)
	of(t, f, "", "POST", "/add/1")
	before := f.Calls()
	for name, c := range map[string]struct {
		past fake.Past
		says string
	}{
		"an unknown type":          {fake.Past{Stream: "sums", Events: []journal.Event{{Type: "lost", Data: []byte("1")}}}, `event 1 of stream "sums": stream "sums" has no events of type "lost"`},
		"data that cannot be read": {added(0, "1", "much"), `event 2 of stream "sums": strconv.Atoi: parsing "much"`},
		"no stream":                {fake.Past{Events: added(0, "1").Events}, "empty stream name"},
		"no events":                {fake.Past{Stream: "sums"}, "give at least one"},
		"the future":               {added(-1, "1"), "ago -1ns: want 0 or more"},
		"what it does not start with": {fake.Past{Stream: "sums", Events: []journal.Event{{Type: "burnt", Data: []byte("0")}}},
			"it goes on as it was: ledger: position 2: the ledger is burnt"},
	} {
		if err := f.Given(t.Context(), c.past); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
		if got := of(t, f, "", "GET", "/total"); !strings.HasPrefix(got.body, "1; 1 0 00:00:00") {
			t.Errorf("after %s: %+v", name, got)
		}
	}
	if calls := f.Calls(); len(calls) != len(before)+6 {
		t.Errorf("%d calls are recorded, want %d", len(calls), len(before)+6)
	}
}

func TestAStateIsRestoredWithItsTime(t *testing.T) {
	f := startLedger(t)
	of(t, f, "", "POST", "/add/1")
	f.Advance(time.Hour)
	of(t, f, "", "POST", "/add/20")
	s, err := f.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f.Advance(time.Hour)
	of(t, f, "", "POST", "/add/300")
	f.FailNext(1, fake.HTTPStatus(503))
	for range 2 {
		if err := f.Restore(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if now := f.Clock().Now(); !now.Equal(newYear.Add(time.Hour)) {
			t.Errorf("the clock shows %v", now)
		}
		again, err := f.Snapshot(t.Context())
		if err != nil || !slices.EqualFunc(again.Events, s.Events, same) {
			t.Errorf("restored: %+v, %v\nwant %+v", again, err, s)
		}
		if got := of(t, f, "", "GET", "/total"); got.status != 503 && got.body != "21; 2 1 01:00:00" {
			t.Errorf("%+v", got)
		}
		of(t, f, "", "POST", "/add/4000")
	}
	if len(f.Faults()) != 1 || f.Faults()[0].Hits() != 1 {
		t.Errorf("faults do not outlive a restore: %+v", f.Faults())
	}
	if err := f.Restore(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "want a state") {
		t.Errorf("no state: %v", err)
	}
}

// same reports whether two journals agree about an event.
func same(a, b journal.Recorded) bool {
	return a.Position == b.Position && a.Stream == b.Stream && a.ID == b.ID && a.Type == b.Type && bytes.Equal(a.Data, b.Data) && a.Time.Equal(b.Time)
}

func TestAForkGoesItsOwnWay(t *testing.T) {
	f := startLedger(t)
	of(t, f, "", "POST", "/add/1")
	f.Advance(time.Hour)
	a, err := f.Fork(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if now := a.Clock().Now(); !now.Equal(newYear.Add(time.Hour)) {
		t.Errorf("the fork's clock shows %v", now)
	}
	b, err := a.Fork(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	b.Advance(time.Minute)
	for tenant, want := range map[string]string{"": "11", "a": "101", "b": "1001"} {
		if got := of(t, f, tenant, "POST", "/add/1"+strings.Repeat("0", len(want)-1)); got.body != want {
			t.Errorf("%q: %+v, want %s", tenant, got, want)
		}
	}
	if _, err := f.Fork(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), `there is a tenant "a" already`) {
		t.Errorf("a name that is taken: %v", err)
	}
	// Between two fakes, and of a service that was not there when it happened.
	s, err := b.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g := startLedger(t)
	if _, err := g.NewTenant(t.Context(), "c", s); err != nil {
		t.Fatal(err)
	}
	if got := of(t, g, "c", "GET", "/total"); got.body != "1001; 2 1 01:01:00" {
		t.Errorf("in another fake: %+v", got)
	}
}

func TestManyEventsAreStoredInTheirOrder(t *testing.T) {
	f := startLedger(t)
	var past []fake.Past
	for i := range 5 {
		p := added(time.Duration(5-i)*time.Second, slices.Repeat([]string{"1"}, 700)...)
		p.Stream = fmt.Sprint("sums", i%2)
		past = append(past, p)
	}
	if err := f.Given(t.Context(), past...); err != nil {
		t.Fatal(err)
	}
	s, err := f.Snapshot(t.Context())
	if err != nil || len(s.Events) != 3500 {
		t.Fatalf("%d events, %v", len(s.Events), err)
	}
	for i, e := range s.Events {
		if want := newYear.Add(-time.Duration(5-i/700) * time.Second); !e.Time.Equal(want) || e.Stream != fmt.Sprint("sums", i/700%2) || int(e.Position) != i+1 {
			t.Fatalf("event %d is %+v, want time %v", i, e, want)
		}
	}
	if err := f.Given(t.Context(), slices.Repeat(past[:1], 139)...); err == nil || !strings.Contains(err.Error(), "100800 events would be more than the 100000 of a state") {
		t.Errorf("too many: %v", err)
	}
	if got := of(t, f, "", "GET", "/total"); !strings.HasPrefix(got.body, "3500; ") {
		t.Errorf("afterwards: %+v", got)
	}
}

func TestStatesWaitUntilTheServiceHasNothingLeftToDo(t *testing.T) {
	f := startLedger(t)
	s, err := f.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	barrier := f.Hold(fake.On("POST /add/{n}"))
	answered := make(chan answer, 1)
	go func() {
		got, _ := askTenant(t.Context(), f, "", "POST", "/add/1")
		answered <- got
	}()
	if err := barrier.WaitHeld(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, fork := f.Fork(over, "a")
	_, snapshot := f.Snapshot(over)
	for what, err := range map[string]error{"fork": fork, "snapshot": snapshot, "restore": f.Restore(over, s), "given": f.Given(over, added(0, "1"))} {
		if err == nil || !strings.Contains(err.Error(), "not quiescent, 1 calls under way, POST /add/{n}") {
			t.Errorf("%s while a call is held: %v", what, err)
		}
	}
	barrier.Remove()
	if got := <-answered; got.body != "1" {
		t.Errorf("the call that was held: %+v", got)
	}
	if s, err := f.Snapshot(t.Context()); err != nil || len(s.Events) != 1 {
		t.Errorf("afterwards: %+v, %v", s, err)
	}
}

func TestOnlyAServiceWithOneJournalHasStatesWithEvents(t *testing.T) {
	start := func(journals int) *fake.Fake {
		return fake.Start(t, ledgerSpec, fake.Options[ledgerConfig]{Configure: func(_ *chassis.Settings, c *ledgerConfig) { c.Journals = journals }})
	}
	one, none, two := start(1), start(0), start(2)
	of(t, one, "", "POST", "/add/1")
	s, err := one.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if empty, err := none.Snapshot(t.Context()); err != nil || len(empty.Events) != 0 || none.Restore(t.Context(), empty) != nil {
		t.Errorf("without a journal: %+v, %v", empty, err)
	}
	if err := none.Given(t.Context(), added(0, "1")); err == nil || !strings.Contains(err.Error(), "it goes on as it was: the service keeps no journal") {
		t.Errorf("without a journal: %v", err)
	}
	if _, err := two.Snapshot(t.Context()); err == nil || !strings.Contains(err.Error(), "several journals") {
		t.Errorf("with two: %v", err)
	}
	if err := two.Restore(t.Context(), s); err == nil || !strings.Contains(err.Error(), "several journals") {
		t.Errorf("with two: %v", err)
	}
	if _, err := two.NewTenant(t.Context(), "a", s); err == nil || !strings.Contains(err.Error(), "several journals") {
		t.Errorf("with two: %v", err)
	}
	for _, f := range []*fake.Fake{none, two} {
		if got := of(t, f, "", "GET", "/total"); got.body != "0;" {
			t.Errorf("it goes on: %+v", got)
		}
	}
	if err := one.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := one.Snapshot(t.Context()); err == nil || !strings.Contains(err.Error(), "stopped") {
		t.Errorf("after the end: %v", err)
	}
	if err := one.Restore(t.Context(), s); err == nil || !strings.Contains(err.Error(), "stopped") {
		t.Errorf("after the end: %v", err)
	}
}

func TestAJournalThatIsKeptFromOneStartToTheNextIsAddedToAndNotTakenFrom(t *testing.T) {
	path := "file:" + filepath.Join(t.TempDir(), "sums.db")
	f := fake.Start(t, ledgerSpec, fake.Options[ledgerConfig]{Begin: newYear, Configure: func(_ *chassis.Settings, c *ledgerConfig) { c.Journal = path }})
	empty, err := f.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	of(t, f, "", "POST", "/add/1")
	early, err := f.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Given(t.Context(), added(0, "20")); err != nil {
		t.Error(err)
	}
	for what, s := range map[string]*fake.State{"nothing": empty, "less": early} {
		err := f.Restore(t.Context(), s)
		if err == nil || !strings.Contains(err.Error(), "it goes on as it was") || !strings.Contains(err.Error(), "it has 2 events of its own") {
			t.Errorf("back to %s: %v", what, err)
		}
		if got := of(t, f, "", "GET", "/total"); !strings.HasPrefix(got.body, "21; 2 ") {
			t.Errorf("after %s: %+v", what, got)
		}
	}
	late, err := f.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Restore(t.Context(), late); err != nil {
		t.Errorf("what is there: %v", err)
	}
}

// TestWhatAServiceLeavesOpenIsNotLost is about one that does not close its journal.
func TestWhatAServiceLeavesOpenIsNotLost(t *testing.T) {
	careless := chassis.Spec[ledgerConfig]{Name: "careless", Setup: func(ctx context.Context, s *chassis.Service, cfg ledgerConfig) error {
		j, err := s.OpenJournal(ctx, sqlite.Engine, journal.Request{Scheme: "mem", Clock: s.Clock(), Rand: s.Rand()})
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = j.Close() })
		return s.HTTP("http", cfg.HTTP, chassis.NewRouter())
	}}
	f, err := fake.New(t.Context(), careless, fake.Options[ledgerConfig]{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Stop()
	for range 2 {
		if err := f.Given(t.Context(), added(0, "1")); err != nil {
			t.Fatal(err)
		}
	}
	if s, err := f.Snapshot(t.Context()); err != nil || len(s.Events) != 2 {
		t.Errorf("%+v, %v; want two events", s, err)
	}
}

func TestAFakeThatDoesNotGoOnLetsGoOfWhatItHolds(t *testing.T) {
	fails := false
	f, err := fake.New(t.Context(), spec, fake.Options[config]{Configure: func(_ *chassis.Settings, c *config) {
		if fails {
			c.Break = "setup"
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := f.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	barrier := f.Inject(fake.Rule{Phase: fake.Connect, Action: fake.Hold})
	conn, err := net.Dial("tcp", f.Addr("http"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := barrier.WaitHeld(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	fails = true
	if err := f.Restore(t.Context(), s); err == nil || !strings.Contains(err.Error(), "and it does not go on") {
		t.Errorf("%v", err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection that was held is answered")
	}
	<-f.Done()
	if err := f.Stop(); err == nil || !strings.Contains(err.Error(), "the disk is upside down") {
		t.Errorf("stop: %v", err)
	}
}

func ExampleFake_Fork() {
	ctx := context.Background()
	f, err := fake.New(ctx, ledgerSpec, fake.Options[ledgerConfig]{Begin: newYear})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Stop()
	err = f.Given(ctx, fake.Past{Stream: "sums", Ago: time.Minute, Events: []journal.Event{{Type: "added", Data: []byte("41")}}})
	fmt.Println(err)
	_, err = f.Fork(ctx, "acme")
	fmt.Println(err)
	one, _ := askTenant(ctx, f, "acme", "POST", "/add/1")
	other, _ := askTenant(ctx, f, "", "POST", "/add/9")
	fmt.Println(one.body, other.body)
	// Output:
	// <nil>
	// <nil>
	// 42 50
}
