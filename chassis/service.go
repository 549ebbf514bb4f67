package chassis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/failure/aggregate"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
	"github.com/seed-754044b3/roadworthy/chassis/request"
	"github.com/seed-754044b3/roadworthy/internal/wary"
)

// Service is what a service builds itself on: Setup is handed one. Its methods are safe for
// concurrent use. What Setup opens on it is closed in reverse order when the service ends.
type Service struct {
	name       string
	settings   Settings
	world      World
	config     *config.Set
	log        *zap.Logger
	registry   *prometheus.Registry
	metrics    *kpi.Metrics
	failures   *failure.Counter
	aggregate  *aggregate.Aggregator
	daily      daily
	ids        *request.Source
	sets       []*failure.Set
	access     *accesslog.Writer
	logs       accessParts
	accessFile io.Closer // what access writes to, when it is to be closed
	logFiles   logFiles
	started    time.Time
	leaving    chan struct{} // closed when the drain begins
	draining   chan struct{} // closed when peers know that nothing new is taken here
	flight     recorder
	replaced   atomic.Bool     // another process goes on with the service
	fatal      chan error      // the first thing that ends the service from inside
	base       context.Context // what background work runs in
	kpis       *kpi.Set        // the service's own
	visits     visits          // of a guest

	mu           sync.Mutex
	state        State
	admin        *admin              // nil when there is none
	names        map[string]struct{} // of listeners, those being opened included
	opened       []closer            // in order of opening
	listeners    []*listener
	queues       []*queue.Queue
	checks       []*check
	states       []func(State)
	describers   []func(*Description)
	tables       []func() StatusTable
	guards       []guarded           // in order of opening
	gauges       map[string]kpi.Rule // how gauges of several processes become one
	certificates []*watched
	waiting      []func() // background work that begins when the service is ready
	tasks        tasks
}

// closer is something that was opened and is to be closed.
type closer struct {
	name  string
	close func(context.Context) error
}

// Name is the name in the Spec.
func (s *Service) Name() string { return s.name }

// Clock is the service's time.
func (s *Service) Clock() clock.Clock { return s.world.Clock }

// Rand is the service's randomness: crypto/rand in production, seeded in a simulation. It is
// safe for concurrent use.
func (s *Service) Rand() io.Reader { return s.world.Rand }

// Dry reports whether nothing outside the process may be touched: Setup runs only to find out
// what it would build. See World.Dry.
func (s *Service) Dry() bool { return s.world.Dry }

// Registry is where the service's own metrics are registered; /metrics shows it.
func (s *Service) Registry() *prometheus.Registry { return s.registry }

// OnClose has f called when the service ends, after everything that was opened later has been
// closed. f has what the drain has left of drain.timeout, and a second at least. It must return when its context ends: a
// second later it is left behind and the next thing closed. name says in errors what is closed.
func (s *Service) OnClose(name string, f func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = append(s.opened, closer{name, f})
}

// Check adds a condition to readiness: while f returns an error, /readyz and gRPC health say
// that the service is not ready, and why. f is called at every probe, once at a time: probes
// that overlap share its outcome. It gets a second, and counts as failed when it has not
// returned by then or panics.
func (s *Service) Check(name string, f func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checks = append(s.checks, &check{name: name, run: f})
}

// Queue opens a bounded queue. Its depth, waits and rejections are in the metrics and on the
// status page, submitted work that fails is logged, and it finishes or rejects what it holds
// when the service ends. Limits that make no sense, and a name that is taken, panic: they are
// written in the code.
func (s *Service) Queue(name string, limits queue.Limits, opts ...QueueOption) *queue.Queue {
	var o queueOptions
	for _, set := range opts {
		set(&o)
	}
	q, err := s.openQueue(name, limits, o.dark, (*queue.Queue).Close)
	if err != nil {
		panic(fmt.Sprintf("chassis: %v", err))
	}
	return q
}

// QueueOption changes what a queue of [Service.Queue] does besides its limits.
type QueueOption func(*queueOptions)

type queueOptions struct{ dark bool }

// Dark has a queue let every caller in at once and only count whom its limits would have turned away
// ([queue.Options].Dark), which is how to try out limits that are a guess. That dark is false changes nothing, so
// that it can be a setting.
func Dark(dark bool) QueueOption { return func(o *queueOptions) { o.dark = dark } }

func (s *Service) openQueue(name string, limits queue.Limits, dark bool, end func(*queue.Queue, context.Context) error) (*queue.Queue, error) {
	q, err := queue.New(name, limits, queue.Options{Clock: s.world.Clock, OnError: func(err error) { s.workFailed(name, err) }, Dark: dark})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.ContainsFunc(s.queues, func(q *queue.Queue) bool { return q.Stats().Name == name }) {
		return nil, fmt.Errorf("there is a queue %q already", name)
	}
	s.queues = append(s.queues, q)
	s.opened = append(s.opened, closer{"queue " + name, func(ctx context.Context) error { return end(q, ctx) }})
	return q, nil
}

// QueueStats are the figures of all queues of the service, its listeners' own included, in the order in
// which they were opened.
func (s *Service) QueueStats() []queue.Stats {
	s.mu.Lock()
	queues := slices.Clone(s.queues)
	s.mu.Unlock()
	stats := make([]queue.Stats, len(queues))
	for i, q := range queues {
		stats[i] = q.Stats()
	}
	return stats
}

