package projection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/internal/sqlitefile"
)

const (
	maxBatch   = 1000        // events in one transaction
	batchBytes = 4 << 20     // bytes of data after which a batch takes no more
	respite    = time.Second // after trouble that passes by itself

	// yieldPause is how long the file is left to others after a transaction: SQLite alone would let
	// the busier of two processes starve the other.
	yieldPause = time.Millisecond
)

// errMoved says that another process has applied events meanwhile.
var errMoved = errors.New("another process is further")

// Run follows the journal until ctx ends or the projection is closed, which is no error. It fails
// when the journal cannot be followed, when Apply fails, and when the file fails; whoever runs it
// again goes on where the table stands. While the file is locked or its disk is full, Run tries again
// each second; when another version's process has dropped this version, it does nothing more. Either
// shows in [Progress]. It must not be called while it runs.
//
//	catch up ──at the head──▶ wait for an event ──▶ catch up
//	    ├──locked, full──▶ pause a second ──▶ catch up
//	    └──dropped──▶ wait for the end
func (p *Projection) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-p.closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	p.update(func() { p.began, p.before, p.applied = p.clock.Now(), p.before+p.applied, 0 })
	for {
		err := p.catchUp(ctx)
		if err == nil {
			err = p.idle(ctx)
		}
		switch {
		case ctx.Err() != nil || p.isClosed():
			return nil
		case errors.Is(err, journal.ErrBusy) || errors.Is(err, journal.ErrFull):
			p.update(func() { p.trouble = err })
			if clock.Sleep(ctx, p.clock, respite) != nil {
				return nil
			}
		case errors.Is(err, errDropped):
			// A worker that drains answers from the other version; it must not fail for that.
			p.update(func() { p.trouble = err })
			<-ctx.Done()
			return nil
		case err != nil:
			p.update(func() { p.trouble = err })
			return fmt.Errorf("projection %s, version %d: %w", p.spec.Name, p.spec.Version, err)
		}
	}
}

// catchUp applies what the journal holds. It passes over it again and again until there was no more
// than a batch to do: then the version is complete.
func (p *Projection) catchUp(ctx context.Context) error {
	for {
		n, err := p.pass(ctx)
		if err != nil && !errors.Is(err, errMoved) {
			return err
		}
		if err == nil && n < maxBatch {
			return nil
		}
	}
}

// pass applies the events up to the head that the journal has now, and returns how many there were.
func (p *Projection) pass(ctx context.Context) (n int, err error) {
	head, err := p.journal.Head(ctx)
	if err != nil {
		return 0, err
	}
	var from journal.Position
	p.update(func() { p.head, from = max(p.head, head), p.state.pos })
	var batch []journal.Recorded
	bytes := 0
	for e, err := range p.journal.All(ctx, from, p.spec.Filter) {
		if err != nil {
			return n, p.ahead(err)
		}
		n++
		batch = append(batch, e)
		if bytes += len(e.Data); len(batch) < maxBatch && bytes < batchBytes {
			continue
		}
		if err := p.apply(ctx, from, e.Position, batch, false); err != nil {
			return n, err
		}
		from, batch, bytes = e.Position, batch[:0], 0
	}
	to := max(from, head)
	if len(batch) > 0 {
		to = max(to, batch[len(batch)-1].Position)
	}
	return n, p.apply(ctx, from, to, batch, n < maxBatch)
}

// ahead says more about a position that the journal has not come to.
func (p *Projection) ahead(err error) error {
	var future *journal.FutureError
	if !errors.As(err, &future) {
		return err
	}
	return fmt.Errorf("%s is ahead of its journal, which may be another one, or restored from a backup; %s: %w", p.place(), kind.Remedy, err)
}

