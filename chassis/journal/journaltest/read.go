package journaltest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

var readRules = []rule{
	{
		promise: "reads begin after the given position and end at the head",
		why:     "a reader goes on where it stopped, and a read of a busy journal ends",
		check:   checkRanges,
	},
	{
		promise: "filters select by stream, prefix and type",
		why:     "a reader relies on seeing everything it asked for and nothing else",
		check:   checkFilters,
	},
	{
		promise: "loops may call the journal, stop early and start again",
		why:     "a lock held across a loop body is a deadlock in some service",
		check:   checkLoops,
	},
	{
		promise: "a position from the future is an error",
		why:     "a reader with a position of another journal would wait for ever, or miss events",
		check:   checkFuture,
	},
	{
		promise: "a closed journal answers ErrClosed",
		why:     "callers tell a stop from a failure",
		check:   checkClosed,
	},
	{
		promise: "a journal opened again holds what it held",
		why:     "this is what it is for",
		check:   checkReopen,
		reopens: true,
	},
}

// scatter appends n events to three streams in turn and returns their positions.
func (p *probe) scatter(n int) []journal.Position {
	p.Helper()
	at := make([]journal.Position, n)
	for i := range at {
		at[i] = p.must(fmt.Sprintf("stream-%d", i%3), journal.Any, event(fmt.Sprint(i)))
	}
	return at
}

func checkRanges(p *probe) {
	if got := p.all(0, journal.Filter{}); len(got) != 0 {
		p.Errorf("an empty journal holds %q", data(got))
	}
	if got := p.stream("stream-0"); len(got) != 0 || p.version("stream-0") != 0 || p.head() != 0 {
		p.Errorf("an empty journal has a stream with %q", data(got))
	}
	const n = 700 // more than an engine reads at once
	at := p.scatter(n)
	for _, i := range []int{0, 1, 2, 3, 255, 256, 257, n - 1, n} {
		after := journal.Position(0)
		if i > 0 {
			after = at[i-1]
		}
		if got := p.all(after, journal.Filter{}); len(got) != n-i || i < n && string(got[0].Data) != fmt.Sprint(i) {
			p.Errorf("All after event %d yields %d events, want %d", i, len(got), n-i)
		}
		var want []string
		for k := i; k < n; k++ {
			if k%3 == 1 {
				want = append(want, fmt.Sprint(k))
			}
		}
		got, err := collect(p.Read(p.ctx, "stream-1", after))
		if err != nil || !slices.Equal(data(got), want) {
			p.Errorf("Read of one stream after event %d yields %d events and %v, want %d", i, len(got), err, len(want))
		}
	}
	last := journal.Position(0)
	for _, e := range p.all(0, journal.Filter{}) {
		if e.Position <= last {
			p.Fatalf("position %d comes after %d", e.Position, last)
		}
		last = e.Position
	}
	if last != at[n-1] {
		p.Errorf("the last event is at %d, want %d", last, at[n-1])
	}
}

func checkFilters(p *probe) {
	for i := range 600 {
		p.must(fmt.Sprintf("%c-%d", 'a'+i%2, i%10), journal.Any, journal.Event{Type: fmt.Sprintf("t%d", i%3), Data: []byte(fmt.Sprint(i))})
	}
	everything := p.all(0, journal.Filter{})
	if len(everything) != 600 {
		p.Fatalf("the journal holds %d events, want 600", len(everything))
	}
	for _, f := range []journal.Filter{
		{Stream: "a-0"},
		{Stream: "a-0", Types: []string{"t0"}},
		{Stream: "nobody"},
		{StreamPrefix: "a"},
		{StreamPrefix: "b-", Types: []string{"t1", "t2"}},
		{StreamPrefix: "nobody"},
		{Types: []string{"t2"}},
		{Types: []string{"none"}},
	} {
		var want []string
		for _, e := range everything {
			if f.Match(e.Stream, e.Type) {
				want = append(want, string(e.Data))
			}
		}
		if got := data(p.all(0, f)); !slices.Equal(got, want) {
			p.Errorf("the filter %+v selects %d events, want %d", f, len(got), len(want))
		}
		after := everything[300].Position
		if got := p.all(after, f); len(got) > 0 && got[0].Position <= after {
			p.Errorf("the filter %+v selects position %d after %d", f, got[0].Position, after)
		}
	}
}

