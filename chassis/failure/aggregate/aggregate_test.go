package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/failure/aggregate"
)

var (
	codes     = failure.NewSet("shop")
	errFull   = codes.Caller(1001, "basket is full")
	errStore  = codes.Dependency(1002, "the store does not answer", failure.Runbook("https://example.com/store"))
	errBroken = codes.Service(1003, "the till is broken")
	errSlow   = codes.Service(1004, "the till is slow", failure.GRPCCode(failure.GRPCDeadlineExceeded))
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// kept is a Sink that keeps what it is told.
type kept struct {
	mu      sync.Mutex
	reports []aggregate.Report
	fail    error
	panics  bool
	hold    chan struct{} // Take waits for it; nil does not
}

func (k *kept) Take(_ context.Context, r aggregate.Report) error {
	if k.hold != nil {
		<-k.hold
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reports = append(k.reports, r)
	if k.panics {
		panic("no more room")
	}
	return k.fail
}

func (k *kept) taken() []aggregate.Report {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]aggregate.Report(nil), k.reports...)
}

func (k *kept) count() (n uint64) {
	for _, r := range k.taken() {
		n += r.Count
	}
	return n
}

// add has a fail at c's time.
func add(a *aggregate.Aggregator, c clock.Clock, err *failure.Error, id string) {
	a.Add(aggregate.Occurrence{
		Error: err, ID: id, Time: c.Now(), RequestID: "r-" + id, Listener: "http", Protocol: "http", Method: "POST",
		Route: "POST /baskets/{id}", User: "ada", TraceID: [16]byte{0xab},
	})
}

func broken() *failure.Error { return errBroken.With("till", failure.Safe(3)).With("pin", 1234) }

func TestAReportTellsOfALineOfCodeAndOfNothingPrivate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := aggregate.New(aggregate.Config{Service: "shop", Version: "v1.2.3", Revision: "abc", Host: "web1", Generation: 7})
		sink := &kept{}
		a.ReportTo("kept", sink)
		add(a, clock.Real(), broken().Wrap(&fs.PathError{Op: "open", Path: "/secret", Err: errors.New("password=1")}), "ID1")
		synctest.Wait()
		reports := sink.taken()
		if len(reports) != 1 {
			t.Fatalf("%d reports", len(reports))
		}
		r := reports[0]
		if len(r.ID) != 32 || strings.Trim(r.ID, "0123456789abcdef") != "" {
			t.Errorf("report id %q", r.ID)
		}
		if !strings.HasPrefix(r.Group, "shop 1003 aggregate_test.broken chassis/failure/aggregate/aggregate_test.go:") || r.Group != "shop 1003 "+r.Place {
			t.Errorf("group %q, place %q", r.Group, r.Place)
		}
		if r.Count != 1 || r.Total != 1 || r.Service != "shop" || r.Version != "v1.2.3" || r.Revision != "abc" || r.Host != "web1" || r.Generation != 7 || r.Code.Number != 1003 {
			t.Errorf("report %+v", r)
		}
		s := r.Sample
		if s.Message != "the till is broken (till=3): *fs.PathError" {
			t.Errorf("message %q", s.Message)
		}
		if fmt.Sprint(s.Args) != "[{till 3} {pin [redacted]}]" {
			t.Errorf("args %v", s.Args)
		}
		if len(s.Stack) < 2 || !strings.HasSuffix(s.Stack[0].Function, "aggregate_test.broken") || s.Panic {
			t.Errorf("stack %v", s.Stack)
		}
		if s.User == "" || s.User == "ada" || s.TraceID != "ab000000000000000000000000000000" || s.Status != 500 || s.RequestID != "r-ID1" || s.Route != "POST /baskets/{id}" {
			t.Errorf("sample %+v", s)
		}
		if text := fmt.Sprintf("%+v", r); strings.Contains(text, "secret") || strings.Contains(text, "password") || strings.Contains(text, "1234") {
			t.Errorf("something private is in %s", text)
		}
	})
}