// workFailed counts and logs what came of submitted work that nobody waits for.
func (s *Service) workFailed(queueName string, err error) {
	id := s.failWork("queue "+queueName, err)
	fields := []zap.Field{zap.String("queue", queueName), zap.String("error_id", id), zap.Error(err)}
	if p, ok := wary.As[*queue.PanicError](err); ok {
		fields = append(fields, zap.ByteString("stack", p.Stack))
	}
	s.log.Warn("queued work failed", fields...)
}

// Describe has f called when somebody asks what the service is made of (-describe, the status
// page), so that packages which the chassis does not know can contribute.
func (s *Service) Describe(f func(*Description)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.describers = append(s.describers, f)
}

// OnState has f called with every state the service enters from now on, in order, by the
// goroutine that owns the states: f must not block.
func (s *Service) OnState(f func(State)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states = append(s.states, f)
}

// State is where the service stands in its life.
func (s *Service) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Draining is closed when the service drains and the clients of open connections have been told to
// open nothing new on them. Handlers of streams end theirs then, so that their clients reconnect
// elsewhere: told earlier, these would come back on the connections that end.
func (s *Service) Draining() <-chan struct{} { return s.draining }

// Draining is closed when the service that ctx belongs to drains and handlers of streams are to end
// theirs: see [Service.Draining]. ctx is that of a request, of background work or of Setup. For any other context it is nil, which blocks for
// ever.
func Draining(ctx context.Context) <-chan struct{} {
	if info := request.From(ctx); info != nil {
		return info.Draining
	}
	return nil
}

// Server speaks a protocol on a listener. One that also has the method
//
//	HeadsUp(ctx context.Context)
//
// is asked, before Drain and before handlers of streams learn by [Draining], to stop accepting and
// to tell its peers to open nothing new; it returns when they know, or when ctx ends. What
//
//	Cut() map[string]uint64
//
// returns is shown as drain_cut_total, by protocol: how many requests Close has cut off. And what
//
//	Connections() kpi.ConnStats
//
// returns is shown as connections, by what they do.
type Server interface {
	// Serve answers what arrives on l until Drain or Close; then it returns nil.
	Serve(l net.Listener) error
	// Drain stops accepting and waits until what is under way has been answered, or until
	// ctx ends and it returns ctx's error.
	Drain(ctx context.Context) error
	// Close ends everything at once. It is called after every Drain.
	Close() error
}

// warner is a Server that tells its peers before it drains.
type warner interface{ HeadsUp(ctx context.Context) }

type listener struct {
	name     string
	protocol string
	config   string // the address as configured
	net.Listener
	server Server
	routes func() []string
}

// Serve binds the listener called name at addr ("host:port" or "unix:/path") and has server
// answer on it once the service is ready. protocol and routes say what it speaks, for
// -describe and the status page; routes may be nil. [Service.HTTP] and grpcserver.Serve call
// it; a service does when it speaks a protocol of its own. It belongs into Setup.
func (s *Service) Serve(name, protocol, addr string, server Server, routes func() []string) error {
	if err := s.claim(name); err != nil {
		return fmt.Errorf("listener %q: %w", name, err)
	}
	l := &listener{name: name, protocol: protocol, config: addr, server: server, routes: routes}
	var err error
	if s.world.Dry || s.Guest() {
		err = ValidateAddr(addr)
	} else {
		l.Listener, err = s.world.bind(s.base, name, addr)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		delete(s.names, name)
		return fmt.Errorf("listener %q: %w", name, err)
	}
	if s.state != StateSetup {
		// Setup returned while one of its goroutines was binding.
		if l.Listener != nil {
			err = l.Listener.Close()
		}
		return fmt.Errorf("listener %q: %w", name, errors.Join(s.notInSetup(), err))
	}
	s.listeners = append(s.listeners, l)
	s.watch(name, server)
	return nil
}

// claim reserves the name of a listener.
func (s *Service) claim(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != StateSetup {
		return s.notInSetup()
	}
	if name == "" || name == adminName {
		return errors.New(`want a name, other than "admin"`)
	}
	if _, taken := s.names[name]; taken {
		return errors.New("there is one of that name already")
	}
	s.names[name] = struct{}{}
	return nil
}

// notInSetup refuses to open a listener. s.mu is held.
func (s *Service) notInSetup() error {
	return fmt.Errorf("opened while the service is %v: listeners are opened in Setup", s.state)
}

// Addr is the address that the listener called name is bound to, nil when there is none; the
// admin listener is called "admin".
func (s *Service) Addr(name string) net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name == adminName && s.admin != nil {
		return s.admin.listener.Addr()
	}
	for _, l := range s.listeners {
		if l.name == name && l.Listener != nil {
			return l.Listener.Addr()
		}
	}
	return nil
}

// end has the service drain and fail with err; only the first call counts.
func (s *Service) end(err error) {
	select {
	case s.fatal <- err:
	default:
	}
}

// closeAll closes what was opened, the last first, and returns what went wrong.
func (s *Service) closeAll(ctx context.Context) error {
	var errs []error
	for {
		s.mu.Lock()
		n := len(s.opened)
		if n == 0 {
			s.mu.Unlock()
			return errors.Join(errs...)
		}
		c := s.opened[n-1]
		s.opened = s.opened[:n-1]
		s.mu.Unlock()
		if err := graced(ctx, func(ctx context.Context) error { return await(ctx, closeGrace, c.close) }); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", c.name, err))
		}
	}
}
