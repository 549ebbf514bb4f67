package jetstream

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// A change is a call that stores something. It belongs to one goroutine.
type change struct {
	*store
	what    string
	ctx     context.Context // ends when the journal closes
	wire    context.Context // for attempts: closing the journal does not end those on their way
	unknown bool            // whether an attempt is stored, or may yet be
	end     context.CancelFunc
}

// change begins a change. If it returns no error, done ends it.
func (s *store) change(ctx context.Context, what string) (*change, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !s.begin() {
		return nil, journal.ErrClosed
	}
	c := &change{store: s, what: what}
	wire, cancel := bounded(ctx)
	living, end := s.living(wire)
	c.wire, c.ctx, c.end = wire, living, func() { end(); cancel() }
	return c, nil
}

func (c *change) done() {
	c.end()
	c.busy.Done()
}

// failed says how the change failed.
func (c *change) failed(err error) error {
	ending := c.ending(c.ctx)
	switch {
	case c.unknown && ending != nil:
		return fmt.Errorf("%s: %w: %w", c.what, journal.ErrUnknownOutcome, ending)
	case c.unknown:
		return fmt.Errorf("%s: %w: %w", c.what, journal.ErrUnknownOutcome, err)
	case errors.Is(ending, errPatience):
		return fmt.Errorf("%s: %w: %w: %w", c.what, journal.ErrUnavailable, ending, err)
	case ending != nil:
		return ending
	}
	return fmt.Errorf("%s: %w", c.what, err)
}

// attempts calls try until it stores or cannot, and returns the position that it gave, 0 when others were
// faster. Each time that this is not known it calls look, which finds out: the position when it is stored, 0 when
// others were faster, or not settled when nothing was stored yet.
func (c *change) attempts(try func() (journal.Position, error), look func() (pos journal.Position, settled bool, err error)) (journal.Position, error) {
	var p pacer
	for {
		pos, err := try()
		var again temporary
		switch {
		case err == nil:
			c.unknown = false
			return pos, nil
		case errors.As(err, &again):
		case errors.Is(err, errLost) && !c.unknown:
			return 0, nil
		case errors.Is(err, errLost), errors.Is(err, errUnknown):
			c.unknown = true
			settled := false
			failure := c.retry(c.ctx, func() (err error) {
				pos, settled, err = look()
				return err
			})
			if failure != nil {
				return 0, errors.Join(err, failure)
			}
			if settled {
				c.unknown = false
				return pos, nil
			}
		default:
			return 0, err
		}
		if p.pause(c.ctx) != nil {
			return 0, err
		}
	}
}