// apply applies a batch that comes after from and brings the table to the position to, in one
// transaction. atHead says that this is the journal's head.
func (p *Projection) apply(ctx context.Context, from, to journal.Position, batch []journal.Recorded, atHead bool) error {
	p.mu.Lock()
	nothing := from == to && p.state.pos == from && (p.state.complete || !atHead)
	p.mu.Unlock()
	if nothing {
		return nil
	}
	c, err := p.borrow(ctx, p.writer)
	if err != nil {
		return err
	}
	defer func() { p.writer <- c }()
	var now state
	var refusal error // of Apply, or of the state; the rest are errors of SQLite
	err = transact(ctx, c, func() (err error) {
		if now, err = load(c, &p.spec); err != nil {
			refusal = err
			return err
		}
		if now.pos != from {
			return errMoved
		}
		tx := &Tx{conn: c, table: table(p.spec.Name, int64(p.spec.Version))}
		for i := range batch {
			if err := p.spec.Apply(tx, batch[i]); err != nil {
				refusal = fmt.Errorf("apply the event at position %d, %q of stream %q: %w", batch[i].Position, batch[i].Type, batch[i].Stream, err)
				return refusal
			}
		}
		now.pos, now.events = to, now.events+uint64(len(batch))
		return p.record(c, &now, atHead)
	})
	switch {
	case errors.Is(err, errMoved):
		p.update(func() { p.state, p.trouble = now, nil })
		return err
	case err == nil:
		p.update(func() {
			p.state, p.head, p.trouble = now, max(p.head, to), nil
			p.applied += uint64(len(batch))
		})
		if p.path != "" {
			time.Sleep(yieldPause)
		}
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	if fault := sqlitefile.Diagnose(err); refusal != nil && fault != sqlitefile.Busy && fault != sqlitefile.Full {
		return refusal
	}
	return fmt.Errorf("%s: %w", p.place(), kind.Mark(err))
}

// record stores the state; a version that is complete for the first time is from now on the one
// that is asked.
func (p *Projection) record(c sqlitefile.Conn, now *state, atHead bool) error {
	name, version := p.spec.Name, int64(p.spec.Version)
	if atHead && !now.complete {
		now.complete = true
		if err := c.Query(putPointer).Text(1, name).Number(2, version).Run(); err != nil {
			return err
		}
	}
	complete := int64(0)
	if now.complete {
		complete = 1
	}
	q := c.Query(updateState).Number(1, int64(now.pos)).Number(2, int64(now.events)).Number(3, complete)
	return q.Text(4, name).Number(5, version).Run()
}

// idle returns when there is something to apply, or somebody wants to know what there is.
func (p *Projection) idle(ctx context.Context) error {
	sub, cancel := context.WithCancel(ctx)
	defer cancel()
	var after journal.Position
	behind := false
	p.update(func() { p.wake, after, behind = cancel, p.state.pos, p.wanted > p.state.pos })
	if behind {
		return nil
	}
	for _, err := range p.journal.Subscribe(sub, after, p.spec.Filter) {
		if sub.Err() != nil {
			return nil // woken, or ctx has ended
		}
		return err
	}
	return nil
}

// update changes what p.mu guards and tells who waits.
func (p *Projection) update(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	if p.moved != nil {
		close(p.moved)
		p.moved = nil
	}
}

// Wait returns nil when this process's version is complete and has applied the events up to a position
// of the journal, such as one that Append has just returned: [Query] finds what was written there.
// Somebody must [Projection.Run] it.
//
// It fails with a *journal.FutureError when the journal has not come to the position, with
// journal.ErrClosed, and with ctx.Err().
func (p *Projection) Wait(ctx context.Context, position journal.Position) error {
	head, err := p.journal.Head(ctx)
	if err != nil {
		return err
	}
	if position > head {
		return &journal.FutureError{After: position, Head: head}
	}
	return p.await(ctx, func() bool {
		if p.state.pos >= position {
			return p.state.complete
		}
		if p.wanted < position {
			p.wanted = position
			if p.wake != nil {
				p.wake()
			}
		}
		return false
	})
}

// Ready returns nil when this process's version is complete, and asked by [Query]. It fails with
// journal.ErrClosed and with ctx.Err().
func (p *Projection) Ready(ctx context.Context) error {
	return p.await(ctx, func() bool { return p.state.complete })
}

// await returns when done, which p.mu guards, reports true.
func (p *Projection) await(ctx context.Context, done func() bool) error {
	for {
		p.mu.Lock()
		if done() {
			p.mu.Unlock()
			return nil
		}
		if p.moved == nil {
			p.moved = make(chan struct{})
		}
		moved := p.moved
		p.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		case <-p.closed:
			return journal.ErrClosed
		}
	}
}
