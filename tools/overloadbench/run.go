package overloadbench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// interval is how often a server is asked how many goroutines it has.
const interval = 50 * time.Millisecond

// Run measures every server with every client over every protocol at every load, one after the other, each
// with a process of its own. What could not be measured ends it; what was measured before is returned.
func Run(ctx context.Context, o Options) ([]Result, error) {
	o.setDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	var results []Result
	for _, p := range o.Protocols {
		for _, s := range o.Servers {
			for _, c := range o.Clients {
				if c == Ours && !s.Gated {
					continue
				}
				for _, load := range o.Loads {
					r, err := measure(ctx, &o, s, p, c, load)
					if err != nil {
						return results, fmt.Errorf("%s over %s, client %s, load %v: %w", s.Name, p, c, load, err)
					}
					o.Progress(r)
					results = append(results, r)
				}
			}
		}
	}
	return results, nil
}

// measure is one run.
func measure(ctx context.Context, o *Options, s Server, p Protocol, c Client, load float64) (r Result, err error) {
	dir, err := os.MkdirTemp("", "overloadbench-")
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	server, err := start(ctx, o, s, p, dir)
	if err != nil {
		return r, err
	}
	defer server.stop()
	idle, err := server.state(ctx)
	if err != nil {
		return r, err
	}
	var tenants []*users
	for i := range 1 + o.Small {
		u, err := newUsers(p, c, server.addr, fmt.Sprint("tenant-", i), o.Deadline)
		if err != nil {
			return r, err
		}
		defer u.close()
		tenants = append(tenants, u)
	}
	w := watch(ctx, server, p)
	b, err := offer(ctx, tenants, &plan{o.Before, o.Overload, o.After, quiet * o.rate(), load * o.rate(), smallShare * o.rate()}, o.Deadline, o.Seed, w.mark)
	w.stop()
	if err = errors.Join(err, w.err); err != nil {
		return r, err
	}
	resident, err := peak(idle.PID)
	if err != nil {
		return r, err
	}
	during := b.tallies[overload]
	requests, answers := float64(max(during.sum(), 1)), during[good]
	if c == Defaults {
		answers = b.served[overload]
	}
	could := o.rate() * o.Overload.Seconds()
	r = Result{
		Server: s.Name, Gated: s.Gated, Protocol: p, Client: c, Load: load,
		Goodput: float64(answers) / could, Users: float64(during[good]) / could,
		Late: float64(during[late]) / requests, Refused: float64(during[refused]) / requests, Failed: float64(during[failed]) / requests,
		Amplification: float64(w.arrivals[firstSecond]-w.arrivals[overload]) / requests,
		Recovery:      b.tallies[firstSecond].share(), Recovered: b.tallies[secondSecond].share(),
		Goroutines: w.goroutines, Connections: w.connections, Beyond: max(0, w.beyond-idle.Goroutines), Bound: o.Workers + o.capacity() + slack,
		Resident: resident,
	}
	if r.Small = o.Small; r.Small > 0 {
		var all tally
		r.SmallLeast = 1
		for _, t := range b.small {
			for i, n := range t {
				all[i] += n
			}
			r.SmallLeast = min(r.SmallLeast, t.share())
		}
		r.SmallServed = all.share()
	}
	if b.failure != nil {
		r.Failure = b.failure.Error()
	}
	return r, nil
}

// watcher asks a server how it is.
type watcher struct {
	server *process
	own    int // goroutines of a connection
	ended  context.CancelFunc
	done   sync.WaitGroup

	mu                              sync.Mutex
	goroutines, connections, beyond int           // most at a time, each
	arrivals                        [spans]uint64 // up to the beginning of a span
	err                             error
}

// connectionGoroutines are those that a server has for a connection as long as it is open: net/http has one that
// serves it and, while a handler runs, one that reads ahead; grpc-go has one that reads, one that writes
// and one that keeps it alive, and the chassis one that looks after its age.
func connectionGoroutines(p Protocol) int {
	if p == HTTP {
		return 2
	}
	return 4
}

// watch asks until stop.
func watch(ctx context.Context, server *process, p Protocol) *watcher {
	ctx, cancel := context.WithCancel(ctx)
	w := &watcher{server: server, own: connectionGoroutines(p), ended: cancel}
	w.done.Go(func() {
		for pause(ctx, interval) == nil {
			w.look()
		}
	})
	return w
}

// look asks once.
func (w *watcher) look() uint64 {
	s, err := w.server.state(context.Background())
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.err = err
	}
	w.goroutines, w.connections = max(w.goroutines, s.Goroutines), max(w.connections, s.Connections)
	w.beyond = max(w.beyond, s.Goroutines-w.own*s.Connections)
	return s.Arrivals
}

// mark has the beginning of a span noted.
func (w *watcher) mark(s span) {
	w.done.Go(func() {
		n := w.look()
		w.mu.Lock()
		w.arrivals[s] = n
		w.mu.Unlock()
	})
}

// stop returns when nothing is asked any more.
func (w *watcher) stop() {
	w.ended()
	w.done.Wait()
}
