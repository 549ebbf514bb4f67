package jetstream

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// tailPoll is how often a journal with subscribers asks for its head, should the servers' notices be lost.
const tailPoll = time.Second

// A hub tells subscribers that the journal has grown. They are not sent the events but read, so a slow one
// costs nothing. The leader sends a notice of each event it has stored; notices may be lost, and are
// then missed by their numbers, or by asking once in a while.
type hub struct {
	store *store

	mu      sync.Mutex
	seen    journal.Position // all notices up to here have come, or have been made up for
	all     signal           // of those who want events of any stream
	streams map[string]*signal
	users   int
	tail    *nats.Subscription
	stop    context.CancelFunc // ends poll
}

// A signal wakes those who wait for events of one stream, or of any.
type signal struct {
	head   journal.Position // there may be events up to here
	event  journal.Position // of the one stream; there is one here
	grown  chan struct{}    // closed when head moves
	waited bool             // somebody took grown
	users  int
}

func (g *signal) advance(head journal.Position) {
	if head <= g.head {
		return
	}
	g.head = head
	g.wake()
}

func (g *signal) wake() {
	if g.waited {
		close(g.grown)
		g.grown, g.waited = make(chan struct{}), false
	}
}

func (h *hub) init(s *store) {
	h.store = s
	h.all.grown = make(chan struct{})
	h.streams = map[string]*signal{}
}

// join registers a subscriber to one stream, or to any if it is "", and returns its signal.
func (h *hub) join(stream string) (*signal, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.users == 0 {
		tail, err := h.store.conn.Subscribe(tailSubject(h.store.name, "*"), h.notice)
		if err != nil {
			return nil, err
		}
		h.tail = tail
		ctx, stop := context.WithCancel(h.store.life)
		h.stop = stop
		go h.poll(ctx)
	}
	h.users++
	if stream == "" {
		return &h.all, nil
	}
	g := h.streams[stream]
	if g == nil {
		g = &signal{grown: make(chan struct{})}
		h.streams[stream] = g
	}
	g.users++
	return g, nil
}

// leave undoes join.
func (h *hub) leave(stream string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if g := h.streams[stream]; g != nil {
		if g.users--; g.users == 0 {
			delete(h.streams, stream)
		}
	}
	if h.users--; h.users == 0 {
		h.stop()
		_ = h.tail.Unsubscribe() // fails when the connection is closed
	}
}

// state returns how far a subscriber may look, where its one stream is known to have an event, and a channel
// that is closed when the first has moved.
func (h *hub) state(g *signal) (head, event journal.Position, grown <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	g.waited = true
	return g.head, g.event, g.grown
}

// wake tells of an event of a stream.
func (h *hub) wake(stream string, pos journal.Position) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wakeLocked(stream, pos)
}

func (h *hub) wakeLocked(stream string, pos journal.Position) {
	h.all.advance(pos)
	if g := h.streams[stream]; g != nil {
		g.advance(pos)
	}
}

// wakeAll tells of events of unknown streams up to pos.
func (h *hub) wakeAll(pos journal.Position) {
	h.all.advance(pos)
	for _, g := range h.streams {
		g.advance(pos)
	}
	h.seen = pos
}

// notice takes in what the leader says it has stored.
func (h *hub) notice(m *nats.Msg) {
	n, err := strconv.ParseUint(m.Header.Get("Nats-Sequence"), 10, 63)
	stream, ok := streamOf(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:])
	if err != nil || !ok {
		return // not from a leader
	}
	pos := journal.Position(n)
	h.mu.Lock()
	defer h.mu.Unlock()
	if g := h.streams[stream]; g != nil && pos > g.event {
		g.event = pos
		g.wake() // also when it has looked up to here, and was told by a leader that did not know of it yet
	}
	switch {
	case pos == h.seen+1:
		h.seen = pos
		h.wakeLocked(stream, pos)
	case pos > h.seen:
		h.wakeAll(pos) // some were lost
	}
}

// poll asks for the head once in a while. It goes by the machine's clock, because it is about other
// machines.
func (h *hub) poll(ctx context.Context) {
	tick := time.NewTicker(tailPoll)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		m, err := h.store.ask(ctx, h.store.name, question{LastFor: ">"})
		if err != nil {
			continue // subscribers wait, as nothing can be appended, or the next look succeeds
		}
		h.mu.Lock()
		if head := m.position(); head > h.seen {
			h.wakeAll(head)
		}
		h.mu.Unlock()
	}
}
