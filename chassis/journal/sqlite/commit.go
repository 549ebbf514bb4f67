package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/internal/sqlitefile"
)

// A committer runs transactions on its connection. It is used by one goroutine at a time.
type committer struct {
	*conn
	clock    clock.Clock
	patience time.Duration    // with other processes that write
	head     journal.Position // after the last transaction
	failed   error            // once set, nothing is written any more
	onBusy   func()           // the write lock was found taken
	onPeer   func()           // there are events that this committer did not write

	record []byte  // being stored
	seen   batch   // being compared
	places []place // of the append's batches

	// What was found in the file, which is as it was for as long as its head is: streams are made and
	// grow with events only. Asking for it takes half the time of an append in memory.
	known    map[string]place
	maxKnown int
	streams  int64 // how many there are; 0: not known
}

// A place is where a batch goes.
type place struct {
	stream  int64 // 0 while there is no such stream
	version journal.Version
}

// maxKnown is of how many streams a committer remembers the places, at most 2 MiB.
const maxKnown = 1 << 12

// forget drops what was found in the file.
func (t *committer) forget() {
	clear(t.known)
	t.streams = 0
}

// remember notes the place of a stream that exists.
func (t *committer) remember(name string, p place) {
	if _, ok := t.known[name]; !ok {
		if t.known == nil || len(t.known) >= t.maxKnown {
			t.known = map[string]place{}
		}
		name = strings.Clone(name) // it may be a part of what is much larger
	}
	t.known[name] = p
}

// locate finds the place of a stream.
func (t *committer) locate(name string) (p place, err error) {
	if p, ok := t.known[name]; ok {
		return p, nil
	}
	if p.stream, err = t.find(name); err != nil || p.stream == 0 {
		return place{}, err
	}
	if p.version, err = t.version(p.stream); err != nil {
		return place{}, err
	}
	t.remember(name, p)
	return p, nil
}

// commit stores the requests of the group in one transaction and sets version or err of each. It
// reports whether anything was written.
func (t *committer) commit(group []*request) (stored bool) {
	for len(group) > 0 {
		if t.failed != nil {
			fail(group, t.failed)
			return false
		}
		culprit, err := t.transact(group)
		switch {
		case err == nil:
			return true
		case errors.Is(err, errNothing):
			return false
		case culprit == nil:
			fail(group, err)
			return false
		}
		// What this request did is undone together with the rest, so the rest goes again.
		culprit.err = fmt.Errorf("%s: %w", culprit.what(), err)
		group = slices.DeleteFunc(slices.Clone(group), func(r *request) bool { return r == culprit })
	}
	return false
}

// errNothing says that a transaction found nothing to store.
var errNothing = errors.New("nothing to store")

func fail(group []*request, err error) {
	for _, r := range group {
		r.version, r.err = 0, fmt.Errorf("%s: %w", r.what(), err)
	}
}

// transact tries the whole group. An error with a culprit concerns that request alone; any other
// error all of them. In both cases the transaction is undone.
func (t *committer) transact(group []*request) (culprit *request, err error) {
	defer func() {
		if err != nil {
			sqlitefile.Rollback(t.Conn.Conn)
			if !errors.Is(err, errNothing) {
				t.forget() // it may be of what is undone
			}
		}
	}()
	err = sqlitefile.Begin(context.Background(), t.Conn, t.patience, t.onBusy)
	var head journal.Position
	if err == nil {
		head, err = t.conn.head()
	}
	if err != nil {
		return nil, t.failure(err)
	}
	if head != t.head {
		t.head = head
		t.forget()
		t.onPeer()
	}
	now, changed := t.clock.Now(), false
	for _, r := range group {
		r.version, r.err = 0, nil
		wrote, refusal, err := t.apply(r, &head, now)
		if err != nil {
			if sqlitefile.Diagnose(err) == sqlitefile.Request {
				return r, err
			}
			return nil, t.failure(err)
		}
		r.err = refusal
		changed = changed || wrote
	}
	if !changed {
		return nil, errNothing
	}
	if err := t.end(); err != nil {
		return nil, err
	}
	t.head = head
	return nil, nil
}

// end commits.
func (t *committer) end() error {
	if err := t.Query("COMMIT").Run(); err != nil {
		if err = t.failure(err); t.failed != nil {
			// The commit may have reached the disk before the error did.
			err = fmt.Errorf("%w: %w", journal.ErrUnknownOutcome, err)
		}
		return err
	}
	return nil
}

// failure says what an error of the transaction means, and stops the journal when it means that
// the storage failed.
func (t *committer) failure(err error) error {
	storage := sqlitefile.Diagnose(err) == sqlitefile.Storage
	err = kind.Mark(err)
	if storage {
		t.failed = err
	}
	return err
}