func checkLoops(p *probe) {
	p.scatter(30)
	seq := p.All(p.ctx, 0, journal.Filter{})
	n := 0
	for e, err := range seq {
		if err != nil {
			p.Fatalf("All: %v", err)
		}
		// What the loop appends comes after the head that this read ends at.
		p.must("copies", journal.Any, event("copy of "+string(e.Data)))
		n += len(p.stream(e.Stream)) / 10
	}
	if n != 30 {
		p.Errorf("a loop that appends saw %d events, want 30", n)
	}
	for e, err := range seq {
		if err != nil || string(e.Data) != "0" {
			p.Errorf("the second loop begins with %q, %v", e.Data, err)
		}
		break
	}
	if again, err := collect(seq); err != nil || len(again) != 60 {
		p.Errorf("the third loop saw %d events and %v, want 60", len(again), err)
	}
	for e, err := range p.Subscribe(p.ctx, 0, journal.Filter{}) {
		if err != nil {
			p.Fatalf("Subscribe: %v", err)
		}
		p.must("seen", journal.Any, e.Event)
		break
	}
}

func checkFuture(p *probe) {
	head := p.must("s", journal.NoStream, event("only"))
	for name, seq := range map[string]func(func(journal.Recorded, error) bool){
		"Read":      p.Read(p.ctx, "s", head+1),
		"All":       p.All(p.ctx, head+1, journal.Filter{}),
		"Subscribe": p.Subscribe(p.ctx, head+1, journal.Filter{}),
	} {
		_, err := collect(seq)
		var future *journal.FutureError
		if !errors.As(err, &future) || future.After != head+1 || future.Head != head {
			p.Errorf("%s: %v, want a *journal.FutureError with %d and %d", name, err, head+1, head)
		}
	}
	if _, err := collect(p.All(p.ctx, 1<<63, journal.Filter{})); err == nil {
		p.Error("position 2⁶³ is not from the future")
	}
}

func checkClosed(p *probe) {
	p.scatter(10)
	var during []error
	n := 0
	for _, err := range p.Subscribe(p.ctx, 0, journal.Filter{}) {
		if n++; n == 5 {
			if err := p.Close(); err != nil {
				p.Fatalf("Close in a loop: %v", err)
			}
		}
		if err != nil {
			during = append(during, err)
		}
	}
	if len(during) != 1 || !errors.Is(during[0], journal.ErrClosed) {
		p.Errorf("a subscription to a journal that is closed ends with %v, want ErrClosed", during)
	}
	for name, err := range p.everything(p.ctx) {
		if !errors.Is(err, journal.ErrClosed) {
			p.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
	if err := p.Close(); err != nil {
		p.Errorf("closing again: %v", err)
	}
}

func checkReopen(p *probe) {
	p.scatter(300)
	p.must("ids", journal.NoStream, identified("1", "a"))
	before, head := p.all(0, journal.Filter{}), p.head()
	if err := p.Close(); err != nil {
		p.Fatalf("Close: %v", err)
	}
	p.Journal = p.suite.reopen(p.TB, p.Journal)
	if got := p.head(); got != head {
		p.Errorf("the head is %d, was %d", got, head)
	}
	after := p.all(0, journal.Filter{})
	if len(after) != len(before) {
		p.Fatalf("there are %d events, were %d", len(after), len(before))
	}
	for i, e := range after {
		b := before[i]
		if e.ID != b.ID || e.Position != b.Position || e.Stream != b.Stream || !e.Time.Equal(b.Time) || string(e.Data) != string(b.Data) {
			p.Fatalf("event %d is %+v, was %+v", i, e, b)
		}
	}
	if v := p.must("ids", journal.NoStream, identified("1", "a")); v != head {
		p.Errorf("a repetition of an append gives version %d, want %d", v, head)
	}
	if v := p.must("ids", journal.At(head), event("b")); v <= head {
		p.Errorf("the first new event is at %d, and the head was %d", v, head)
	}
}
