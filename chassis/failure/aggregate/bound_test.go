package aggregate_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/failure/aggregate"
)

func TestWhatFindsNoRoomIsCountedApartIfItIsACallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := aggregate.New(aggregate.Config{})
		sink := &kept{}
		a.ReportTo("kept", sink)
		for i := range aggregate.MaxGroups {
			a.Add(aggregate.Occurrence{Error: failure.Overloaded.New(), Time: time.Now(), Route: fmt.Sprint("/", i)})
		}
		time.Sleep(time.Hour) // all of that is reported
		synctest.Wait()
		before := len(sink.taken())
		for range 3 {
			add(a, clock.Real(), errFull.New(), "CALLER")
		}
		add(a, clock.Real(), errStore.New(), "STORE")
		synctest.Wait()
		add(a, clock.Real(), errSlow.New(), "SLOW")
		add(a, clock.Real(), errFull.New(), "CALLER")
		synctest.Wait()
		reports := sink.taken()[before:]
		if len(reports) != 2 || reports[0].Code.Number != 1002 || reports[0].Sample.ID != "STORE" || reports[1].Code.Number != 1004 || reports[1].Sample.ID != "SLOW" {
			t.Fatalf("reports %+v", reports)
		}
		if r := reports[1]; r.Group != aggregate.Overflow || r.Count != 1 || r.Total != 2 {
			t.Errorf("the last report is of %s, counts %d of %d", r.Group, r.Count, r.Total)
		}
		found := map[string]aggregate.Group{}
		for _, g := range a.Groups() {
			found[g.Key] = g
		}
		own, callers := found[aggregate.Overflow], found[aggregate.OverflowOfCallers]
		if own.Count != 2 || own.Code.Number != 1002 || own.Sample.ID != "STORE" {
			t.Errorf("the service's own: %+v", own)
		}
		if callers.Count != 4 || callers.Code.Number != 1001 {
			t.Errorf("the callers': %+v", callers)
		}
		// Of several processes the code goes with the sample too.
		later := aggregate.Group{Key: aggregate.Overflow, Count: 1, Last: own.Last.Add(time.Hour), Code: errBroken.Describe(), Sample: &aggregate.Sample{ID: "OLD", Time: own.Last.Add(-time.Hour)}}
		if g := aggregate.Merge([]aggregate.Group{own}, []aggregate.Group{later})[0]; g.Code.Number != 1002 || g.Sample.ID != "STORE" || g.Count != 3 {
			t.Errorf("merged with an older sample: %+v", g)
		}
		later.Sample = &aggregate.Sample{ID: "YOUNG", Time: own.Last.Add(time.Hour)}
		if g := aggregate.Merge([]aggregate.Group{own}, []aggregate.Group{later})[0]; g.Code.Number != 1003 || g.Sample.ID != "YOUNG" {
			t.Errorf("merged with a younger sample: %+v", g)
		}
	})
}

func TestGroupsAlwaysFitTheirBound(t *testing.T) {
	large := strings.Repeat("x", 32<<10)
	var groups []aggregate.Group
	for i := range 200 {
		groups = append(groups, aggregate.Group{Key: fmt.Sprint(i, large), Count: uint64(i + 1)})
	}
	data, err := aggregate.Encode(groups)
	if err != nil || len(data) > 4<<20 || len(data) < 3<<20 {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	decoded, err := aggregate.Decode(data)
	if err != nil || len(decoded) < 100 || decoded[0].Count != 1 || decoded[len(decoded)-1].Count != uint64(len(decoded)) {
		t.Errorf("%d groups are left, %v", len(decoded), err)
	}
	for _, none := range [][]aggregate.Group{nil, {}} {
		data, err := aggregate.Encode(none)
		if decoded, derr := aggregate.Decode(data); err != nil || derr != nil || len(decoded) != 0 {
			t.Errorf("no groups are %v, %v, %v", decoded, err, derr)
		}
	}
	never := []aggregate.Group{{Key: "never", Last: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)}}
	if _, err := aggregate.Encode(never); err == nil || !strings.Contains(err.Error(), `"never"`) {
		t.Errorf("a time that JSON cannot have: %v", err)
	}
}

// holding is a cause that holds on to much.
type holding struct{ body *[1 << 20]byte }

func (*holding) Error() string { return "holding" }

func TestACauseIsNotHeldOnTo(t *testing.T) {
	a := aggregate.New(aggregate.Config{})
	a.ReportTo("kept", &kept{hold: make(chan struct{})})
	var bodies []weak.Pointer[[1 << 20]byte]
	for i := range 20 { // of which some wait for the sink, and some for its minute to end
		body := new([1 << 20]byte)
		bodies = append(bodies, weak.Make(body))
		add(a, clock.Real(), errStore.Wrap(fmt.Errorf("send: %w", &holding{body})), fmt.Sprint(i))
	}
	runtime.GC()
	for i, body := range bodies {
		if body.Value() != nil {
			t.Errorf("what failure %d was caused by is still there", i)
		}
	}
	runtime.KeepAlive(a)
}

func TestASampleIsBounded(t *testing.T) {
	a := aggregate.New(aggregate.Config{Clock: clock.NewVirtual(start)})
	long := strings.Repeat("é", 1<<20)
	f := failure.Recovered(long, []byte("goroutine 1 [running]:\n"+strings.Repeat("example.com/a/"+strings.Repeat("b", 500)+".F(0x1)\n\t/src/a.go:1 +0x1\n", 100)))
	for i := range 16 {
		f = f.With(fmt.Sprint(i, long), failure.Safe(long))
	}
	a.Add(aggregate.Occurrence{Error: f, ID: long, Time: start, RequestID: long, Listener: long, Protocol: long, Method: long, Route: long, User: long})
	g := a.Groups()[0]
	text, err := json.Marshal(g.Sample)
	if err != nil || len(text) > 12<<10 || len(g.Key) > 1<<10 {
		t.Errorf("a sample of %d bytes, a key of %d: %v", len(text), len(g.Key), err)
	}
	if s := g.Sample; len(s.Args) != 3 || len(s.Stack) < 5 || !strings.HasSuffix(s.Route, "é…") || !s.Panic {
		t.Errorf("%d arguments, %d frames, route %q", len(s.Args), len(s.Stack), s.Route)
	}
}

