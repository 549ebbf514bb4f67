package spool

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/seed-754044b3/roadworthy/internal/sqlitefile"
)

// roomPoll is how often a Put that waits looks whether another process has made room. It goes by the
// machine's clock, because it is about other processes.
const roomPoll = 50 * time.Millisecond

// A Spool is a bounded, durable queue. Its methods are safe for concurrent use. Whoever opened it
// closes it.
type Spool struct {
	name   string
	cfg    Config
	lock   *lock
	room   *reserve
	t      *committer
	writer *sqlitefile.Writer[*task]

	closeOnce sync.Once
	closed    chan struct{}
	closeErr  error

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when a transaction of this process has changed something
	here    numbers
	blocked int
}

// Open opens the spool in the file at path, or makes it. The directory must exist and be writable, on
// a local disk. ctx bounds the opening only. A file that is damaged gives an error that wraps
// [ErrCorrupt], unless [Config].SetAside; one that is no spool, or of a newer release, wraps
// [ErrInvalid].
func Open(ctx context.Context, path string, cfg Config) (*Spool, error) {
	cfg.SetDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("open spool %s: %w: %w", path, ErrInvalid, err)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	s := &Spool{name: path, cfg: cfg, closed: make(chan struct{}), changed: make(chan struct{})}
	if _, err := kind.Inspect(path); err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	if s.lock, err = openLock(path); err == nil {
		err = s.lock.share()
	}
	if err == nil {
		s.room, err = openReserve(path, &cfg)
	}
	var lost int64
	var c sqlitefile.Conn
	aside := false
	if err == nil {
		c, err = openConn(ctx, path)
	}
	if wantsRoom(err) && s.room.give() == nil {
		c, err = openConn(ctx, path)
	}
	if err != nil && errors.Is(err, ErrCorrupt) && cfg.SetAside {
		aside = true
		if lost, err = setAside(path, s.lock, cfg.Clock.Now()); err == nil {
			err = s.lock.share()
		}
		if err == nil {
			c, err = openConn(ctx, path)
		}
	}
	if err != nil {
		if s.lock != nil {
			err = errors.Join(err, s.lock.close())
		}
		if s.room != nil {
			err = errors.Join(err, s.room.close())
		}
		return nil, fmt.Errorf("open spool: %w", err)
	}
	s.t = &committer{Conn: c, reserve: s.room, cfg: cfg, clock: cfg.Clock, patience: sqlitefile.LockWait, onDone: s.done, step: func(string) {}}
	s.writer = sqlitefile.NewWriter(s.t.commit, func(k *task) int { return k.bytes }, s.closed)
	s.t.onPeer = s.writer.NotePeer
	if aside {
		err = s.do(ctx, 0, func(t *committer) (error, error) {
			t.n[setAsides]++
			t.n[droppedDamaged] += lost
			return nil, nil
		})
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// done takes note of a transaction.
func (s *Spool) done(before, after *numbers) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *before == *after {
		return // it only looked
	}
	s.here.grow(before, after)
	close(s.changed)
	s.changed = make(chan struct{})
}

// change returns a channel that is closed when this process changes the spool.
func (s *Spool) change() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// do has the writer do something.
func (s *Spool) do(ctx context.Context, size int, apply func(*committer) (refusal, err error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	k := &task{bytes: size, apply: apply}
	switch s.writer.Do(ctx, k) {
	case sqlitefile.Withdrawn:
		return ctx.Err()
	case sqlitefile.Closed:
		return ErrClosed
	case sqlitefile.Unknown:
		return fmt.Errorf("spool %s: %w: %w", s.name, ErrUnknownOutcome, ctx.Err())
	}
	if k.err != nil && !errors.Is(k.err, errNoRoom) {
		return fmt.Errorf("spool %s: %w", s.name, k.err)
	}
	return k.err
}

// Put stores a record. When it returns nil the record is on the disk. A record with an ID that is in
// the spool already is kept once, as it was first put, and that is no error.
//
// When there is no room, it does what [Limit].OnFull says; the error then wraps [ErrFull]. An error
// that wraps [ErrUnknownOutcome] says that ctx ended while the record was being written. One that wraps
// [ErrDiskFull] says that the disk is full, or so full that the spool's reserve does not fit on it.
func (s *Spool) Put(ctx context.Context, r Record) error {
	if err := r.validate(int(s.cfg.MaxRecord)); err != nil {
		return fmt.Errorf("put into spool %s: %w", s.name, err)
	}
	r.Body = slices.Clone(r.Body) // when ctx ends, Put returns and the record may still be on its way to the disk
	err := s.put(ctx, r)
	if !errors.Is(err, errNoRoom) {
		return err
	}
	s.block(1)
	defer s.block(-1)
	poll := time.NewTicker(roomPoll)
	defer poll.Stop()
	for {
		changed := s.change()
		if err = s.put(ctx, r); !errors.Is(err, errNoRoom) {
			return err
		}
		select {
		case <-changed:
		case <-poll.C:
		case <-s.closed:
			return ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("put record %q into spool %s: %w, and stayed so: %w", r.ID, s.name, ErrFull, ctx.Err())
		}
	}
}

func (s *Spool) put(ctx context.Context, r Record) error {
	return s.do(ctx, int(r.Size()), func(t *committer) (error, error) { return t.put(r) })
}

func (s *Spool) block(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocked += n
}

// Lease hands out up to n of the records that are ready, 1,000 and 16 MiB of bodies at most, in the
// order in which they were first put. Nobody else gets them before ttl has passed, 24 hours at most.
// It does not wait: without any ready record it returns none. The caller owns the bodies.
//
// Once the spool has begun to hand them out it does so although ctx ends, lest they be held for nobody.
func (s *Spool) Lease(ctx context.Context, n int, ttl time.Duration) ([]Leased, error) {
	if n < 1 || ttl <= 0 || ttl > maxLease {
		return nil, fmt.Errorf("lease from spool %s: %w: want 1 or more records for up to %v, got %d for %v", s.name, ErrInvalid, maxLease, n, ttl)
	}
	front := func(t *committer) ([]int64, error) { return t.ready(0) }
	return s.lease(ctx, front, n, ttl)
}

// lease is Lease of records that pick picks.
func (s *Spool) lease(ctx context.Context, pick picker, n int, ttl time.Duration) (out []Leased, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = s.do(context.WithoutCancel(ctx), 0, func(t *committer) (refusal, err error) {
		out, err = t.lease(pick, min(n, maxLeaseRows), ttl)
		return nil, err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Ack removes records that have been delivered, be their leases over or not: what is delivered need
// not be delivered again. Those that are gone already are no error.
func (s *Spool) Ack(ctx context.Context, leased ...Leased) error {
	leased = slices.Clone(leased) // when ctx ends, Ack returns and the writer may still be at it
	return s.do(ctx, 0, func(t *committer) (error, error) { return nil, t.ack(leased) })
}

// Nack gives records back that could not be delivered, and were at fault themselves as far as can be
// told: they are ready again once after has passed (at once when it is 0), or parked when
// they have been tried [Config].MaxTries times. Records whose lease has ended are left as they are.
func (s *Spool) Nack(ctx context.Context, after time.Duration, leased ...Leased) error {
	return s.give(ctx, give{counted: true, after: after, reason: "the last delivery failed"}, leased)
}

// Release gives records back without counting a try: the receiver was not there, or the caller stops.
// Otherwise it is like Nack.
func (s *Spool) Release(ctx context.Context, after time.Duration, leased ...Leased) error {
	return s.give(ctx, give{after: after}, leased)
}

// Park takes records out of the way that can never be delivered, before they have been tried
// [Config].MaxTries times. reason is for operators; 1,000 bytes of it are kept. Records whose lease
// has ended are left as they are.
func (s *Spool) Park(ctx context.Context, reason string, leased ...Leased) error {
	return s.give(ctx, give{park: true, reason: reason}, leased)
}

func (s *Spool) give(ctx context.Context, g give, leased []Leased) error {
	leased = slices.Clone(leased) // as in Ack
	return s.do(ctx, 0, func(t *committer) (error, error) { return nil, t.giveBack(g, leased) })
}

// Parked lists up to n parked records, 1,000 and 16 MiB of bodies at most, in the order in which they
// were first put, beginning behind the one with the ID after; "" begins with the first.
func (s *Spool) Parked(ctx context.Context, after string, n int) (out []Parked, err error) {
	var found []Parked
	err = s.do(ctx, 0, func(t *committer) (refusal, err error) {
		found, err = t.listParked(after, max(0, min(n, maxListed)))
		return nil, err
	})
	if err == nil {
		out = found
	}
	return out, err
}

// Requeue makes parked records ready again, with no try counted, and returns how many of the IDs were
// parked. Without IDs it is all that are parked.
func (s *Spool) Requeue(ctx context.Context, ids ...string) (total int, err error) {
	ids = slices.Clone(ids) // as in Ack
	for {
		n, err := s.number(ctx, func(t *committer) (int, error) {
			if len(ids) > 0 {
				return t.forParked(ids, t.requeue)
			}
			return t.requeueAll()
		})
		total += n
		if err != nil || len(ids) > 0 || n == 0 {
			return total, err
		}
	}
}

// Discard removes parked records, counts them under [Discarded], and returns how many of the IDs were
// parked. Without IDs it removes nothing.
func (s *Spool) Discard(ctx context.Context, ids ...string) (int, error) {
	ids = slices.Clone(ids) // as in Ack
	return s.number(ctx, func(t *committer) (int, error) { return t.forParked(ids, t.discard) })
}

func (s *Spool) number(ctx context.Context, f func(*committer) (int, error)) (int, error) {
	n := 0
	err := s.do(ctx, 0, func(t *committer) (refusal, err error) {
		n, err = f(t)
		return nil, err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// Stats returns the figures now.
func (s *Spool) Stats(ctx context.Context) (Stats, error) {
	var found Stats
	err := s.do(ctx, 0, func(t *committer) (refusal, err error) {
		found, err = t.stats()
		return nil, err
	})
	if err != nil {
		return Stats{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found.Here, found.Blocked = s.here.counts(), s.blocked
	return found, nil
}

// Close ends what is being written and closes the file. Leases that are open stay until they end. More
// calls than one are no error.
func (s *Spool) Close() error {
	s.closeOnce.Do(func() {
		close(s.closed)
		s.writer.Wait()
		if err := errors.Join(s.t.Close(), s.room.close(), s.lock.close()); err != nil {
			s.closeErr = fmt.Errorf("close spool %s: %w", s.name, err)
		}
	})
	return s.closeErr
}
