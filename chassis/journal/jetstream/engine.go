package jetstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	js "github.com/nats-io/nats.go/jetstream"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
)

// Engine opens nats: and tls: URLs for [journal.Open]. It must not be changed.
var Engine = With()

// With returns an engine that connects with further options, such as nats.RootCAs or nats.Nkey. How the
// client reconnects and detects dead servers is not theirs to say.
func With(options ...nats.Option) journal.Engine {
	return journal.Engine{
		Schemes: []string{"nats", "tls"},
		Open: func(ctx context.Context, r journal.Request) (journal.Journal, error) {
			a, err := parseAddress(r.Scheme, r.Rest)
			if err != nil {
				return nil, err
			}
			if r.Dry {
				// Nothing but memory: what a service writes when it starts must go somewhere.
				r.Scheme, r.Rest = "mem", ""
				return sqlite.Engine.Open(ctx, r)
			}
			return open(ctx, r, a, options)
		},
	}
}

const (
	// attemptPatience is how long one request waits for its answer. It is a hundred times what a loaded
	// cluster takes, and less than an election.
	attemptPatience = 2 * time.Second
	// patience bounds calls whose context has no end.
	patience = 30 * time.Second
	// A server that does not answer two pings is left for another one.
	pingInterval = 2 * time.Second
	pingsOut     = 2
	// payloadNeeded is an event of the greatest size with its record's and NATS' headers.
	payloadNeeded = journal.MaxDataBytes + 4096
)

func open(ctx context.Context, r journal.Request, a address, options []nats.Option) (journal.Journal, error) {
	s := newStore(a.name, r)
	ctx, cancel := bounded(ctx)
	defer cancel()
	err := s.connect(ctx, a, options)
	if err == nil {
		err = s.ensure(ctx, a)
	}
	if err != nil {
		if s.conn != nil {
			s.conn.Close()
		}
		if ctx.Err() != nil {
			err = fmt.Errorf("%w: %w: %w", journal.ErrUnavailable, context.Cause(ctx), err)
		}
		return nil, fmt.Errorf("NATS stream %s: %w", a.name, err)
	}
	return s, nil
}

// connect reaches any of the servers.
func (s *store) connect(ctx context.Context, a address, options []nats.Option) error {
	quiet := nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}) // else it writes to standard error
	options = slices.Concat([]nats.Option{quiet}, options, []nats.Option{
		nats.Name("journal " + a.name),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(100 * time.Millisecond),
		// A request that cannot be sent fails at once and is tried again here; were it kept, it might be
		// sent when its caller has long gone.
		nats.ReconnectBufSize(-1),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(pingsOut),
		nats.Timeout(attemptPatience),
	})
	if a.creds != "" {
		options = append(options, nats.UserCredentials(a.creds))
	}
	return s.retry(ctx, func() (err error) {
		s.conn, err = nats.Connect(a.servers, options...)
		switch {
		case errors.Is(err, nats.ErrNoServers), errors.Is(err, nats.ErrTimeout):
			return temporary{err}
		case err != nil:
			return fmt.Errorf("connect: %w", err)
		case s.conn.MaxPayload() < payloadNeeded:
			s.conn.Close()
			return fmt.Errorf("%w: the server takes %d bytes in a message, and a journal needs %d; configure max_payload: 2MB", journal.ErrUnsupported, s.conn.MaxPayload(), payloadNeeded)
		}
		return nil
	})
}

// ensure makes the streams, or sees that those there keep a journal.
func (s *store) ensure(ctx context.Context, a address) error {
	streams, err := js.New(s.conn)
	if err != nil {
		return err
	}
	for _, want := range configsOf(a) {
		err := s.retry(ctx, func() error {
			ctx, cancel := context.WithTimeout(ctx, attemptPatience)
			defer cancel()
			found, err := streams.Stream(ctx, want.Name)
			if errors.Is(err, js.ErrStreamNotFound) {
				found, err = streams.CreateStream(ctx, want)
				if errors.Is(err, js.ErrStreamNameAlreadyInUse) {
					return temporary{err} // another process was faster; look at what it made
				}
			}
			if err != nil {
				return meaning(err)
			}
			return check(found.CachedInfo().Config, want)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