// wild is an error whose methods all panic, as those of a nil pointer do.
type wild struct{ err error }

func (w *wild) Error() string                 { return w.err.Error() }
func (w *wild) Unwrap() error                 { return w.err }
func (w *wild) Is(error) bool                 { panic(w.err) }
func (w *wild) As(any) bool                   { panic(w.err) }
func (w *wild) Format(s fmt.State, verb rune) { panic(w.err) }
func (w *wild) LogValue() slog.Value          { panic(w.err) }

func TestAnErrorWhoseMethodsPanicIsCountedLikeAnyOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		none := (*wild)(nil)
		a := aggregate.New(aggregate.Config{})
		sink := &kept{}
		a.ReportTo("kept", sink)
		errs := []*failure.Error{
			errStore.Wrap(none), errStore.Wrap(none).Wrap(io.EOF), errStore.With("error", failure.Safe(none)), failure.From(fmt.Errorf("store: %w", errStore.Wrap(none))),
			failure.From(none), failure.Recovered(none, debug.Stack()), failure.From(errors.Join(none, none)), errStore.Wrap((*failure.Error)(nil)),
			errStore.Wrap((*failure.Problem)(nil)), errStore.Wrap(&failure.Problem{Title: "secret"}),
		}
		for i, err := range errs {
			add(a, clock.Real(), err, fmt.Sprint(i))
			synctest.Wait()
		}
		var messages []string
		for _, r := range sink.taken() {
			messages = append(messages, r.Sample.Message)
		}
		want := []string{
			"the store does not answer: *aggregate_test.wild", "the store does not answer: *aggregate_test.wild",
			"the store does not answer (error=<nil>)", "the store does not answer: shop 1002: the store does not answer: *aggregate_test.wild",
			"internal error: *aggregate_test.wild", "internal error: panic: *aggregate_test.wild", "internal error: *aggregate_test.wild",
			"the store does not answer: *failure.Error", "the store does not answer: *failure.Problem", "the store does not answer: *failure.Problem",
		}
		if fmt.Sprintf("%q", messages) != fmt.Sprintf("%q", want) {
			t.Errorf("messages %q\nwant %q", messages, want)
		}
	})
}

func TestAPinIsRemovedWhereTheGroupHasNotFailed(t *testing.T) {
	c := clock.NewVirtual(start)
	a := aggregate.New(aggregate.Config{Clock: c})
	carried := []aggregate.Group{{Key: "shop 1 x", Count: 3, First: start.Add(-2 * aggregate.Keep), Last: start.Add(-2 * aggregate.Keep), Pinned: true, Decided: start.Add(-aggregate.Keep)}}
	known := func() []aggregate.Group { return aggregate.Recent(aggregate.Merge(a.Groups(), carried), c.Now()) }
	if got := known(); len(got) != 1 || !got[0].Pinned {
		t.Fatalf("before: %+v", got)
	}
	if !a.Pin("shop 1 x", false, true) {
		t.Error("it is not known")
	}
	if got := known(); len(got) != 1 || got[0].Pinned || got[0].Count != 3 {
		t.Errorf("it is pinned still: %+v", got)
	}
	c.Advance(aggregate.Keep)
	a.Groups()
	c.Advance(aggregate.Keep)
	if got := known(); len(got) != 0 {
		t.Errorf("it is not forgotten: %+v", got)
	}
	// What was decided of a group that failed here outlives it as well.
	add(a, c, broken(), "X")
	key := a.Groups()[0].Key
	for _, g := range a.Groups() {
		if g.Count > 0 {
			key = g.Key
		}
	}
	carried = []aggregate.Group{{Key: key, Count: 3, First: start, Last: start, Pinned: true, Decided: start}}
	a.Pin(key, false, true)
	c.Advance(aggregate.Keep)
	if got := known(); len(got) != 0 {
		t.Errorf("the older decision counts again: %+v", got)
	}
}

func TestDecisionsAreBounded(t *testing.T) {
	c := clock.NewVirtual(start)
	a := aggregate.New(aggregate.Config{Clock: c})
	for i := range aggregate.MaxGroups {
		if !a.Pin(fmt.Sprint(i), i > 1, true) {
			t.Fatalf("decision %d is refused", i)
		}
		c.Advance(time.Second)
	}
	if a.Pin("one more", true, true) {
		t.Error("one more is taken")
	}
	if !a.Pin("7", false, true) {
		t.Error("one that was taken cannot be changed")
	}
	c.Advance(aggregate.Keep)
	if !a.Pin("one more", true, true) {
		t.Error("one more is refused, though the first says nothing any more")
	}
	for _, g := range a.Groups() {
		if g.Key == "0" {
			t.Error("the oldest is still there")
		}
	}
	for i := range 2 * aggregate.MaxGroups { // what nobody decided about has its room all the same
		a.Add(aggregate.Occurrence{Error: failure.Overloaded.New(), Time: c.Now(), Route: fmt.Sprint("/", i)})
	}
	if n := len(a.Groups()); n != 2*aggregate.MaxGroups+1 {
		t.Errorf("%d groups", n)
	}
}
