package jetstream

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// A store is an open journal.
type store struct {
	name    string // of the JetStream stream
	conn    *nats.Conn
	clock   clock.Clock
	memory  memory
	hub     hub
	batches chan struct{} // a place in it for each atomic batch on its way

	seen atomic.Uint64 // the highest position this process knows of: no answer may be older

	random   sync.Mutex
	randomly io.Reader // guarded by random

	life  context.Context // ends when the journal closes
	end   context.CancelFunc
	mu    sync.Mutex
	ended bool           // guarded by mu
	busy  sync.WaitGroup // appends under way; Add is guarded by mu

	closeOnce sync.Once
}

// maxBatches is how many atomic batches of one process are on their way. A server takes 50 of a stream's
// at a time, from all processes.
const maxBatches = 10

func newStore(name string, r journal.Request) *store {
	s := &store{name: name, clock: r.Clock, randomly: r.Rand, batches: make(chan struct{}, maxBatches)}
	s.life, s.end = context.WithCancel(context.Background())
	s.memory.init()
	s.hub.init(s)
	return s
}

// Version implements [journal.Journal].
func (s *store) Version(ctx context.Context, stream string) (version journal.Version, err error) {
	if err := journal.ValidateStream(stream); err != nil {
		return 0, err
	}
	ctx, cancel := s.reading(ctx)
	defer cancel()
	version, err = s.version(ctx, stream, 0)
	if err != nil {
		return 0, s.readError(ctx, fmt.Sprintf("version of stream %q", stream), err)
	}
	return version, nil
}

// version asks the leader for the version of a stream, which is at least least.
func (s *store) version(ctx context.Context, stream string, least journal.Version) (version journal.Version, err error) {
	least = max(least, s.memory.version(stream))
	err = s.retry(ctx, func() error {
		m, err := s.ask(ctx, s.name, question{LastFor: eventSubject(s.name, tokenOf(stream))})
		if version = m.position(); err == nil && version < least {
			err = errStale
		}
		return err
	})
	s.see(version)
	return version, err
}

// Head implements [journal.Journal].
func (s *store) Head(ctx context.Context) (journal.Position, error) {
	ctx, cancel := s.reading(ctx)
	defer cancel()
	head, err := s.head(ctx)
	if err != nil {
		return 0, s.readError(ctx, "head", err)
	}
	return head, nil
}

// head asks the leader for the head.
func (s *store) head(ctx context.Context) (head journal.Position, err error) {
	least := journal.Position(s.seen.Load())
	err = s.retry(ctx, func() error {
		m, err := s.ask(ctx, s.name, question{LastFor: ">"})
		if head = m.position(); err == nil && head < least {
			err = errStale
		}
		return err
	})
	s.see(head)
	return head, err
}

// see notes that there is an event at pos.
func (s *store) see(pos journal.Position) {
	for {
		seen := s.seen.Load()
		if uint64(pos) <= seen || s.seen.CompareAndSwap(seen, uint64(pos)) {
			return
		}
	}
}

// begin registers an append, until end; false when the journal is closed.
func (s *store) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	s.busy.Add(1)
	return true
}

// Close implements [journal.Journal].
func (s *store) Close() error {
	s.closeOnce.Do(func() {
		s.mu.Lock()
		s.ended = true
		s.mu.Unlock()
		s.end()
		s.busy.Wait() // for the attempts that are on their way: no longer than attemptPatience
		s.conn.Close()
	})
	return nil
}