func TestOneUserHasOneHashOfOneSalt(t *testing.T) {
	user := func(salt string) string {
		a := aggregate.New(aggregate.Config{Salt: []byte(salt)})
		add(a, clock.Real(), broken(), "X")
		return a.Groups()[0].Sample.User
	}
	one, again, other := user("a"), user("a"), user("b")
	if one != again || one == other {
		t.Errorf("%s, %s, %s", one, again, other)
	}
}

func TestTwentyThousandFailuresInASecondAreCountedToTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := aggregate.New(aggregate.Config{})
		sink := &kept{}
		a.ReportTo("kept", sink)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for i := range 2500 {
					add(a, clock.Real(), broken(), fmt.Sprint(i))
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		if n := len(sink.taken()); n != 10 {
			t.Errorf("%d reports at once, want 10", n)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		reports := sink.taken()
		if last := reports[len(reports)-1]; len(reports) != 11 || sink.count() != 20_000 || last.Count != 19_990 || last.Total != 20_000 {
			t.Errorf("%d reports of %d failures, the last of %d", len(reports), sink.count(), last.Count)
		}
		seen := map[string]bool{}
		for _, r := range reports {
			if seen[r.ID] {
				t.Errorf("report id %s twice", r.ID)
			}
			seen[r.ID] = true
		}
	})
}

func TestAGroupThatGoesOnFailingHasOneReportAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := aggregate.New(aggregate.Config{})
		sink := &kept{}
		a.ReportTo("kept", sink)
		for range 600 {
			add(a, clock.Real(), broken(), "X")
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if n := len(sink.taken()); n < 18 || n > 20 {
			t.Errorf("%d reports in ten minutes, want 10 at once and one a minute", n)
		}
		time.Sleep(2 * time.Minute)
		before := len(sink.taken())
		for range 3 {
			add(a, clock.Real(), broken(), "Y")
		}
		synctest.Wait()
		if n := len(sink.taken()) - before; n != 3 {
			t.Errorf("%d reports at once after a quiet minute, want 3", n)
		}
		if sink.count() != 603 {
			t.Errorf("reports tell of %d failures, want 603", sink.count())
		}
	})
}

func TestAllGroupsTogetherMakeFiftyReportsInASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := aggregate.New(aggregate.Config{})
		sink := &kept{}
		a.ReportTo("kept", sink)
		for i := range 120 {
			a.Add(aggregate.Occurrence{Error: failure.Overloaded.New(), ID: "X", Time: time.Now(), Protocol: "grpc", Route: fmt.Sprint("/shop/", i)})
			synctest.Wait()
		}
		if n := len(sink.taken()); n != 50 {
			t.Errorf("%d reports in the first second, want 50", n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := len(sink.taken()); n != 100 {
			t.Errorf("%d reports after two seconds, want 100", n)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if n := len(sink.taken()); n != 120 || sink.count() != 120 {
			t.Errorf("%d reports of %d failures after three seconds, want 120", n, sink.count())
		}
	})
}

func TestASlowSinkIsToldEverythingAndHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := aggregate.New(aggregate.Config{})
		sink := &kept{hold: make(chan struct{})}
		a.ReportTo("kept", sink)
		for i := range 300 {
			a.Add(aggregate.Occurrence{Error: failure.Overloaded.New(), ID: "X", Time: time.Now(), Route: fmt.Sprint("/shop/", i)})
			time.Sleep(100 * time.Millisecond)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "were not taken in time") {
			t.Errorf("flush: %v", err)
		}
		close(sink.hold)
		if err := a.Flush(t.Context()); err != nil || sink.count() != 300 {
			t.Errorf("flush: %v, and reports of %d failures, want 300", err, sink.count())
		}
		if err := a.Flush(t.Context()); err != nil {
			t.Errorf("flush of nothing: %v", err)
		}
	})
}

func TestAnAggregatorThatIsClosedCountsAndTellsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := aggregate.New(aggregate.Config{})
		sink := &kept{}
		a.ReportTo("kept", sink)
		for range 20 {
			add(a, clock.Real(), broken(), "X")
		}
		if err := a.Close(t.Context()); err != nil || sink.count() != 20 {
			t.Errorf("close: %v, reports of %d failures, want 20", err, sink.count())
		}
		add(a, clock.Real(), broken(), "X")
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if sink.count() != 20 || a.Groups()[0].Count != 21 {
			t.Errorf("after the close: reports of %d failures, groups %v", sink.count(), a.Groups())
		}
	})
}

func TestASinkThatFailsOrPanicsIsToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		a := aggregate.New(aggregate.Config{OnError: func(sink string, r aggregate.Report, err error) {
			told = append(told, fmt.Sprint(sink, ": ", r.Code.Number, ": ", strings.SplitN(err.Error(), "\n", 2)[0]))
		}})
		a.ReportTo("full", &kept{fail: errors.New("disk full")})
		a.ReportTo("wild", &kept{panics: true})
		add(a, clock.Real(), broken(), "X")
		synctest.Wait()
		if fmt.Sprint(told) != "[full: 1003: disk full wild: 1003: panic: no more room]" {
			t.Errorf("told %q", told)
		}
	})
}

func TestTheTotalOfAReportHasWhatOtherProcessesCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		err := broken()
		other := aggregate.New(aggregate.Config{})
		add(other, clock.Real(), err, "X")
		name := other.Groups()[0].Key
		a := aggregate.New(aggregate.Config{Elsewhere: func(context.Context) ([]aggregate.Group, error) {
			if asked++; asked == 2 {
				return nil, errors.New("nobody answers")
			}
			return []aggregate.Group{{Key: name, Count: 100}}, nil
		}})
		sink := &kept{}
		a.ReportTo("kept", sink)
		add(a, clock.Real(), err, "X")
		synctest.Wait()
		time.Sleep(time.Second)
		add(a, clock.Real(), err, "X")
		synctest.Wait()
		time.Sleep(20 * time.Second)
		add(a, clock.Real(), err, "X")
		synctest.Wait()
		var totals []uint64
		for _, r := range sink.taken() {
			totals = append(totals, r.Total)
		}
		if fmt.Sprint(totals) != "[101 102 103]" || asked != 2 {
			t.Errorf("totals %v, asked %d times", totals, asked)
		}
	})
}

func TestACallersFailuresAreCountedAndReportedToNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := aggregate.New(aggregate.Config{})
		sink := &kept{}
		a.ReportTo("kept", sink)
		add(a, clock.Real(), errFull.With("size", 9), "X")
		if err := a.Flush(t.Context()); err != nil || len(sink.taken()) != 0 {
			t.Errorf("%v, %v", err, sink.taken())
		}
		g := a.Groups()[0]
		if g.Count != 1 || g.Place != errFull.Place() || g.Sample.Stack != nil {
			t.Errorf("%+v", g)
		}
	})
}

func TestPathsAndMethodsThatACallerMadeUpAreNotKept(t *testing.T) {
	a := aggregate.New(aggregate.Config{})
	for _, f := range []*failure.Error{
		failure.UnknownRoute.With("path", failure.Safe("/reset/hunter2")), failure.MethodNotAllowed.With("method", failure.Safe("hunter2")),
	} {
		a.Add(aggregate.Occurrence{Error: f, Protocol: "http", Method: "hunter2", Time: time.Now()})
	}
	groups := a.Groups()
	if text := fmt.Sprintf("%+v", groups); len(groups) != 2 || strings.Contains(text, "hunter2") || groups[0].Sample.Args[0].Value != aggregate.Redacted {
		t.Errorf("kept: %s", text)
	}
}

