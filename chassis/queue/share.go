package queue

import "net/netip"

// leastShare is the smallest share that is one by default: with fewer workers, work of many callers behind
// one address that merely arrives at the same moment would be taken for that of one who holds them.
const leastShare = 8

// shares are the workers that clients hold while what they sent work for is still arriving.
type shares struct {
	most int // that one client may hold; 0: no bound
	// held is by client, and has those alone who hold some.
	held map[netip.Addr]int
}

// newShares is what limits ask for.
func newShares(limits Limits) shares {
	most := limits.PerClient
	if most == 0 {
		most = max((limits.Workers+1)/2, leastShare)
	}
	if most < 0 || most >= limits.Workers {
		return shares{}
	}
	return shares{most, map[netip.Addr]int{}}
}

// over reports whether client has its share. The zero Addr has none.
func (s *shares) over(client netip.Addr) bool {
	return client.IsValid() && s.held[client] >= s.most
}

// give takes back a worker's part of the share of client.
func (s *shares) give(client netip.Addr) {
	if s.held[client]--; s.held[client] == 0 {
		delete(s.held, client)
	}
}

// holder is whose share work counts against: m's client while the work is arriving, and otherwise
// the zero Addr.
func (q *Queue) holder(m *Meta) netip.Addr {
	if !m.Arriving || q.shares.most == 0 {
		return netip.Addr{}
	}
	return m.client()
}

// hold counts worker i against the share of client, unless that is the zero Addr. q.mu is held.
func (q *Queue) hold(i int, client netip.Addr) {
	if client.IsValid() {
		q.workers[i].holder = client
		q.shares.held[client]++
	}
}

// arrived ends what hold began. q.mu is held.
func (q *Queue) arrived(w *worker) {
	if w.holder.IsValid() {
		q.shares.give(w.holder)
		w.holder = netip.Addr{}
	}
}

// Arrived says that nothing of the work is awaited of its client any more: its worker no longer counts
// against [Limits].PerClient. It does nothing for work that did not, has arrived or was left. Several
// goroutines may call it, and beside Leave.
func (a Admission) Arrived() {
	a.q.mu.Lock()
	defer a.q.mu.Unlock()
	if w := &a.q.workers[a.worker]; w.busy && w.turn == a.turn {
		a.q.arrived(w)
	}
}
