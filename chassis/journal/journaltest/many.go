package journaltest

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// An engine that cannot append to several streams at once passes these by saying so.
var manyRules = []rule{
	{
		promise: "an append to several streams is stored whole or not at all",
		why:     "a transfer that takes from one account gives to the other",
		check:   checkMany,
	},
	{
		promise: "a repeated append to several streams is stored once",
		why:     "a caller that lost the answer repeats the append",
		check:   checkManyRepeated,
	},
	{
		promise: "appends to several streams that race leave no halves",
		why:     "of two transfers from one account, the second has to look again",
		check:   checkManyRacing,
	},
	{
		promise: "appends to several streams outside the limits are refused as invalid",
		why:     "an engine must not store what another could not",
		check:   checkManyLimits,
	},
}

// batch is an append to one of several streams.
func batch(stream string, expect journal.Expect, events ...journal.Event) journal.Batch {
	return journal.Batch{Stream: stream, Expect: expect, Events: events}
}

// many appends to several streams, and reports whether the engine can do that at all. One that
// cannot must have stored nothing.
func (p *probe) many(batches ...journal.Batch) (at journal.Position, can bool) {
	p.Helper()
	head := p.head()
	at, err := p.AppendMany(p.ctx, batches...)
	if errors.Is(err, journal.ErrUnsupported) {
		if now := p.head(); now != head {
			p.Errorf("an append that is not supported moved the head from %d to %d", head, now)
		}
		return 0, false
	}
	if err != nil {
		p.Fatalf("AppendMany to %d streams: %v", len(batches), err)
	}
	return at, true
}

func checkMany(p *probe) {
	a := p.must("a", journal.NoStream, event("a1"))
	at, can := p.many(batch("b", journal.NoStream, event("b1"), event("b2")), batch("a", journal.At(a), event("a2")), batch("c", journal.Any, event("c1")))
	if !can {
		return
	}
	if head, c := p.head(), p.version("c"); at != head || at != c {
		p.Errorf("an append to several streams returned position %d, the head is %d, and the last stream has version %d; want one position", at, head, c)
	}
	if got, want := data(p.all(a, journal.Filter{})), []string{"b1", "b2", "a2", "c1"}; !slices.Equal(got, want) {
		p.Errorf("after an append to several streams there is %q, want %q", got, want)
	}
	b := p.version("b")
	for name, batches := range map[string][]journal.Batch{
		"first": {batch("a", journal.At(a), event("never")), batch("b", journal.At(b), event("never")), batch("new", journal.NoStream, event("never"))},
		"last":  {batch("new", journal.NoStream, event("never")), batch("b", journal.At(b), event("never")), batch("a", journal.At(a), event("never"))},
	} {
		_, err := p.AppendMany(p.ctx, batches...)
		var conflict *journal.ConflictError
		want := journal.ConflictError{Stream: "a", Expected: journal.At(a), Actual: p.version("a")}
		if !errors.As(err, &conflict) || *conflict != want {
			p.Errorf("the %s of three streams is not as expected: %v, want %v", name, err, &want)
		}
	}
	if head, v := p.head(), p.version("new"); head != at || v != 0 {
		p.Errorf("refused appends moved the head from %d to %d, and made a stream of version %d", at, head, v)
	}
	if got := data(p.stream("a")); !slices.Equal(got, []string{"a1", "a2"}) {
		p.Errorf("stream a holds %q", got)
	}
}