func TestWhereAFailureBelongsWhenNoFrameIsKnown(t *testing.T) {
	a := aggregate.New(aggregate.Config{})
	for want, o := range map[string]aggregate.Occurrence{
		"shop 1002 " + errStore.Place():                      {Error: errStore.Failure()},
		"chassis 1 GET /baskets":                             {Error: failure.From(errors.New("x")), Protocol: "http", Method: "GET", Route: "/baskets"},
		"chassis 504 OTHER /bulk":                            {Error: failure.DeadlineExceeded.New(), Protocol: "http", Method: "SPELL", Route: "/bulk"},
		"chassis 1 GET /tills":                               {Error: failure.From(errors.New("x")), Protocol: "http", Method: "GET", Route: "GET /tills"},
		"chassis 1 background work sweep":                    {Error: failure.Recovered(nil, nil), Route: "background work sweep"},
		"chassis 1 shop.(*Till).Open github.com/a/shop/t.go": {Error: failure.Recovered("x", nil), Route: "shop.(*Till).Open github.com/a/shop/t.go"},
	} {
		o.Time = time.Now()
		a.Add(o)
		found := false
		for _, g := range a.Groups() {
			found = found || g.Key == want
		}
		if !found {
			t.Errorf("no group %q", want)
		}
	}
}

func TestAPanicIsGroupedByTheLineThatPanicked(t *testing.T) {
	a := aggregate.New(aggregate.Config{})
	func() {
		defer func() {
			add(a, clock.Real(), failure.Recovered(recover(), debug.Stack()), "X")
		}()
		outOfRange(nil)
	}()
	g := a.Groups()[0]
	if !strings.HasPrefix(g.Place, "aggregate_test.outOfRange chassis/failure/aggregate/aggregate_test.go:") {
		t.Errorf("place %q", g.Place)
	}
	s := g.Sample
	if !s.Panic || !strings.Contains(s.Message, "index out of range [3] with length 0") {
		t.Errorf("sample %+v", s)
	}
	if len(s.Stack) < 3 || s.Stack[1].File != g.Place[strings.LastIndex(g.Place, " ")+1:strings.LastIndex(g.Place, ":")] {
		t.Errorf("stack %v", s.Stack)
	}
}

//go:noinline
func outOfRange(s []int) int { return s[3] }

func TestWhatMayBeToldOfACause(t *testing.T) {
	for want, err := range map[string]error{
		"the till is broken: context deadline exceeded":            errBroken.Wrap(fmt.Errorf("secret: %w", context.DeadlineExceeded)),
		"the till is broken: shop 1002: the store does not answer": errBroken.Wrap(errStore.With("host", "secret")),
		"the till is broken: *fs.PathError":                        errBroken.Wrap(errors.Join(&fs.PathError{Err: errors.New("secret")}, errors.New("secret"))),
		"the till is broken":                                       errBroken.Wrap(errors.New("secret")),
		"internal error: panic":                                    failure.Recovered("secret", nil),
		"internal error: goroutine ended by runtime.Goexit":        failure.Recovered(nil, nil),
		"internal error: panic: *fs.PathError":                     failure.Recovered(&fs.PathError{Err: errors.New("secret")}, nil),
	} {
		a := aggregate.New(aggregate.Config{})
		add(a, clock.Real(), failure.From(err), "X")
		if got := a.Groups()[0].Sample.Message; got != want {
			t.Errorf("%v: message %q, want %q", err, got, want)
		}
	}
}

func TestWhatFindsNoRoomIsCountedInTheOverflow(t *testing.T) {
	c := clock.NewVirtual(start)
	a := aggregate.New(aggregate.Config{Clock: c})
	for i := range aggregate.MaxGroups + 88 {
		a.Add(aggregate.Occurrence{Error: failure.Overloaded.New(), Time: c.Now(), Route: fmt.Sprint("/", i)})
	}
	groups := a.Groups()
	var total uint64
	for _, g := range groups {
		total += g.Count
		if g.Key == aggregate.Overflow && g.Count != 88 {
			t.Errorf("overflow counts %d, want 88", g.Count)
		}
	}
	if len(groups) != aggregate.MaxGroups+1 || total != aggregate.MaxGroups+88 {
		t.Errorf("%d groups of %d failures", len(groups), total)
	}
	c.Advance(aggregate.Keep)
	a.Add(aggregate.Occurrence{Error: failure.Overloaded.New(), Time: c.Now(), Route: "/new"})
	if groups := a.Groups(); len(groups) != 1 || groups[0].Key != "chassis 503 /new" {
		t.Errorf("groups after seven days: %v", groups)
	}
}

