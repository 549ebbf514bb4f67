package journaltest

import (
	"errors"
	"sync"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

var checkpointRules = []rule{
	{
		promise: "a checkpoint moves only from where it is",
		why:     "two readers that do the same work must not both have done it",
		check:   checkCheckpoint,
	},
	{
		promise: "checkpoints and leases are told apart by their exact names",
		why:     "names that look alike to people are different readers",
		check:   checkKeptNames,
	},
	{
		promise: "a stale fence moves no checkpoint",
		why:     "a reader that was replaced while it stood still does not know",
		check:   checkFence,
	},
	{
		promise: "of many that move a checkpoint each step has one winner",
		why:     "the loser has to undo what it did",
		check:   checkCheckpointRace,
	},
}

// wantCheckpoint checks where a checkpoint is.
func (p *probe) wantCheckpoint(name string, want journal.Position) {
	p.Helper()
	if at, err := p.Checkpoints().Load(p.ctx, name); err != nil || at != want {
		p.Errorf("checkpoint %q is at %d, %v; want %d", name, at, err, want)
	}
}

// move moves a checkpoint and fails the rule when that fails.
func (p *probe) move(name string, fence journal.Fence, from, to journal.Position) {
	p.Helper()
	if err := p.Checkpoints().Move(p.ctx, name, fence, from, to); err != nil {
		p.Fatalf("move checkpoint %q from %d to %d under fence %d: %v", name, from, to, fence, err)
	}
}

func checkCheckpoint(p *probe) {
	const top = 1<<63 - 1
	p.wantCheckpoint("mailer", 0)
	p.move("mailer", 0, 0, 5)
	p.move("Mailer", 0, 0, 7)
	p.wantCheckpoint("mailer", 5)
	p.wantCheckpoint("Mailer", 7)
	for _, from := range []journal.Position{0, 4, 6, 7} {
		err := p.Checkpoints().Move(p.ctx, "mailer", 0, from, 9)
		var c *journal.CheckpointError
		if want := (journal.CheckpointError{Name: "mailer", From: from, Actual: 5}); !errors.As(err, &c) || *c != want {
			p.Errorf("moving a checkpoint at 5 from %d: %v, want %v", from, err, &want)
		}
	}
	p.move("mailer", 0, 5, 5)
	p.move("mailer", 0, 5, top)
	p.wantCheckpoint("mailer", top)
	p.move("mailer", 0, top, 0)
	p.wantCheckpoint("mailer", 0)
	for name, err := range map[string]error{
		"no name":         p.Checkpoints().Move(p.ctx, "", 0, 0, 1),
		"from above":      p.Checkpoints().Move(p.ctx, "mailer", 0, top+1, 1),
		"to above":        p.Checkpoints().Move(p.ctx, "mailer", 0, 0, top+1),
		"fence above":     p.Checkpoints().Move(p.ctx, "mailer", top+1, 0, 1),
		"load of no name": func() error { _, err := p.Checkpoints().Load(p.ctx, "\x00"); return err }(),
	} {
		if !errors.Is(err, journal.ErrInvalid) {
			p.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	p.wantCheckpoint("mailer", 0)
	if head := p.head(); head != 0 {
		p.Errorf("checkpoints moved the head to %d", head)
	}
}

func checkKeptNames(p *probe) {
	leases := map[string]journal.Lease{}
	for i, name := range oddNames() {
		p.wantCheckpoint(name, 0)
		p.move(name, 0, 0, journal.Position(i+1))
		leases[name] = p.acquire(name, name, 0)
	}
	for i, name := range oddNames() {
		p.wantCheckpoint(name, journal.Position(i+1))
		p.wantHeld(leases[name])
		p.release(leases[name])
	}
}

func checkFence(p *probe) {
	p.move("mailer", 3, 0, 10)
	stale := func(fence, current journal.Fence, from journal.Position) {
		p.Helper()
		err := p.Checkpoints().Move(p.ctx, "mailer", fence, from, 99)
		var f *journal.FencedError
		if want := (journal.FencedError{Name: "mailer", Fence: fence, Current: current}); !errors.As(err, &f) || *f != want {
			p.Errorf("moving under fence %d, from %d: %v, want %v", fence, from, err, &want)
		}
	}
	stale(2, 3, 10)
	stale(0, 3, 10)
	stale(2, 3, 4) // that it is fenced is the more important news
	p.wantCheckpoint("mailer", 10)
	p.move("mailer", 3, 10, 11)
	p.move("mailer", 5, 11, 11) // as a new holder begins
	stale(3, 5, 11)
	stale(4, 5, 11)
	p.move("mailer", 5, 11, 12)
	p.wantCheckpoint("mailer", 12)
	p.move("other", 1, 0, 1) // fences are those of a checkpoint
}

func checkCheckpointRace(p *probe) {
	const movers, rounds = 16, 5
	at := journal.Position(0)
	for range rounds {
		var mu sync.Mutex
		var won []journal.Position
		var group sync.WaitGroup
		for i := range journal.Position(movers) {
			group.Go(func() {
				err := p.Checkpoints().Move(p.ctx, "mailer", 0, at, at+1+i)
				var c *journal.CheckpointError
				switch {
				case err == nil:
					mu.Lock()
					defer mu.Unlock()
					won = append(won, at+1+i)
				case !errors.As(err, &c):
					p.Errorf("mover %d: %v, want a *journal.CheckpointError", i, err)
				}
			})
		}
		group.Wait()
		if len(won) != 1 {
			p.Fatalf("%d of %d moves from the same position won, want 1", len(won), movers)
		}
		at = won[0]
		p.wantCheckpoint("mailer", at)
	}
}
