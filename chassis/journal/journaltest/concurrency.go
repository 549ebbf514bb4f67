package journaltest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

var concurrencyRules = []rule{
	{
		promise: "no event appears late at a lower position",
		why:     "whoever has read up to a position never looks back",
		check:   checkOrder,
	},
	{
		promise: "of many writers to one stream each version has one winner",
		why:     "two decisions on the same version would both be wrong",
		check:   checkWinners,
	},
	{
		promise: "the only writer of a stream never sees a conflict",
		why:     "a conflict without another writer sends a service into a loop",
		check:   checkOnlyWriter,
	},
	{
		promise: "repetitions that race are stored once",
		why:     "a caller that gives up and repeats may overtake itself",
		check:   checkRacingRepetitions,
	},
	{
		promise: "closing answers every append, and truly",
		why:     "an answer of nil is a promise, an error of ErrClosed another one",
		check:   checkCloseDuringAppend,
	},
}

func checkOrder(p *probe) {
	const writers, each = 32, 20
	w := p.watch(0, journal.Filter{})
	var group sync.WaitGroup
	defer group.Wait()
	for i := range writers {
		group.Go(func() {
			for k := range each {
				if _, err := p.Append(p.ctx, fmt.Sprintf("writer-%d", i), journal.Any, event(fmt.Sprintf("%d.%d", i, k))); err != nil {
					p.Errorf("writer %d: %v", i, err)
					w.cancel() // what it did not append is not to be waited for
					return
				}
			}
		})
	}
	next := make([]int, writers)
	last := journal.Position(0)
	for range writers * each {
		e := w.next()
		if e.Position <= last {
			p.Errorf("position %d appeared after %d", e.Position, last)
		}
		last = e.Position
		var i, k int
		if _, err := fmt.Sscanf(string(e.Data), "%d.%d", &i, &k); err != nil || k != next[i] {
			p.Fatalf("the subscription yields event %q where %d.%d was due: it skips or repeats", e.Data, i, next[i])
		}
		next[i]++
	}
	group.Wait()
	if all := p.all(0, journal.Filter{}); len(all) != writers*each || all[len(all)-1].Position != last {
		p.Errorf("the journal holds %d events, want %d", len(all), writers*each)
	}
}

func checkWinners(p *probe) {
	const writers, rounds = 64, 4
	var mu sync.Mutex
	wins := map[journal.Version]string{}
	base := journal.Version(0)
	for round := range rounds {
		var group sync.WaitGroup
		for i := range writers {
			group.Go(func() {
				name := fmt.Sprintf("%d.%d", round, i)
				v, err := p.Append(p.ctx, "hot", journal.At(base), event(name))
				var conflict *journal.ConflictError
				switch {
				case err == nil:
					mu.Lock()
					defer mu.Unlock()
					if wins[v] != "" {
						p.Errorf("version %d was given to %s and %s", v, wins[v], name)
					}
					wins[v] = name
				case !errors.As(err, &conflict):
					p.Errorf("writer %d: %v, want a *journal.ConflictError", i, err)
				case conflict.Actual <= base:
					p.Errorf("writer %d: the conflict names version %d, and %d was expected", i, conflict.Actual, base)
				}
			})
		}
		group.Wait()
		if len(wins) != round+1 {
			p.Fatalf("%d of %d appends expecting version %d won, want 1", len(wins)-round, writers, base)
		}
		base = p.version("hot")
	}
	for _, e := range p.stream("hot") {
		if wins[e.Position] != string(e.Data) {
			p.Errorf("version %d holds %q, and its winner is %q", e.Position, e.Data, wins[e.Position])
		}
	}
}

func checkOnlyWriter(p *probe) {
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			stream, version := fmt.Sprintf("own-%d", i), journal.Version(0)
			for k := range 25 {
				v, err := p.Append(p.ctx, stream, journal.At(version), event(fmt.Sprint(k)))
				if err != nil {
					p.Errorf("append %d of the only writer of %s: %v", k, stream, err)
					return
				}
				version = v
			}
		})
	}
	group.Wait()
}

func checkRacingRepetitions(p *probe) {
	for round := range 10 {
		events := []journal.Event{identified(fmt.Sprint(round, "a"), "1"), identified(fmt.Sprint(round, "b"), "2")}
		base := p.version("s")
		got := make([]journal.Version, 8)
		var group sync.WaitGroup
		for i := range got {
			group.Go(func() {
				v, err := p.Append(p.ctx, "s", journal.At(base), events...)
				if err != nil {
					p.Errorf("repetition %d: %v", i, err)
				}
				got[i] = v
			})
		}
		group.Wait()
		for _, v := range got {
			if v != got[0] {
				p.Fatalf("repetitions of one append have the versions %d", got)
			}
		}
		if n := len(p.stream("s")); n != 2*(round+1) {
			p.Fatalf("after %d appends of two events, repeated at once, the stream holds %d", round+1, n)
		}
	}
}

func checkCloseDuringAppend(p *probe) {
	const writers = 16
	var mu sync.Mutex
	acked, refused := map[string]bool{}, map[string]bool{}
	var group, warm sync.WaitGroup
	warm.Add(writers)
	for i := range writers {
		group.Go(func() {
			going := sync.OnceFunc(warm.Done)
			defer going()
			for k := 0; ; k++ {
				name := fmt.Sprintf("%d.%d", i, k)
				_, err := p.Append(p.ctx, fmt.Sprint("s", i), journal.Any, identified(name, name))
				mu.Lock()
				switch {
				case err == nil:
					acked[name] = true
				case errors.Is(err, journal.ErrUnknownOutcome):
				case errors.Is(err, journal.ErrClosed):
					refused[name] = true
				default:
					p.Errorf("an append while closing: %v, want ErrClosed", err)
				}
				mu.Unlock()
				if err != nil {
					return
				}
				if k == 3 {
					going()
				}
			}
		})
	}
	warm.Wait()
	if err := p.Close(); err != nil {
		p.Errorf("Close during appends: %v", err)
	}
	group.Wait()
	if p.suite.reopen == nil {
		return
	}
	p.Journal = p.suite.reopen(p.TB, p.Journal)
	stored := map[string]bool{}
	for _, e := range p.all(0, journal.Filter{}) {
		stored[string(e.Data)] = true
	}
	for name := range acked {
		if !stored[name] {
			p.Errorf("the append %s was acknowledged and is lost", name)
		}
	}
	for name := range refused {
		if stored[name] {
			p.Errorf("the append %s was refused with ErrClosed and is stored", name)
		}
	}
}