func TestOnlyPinnedGroupsOutliveSevenQuietDays(t *testing.T) {
	c := clock.NewVirtual(start)
	a := aggregate.New(aggregate.Config{Clock: c})
	add(a, c, broken(), "X")
	add(a, c, errStore.New(), "Y")
	pinned := ""
	for _, g := range a.Groups() {
		if g.Code.Number == 1003 {
			pinned = g.Key
		}
	}
	if !a.Pin(pinned, true, false) || a.Pin("nothing", true, false) {
		t.Error("what is known, and only that, can be pinned")
	}
	c.Advance(aggregate.Keep)
	if groups := a.Groups(); len(groups) != 1 || groups[0].Key != pinned || !groups[0].Pinned {
		t.Errorf("kept %v", groups)
	}
	a.Pin(pinned, false, false)
	if groups := aggregate.Recent(a.Groups(), c.Now()); len(groups) != 1 || groups[0].Pinned {
		t.Errorf("after it was unpinned: %v", groups)
	}
	c.Advance(aggregate.Keep)
	if groups := aggregate.Recent(a.Groups(), c.Now()); len(groups) != 0 {
		t.Errorf("kept %v, seven days after it was unpinned", groups)
	}
}

func TestAGroupOfAnotherProcessCanBePinnedBeforeItFailsHere(t *testing.T) {
	c := clock.NewVirtual(start)
	there, here := aggregate.New(aggregate.Config{Clock: c}), aggregate.New(aggregate.Config{Clock: c})
	err := broken()
	add(there, c, err, "X")
	name := there.Groups()[0].Key
	c.Advance(time.Second)
	if !here.Pin(name, true, true) {
		t.Fatal("not pinned")
	}
	merged := aggregate.Merge(here.Groups(), there.Groups())
	if len(merged) != 1 || !merged[0].Pinned || merged[0].Count != 1 || merged[0].Code.Number != 1003 || merged[0].Place == "" {
		t.Errorf("merged %+v", merged)
	}
	add(here, c, err, "Y")
	if g := here.Groups()[0]; g.Count != 1 || !g.Pinned || g.Key != name {
		t.Errorf("after it failed here: %+v", g)
	}
	for i := range 2 * aggregate.MaxGroups {
		here.Pin(fmt.Sprint(i), true, true)
	}
	if n := len(here.Groups()); n > aggregate.MaxGroups+1 {
		t.Errorf("%d groups", n)
	}
}

func TestProcessesKnowTogetherWhatEachKnows(t *testing.T) {
	c := clock.NewVirtual(start)
	old, young := aggregate.New(aggregate.Config{Clock: c}), aggregate.New(aggregate.Config{Clock: c})
	err, slow := broken(), errSlow.New()
	for i := range 100 {
		add(old, c, err, fmt.Sprint("OLD", i))
		c.Advance(time.Second)
	}
	add(old, c, slow, "SLOW")
	add(young, c, err, "YOUNG")
	data, encodeErr := aggregate.Encode(old.Groups())
	groups, decodeErr := aggregate.Decode(data)
	if encodeErr != nil || decodeErr != nil {
		t.Fatal(encodeErr, decodeErr)
	}
	merged := aggregate.Merge(groups, young.Groups())
	aggregate.Sort(merged, c.Now())
	if len(merged) != 2 || merged[0].Count != 101 || !merged[0].First.Equal(start) || !merged[0].Last.Equal(c.Now()) {
		t.Fatalf("merged %+v", merged)
	}
	if len(merged[0].Seen) != 64 || merged[0].Seen[0].ID != "YOUNG" || merged[0].Seen[1].ID != "OLD99" || merged[0].Seen[63].ID != "OLD37" {
		t.Errorf("seen %v", merged[0].Seen)
	}
	if merged[0].Sample.ID != "YOUNG" || !merged[1].TimedOut() || merged[0].TimedOut() {
		t.Errorf("sample %+v", merged[0].Sample)
	}
	if g, seen := aggregate.Find(merged, "SLOW"); g == nil || g.Code.Number != 1004 || seen.RequestID != "r-SLOW" {
		t.Errorf("found %v, %v", g, seen)
	}
	if g, _ := aggregate.Find(merged, "OLD0"); g != nil {
		t.Errorf("found %v", g)
	}
}

