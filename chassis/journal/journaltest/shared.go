package journaltest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

var sharedRules = []rule{
	{
		promise: "snapshots, checkpoints and leases outlive a restart",
		why:     "a fence that starts anew lets in those who were locked out",
		check:   checkKept,
		reopens: true,
	},
	{
		promise: "two processes share what the journal holds",
		why:     "the old and the new worker of a reload have it open at once",
		check:   checkPeers,
		peers:   true,
	},
	{
		promise: "two processes that append lose, double and skip nothing",
		why:     "during a reload both take requests",
		check:   checkContention,
		peers:   true,
	},
}

func checkKept(p *probe) {
	v := p.must("s", journal.NoStream, event("1"))
	p.save("s", v, 3, "state")
	p.move("mailer", 4, 0, 9)
	held, released := p.acquire("held", "ann", 0), p.acquire("released", "ann", 0)
	p.release(released)
	if err := p.Close(); err != nil {
		p.Fatalf("Close: %v", err)
	}
	p.Journal = p.suite.reopen(p.TB, p.Journal)
	p.wantSnapshot("s", 3, v, "state")
	p.wantCheckpoint("mailer", 9)
	var fenced *journal.FencedError
	if err := p.Checkpoints().Move(p.ctx, "mailer", 3, 9, 10); !errors.As(err, &fenced) || fenced.Current != 4 {
		p.Errorf("moving a checkpoint under the fence before the last: %v, want a *journal.FencedError with 4", err)
	}
	p.wantHeld(held)
	p.acquire("held", "ann", held.Fence)
	p.acquire("released", "bob", released.Fence)
}

// peer opens the probe's journal once more; the rule closes it.
func (p *probe) peer() (other *probe, done func()) {
	o := *p
	if o.Journal = p.suite.peer(p.TB, p.Journal); o.Journal == nil {
		p.Fatal("Peer's function returned no journal")
	}
	return &o, func() {
		if err := o.Close(); err != nil {
			p.Errorf("close the second opening: %v", err)
		}
	}
}

func checkPeers(p *probe) {
	other, done := p.peer()
	defer done()
	w := p.watch(0, journal.Filter{})
	v := journal.Version(0)
	for i, writer := range []*probe{p, other, p, other} {
		reader := []*probe{other, p}[i%2]
		v = writer.must("s", journal.At(v), event(fmt.Sprint(i)))
		if got, head := reader.version("s"), reader.head(); got != v || head != v {
			p.Errorf("after append %d the other process sees version %d and head %d, want %d", i, got, head, v)
		}
		w.want(fmt.Sprint(i))
	}
	p.save("s", v, 1, "state")
	other.wantSnapshot("s", 1, v, "state")
	p.move("mailer", 2, 0, 5)
	other.wantCheckpoint("mailer", 5)
	var fenced *journal.FencedError
	if err := other.Checkpoints().Move(p.ctx, "mailer", 1, 5, 6); !errors.As(err, &fenced) {
		p.Errorf("the other process moves the checkpoint under a stale fence: %v, want a *journal.FencedError", err)
	}
	l := p.acquire("mailer", "ann", 0)
	other.wantHeld(l)
	p.release(l)
	other.acquire("mailer", "bob", l.Fence)
}

func checkContention(p *probe) {
	const writers, each = 4, 8 // of each process
	other, done := p.peer()
	defer done()
	watched := other.watch(0, journal.Filter{})
	var group sync.WaitGroup
	defer group.Wait()
	for name, process := range map[string]*probe{"a": p, "b": other} {
		for i := range writers {
			group.Go(func() {
				stream := fmt.Sprint("hot-", i%2)
				for k := 0; k < each; {
					v, err := process.Version(p.ctx, stream)
					if err == nil {
						id := fmt.Sprintf("%s.%d.%d", name, i, k)
						_, err = process.Append(p.ctx, stream, journal.At(v), identified(id, fmt.Sprint(v)))
					}
					var conflict *journal.ConflictError
					if err == nil {
						k++
					} else if !errors.As(err, &conflict) {
						p.Errorf("writer %d of process %s: %v, want a *journal.ConflictError", i, name, err)
						watched.cancel() // what it did not append is not to be waited for
						return
					}
				}
			})
		}
	}
	last, seen, versions := journal.Position(0), map[string]bool{}, map[string]journal.Version{}
	for range 2 * writers * each {
		e := watched.next()
		if e.Position <= last || seen[e.ID] || string(e.Data) != fmt.Sprint(versions[e.Stream]) {
			p.Fatalf("event %s at position %d, decided on version %s, comes after position %d and version %d; seen before: %v", e.ID, e.Position, e.Data, last, versions[e.Stream], seen[e.ID])
		}
		last, seen[e.ID], versions[e.Stream] = e.Position, true, e.Position
	}
	group.Wait()
	if all := p.all(0, journal.Filter{}); len(all) != 2*writers*each {
		p.Errorf("two processes appended %d events, and the journal holds %d", 2*writers*each, len(all))
	}
}
