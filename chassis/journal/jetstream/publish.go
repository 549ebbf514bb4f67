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

var (
	// errLost says that the stream is not at the version that an append is to be stored on.
	errLost = errors.New("the stream has moved on")
	// errUnknown says that an append may be stored, or yet become so.
	errUnknown = errors.New("no answer whether it is stored")
	// errReplaced says that others have stored something since, maybe in place of what a change stored.
	errReplaced = errors.New("others have stored something since")
)

// Headers of NATS, which ADR-50 describes for batches.
const (
	headerExpected      = "Nats-Expected-Last-Subject-Sequence"
	headerBatch         = "Nats-Batch-Id"
	headerBatchSequence = "Nats-Batch-Sequence"
	headerBatchCommit   = "Nats-Batch-Commit"
)

// publish tries once to store the append, and returns its version. Its error is errLost, errUnknown, or
// another one, with which nothing was stored by this try; when it is temporary, the next may succeed.
func (a *appending) publish() (journal.Version, error) {
	ctx, cancel := context.WithTimeout(a.wire, attemptPatience)
	defer cancel()
	id := ""
	if a.events > 1 {
		select {
		case a.batches <- struct{}{}:
			defer func() { <-a.batches }()
		case <-ctx.Done():
			return 0, temporary{errors.New("no place for another batch")}
		}
		id = nats.NewInbox()[len(nats.InboxPrefix):]
	}
	n := 0
	for _, p := range a.parts {
		for i := range p.events {
			m := &nats.Msg{Subject: p.subject, Header: nats.Header{}, Data: encodeRecord(p.stream, p.base, i, a.at, &p.events[i])}
			if i == 0 {
				m.Header[headerExpected] = []string{strconv.FormatUint(uint64(p.base), 10)}
			}
			n++
			if id != "" {
				m.Header[headerBatch] = []string{id}
				m.Header[headerBatchSequence] = []string{strconv.Itoa(n)}
			}
			if n == a.events {
				if id != "" {
					m.Header[headerBatchCommit] = []string{"1"}
				}
				return a.deliver(ctx, m)
			}
			if err := a.conn.PublishMsg(m); err != nil {
				return 0, failure(err) // without its end the servers forget the batch
			}
		}
	}
	return 0, errors.New("nothing to append") // which is checked before
}

// deliver sends the last message of a change and waits for the answer.
func (s *store) deliver(ctx context.Context, m *nats.Msg) (journal.Position, error) {
	reply, err := s.conn.RequestMsgWithContext(ctx, m)
	if err != nil {
		return 0, failure(err)
	}
	var ack struct {
		Error *apiError
		Seq   journal.Position
	}
	if err := json.Unmarshal(reply.Data, &ack); err != nil || ack.Error == nil && ack.Seq == 0 {
		return 0, fmt.Errorf("%w: the answer is %.100q", errUnknown, reply.Data)
	}
	if ack.Error != nil {
		return 0, refused(ack.Error)
	}
	return ack.Seq, nil
}

// failure says what an error of sending means.
func failure(err error) error {
	switch {
	case errors.Is(err, nats.ErrNoResponders), unsent(err):
		return temporary{err}
	case errors.Is(err, nats.ErrMaxPayload):
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		// The end of an attempt is not the end of the caller's context.
		err = errNoAnswer.error
	}
	return fmt.Errorf("%w: %w", errUnknown, err)
}

// refused says what the leader's refusal to store an append means.
func refused(e *apiError) error {
	switch e.Code {
	case codeConflict:
		return errLost
	// A message for the subject that is not stored yet makes the leader refuse the next one, also when
	// both come from the only writer: what came before decides, after a while.
	case codeInFlight, codeUnavailable, codeNotLeader, codeTooManyRequests, codeTooManyBatches, codeBatchIncomplete:
		return temporary{e}
	case codeAccountFull, codeResources, codeMemoryFull, codeDiskFull:
		return fmt.Errorf("%w: %w", journal.ErrFull, e)
	case codeStoreFailed:
		if strings.HasPrefix(e.Description, "maximum ") { // bytes, messages: limits of the stream
			return fmt.Errorf("%w: %w", journal.ErrFull, e)
		}
		return fmt.Errorf("%w: %w", errUnknown, e)
	}
	return e
}
