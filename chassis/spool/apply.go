package spool

import (
	"errors"
	"fmt"
	"time"

	"github.com/seed-754044b3/roadworthy/internal/sqlitefile"
)

// errNoRoom says that a record has to wait for room.
var errNoRoom = errors.New("no room")

// put stores a record.
func (t *committer) put(r Record) (refusal, err error) {
	if err := t.dropAged(); err != nil {
		return nil, err
	}
	there, err := t.Query(queryID).Text(1, r.ID).One()
	if err != nil {
		return nil, err
	}
	if there != 0 {
		t.n[repeated]++
		return nil, nil
	}
	limit := int64(t.cfg.Limit.Bytes)
	if over := t.n[bytes] + r.Size() - limit; over > 0 {
		switch t.cfg.Limit.OnFull {
		case Block:
			return errNoRoom, nil
		case DropOldest:
			if err := t.dropOldest(over); err != nil {
				return nil, err
			}
		}
	}
	if t.n[bytes]+r.Size() > limit {
		t.n[rejected]++
		return fmt.Errorf("put record %q of %d bytes: %w: %d of %d bytes are taken", r.ID, r.Size(), ErrFull, t.n[bytes], limit), nil
	}
	seq := t.next(lastSeq)
	err = t.Query(insertRecord).Number(1, seq).Text(2, r.ID).Text(3, r.Kind).Number(4, t.now).
		Number(5, r.Size()).Number(6, sumOf(seq, t.now, r.ID, r.Kind, r.Body)).Run()
	if err == nil {
		err = t.Query(insertBody).Number(1, seq).Blob(2, r.Body).Run()
	}
	t.n[records]++
	t.n[bytes] += r.Size()
	t.n[puts]++
	return nil, err
}

// remove takes a record away and counts that.
func (t *committer) remove(seq, size int64, why counter) error {
	t.n[records]--
	t.n[bytes] -= size
	t.n[why]++
	err := t.Query(deleteRecord).Number(1, seq).Run()
	if err == nil {
		err = t.Query(deleteBody).Number(1, seq).Run()
	}
	return err
}

// A place is a record as far as it matters for dropping it.
type place struct{ seq, size int64 }

// walk looks at records from the first one on, at most 1,000 that are held among them, until enough says
// so, and returns those that nobody holds and enough was not sure of.
func (t *committer) walk(enough func(put, size int64) bool) (found []place, err error) {
	q := t.Query(queryOrder)
	defer q.End()
	for held := 0; held < maxLeaseRows; {
		row, err := q.Next()
		if err != nil || !row {
			return found, err
		}
		if s := q.Stmt.ColumnInt64(3); s == leased {
			held++
			continue
		}
		size := q.Stmt.ColumnInt64(2)
		if enough(q.Stmt.ColumnInt64(1), size) {
			return found, nil
		}
		found = append(found, place{q.Stmt.ColumnInt64(0), size})
	}
	return found, nil
}

func (t *committer) drop(why counter, found []place, err error) error {
	for _, p := range found {
		if err == nil {
			err = t.remove(p.seq, p.size, why)
		}
	}
	return err
}

// dropOldest makes room for n bytes, and drops nothing if what nobody holds is not that much.
func (t *committer) dropOldest(n int64) error {
	var room int64
	found, err := t.walk(func(_, size int64) bool {
		if room >= n {
			return true
		}
		room += size
		return false
	})
	if room < n {
		return err
	}
	return t.drop(droppedFull, found, err)
}

// dropAged drops what is older than the limit allows, at most 1,000 records at a time.
func (t *committer) dropAged() error {
	if t.cfg.Limit.Age == 0 {
		return nil
	}
	oldest, n := t.now-int64(t.cfg.Limit.Age), 0
	found, err := t.walk(func(put, _ int64) bool {
		n++
		return put >= oldest || n > maxLeaseRows
	})
	return t.drop(droppedAge, found, err)
}

// set writes the state of a record.
func (t *committer) set(seq int64, state, tries int, lease, until int64, reason string) error {
	return t.Query(updateState).Number(1, int64(state)).Number(2, int64(tries)).Number(3, lease).
		Number(4, until).Text(5, reason).Number(6, seq).Run()
}

