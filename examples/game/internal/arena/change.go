package arena

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
)

// change is a wish to change a game.
type change struct {
	game string // its id
	id   string // of the first event that the wish makes
	// admit says why whoever wishes has no say in this game; nil admits.
	admit func(*record.Game) error
	// repeats reports whether a fact is what this wish would have made: it is asked when there
	// is an event with the wish's id already.
	repeats func(record.Fact) bool
	// decide gives the facts that the wish makes of the game, none when there is nothing to do,
	// or says why it cannot be granted.
	decide func(*record.Game) ([]record.Fact, error)
}

// second is what the id of an append's second event has behind that of the first.
const second = ".end"

// maxTries bounds how often a wish is decided. Each new try means that the game has moved on,
// and no game has as many events.
const maxTries = 100

// apply grants a wish and returns the game as the wish's events left it, or, for a wish without
// events, as it stands. A wish that was granted before is not granted again.
func (a *Arena) apply(ctx context.Context, c change) (*record.Game, error) {
	t, err := a.table(ctx, c.game)
	if err != nil {
		return nil, err
	}
	for range maxTries {
		g := t.now()
		if i := g.Find(c.id); i >= 0 {
			return c.granted(g, i)
		}
		id, facts, err := a.outcome(c, g)
		stored := false // or perhaps
		if err == nil && len(facts) > 0 {
			err := a.append(ctx, g, id, facts)
			if err != nil && !overtaken(err) {
				return nil, trouble(err)
			}
			stored = id == c.id && mayBeStored(err)
		}
		// What was appended, here or elsewhere, happens at the table before anybody is told,
		// and nobody is refused for how the game stood before.
		fresh, readErr := a.refresh(ctx, t)
		switch {
		case readErr != nil && stored:
			return nil, unseen(readErr)
		case readErr != nil:
			return nil, readErr
		case fresh.Position() > g.Position():
			continue
		case err != nil:
			return nil, err
		case len(facts) == 0:
			return g, nil
		}
	}
	return nil, trouble(fmt.Errorf("game %s: gave up after %d tries to append", c.game, maxTries))
}

// granted answers a wish that was granted by the event at i.
func (c *change) granted(g *record.Game, i int) (*record.Game, error) {
	if err := c.admit(g); err != nil {
		return nil, err
	}
	if !c.repeats(g.Events[i].Fact) {
		return nil, reused(c.game)
	}
	n := i + 1
	if n < len(g.Events) && g.Events[n].ID == c.id+second {
		n++
	}
	return g.Prefix(n), nil
}

func reused(game string) error { return errRequestReused.With("game_id", game) }

// outcome is what is to be appended to a game: the end for which its time has come, or else
// what c makes of it.
func (a *Arena) outcome(c change, g *record.Game) (id string, facts []record.Fact, err error) {
	if err := c.admit(g); err != nil {
		return "", nil, err
	}
	if end, due := a.due(g); due {
		return fmt.Sprintf("due.%d", g.Position()), []record.Fact{end}, nil
	}
	facts, err = c.decide(g)
	return c.id, facts, err
}

// append stores facts if g is as far as the journal's game is. An append whose outcome is
// unknown is repeated, which finds out.
func (a *Arena) append(ctx context.Context, g *record.Game, id string, facts []record.Fact) error {
	events := make([]journal.Event, len(facts))
	for i, f := range facts {
		kind, data, err := record.Encode(f)
		if err != nil {
			return err
		}
		events[i] = journal.Event{ID: id, Type: kind, Data: data}
		id += second
	}
	var err, unknown error
	for range 3 {
		_, err = a.Journal.Append(ctx, streamPrefix+g.ID, journal.At(g.Position()), events...)
		if !errors.Is(err, journal.ErrUnknownOutcome) {
			break
		}
		unknown = err
	}
	switch {
	case err == nil:
		if a.Written != nil {
			for _, f := range facts {
				a.Written(f)
			}
		}
		return nil
	case unknown != nil:
		// That the last attempt stored nothing says nothing about those before it.
		err = errors.Join(err, unknown)
	}
	err = fmt.Errorf("append to game %s: %w", g.ID, err)
	if errors.Is(err, journal.ErrFailed) {
		a.giveUp(err)
	}
	return err
}

// overtaken reports whether an append failed because others were faster.
func overtaken(err error) bool {
	var conflict *journal.ConflictError
	var taken *journal.IDReusedError
	return errors.As(err, &conflict) || errors.As(err, &taken)
}

// mayBeStored reports whether what an append ended with leaves it possible that the events are in the journal.
func mayBeStored(err error) bool { return err == nil || errors.Is(err, journal.ErrUnknownOutcome) }

// unseen is what is answered when a wish has gone into the journal, and the game with it cannot be read: that
// nothing was stored, which a failure to read says otherwise, would be wrong.
func unseen(err error) error {
	return trouble(fmt.Errorf("read the game after an append: %w: %w", journal.ErrUnknownOutcome, err))
}

// trouble makes a failure of what the journal returned.
func trouble(err error) error {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, journal.ErrUnknownOutcome):
		return errUncertain.Wrap(err)
	case errors.Is(err, journal.ErrCorrupt), errors.Is(err, record.ErrNewer):
		return errUnreadable.Wrap(err)
	}
	return errJournal.Wrap(err)
}
