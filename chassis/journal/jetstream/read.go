package jetstream

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

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
		ctx, end := s.living(ctx)
		defer end()
		r, err := s.start(ctx, after, filter)
		if err == nil {
			defer r.close()
			err = r.drain(ctx, bounded, yield)
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(journal.Recorded{}, err)
		}
	}
}

// Subscribe implements [journal.Journal].
func (s *store) Subscribe(ctx context.Context, after journal.Position, filter journal.Filter) iter.Seq2[journal.Recorded, error] {
	return func(yield func(journal.Recorded, error) bool) {
		ctx, end := s.living(ctx)
		defer end()
		if err := s.subscribe(ctx, after, filter, yield); !errors.Is(err, errStopped) {
			yield(journal.Recorded{}, err)
		}
	}
}

func (s *store) subscribe(ctx context.Context, after journal.Position, filter journal.Filter, yield func(journal.Recorded, error) bool) error {
	if err := s.ending(ctx); err != nil {
		return err
	}
	// Before the head is asked for, so that no event is between that and the first notice.
	g, err := s.hub.join(filter.Stream)
	if err != nil {
		return s.readError(ctx, "subscribe", err)
	}
	defer s.hub.leave(filter.Stream)
	r, err := s.start(ctx, after, filter)
	if err != nil {
		return err
	}
	defer r.close()
	for {
		if err := r.drain(ctx, context.WithCancel, yield); err != nil {
			return err
		}
		if err := r.wait(ctx, g); err != nil {
			return err
		}
	}
}

// errStopped says that the loop over a sequence has ended.
var errStopped = errors.New("the loop has ended")

// start checks what is to be read and finds its end.
func (s *store) start(ctx context.Context, after journal.Position, filter journal.Filter) (*reader, error) {
	if err := journal.ValidateFilter(filter); err != nil {
		return nil, err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	until, err := journal.Position(0), error(nil)
	if filter.Stream != "" {
		until, err = s.version(ctx, filter.Stream, 0)
	}
	if err == nil && after >= until {
		var head journal.Position
		if head, err = s.head(ctx); err == nil && after > head {
			return nil, &journal.FutureError{After: after, Head: head}
		}
		if filter.Stream == "" {
			until = head
		}
	}
	if err != nil {
		return nil, s.readError(ctx, "head", err)
	}
	return s.reader(after, until, filter), nil
}

// drain yields the selected events up to the reader's end. limit bounds each request with its repetitions.
func (r *reader) drain(ctx context.Context, limit func(context.Context) (context.Context, context.CancelFunc), yield func(journal.Recorded, error) bool) error {
	for {
		after := r.after
		limited, cancel := limit(ctx)
		records, err := r.next(limited)
		if err != nil {
			err = r.store.readError(limited, fmt.Sprintf("read after position %d", after), err)
		}
		cancel()
		for i := range records {
			if e := &records[i].Recorded; r.filter.Match(e.Stream, e.Type) && !yield(*e, nil) {
				return errStopped
			}
		}
		if err != nil || len(records) == 0 {
			return err
		}
	}
}

// wait returns when there may be more to read.
func (r *reader) wait(ctx context.Context, g *signal) error {
	for {
		head, event, grown := r.store.hub.state(g)
		if head > r.looked || event > r.until {
			r.looked = head
			until := head
			if r.filter.Stream != "" {
				// The stream need not have an event there. Where it was said to have one, an answer
				// that does not know of it is old, and nothing would wake this reader again.
				var err error
				if until, err = r.store.version(ctx, r.filter.Stream, event); err != nil {
					return r.store.readError(ctx, "follow", err)
				}
			}
			if until > r.until {
				r.until = until
				return nil
			}
			continue
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return r.store.ending(ctx)
		}
	}
}
