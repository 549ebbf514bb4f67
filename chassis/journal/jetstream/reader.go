package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

const (
	batchEvents = 512     // asked for at once
	batchBytes  = 1 << 20 // after which a server ends a batch; one event more may come
	maxAhead    = 3       // batches of one reader in hand and on their way

	// lagAttempts is how often a server that is behind is asked again before the leader is asked for
	// each event.
	lagAttempts = 5
)

// A reader is the work of one range over a sequence. It is used by one goroutine at a time.
type reader struct {
	store  *store
	filter journal.Filter
	after  journal.Position // what was read up to
	until  journal.Position // an event of the filter's, or the head; there is something to read if it is beyond after
	looked journal.Position // up to which head of the hub's
	last   journal.Position // of filter.Stream's event read last, 0 before the first

	subject string               // of the events that are asked for
	inbox   string               // of the answers, empty before the first request
	lanes   []*nats.Subscription // to the answers
	asked   int                  // requests so far
	ahead   []fetching           // requests on their way
	short   bool                 // events are so large that batches end by their bytes
	failing bool                 // the last request got no good answer
}

func (s *store) reader(after, until journal.Position, filter journal.Filter) *reader {
	r := &reader{store: s, filter: filter, after: after, until: until, subject: ">"}
	if filter.Stream != "" {
		r.subject = eventSubject(s.name, tokenOf(filter.Stream))
	}
	return r
}

// close releases what the reader holds.
func (r *reader) close() {
	for _, answers := range r.lanes {
		_ = answers.Unsubscribe() // fails when the connection is closed
	}
}

// next returns the events that come next, of the filter's stream or of all, none at the end. Those that
// come with an error are good.
func (r *reader) next(ctx context.Context) ([]record, error) {
	if err := r.store.ending(ctx); err != nil {
		return nil, err
	}
	var p pacer
	lag := 0
	for r.after < r.until {
		records, err := r.fetch(ctx)
		if len(records) > 0 {
			return records, permanent(err)
		}
		var again temporary
		if err != nil && !errors.As(err, &again) {
			return nil, err
		}
		// A server that is behind the leader has not the next event yet. One that stays behind would hold
		// the reader for ever.
		if err == nil {
			if lag++; lag > lagAttempts {
				if records, err = r.fetchFromLeader(ctx); len(records) > 0 {
					return records, nil
				}
				if err != nil && !errors.As(err, &again) {
					return nil, err
				}
			}
		}
		if p.pause(ctx) != nil {
			if err == nil {
				err = errors.New("the servers are behind")
			}
			return nil, err
		}
	}
	return nil, nil
}

// permanent drops an error after which the rest can be read.
func permanent(err error) error {
	var again temporary
	if errors.As(err, &again) {
		return nil
	}
	return err
}

// A fetching is a request for a batch that is on its way.
type fetching struct {
	after   journal.Position // what is asked for comes after it
	reply   string           // late answers to earlier requests are told by theirs
	answers *nats.Subscription
}

// ask asks any server for the batch that comes after a position.
func (r *reader) ask(after journal.Position) error {
	if r.inbox == "" {
		r.inbox = r.store.conn.NewInbox()
	}
	lane := r.asked % maxAhead // each has its own answers, which come from several servers at once
	if len(r.lanes) <= lane {
		answers, err := r.store.conn.SubscribeSync(fmt.Sprintf("%s.%d.*", r.inbox, lane))
		if err != nil {
			return meaning(err)
		}
		r.lanes = append(r.lanes, answers)
	}
	q := question{Seq: after + 1}
	if r.filter.Stream != "" {
		q.NextFor = r.subject
	} // else the server need not compare subjects, which costs it more than all the rest
	body, err := json.Marshal(struct {
		question
		Batch    int `json:"batch"`
		MaxBytes int `json:"max_bytes"`
	}{q, batchEvents, batchBytes})
	if err != nil {
		return err
	}
	f := fetching{after: after, reply: fmt.Sprintf("%s.%d.%d", r.inbox, lane, r.asked), answers: r.lanes[lane]}
	if err := r.store.conn.PublishRequest("$JS.API.DIRECT.GET."+r.store.name, f.reply, body); err != nil {
		return meaning(err)
	}
	r.asked++
	r.ahead = append(r.ahead, f)
	return nil
}