func (t *committer) park(seq int64, tries int, reason string) error {
	t.n[parkings]++
	return t.set(seq, parked, tries, 0, t.now, reason[:min(len(reason), maxReasonBytes)])
}

// endLeases makes ready again, or parks, what was held and is not any more.
func (t *committer) endLeases() error {
	type ended struct {
		seq          int64
		state, tries int
	}
	var all []ended
	q := t.Query(queryEnded).Number(1, t.now)
	row, err := q.Next()
	for ; row; row, err = q.Next() {
		all = append(all, ended{q.Stmt.ColumnInt64(0), q.Stmt.ColumnInt(1), q.Stmt.ColumnInt(2)})
	}
	q.End()
	for _, e := range all {
		if err != nil {
			return err
		}
		if e.state == leased {
			t.n[expired]++
		}
		if e.state == leased && e.tries >= t.cfg.MaxTries {
			err = t.park(e.seq, e.tries, fmt.Sprintf("handed out %d times; the last lease ended without an answer", e.tries))
		} else {
			err = t.set(e.seq, ready, e.tries, 0, 0, "")
		}
	}
	return err
}

// A row is a record with all that is known of it.
type row struct {
	Record
	put, size, until int64
	tries            int
	reason           string
	sound            bool // the checksum is right
}

// read reads one record.
func (t *committer) read(seq int64) (r row, err error) {
	q := t.Query(queryBody).Number(1, seq)
	defer q.End()
	if _, err := q.Next(); err != nil {
		return r, err
	}
	r.ID, r.Kind = q.Stmt.ColumnText(0), q.Stmt.ColumnText(1)
	r.put, r.size, r.tries, r.until, r.reason = q.Stmt.ColumnInt64(2), q.Stmt.ColumnInt64(3), q.Stmt.ColumnInt(5), q.Stmt.ColumnInt64(6), q.Stmt.ColumnText(7)
	r.Body = make([]byte, q.Stmt.ColumnLen(8))
	q.Stmt.ColumnBytes(8, r.Body)
	r.sound = q.Stmt.ColumnInt64(4) == sumOf(seq, r.put, r.ID, r.Kind, r.Body)
	return r, nil
}

// seqs runs a query that returns numbers of records.
func seqs(q sqlitefile.Query) (all []int64, err error) {
	defer q.End()
	for {
		row, err := q.Next()
		if err != nil || !row {
			return all, err
		}
		all = append(all, q.Stmt.ColumnInt64(0))
	}
}

// A picker picks records that are ready, in the order in which they are to be handed out.
type picker func(*committer) ([]int64, error)

// ready picks records that are ready, without the first of them: 2,000, of which a pump may not want 1,000.
func (t *committer) ready(skip int) ([]int64, error) {
	if skip == 0 {
		return seqs(t.Query(queryReady))
	}
	return seqs(t.Query(queryReadyBehind).Number(1, int64(skip)))
}

// isReady reports whether a record is there and ready.
func (t *committer) isReady(seq int64) (bool, error) {
	n, err := t.Query(queryIsReady).Number(1, seq).One()
	return n == 1, err
}

// lease hands out up to n of the records that pick picks.
func (t *committer) lease(pick picker, n int, ttl time.Duration) (out []Leased, err error) {
	if err = t.endLeases(); err == nil {
		err = t.dropAged()
	}
	if err != nil {
		return nil, err
	}
	candidates, err := pick(t)
	if err != nil || len(candidates) == 0 {
		return nil, err
	}
	token, until, size := t.next(lastLease), t.now+int64(ttl), 0
	for _, seq := range candidates {
		r, err := t.read(seq)
		if err != nil {
			return nil, err
		}
		if !r.sound {
			if err := t.remove(seq, r.size, droppedDamaged); err != nil {
				return nil, err
			}
			continue
		}
		if size += len(r.Body); len(out) == n || len(out) > 0 && size > maxLeaseBytes {
			break
		}
		if err := t.set(seq, leased, r.tries+1, token, until, ""); err != nil {
			return nil, err
		}
		out = append(out, Leased{r.Record, time.Unix(0, r.put).UTC(), r.tries + 1, time.Unix(0, until).UTC(), seq, token})
	}
	return out, nil
}