func TestNewGroupsComeFirstAndThenThoseThatFailOften(t *testing.T) {
	group := func(key string, age time.Duration, count uint64) aggregate.Group {
		return aggregate.Group{Key: key, First: start.Add(-age), Last: start, Count: count}
	}
	groups := []aggregate.Group{
		group("old, rare", 48*time.Hour, 1), group("old, often", 48*time.Hour, 9), group("new, rare", time.Hour, 1),
		group("also new, rare", time.Hour, 1), group("new, often", time.Hour, 5),
	}
	aggregate.Sort(groups, start)
	var keys []string
	for _, g := range groups {
		keys = append(keys, g.Key)
	}
	if got := strings.Join(keys, "; "); got != "new, often; also new, rare; new, rare; old, often; old, rare" {
		t.Error(got)
	}
}

func TestOfTooManyGroupsThoseThatFailedLastAreLeft(t *testing.T) {
	var groups []aggregate.Group
	for i := range 2 * aggregate.MaxGroups {
		groups = append(groups, aggregate.Group{Key: fmt.Sprint(i), Last: start.Add(time.Duration(i)), Pinned: i == 0})
	}
	merged := aggregate.Merge(groups)
	if len(merged) != aggregate.MaxGroups+2 || merged[0].Key != "0" || merged[1].Key != fmt.Sprint(2*aggregate.MaxGroups-1) {
		t.Errorf("%d groups, first %s and %s", len(merged), merged[0].Key, merged[1].Key)
	}
}

func TestWhatIsTooLargeTravelsWithoutSamples(t *testing.T) {
	large := strings.Repeat("x", 64<<10)
	var groups []aggregate.Group
	for i := range 200 {
		groups = append(groups, aggregate.Group{Key: fmt.Sprint(i), Count: 1, Sample: &aggregate.Sample{Message: large}})
	}
	data, err := aggregate.Encode(groups)
	if err != nil || len(data) > 4<<20 {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	decoded, err := aggregate.Decode(data)
	if err != nil || len(decoded) != 200 || decoded[0].Sample == nil || decoded[199].Sample != nil {
		t.Errorf("%d groups, %v", len(decoded), err)
	}
	if groups[199].Sample == nil {
		t.Error("what was given has changed")
	}
	groups[0].Sample.Message = strings.Repeat("x", 5<<20)
	if data, err := aggregate.Encode(groups); err != nil || len(data) > 4<<20 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}

func TestWhatIsNoGroupsIsRefused(t *testing.T) {
	for _, data := range []string{"{", `"x"`, strings.Repeat(" ", 5<<20)} {
		if groups, err := aggregate.Decode([]byte(data)); err == nil {
			t.Errorf("%.10q is %v", data, groups)
		}
	}
	if groups, err := aggregate.Decode(nil); err != nil || groups != nil {
		t.Errorf("nothing is %v, %v", groups, err)
	}
}

func TestToAddAFailureTakesLittleMemory(t *testing.T) {
	a := aggregate.New(aggregate.Config{})
	a.ReportTo("kept", &kept{hold: make(chan struct{})})
	o := aggregate.Occurrence{Error: broken(), ID: "X", Time: start, RequestID: "0123456789abcdef0123"}
	for range 200 {
		a.Add(o)
	}
	if n := testing.AllocsPerRun(1000, func() { a.Add(o) }); n > 6 {
		t.Errorf("%v allocations, want at most 6", n)
	}
}

func BenchmarkAdd(b *testing.B) {
	for name, err := range map[string]*failure.Error{"caller": errFull.New(), "service": broken()} {
		b.Run(name, func(b *testing.B) {
			a := aggregate.New(aggregate.Config{})
			o := aggregate.Occurrence{Error: err, ID: "X", Time: start, RequestID: "0123456789abcdef0123", Protocol: "http", Method: "GET", Route: "GET /"}
			b.ReportAllocs()
			for b.Loop() {
				a.Add(o)
			}
		})
	}
}