// apply does one request at the given head, which it moves, and reports whether it wrote anything.
// A refusal is the answer to a request that wrote nothing; err is an error of SQLite.
func (t *committer) apply(r *request, head *journal.Position, now time.Time) (wrote bool, refusal, err error) {
	if r.change != nil {
		return r.change.do(t.conn, now)
	}
	t.places = t.places[:0]
	for _, b := range r.batches {
		p, err := t.locate(b.Stream)
		if err != nil {
			return false, nil, err
		}
		t.places = append(t.places, p)
	}
	if r.batches[0].Events[0].ID != "" {
		last, refusal, err := t.repeated(r.batches)
		if err != nil || refusal != nil || last != 0 {
			r.version = last
			return false, refusal, err
		}
	}
	// All streams are looked at before one is written to: the transaction is not this request's
	// alone, so what it wrote could not be undone.
	for i, b := range r.batches {
		if version := t.places[i].version; !b.Expect.Met(version) {
			return false, &journal.ConflictError{Stream: b.Stream, Expected: b.Expect, Actual: version}, nil
		}
	}
	for i, b := range r.batches {
		if err := t.write(b, t.places[i], head, now.UnixNano()); err != nil {
			return true, nil, err
		}
	}
	r.version = *head
	return true, nil, nil
}

// write stores a batch at its place and moves the head.
func (t *committer) write(b journal.Batch, p place, head *journal.Position, now int64) (err error) {
	if p.stream == 0 {
		if p.stream, err = t.addStream(b.Stream); err != nil {
			return err
		}
	}
	for i := range b.Events {
		*head++
		if err := t.addEvent(&b.Events[i], p.stream, p.version, *head, now); err != nil {
			return err
		}
		p.version = *head
	}
	t.remember(b.Stream, p)
	return nil
}

// repeated looks for events with the IDs of the batches. It returns the version that the append had
// when it was stored before, 0 when it was not.
func (t *committer) repeated(batches []journal.Batch) (last journal.Version, refusal, err error) {
	var taken *journal.IDReusedError
	missing, same := 0, true
	for k, b := range batches {
		for i := range b.Events {
			pos, equal, err := t.lookup(t.places[k].stream, &b.Events[i])
			if err != nil {
				return 0, nil, err
			}
			if pos == 0 {
				missing++
				continue
			}
			if taken == nil || same && !equal {
				taken = &journal.IDReusedError{Stream: b.Stream, ID: b.Events[i].ID, Position: pos}
			}
			same = same && equal && (last == 0 || pos == last+1)
			last = pos
		}
	}
	switch {
	case taken == nil:
		return 0, nil, nil
	case missing > 0 || !same:
		return 0, taken, nil
	}
	return last, nil, nil
}

// lookup finds the event of the stream that has the ID of e, and compares it with e. Position 0
// means that the ID is free.
func (t *committer) lookup(stream int64, e *journal.Event) (pos journal.Position, equal bool, err error) {
	if own, made := t.salt.owns(e.ID); made {
		in, equal, err := t.compare(own, e)
		if err != nil || in == stream || in == 0 {
			// An ID that this journal will make one day is not free either.
			return own, equal, err
		}
		// The event was copied here from another stream.
	}
	if stream == 0 {
		return 0, false, nil
	}
	n, err := t.Query(queryID).Number(1, stream).Text(2, e.ID).One()
	if err != nil || n == 0 {
		return 0, false, err
	}
	pos = journal.Position(n)
	_, equal, err = t.compare(pos, e)
	return pos, equal, err
}

// compare returns which stream the event at pos is in, 0 when there is none, and whether it has
// the type and the data of e.
func (t *committer) compare(pos journal.Position, e *journal.Event) (stream int64, equal bool, err error) {
	q := t.Query(queryEvent).Number(1, int64(pos))
	defer q.End()
	row, err := q.Next()
	if err != nil || !row {
		return 0, false, err
	}
	t.seen.chunk = t.seen.chunk[:0]
	r, err := decodeRecord(pos, t.seen.blob(q.Stmt))
	if err == nil && r.pos != pos {
		err = fmt.Errorf("%w: the event at position %d is that of position %d", journal.ErrCorrupt, pos, r.pos)
	}
	if err != nil {
		return 0, false, err
	}
	sameID := len(r.id) == 0 || string(r.id) == e.ID
	return r.stream, sameID && string(r.eventType) == e.Type && string(r.data) == string(e.Data), nil
}

// addStream gives a new stream the next number.
func (t *committer) addStream(name string) (int64, error) {
	if t.streams == 0 {
		last, err := t.Query(queryNumber).One()
		if err != nil {
			return 0, err
		}
		t.streams = last
	}
	t.streams++
	stream := t.streams
	return stream, t.Query(insertStream).Number(1, stream).Text(2, name).Number(3, int64(streamSum(stream, name))).Run()
}

// addEvent stores an event at pos.
func (t *committer) addEvent(e *journal.Event, stream int64, prev, pos journal.Position, now int64) error {
	t.record = appendRecord(t.record[:0], pos, stream, prev, now, e)
	err := t.Query(insertEvent).Number(1, int64(pos)).Number(2, stream).Blob(3, t.record).Run()
	if err == nil && e.ID != "" {
		err = t.Query(insertID).Number(1, stream).Text(2, e.ID).Number(3, int64(pos)).Run()
	}
	return err
}
