package jetstream

import (
	"cmp"
	"context"
	"encoding/base32"
	"fmt"
	"io"
	"slices"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// Append implements [journal.Journal].
func (s *store) Append(ctx context.Context, stream string, expect journal.Expect, events ...journal.Event) (journal.Version, error) {
	if err := journal.ValidateAppend(stream, events); err != nil {
		return 0, err
	}
	return s.append(ctx, fmt.Sprintf("append to stream %q", stream), []journal.Batch{{Stream: stream, Expect: expect, Events: events}})
}

// AppendMany implements [journal.Journal].
func (s *store) AppendMany(ctx context.Context, batches ...journal.Batch) (journal.Position, error) {
	if err := journal.ValidateBatches(batches); err != nil {
		return 0, err
	}
	return s.append(ctx, fmt.Sprintf("append to %d streams", len(batches)), batches)
}

// append does what says what.
func (s *store) append(ctx context.Context, what string, batches []journal.Batch) (journal.Version, error) {
	c, err := s.change(ctx, what)
	if err != nil {
		return 0, err
	}
	defer c.done()
	a := &appending{change: c, given: batches[0].Events[0].ID != "", at: s.clock.Now().UnixNano()}
	defer a.leave()
	if err := a.enter(batches); err != nil {
		return 0, c.failed(err)
	}
	if !a.given {
		if err := a.identify(); err != nil {
			return 0, c.failed(err)
		}
	}
	version, err := a.run()
	if err != nil {
		return 0, c.failed(err)
	}
	return version, nil
}

// An appending is one append under way. It holds the gates of its streams.
//
//	      ┌────────────────────── lost ─────────────────────┐
//	      ▼                                                 │
//	   look: is it stored, are streams as expected ────► publish ──► stored
//	      │                                           ▲     │
//	      ▼                                           │   unknown
//	repetition, conflict                              │     ▼
//	                                                  └── settle: what is stored there ──► stored, or lost
type appending struct {
	*change
	parts  []*part
	events int  // of all parts
	given  bool // the IDs are the caller's
	at     int64
}

// A part is what is appended to one stream.
type part struct {
	*known
	subject string
	expect  journal.Expect
	events  []journal.Event // all with IDs
	base    journal.Version // that it is to be stored on
}

// enter waits for the gates of all streams, in one order for everybody.
func (a *appending) enter(batches []journal.Batch) error {
	a.parts = make([]*part, len(batches))
	order := make([]int, len(batches))
	for i, b := range batches {
		a.parts[i] = &part{subject: eventSubject(a.name, tokenOf(b.Stream)), expect: b.Expect, events: b.Events}
		a.events += len(b.Events)
		order[i] = i
	}
	slices.SortFunc(order, func(i, k int) int { return cmp.Compare(batches[i].Stream, batches[k].Stream) })
	for _, i := range order {
		k, err := a.memory.enter(a.ctx, batches[i].Stream)
		if err != nil {
			return err
		}
		a.parts[i].known = k
	}
	return nil
}

// leave undoes enter, as far as it came.
func (a *appending) leave() {
	for _, p := range a.parts {
		if p.known != nil {
			a.memory.leave(p.known)
		}
	}
}

// identify gives the events IDs of their own: 120 bits of chance and a number.
func (a *appending) identify() error {
	chance := make([]byte, 15)
	if err := a.chance(chance); err != nil {
		return fmt.Errorf("make IDs of events: %w", err)
	}
	prefix := base32.HexEncoding.EncodeToString(chance)
	n := 0
	for _, p := range a.parts {
		p.events = slices.Clone(p.events)
		for i := range p.events {
			p.events[i].ID = fmt.Sprintf("%s.%d", prefix, n)
			n++
		}
	}
	return nil
}

// chance fills b with randomness.
func (s *store) chance(b []byte) error {
	s.random.Lock()
	defer s.random.Unlock()
	if _, err := io.ReadFull(s.randomly, b); err != nil {
		return fmt.Errorf("read randomness: %w", err)
	}
	return nil
}

// run appends, or finds that it was done.
func (a *appending) run() (journal.Version, error) {
	// Streams of which nothing is known are not looked at, if they need not be: whether they are as
	// expected is found when the append is to be stored, and in an empty one there are no IDs.
	blind := true
	for _, p := range a.parts {
		p.base = journal.Version(p.expect)
		blind = blind && !p.fresh && (p.expect == journal.NoStream || p.expect != journal.Any && !a.given)
	}
	for {
		if !blind {
			done, err := a.look()
			if err != nil || done != 0 {
				return done, err
			}
		}
		version, err := a.onto()
		if err != nil {
			return 0, err
		}
		if version != 0 {
			a.note(version, blind)
			return version, nil
		}
		// Others were faster.
		blind = false
		for _, p := range a.parts {
			p.fresh = false
		}
	}
}

// look finds out how the streams are. It returns the version of this append when it was stored before, 0
// when it is to be stored now.
func (a *appending) look() (journal.Version, error) {
	for _, p := range a.parts {
		if p.fresh && (!a.given || p.complete) && p.expect.Met(p.version) {
			continue
		}
		version, err := a.version(a.ctx, p.stream, 0)
		if err != nil {
			return 0, err
		}
		if p.complete {
			if err := a.learn(p, p.version, version, nil); err != nil {
				return 0, err
			}
		}
		a.memory.advance(p.known, version)
	}
	if a.given {
		if version, err := a.repeated(); err != nil || version != 0 {
			return version, err
		}
	}
	for _, p := range a.parts {
		if !p.expect.Met(p.version) {
			return 0, &journal.ConflictError{Stream: p.stream, Expected: p.expect, Actual: p.version}
		}
		p.base = p.version
	}
	return 0, nil
}

// learn reads a section of a stream and remembers its IDs, as long as they are complete. Each event is
// shown to see, if that is not nil.
func (a *appending) learn(p *part, after, until journal.Version, see func(*record)) error {
	r := a.reader(after, until, journal.Filter{Stream: p.stream})
	defer r.close()
	for {
		records, err := r.next(a.ctx)
		if err != nil || len(records) == 0 {
			if err != nil {
				a.memory.lose(p.known)
			}
			return err
		}
		for i := range records {
			e := &records[i]
			p.complete = p.complete && a.memory.remember(p.known, e.ID, e.Position)
			if see != nil {
				see(e)
			}
		}
	}
}

// repeated looks for events with the IDs of this append. It returns the version that the append had when it
// was stored before, 0 when it was not.
func (a *appending) repeated() (last journal.Version, err error) {
	var taken *journal.IDReusedError
	missing, same := 0, true
	for _, p := range a.parts {
		stored, err := a.find(p)
		if err != nil {
			return 0, err
		}
		for i, e := range stored {
			if e == nil {
				missing++
				continue
			}
			equal := e.Type == p.events[i].Type && string(e.Data) == string(p.events[i].Data)
			if taken == nil || same && !equal {
				taken = &journal.IDReusedError{Stream: p.stream, ID: e.ID, Position: e.Position}
			}
			same = same && equal && (last == 0 || e.Position == last+1)
			last = e.Position
		}
	}
	switch {
	case taken == nil:
		return 0, nil
	case missing > 0 || !same:
		return 0, taken
	}
	return last, nil
}

// find returns the stored event with the ID of each of the part's, nil where there is none.
func (a *appending) find(p *part) ([]*record, error) {
	stored := make([]*record, len(p.events))
	for i := range p.events {
		pos, found := p.ids[a.memory.hash(p.events[i].ID)]
		if !found {
			continue
		}
		e, err := a.event(p, pos)
		if err != nil {
			return nil, err
		}
		if e.ID != p.events[i].ID {
			a.memory.lose(p.known) // two IDs with one hash
			break
		}
		stored[i] = e
	}
	if p.complete {
		return stored, nil
	}
	wanted := make(map[string]int, len(p.events))
	for i := range p.events {
		wanted[p.events[i].ID] = i
	}
	a.memory.lose(p.known)
	p.complete = true
	return stored, a.learn(p, 0, p.version, func(e *record) {
		if i, ok := wanted[e.ID]; ok {
			stored[i] = e
		}
	})
}

// event reads one event of a part's stream.
func (a *appending) event(p *part, pos journal.Position) (*record, error) {
	var m *message
	err := a.retry(a.ctx, func() (err error) {
		if m, err = a.ask(a.ctx, a.name, question{Seq: pos}); err == nil && m == nil {
			err = fmt.Errorf("%w: the event at position %d is missing", journal.ErrCorrupt, pos)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	e, err := decodeRecord(p.stream, pos, m.Data)
	return &e, err
}

// onto stores the append if all streams are at their parts' bases, and returns its version, 0 when others
// were faster.
func (a *appending) onto() (journal.Version, error) {
	return a.attempts(a.publish, func() (journal.Position, bool, error) {
		first := a.parts[0]
		m, err := a.ask(a.ctx, a.name, question{Seq: first.base + 1, NextFor: first.subject})
		if err != nil || m == nil {
			return 0, false, err // when nothing came, it may yet be stored
		}
		// Whatever came after base has decided it: this append or another one.
		e, err := decodeRecord(first.stream, m.Seq, m.Data)
		if err != nil || e.ID != first.events[0].ID {
			return 0, true, err
		}
		return m.Seq + journal.Position(a.events-1), true, nil
	})
}

// note takes in that the append was stored, up to last. What was not looked at is known only if it was
// empty.
func (a *appending) note(last journal.Version, blind bool) {
	pos := last - journal.Version(a.events)
	a.see(last)
	for _, p := range a.parts {
		if blind || p.base == 0 {
			a.memory.lose(p.known)
			p.complete = p.base == 0
		}
		for i := range p.events {
			pos++
			p.complete = p.complete && a.memory.remember(p.known, p.events[i].ID, pos)
		}
		a.memory.advance(p.known, pos)
		a.hub.wake(p.stream, pos)
	}
}
