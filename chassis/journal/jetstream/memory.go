package jetstream

import (
	"container/list"
	"context"
	"hash/maphash"
	"strings"
	"sync"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// Bounds of what is remembered of the streams appended to last.
const (
	maxStreams = 10_000
	maxIDs     = 1 << 18 // of all streams together
)

// A memory holds what this process knows of streams that it appends to, so that an append need not look
// at its stream first. What is known may be old, which the servers find when the append is to be stored.
type memory struct {
	hash               func(id string) uint64 // what stands for an ID
	maxStreams, maxIDs int

	mu      sync.Mutex
	streams map[string]*list.Element
	order   list.List // of *known, used last first
	ids     int       // in all of them
}

// known is what is known of one stream. Whoever has its gate may use the fields below it.
type known struct {
	stream string
	gate   chan struct{} // has room for one
	users  int           // who have it or wait for it; guarded by memory.mu

	version  journal.Version             // guarded by memory.mu as well
	fresh    bool                        // version was the stream's at some time
	complete bool                        // ids are all up to version
	ids      map[uint64]journal.Position // by hash
}

func (m *memory) init() {
	seed := maphash.MakeSeed()
	m.hash = func(id string) uint64 { return maphash.String(seed, id) }
	m.maxStreams, m.maxIDs = maxStreams, maxIDs
	m.streams = map[string]*list.Element{}
}

// version is the version that a stream has at least.
func (m *memory) version(stream string) journal.Version {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.streams[stream]; e != nil {
		return e.Value.(*known).version
	}
	return 0
}

// enter waits until nobody else uses what is known of the stream.
func (m *memory) enter(ctx context.Context, stream string) (*known, error) {
	m.mu.Lock()
	e := m.streams[stream]
	if e == nil {
		stream = strings.Clone(stream) // it may be a part of what is much larger
		e = m.order.PushFront(&known{stream: stream, gate: make(chan struct{}, 1)})
		m.streams[stream] = e
	}
	m.order.MoveToFront(e)
	k := e.Value.(*known)
	k.users++
	m.forget()
	m.mu.Unlock()
	select {
	case k.gate <- struct{}{}:
		return k, nil
	case <-ctx.Done():
		m.mu.Lock()
		k.users--
		m.mu.Unlock()
		return nil, ctx.Err()
	}
}

// leave lets the next one in.
func (m *memory) leave(k *known) {
	m.mu.Lock()
	k.users--
	m.forget()
	m.mu.Unlock()
	<-k.gate
}

// forget drops the streams that were not used for longest until the rest is within bounds. mu is held.
func (m *memory) forget() {
	for e := m.order.Back(); e != nil && (len(m.streams) > m.maxStreams || m.ids > m.maxIDs); {
		k, before := e.Value.(*known), e.Prev()
		if k.users == 0 {
			m.ids -= len(k.ids)
			delete(m.streams, k.stream)
			m.order.Remove(e)
		}
		e = before
	}
}

// advance notes the stream's version.
func (m *memory) advance(k *known, version journal.Version) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k.version, k.fresh = version, true
}

// remember notes the ID of an event of k's. It forgets them all, and returns false, when they are too many.
func (m *memory) remember(k *known, id string, pos journal.Position) bool {
	h := m.hash(id)
	m.mu.Lock()
	defer m.mu.Unlock()
	// That two IDs have one hash happens once in 2⁶⁴ pairs.
	if _, taken := k.ids[h]; taken || len(k.ids) == m.maxIDs {
		m.loseLocked(k)
		return false
	}
	if k.ids == nil {
		k.ids = map[uint64]journal.Position{}
	}
	k.ids[h] = pos
	m.ids++
	return true
}

// lose forgets the IDs of a stream.
func (m *memory) lose(k *known) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loseLocked(k)
}

func (m *memory) loseLocked(k *known) {
	m.ids -= len(k.ids)
	k.ids, k.complete = nil, false
}