// request returns the request for the batch that comes next, and sees that those after it are on their way
// too: else the servers rest while the reader works, and the other way round. Where batches begin is known
// only when all events are read, which are dense, and as long as batches are not cut short by their bytes.
// After a failure one is asked for at a time, so that no late answers pile up.
func (r *reader) request() (fetching, error) {
	if len(r.ahead) > 0 && r.ahead[0].after != r.after {
		r.ahead = r.ahead[:0]
	}
	many := 1
	if r.filter.Stream == "" && !r.short && !r.failing {
		many = maxAhead
	}
	for next := r.after + journal.Position(len(r.ahead)*batchEvents); len(r.ahead) < many && next < r.until; next += batchEvents {
		if err := r.ask(next); err != nil {
			return fetching{}, err
		}
	}
	f := r.ahead[0]
	r.ahead = r.ahead[:copy(r.ahead, r.ahead[1:])]
	return f, nil
}

// fetch asks any server for a batch, unless it has done so before, and takes it.
func (r *reader) fetch(ctx context.Context) (records []record, err error) {
	f, err := r.request()
	if err != nil {
		return nil, err
	}
	defer func() {
		if r.failing = err != nil; r.failing {
			r.ahead = r.ahead[:0]
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, attemptPatience)
	defer cancel()
	bytes := 0
	before := uint64(0) // sequence of the message before in this batch
	for {
		m, err := f.answers.NextMsgWithContext(ctx)
		if err != nil {
			return records, meaning(err)
		}
		if m.Subject != f.reply {
			continue
		}
		bytes += len(m.Data)
		if status := m.Header.Get("Status"); status != "" {
			r.short = r.short || len(records) < batchEvents && bytes > batchBytes/2
			return records, r.ended(status, m.Header.Get("Description"))
		}
		if m.Header.Get("Nats-Last-Sequence") != strconv.FormatUint(before, 10) {
			return records, temporary{errors.New("an answer was lost on its way")}
		}
		if before, err = strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 63); err != nil {
			return records, fmt.Errorf("the server's answer has no position: %w", err)
		}
		pos := journal.Position(before)
		if pos > r.until {
			continue // to the end of the batch
		}
		e, err := r.take(ctx, pos, m.Header.Get("Nats-Subject"), m.Data)
		if err != nil {
			return records, err
		}
		records = append(records, e)
	}
}

// ended says what a status at the end of a batch means.
func (r *reader) ended(status, description string) error {
	switch status {
	case "204", "404": // the end of the batch; nothing there
		return nil
	case "503":
		return temporary{nats.ErrNoResponders}
	}
	return fmt.Errorf("the server refuses to read: %s %s", status, description)
}

// fetchFromLeader asks the leader for the next event.
func (r *reader) fetchFromLeader(ctx context.Context) ([]record, error) {
	m, err := r.store.ask(ctx, r.store.name, question{Seq: r.after + 1, NextFor: r.subject})
	if err != nil {
		return nil, err
	}
	if m == nil {
		return nil, fmt.Errorf("%w: the event at position %d is missing", journal.ErrCorrupt, r.until)
	}
	e, err := r.take(ctx, m.Seq, m.Subject, m.Data)
	if err != nil {
		return nil, err
	}
	return []record{e}, nil
}

// take checks the event of a message and moves the reader past it.
func (r *reader) take(ctx context.Context, pos journal.Position, subject string, data []byte) (record, error) {
	stream, ok := streamOf(subject[strings.LastIndexByte(subject, '.')+1:])
	if !ok {
		return record{}, fmt.Errorf("%w: the message at position %d has the subject %q", journal.ErrCorrupt, pos, subject)
	}
	e, err := decodeRecord(stream, pos, data)
	if err != nil {
		return record{}, err
	}
	if r.filter.Stream != "" {
		if prev := e.previous(); r.last == 0 && prev > r.after || r.last != 0 && prev != r.last {
			return record{}, fmt.Errorf("%w: event %d of stream %q says that event %d comes before it, which is missing", journal.ErrCorrupt, pos, stream, prev)
		}
		r.last = pos
	} else if pos != r.after+1 {
		if err := r.hole(ctx, pos); err != nil {
			return record{}, err
		}
	}
	r.after = pos
	return e, nil
}

// hole checks that there is no event between r.after and pos: the leader knows of none either.
func (r *reader) hole(ctx context.Context, pos journal.Position) error {
	m, err := r.store.ask(ctx, r.store.name, question{Seq: r.after + 1, NextFor: r.subject})
	if err != nil {
		return err
	}
	if m == nil || m.Seq != pos {
		return temporary{fmt.Errorf("a server skips from position %d to %d", r.after, pos)}
	}
	return nil
}
