package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// temporary marks an error after which the same may succeed.
type temporary struct{ error }

func (t temporary) Unwrap() error { return t.error }

var (
	errNoAnswer = temporary{fmt.Errorf("no answer within %v", attemptPatience)}
	errStale    = temporary{errors.New("the answer is older than what is known")}
	// errPatience ends a context that had no end of its own.
	errPatience = fmt.Errorf("gave up after %v", patience)
)

// Codes of the JetStream API, from errors.json of nats-server.
const (
	codeAccountFull     = 10002 // resource limits exceeded for account
	codeUnavailable     = 10008 // JetStream system temporarily unavailable
	codeNotLeader       = 10009 // JetStream cluster can not handle request
	codeResources       = 10023 // insufficient resources
	codeMemoryFull      = 10028 // insufficient memory resources available
	codeNoMessage       = 10037 // no message found
	codeDiskFull        = 10047 // insufficient storage resources available
	codeNoStream        = 10059 // stream not found
	codeConflict        = 10071 // wrong last sequence: N
	codeStoreFailed     = 10077 // what the store says
	codeInFlight        = 10164 // wrong last sequence, because another message for the subject is on its way
	codeTooManyRequests = 10167 // too many requests
	codeBatchIncomplete = 10176 // atomic publish batch is incomplete
	codeTooManyBatches  = 10210 // atomic publish too many inflight
)

// An apiError is how JetStream refuses a request.
type apiError struct {
	Code        int    `json:"err_code"`
	Description string `json:"description"`
}

func (e *apiError) Error() string {
	return fmt.Sprintf("%s (JetStream error %d)", e.Description, e.Code)
}

// meaning marks what is temporary among the errors of a request that changes nothing.
func meaning(err error) error {
	var refusal *apiError
	var api *js.APIError
	if errors.As(err, &api) {
		refusal = &apiError{int(api.ErrorCode), api.Description}
		err = refusal
	}
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal):
		switch refusal.Code {
		// A server that has just started has not heard of its streams yet.
		case codeUnavailable, codeNotLeader, codeNoStream, codeTooManyRequests, codeResources:
			return temporary{err}
		}
		return err
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return errNoAnswer
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, js.ErrJetStreamNotEnabled), unsent(err):
		return temporary{err}
	}
	return err
}

// unsent reports whether a request failed before it was sent.
func unsent(err error) bool {
	return errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrConnectionClosed) || errors.Is(err, nats.ErrInvalidConnection)
}

// bounded gives a context an end.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, patience, errPatience)
}

// reading bounds a call that reads, and ends it when the journal closes.
func (s *store) reading(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := bounded(ctx)
	ctx, end := s.living(ctx)
	return ctx, func() { end(); cancel() }
}

// living ends a context when the journal closes.
func (s *store) living(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.life, func() { cancel(journal.ErrClosed) })
	if s.life.Err() != nil {
		cancel(journal.ErrClosed) // before that function has run
	}
	return ctx, func() { stop(); cancel(nil) }
}

// ending is why a context that living or bounded made has ended, nil while it has not.
func (s *store) ending(ctx context.Context) error {
	if ctx.Err() == nil && s.life.Err() != nil {
		return journal.ErrClosed // and ctx is about to end
	}
	if cause := context.Cause(ctx); errors.Is(cause, journal.ErrClosed) || errors.Is(cause, errPatience) {
		return cause
	}
	return ctx.Err()
}

// readError says what failed. ctx is one that living or bounded made.
func (s *store) readError(ctx context.Context, what string, err error) error {
	cause := s.ending(ctx)
	switch {
	case errors.Is(cause, errPatience):
		return fmt.Errorf("journal %s: %s: %w: %w: %w", s.name, what, journal.ErrUnavailable, cause, err)
	case cause != nil:
		return cause
	}
	return fmt.Errorf("journal %s: %s: %w", s.name, what, err)
}

const (
	firstPause = time.Millisecond
	maxPause   = 250 * time.Millisecond
)

// A pacer makes pauses between attempts, each twice as long as the one before.
type pacer struct{ next time.Duration }

// pause returns after a while, or when ctx ends, with its error.
func (p *pacer) pause(ctx context.Context) error {
	p.next = min(max(2*p.next, firstPause), maxPause)
	timer := time.NewTimer(p.next)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retry calls f until it returns something else than a temporary error, or ctx ends; it returns what f did.
func (s *store) retry(ctx context.Context, f func() error) error {
	var p pacer
	for {
		err := f()
		var again temporary
		if !errors.As(err, &again) || p.pause(ctx) != nil {
			return err
		}
	}
}

// A question is what the leader of a stream is asked for: a message.
type question struct {
	Seq     journal.Position `json:"seq,omitempty"`
	LastFor string           `json:"last_by_subj,omitempty"`
	NextFor string           `json:"next_by_subj,omitempty"`
}

// A message is an answer.
type message struct {
	Subject string           `json:"subject"`
	Seq     journal.Position `json:"seq"`
	Data    []byte           `json:"data"`
}

func (m *message) position() journal.Position {
	if m == nil {
		return 0
	}
	return m.Seq
}

// ask asks the leader of a JetStream stream for a message once; nil means that there is none.
func (s *store) ask(ctx context.Context, stream string, q question) (*message, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, attemptPatience)
	defer cancel()
	reply, err := s.conn.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+stream, body)
	if err != nil {
		return nil, meaning(err)
	}
	var answer struct {
		Error   *apiError
		Message *message
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return nil, fmt.Errorf("the server's answer is no JSON: %w", err)
	}
	switch {
	case answer.Error != nil && answer.Error.Code == codeNoMessage:
		return nil, nil
	case answer.Error != nil:
		return nil, meaning(answer.Error)
	case answer.Message == nil:
		return nil, errors.New("the server's answer has no message")
	}
	return answer.Message, nil
}
