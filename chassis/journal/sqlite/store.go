package sqlite

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// A store is an open journal.
type store struct {
	name   string // the path of the file, or "mem:"
	pool   *pool
	hub    *hub
	writer *writer    // nil in memory
	memory *committer // nil in a file; guarded by its connection, which is the pool's only one

	closeOnce sync.Once
	closed    chan struct{}
}

// Append implements [journal.Journal].
func (s *store) Append(ctx context.Context, stream string, expect journal.Expect, events ...journal.Event) (journal.Version, error) {
	if err := journal.ValidateAppend(stream, events); err != nil {
		return 0, err
	}
	return s.append(ctx, journal.Batch{Stream: stream, Expect: expect, Events: events})
}

// AppendMany implements [journal.Journal].
func (s *store) AppendMany(ctx context.Context, batches ...journal.Batch) (journal.Position, error) {
	if err := journal.ValidateBatches(batches); err != nil {
		return 0, err
	}
	return s.append(ctx, slices.Clone(batches)...)
}

func (s *store) append(ctx context.Context, batches ...journal.Batch) (journal.Position, error) {
	r := &request{batches: batches}
	if err := s.do(ctx, r); err != nil {
		return 0, err
	}
	return r.version, nil
}

// do has the request written and returns when its answer is known, or never will be.
func (s *store) do(ctx context.Context, r *request) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.writer != nil {
		return s.writer.do(ctx, r)
	}
	c, err := s.pool.acquire(ctx)
	if err != nil {
		return err
	}
	grown := s.memory.commit([]*request{r})
	head := s.memory.head
	s.pool.release(c)
	if grown {
		s.hub.advance(head)
	}
	return r.err
}

// Version implements [journal.Journal].
func (s *store) Version(ctx context.Context, stream string) (version journal.Version, err error) {
	if err := journal.ValidateStream(stream); err != nil {
		return 0, err
	}
	err = s.with(ctx, func(c *conn) error {
		number, err := c.find(stream)
		if err == nil {
			version, err = c.version(number)
		}
		return err
	})
	if err != nil {
		return 0, s.readError(fmt.Sprintf("version of stream %q", stream), err)
	}
	return version, nil
}

// Head implements [journal.Journal].
func (s *store) Head(ctx context.Context) (head journal.Position, err error) {
	err = s.with(ctx, func(c *conn) error {
		head, err = c.head()
		return err
	})
	if err != nil {
		return 0, s.readError("head", err)
	}
	return head, nil
}

// Read implements [journal.Journal].
func (s *store) Read(ctx context.Context, stream string, after journal.Version) iter.Seq2[journal.Recorded, error] {
	if err := journal.ValidateStream(stream); err != nil {
		return func(yield func(journal.Recorded, error) bool) { yield(journal.Recorded{}, err) }
	}
	return s.All(ctx, after, journal.Filter{Stream: stream})
}

// All implements [journal.Journal].
func (s *store) All(ctx context.Context, after journal.Position, filter journal.Filter) iter.Seq2[journal.Recorded, error] {
	return func(yield func(journal.Recorded, error) bool) {
		r, err := s.start(ctx, after, filter)
		if err == nil {
			err = r.drain(ctx, yield)
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(journal.Recorded{}, err)
		}
	}
}

// Subscribe implements [journal.Journal].
func (s *store) Subscribe(ctx context.Context, after journal.Position, filter journal.Filter) iter.Seq2[journal.Recorded, error] {
	return func(yield func(journal.Recorded, error) bool) {
		s.hub.join()
		defer s.hub.leave()
		r, err := s.start(ctx, after, filter)
		for err == nil {
			if err = r.drain(ctx, yield); err == nil {
				err = r.wait(ctx)
			}
		}
		if !errors.Is(err, errStopped) {
			yield(journal.Recorded{}, err)
		}
	}
}

// errStopped says that the loop over a sequence has ended.
var errStopped = errors.New("the loop has ended")

// A reader is the work of one range over a sequence.
type reader struct {
	store *store
	span  span
	batch batch
}

// start checks what is to be read and notes the head.
func (s *store) start(ctx context.Context, after journal.Position, filter journal.Filter) (*reader, error) {
	if err := journal.ValidateFilter(filter); err != nil {
		return nil, err
	}
	head, err := s.Head(ctx)
	if err != nil {
		return nil, err
	}
	if after > head {
		return nil, &journal.FutureError{After: after, Head: head}
	}
	return &reader{store: s, span: span{after: after, until: head, filter: filter}}, nil
}

// drain yields the rest of the span. No connection is held while it yields.
func (r *reader) drain(ctx context.Context, yield func(journal.Recorded, error) bool) error {
	for done := false; !done; {
		after := r.span.after
		err := r.store.with(ctx, func(c *conn) (err error) {
			done, err = c.read(&r.batch, &r.span)
			return err
		})
		if err != nil {
			err = r.store.readError(fmt.Sprintf("read after position %d", after), err)
		}
		for i := range r.batch.events {
			if !yield(r.batch.events[i], nil) {
				return errStopped
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// wait returns when there is more to read.
func (r *reader) wait(ctx context.Context) error {
	for {
		head, grown, err := r.store.hub.state()
		if err != nil {
			return err
		}
		if head > r.span.until {
			r.span.until = head
			return nil
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		case <-r.store.closed:
			return journal.ErrClosed
		}
	}
}

// with lends f a connection.
func (s *store) with(ctx context.Context, f func(*conn) error) error {
	c, err := s.pool.acquire(ctx)
	if err != nil {
		return err
	}
	defer s.pool.release(c)
	return f(c)
}

// readError says what failed, but leaves alone what is no failure of reading.
func (s *store) readError(what string, err error) error {
	if errors.Is(err, journal.ErrClosed) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("journal %s: %s: %w", s.name, what, kind.Damage(err))
}

// pollPeers tells the hub what other processes append, until stop is closed. It goes by the
// machine's clock, because it is about other processes.
func (s *store) pollPeers(stop <-chan struct{}) {
	tick := time.NewTicker(peerPoll)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-s.closed:
			return
		case <-tick.C:
		}
		head, err := s.Head(context.Background())
		if err != nil {
			s.hub.fail(err)
			continue
		}
		s.hub.advance(head)
	}
}

// Close implements [journal.Journal].
func (s *store) Close() (err error) {
	s.closeOnce.Do(func() {
		close(s.closed)
		var errs []error
		if s.writer != nil {
			s.writer.Wait()
			errs = append(errs, s.writer.committer.Close())
		}
		if err = errors.Join(append(errs, s.pool.close())...); err != nil {
			err = fmt.Errorf("close journal %s: %w", s.name, err)
		}
	})
	return err
}