// ack removes what is delivered.
func (t *committer) ack(all []Leased) error {
	for _, l := range all {
		size, err := t.Query(querySize).Number(1, l.seq).One()
		if err == nil && size != 0 {
			err = t.remove(l.seq, size, acked)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// How a record is given back.
type give struct {
	counted bool          // a try is counted
	park    bool          // whatever the tries
	after   time.Duration // until it is ready
	young   time.Duration // an age below which it is not parked
	reason  string        // if it is parked
}

// giveBack gives back those of all that are still under the lease.
func (t *committer) giveBack(g give, all []Leased) error {
	for _, l := range all {
		tries, err := t.Query(queryMine).Number(1, l.seq).Number(2, l.lease).One()
		if err == nil && tries > 0 {
			err = t.giveOne(g, l, int(tries))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *committer) giveOne(g give, l Leased, tries int) error {
	seq := l.seq
	switch {
	case g.park:
		return t.park(seq, tries, g.reason)
	case !g.counted:
		tries--
		t.n[released]++
	default:
		t.n[nacked]++
		if tries >= t.cfg.MaxTries && t.now-l.Put.UnixNano() >= int64(g.young) {
			return t.park(seq, tries, fmt.Sprintf("handed out %d times; %s", tries, g.reason))
		}
	}
	if g.after > 0 {
		return t.set(seq, delayed, tries, 0, t.now+int64(g.after), "")
	}
	return t.set(seq, ready, tries, 0, 0, "")
}

// listParked lists parked records after the one with an ID.
func (t *committer) listParked(after string, n int) (out []Parked, err error) {
	var first int64
	if after != "" {
		if first, err = t.Query(queryID).Text(1, after).One(); err != nil {
			return nil, err
		}
	}
	all, err := seqs(t.Query(queryAllSeqs).Number(1, first))
	size := 0
	for _, seq := range all[:min(n, len(all))] {
		r, err := t.read(seq)
		if err != nil {
			return nil, err
		}
		if size += len(r.Body); len(out) > 0 && size > maxLeaseBytes {
			break
		}
		out = append(out, Parked{r.Record, time.Unix(0, r.put).UTC(), r.tries, time.Unix(0, r.until).UTC(), r.reason})
	}
	return out, err
}

// forParked calls f with each of the IDs' records that is parked, and counts them.
func (t *committer) forParked(ids []string, f func(seq int64) error) (n int, err error) {
	for _, id := range ids {
		seq, err := t.Query(queryParkedID).Text(1, id).One()
		if err == nil && seq != 0 {
			n++
			err = f(seq)
		}
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}

func (t *committer) requeue(seq int64) error {
	t.n[requeued]++
	return t.set(seq, ready, 0, 0, 0, "")
}

func (t *committer) discard(seq int64) error {
	size, err := t.Query(querySize).Number(1, seq).One()
	if err != nil {
		return err
	}
	return t.remove(seq, size, droppedDiscarded)
}

// requeueAll requeues 1,000 parked records at most.
func (t *committer) requeueAll() (n int, err error) {
	all, err := seqs(t.Query(queryAllSeqs).Number(1, 0))
	for _, seq := range all {
		if err == nil {
			err = t.requeue(seq)
		}
	}
	return len(all), err
}

// stats reads what the counters do not tell.
func (t *committer) stats() (s Stats, err error) {
	if s.Held, err = t.Query(queryHeld).One(); err != nil {
		return s, err
	}
	if s.Parked, err = t.Query(queryParked).One(); err != nil {
		return s, err
	}
	oldest, err := t.Query(queryOldest).One()
	if oldest != 0 {
		s.Oldest = max(0, time.Duration(t.now-oldest))
	}
	s.Records, s.Bytes, s.Limit, s.Total = t.n[records], t.n[bytes], int64(t.cfg.Limit.Bytes), t.n.counts()
	return s, err
}