func checkManyRepeated(p *probe) {
	batches := []journal.Batch{
		batch("a", journal.NoStream, identified("1", "a1"), identified("2", "a2")),
		batch("b", journal.NoStream, identified("1", "b1")),
	}
	at, can := p.many(batches...)
	if !can {
		return
	}
	head := p.must("a", journal.Any, event("later"))
	if again, _ := p.many(batches...); again != at {
		p.Errorf("repeating an append to several streams gives position %d, want %d", again, at)
	}
	bad := map[string][]journal.Batch{
		"other data":       {batches[0], batch("b", journal.Any, identified("1", "B1"))},
		"one stream more":  {batches[0], batches[1], batch("c", journal.Any, identified("1", "c1"))},
		"one event more":   {batches[0], batch("b", journal.Any, identified("1", "b1"), identified("2", "b2"))},
		"one stream fewer": {batch("c", journal.Any, identified("1", "c1")), batches[1]},
	}
	for name, b := range bad {
		_, err := p.AppendMany(p.ctx, b...)
		var reused *journal.IDReusedError
		if !errors.As(err, &reused) || reused.Position == 0 || reused.Stream == "c" {
			p.Errorf("%s: %v, want a *journal.IDReusedError about what is stored", name, err)
		}
	}
	if now, c := p.head(), p.version("c"); now != head || c != 0 {
		p.Errorf("repeated and refused appends moved the head from %d to %d, and made a stream of version %d", head, now, c)
	}
}

func checkManyRacing(p *probe) {
	const writers, each = 8, 6
	if _, can := p.many(batch("a", journal.NoStream, event("start")), batch("b", journal.NoStream, event("start"))); !can {
		return
	}
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			for k := 0; k < each; {
				a, errA := p.Version(p.ctx, "a")
				b, errB := p.Version(p.ctx, "b")
				if err := errors.Join(errA, errB); err != nil {
					p.Errorf("writer %d: %v", i, err)
					return
				}
				e := event(fmt.Sprintf("%d.%d", i, k))
				batches := []journal.Batch{batch("a", journal.At(a), e), batch("b", journal.At(b), e)}
				if i%2 == 1 {
					slices.Reverse(batches)
				}
				_, err := p.AppendMany(p.ctx, batches...)
				var conflict *journal.ConflictError
				if err == nil {
					k++
				} else if !errors.As(err, &conflict) {
					p.Errorf("writer %d: %v, want a *journal.ConflictError", i, err)
					return
				}
			}
		})
	}
	group.Wait()
	a, b := data(p.stream("a")), data(p.stream("b"))
	if len(a) != 1+writers*each || !slices.Equal(a, b) {
		p.Errorf("two streams that are always appended to together hold %d and %d events, the same: %v; want %d and the same", len(a), len(b), slices.Equal(a, b), 1+writers*each)
	}
}

func checkManyLimits(p *probe) {
	half := make([]journal.Event, journal.MaxEvents/2+1)
	for i := range half {
		half[i] = event("")
	}
	heavy := make([]journal.Event, journal.MaxAppendBytes/journal.MaxDataBytes/2+1)
	for i := range heavy {
		heavy[i] = journal.Event{Type: "noted", Data: make([]byte, journal.MaxDataBytes)}
	}
	crowd := make([]journal.Batch, journal.MaxEvents+1)
	for i := range crowd {
		crowd[i] = batch(fmt.Sprint("s", i), journal.Any, event(""))
	}
	for name, batches := range map[string][]journal.Batch{
		"no batches":        nil,
		"too many batches":  crowd,
		"an empty batch":    {batch("a", journal.Any, event("")), batch("b", journal.Any)},
		"a bad stream":      {batch("a", journal.Any, event("")), batch("a\nb", journal.Any, event(""))},
		"a stream twice":    {batch("a", journal.Any, event("1")), batch("a", journal.Any, event("2"))},
		"an ID here only":   {batch("a", journal.Any, identified("1", "")), batch("b", journal.Any, event(""))},
		"too many events":   {batch("a", journal.Any, half...), batch("b", journal.Any, half...)},
		"too much together": {batch("a", journal.Any, heavy...), batch("b", journal.Any, heavy...)},
	} {
		if _, err := p.AppendMany(p.ctx, batches...); !errors.Is(err, journal.ErrInvalid) && !errors.Is(err, journal.ErrUnsupported) {
			p.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if head := p.head(); head != 0 {
		p.Errorf("refused arguments moved the head to %d", head)
	}
}
