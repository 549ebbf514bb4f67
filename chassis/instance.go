package chassis

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
	"github.com/seed-754044b3/roadworthy/chassis/reload"
	"github.com/seed-754044b3/roadworthy/chassis/request"
	"github.com/seed-754044b3/roadworthy/internal/wary"
)

// State is where a service stands in its life.
//
//	New ──▶ Setup ──nil──▶ Ready ──stop, or something broke──▶ Draining ──▶ Closed
//	         │ │                                                ▲    │
//	         │ └──────────────abandoned─────────────────────────┘    │
//	         └────error──────▶ Failed ◀────────something broke───────┘
//
// One goroutine, started by [Start], makes every transition. Setup, background work and what is
// closed run in goroutines of their own, so that none of them can keep it from going on.
type State int

// The states.
const (
	StateNew      State = iota // nothing has happened
	StateSetup                 // Setup runs; the admin listener answers, others are only bound
	StateReady                 // requests are answered
	StateDraining              // what is under way is finished, nothing new is taken
	StateClosed                // everything was closed after a stop that was asked for
	StateFailed                // everything was closed because something went wrong
)

// String is the state's name in lower case.
func (s State) String() string {
	switch s {
	case StateNew:
		return "new"
	case StateSetup:
		return "setup"
	case StateReady:
		return "ready"
	case StateDraining:
		return "draining"
	case StateClosed:
		return "closed"
	case StateFailed:
		return "failed"
	}
	return fmt.Sprintf("State(%d)", int(s))
}

// Instance is a running service. Stop it; nothing else ends it but its own failure. Its methods
// are safe for concurrent use.
type Instance struct {
	service   *Service
	stop      chan struct{} // closed by the first Stop
	hurry     chan struct{} // closed when no more time is to be given
	done      chan struct{} // closed when everything has ended; err and abandoned are set before
	err       error
	abandoned error // why the start-up was given up, nil when it was not
	once      sync.Once
	rush      sync.Once
}

// Start runs spec in this process until Stop, and returns when it is ready. configure, which
// may be nil, changes the configuration before it is used; nothing is read from files, the
// environment or flags. ctx bounds the start-up only: when it ends before Setup has returned,
// Setup's context ends too and Setup gets drain.timeout to return. When Start returns an error,
// what had been opened is closed.
//
// It is for hosts and tests; a daemon's main calls [Main]. Unless configure says otherwise,
// drain.min is none: who starts a service in its own process knows its clients.
func Start[C any](ctx context.Context, spec Spec[C], configure func(*Settings, *C), world World) (*Instance, error) {
	settings := Settings{Drain: DrainConfig{Min: -1}}
	cfg := spec.Defaults
	if configure != nil {
		configure(&settings, &cfg)
	}
	set, err := newConfig(&spec, &settings, &cfg)
	if err != nil {
		return nil, err
	}
	if err := set.Load(config.Sources{}); err != nil {
		return nil, fmt.Errorf("%s: %w", spec.Name, err)
	}
	i, err := start(ctx, spec, settings, cfg, set, world, func(*Service) {})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", spec.Name, err)
	}
	return i, nil
}

// errAbandoned is in the error of a start-up that was given up before it was ready.
var errAbandoned = errors.New("start-up was abandoned")

// start runs a spec whose configuration has been read. own is called before anything else of
// the service runs.
func start[C any](ctx context.Context, spec Spec[C], settings Settings, cfg C, set *config.Set, world World, own func(*Service)) (*Instance, error) {
	s, err := newService(spec.Name, spec.Failures, settings, set, world)
	if err != nil {
		return nil, err
	}
	own(s)
	if err := s.introduce(); err != nil {
		return nil, errors.Join(err, s.closeAccessLog(context.Background()), s.closeLog())
	}
	i := &Instance{service: s, stop: make(chan struct{}), hurry: make(chan struct{}), done: make(chan struct{})}
	ready := make(chan struct{})
	setupCtx, cancel := context.WithCancel(request.With(ctx, &request.Info{Draining: s.draining}))
	go func() {
		defer close(i.done)
		defer cancel()
		i.err = i.live(setupCtx, func(ctx context.Context) error { return spec.Setup(ctx, s, cfg) }, ready)
	}()
	select {
	case <-ready:
		return i, nil
	case <-i.done:
		return nil, cmp.Or(i.err, i.abandoned)
	}
}

// newService makes a service in state New.
func newService(name string, own *failure.Set, settings Settings, set *config.Set, world World) (*Service, error) {
	if world.Clock == nil {
		world.Clock = clock.Real()
	}
	if world.Rand == nil {
		world.Rand = rand.Reader
	}
	if world.Stdout == nil {
		world.Stdout = os.Stdout
	}
	if world.Stderr == nil {
		world.Stderr = os.Stderr
	}
	var seed [32]byte
	if _, err := io.ReadFull(world.Rand, seed[:]); err != nil {
		return nil, fmt.Errorf("read randomness for the ids of requests: %w", err)
	}
	s := &Service{
		name:     name,
		settings: settings,
		world:    world,
		config:   set,
		ids:      request.NewSource(seed),
		registry: prometheus.NewRegistry(),
		started:  time.Now(),
		leaving:  make(chan struct{}),
		draining: make(chan struct{}),
		fatal:    make(chan error, 1),
		names:    map[string]struct{}{},
		gauges:   map[string]kpi.Rule{},
		sets:     []*failure.Set{failure.Chassis},
	}
	if own != nil {
		own.Seal()
		s.sets = append(s.sets, own)
	}
	s.failures = failure.NewCounter(s.sets...)
	salt := sha256.Sum256(append([]byte("users of failures"), seed[:]...))
	s.aggregate = s.newAggregator(salt[:])
	s.metrics = kpi.New(kpi.Options{Registerer: s.registry, Clock: world.Clock})
	s.kpis = s.metrics.KPIs()
	s.visits.empty = make(chan struct{})
	s.visits.ctx, s.visits.cancel = context.WithCancel(context.Background())
	if s.Guest() {
		// A process may have a thousand of them.
		s.metrics, s.config = world.Guest.service.metrics, nil
	}
	s.base = request.With(context.Background(), &request.Info{Draining: s.draining})
	s.tasks.running = map[int]string{}
	s.tasks.ctx, s.tasks.cancel = context.WithCancel(s.base)
	err := s.openLog()
	if err == nil {
		err = s.openAccessLog()
	}
	if err == nil {
		err = s.checkReports()
	}
	if err != nil {
		return nil, errors.Join(err, s.closeLog())
	}
	s.registerMetrics()
	s.ShowStatus(s.guardTable)
	s.ShowStatus(s.streamTable)
	s.ShowStatus(s.collectorTable)
	return s, nil
}

// live takes the service through its states and returns why it ended; nil after a stop.
func (i *Instance) live(ctx context.Context, setup func(context.Context) error, ready chan<- struct{}) error {
	s := i.service
	err := i.open(ctx, setup)
	if cause := context.Cause(ctx); cause != nil && !wary.Is(err, errStuck) {
		i.abandoned = fmt.Errorf("%w: %w", errAbandoned, cause)
		if err != nil && !wary.Is(err, ctx.Err()) {
			i.abandoned = fmt.Errorf("%w; Setup said: %w", i.abandoned, err)
		}
		s.log.Info("start-up was abandoned", zap.Error(i.abandoned))
		i.enter(StateDraining)
		return i.finish(nil)
	}
	if err == nil {
		err = i.commit(ctx)
	}
	if err != nil {
		if s.world.host != nil {
			_ = s.world.host.Failed(reload.ReasonSetup, err) // it sees the end in any case
		}
		return i.finish(err)
	}
	i.enter(StateReady)
	i.begin()
	i.service.awaitMidnight()
	close(ready)
	var orders <-chan reload.Order
	if s.world.host != nil {
		orders = s.world.host.Orders()
	}
	select {
	case <-i.stop:
		i.stopped(orders)
	case o := <-orders:
		i.ordered(o)
	case err = <-s.fatal:
		s.log.Error("the service ends", withStack(err, zap.Error(err))...)
		if !i.leaveToSupervisor(reload.ReasonCrash, err) {
			i.enter(StateDraining)
		}
	}
	return i.finish(err)
}

// ordered begins the drain that the supervisor has asked for.
func (i *Instance) ordered(o reload.Order) {
	if o.Stop {
		i.drainAlone()
		return
	}
	s := i.service
	s.replaced.Store(true)
	i.enter(StateDraining)
	s.log.Info("draining; another worker goes on", zap.Duration("timeout", s.settings.Drain.Timeout))
}

// stopped begins the drain that a signal, or who has started the service, has asked for. A signal
// may have reached the supervisor as well, and then its order follows.
func (i *Instance) stopped(orders <-chan reload.Order) {
	if orders != nil {
		select {
		case o := <-orders:
			i.ordered(o)
			return
		case <-time.After(sameSignal):
		}
		if i.leaveToSupervisor(reload.ReasonStopping, errStopped) {
			return
		}
	}
	i.drainAlone()
}

// errStopped is why a worker ends that was told to by somebody else than its supervisor.
var errStopped = errors.New("a signal told it to stop")

// leaveToSupervisor begins a drain that the supervisor has not asked for: it has another worker
// started in this one's place. false says that there is no supervisor to do that.
func (i *Instance) leaveToSupervisor(r reload.Reason, why error) bool {
	s := i.service
	if s.world.host == nil || s.world.host.Failed(r, why) != nil {
		return false
	}
	s.replaced.Store(true)
	i.enter(StateDraining)
	return true
}

// commit asks the supervisor, if there is one, whether this process is now the one that serves.
func (i *Instance) commit(ctx context.Context) error {
	if i.service.world.host == nil {
		return nil
	}
	if err := i.service.world.host.Ready(ctx); err != nil {
		return fmt.Errorf("it was ready, but is not to serve: %w", err)
	}
	return nil
}

// drainAlone begins a drain after which nobody serves.
func (i *Instance) drainAlone() {
	s := i.service
	i.enter(StateDraining)
	s.log.Info("draining", zap.Duration("timeout", s.settings.Drain.Timeout))
	i.delay()
	if s.world.host == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), hostTimeout)
	defer cancel()
	if err := s.world.host.Release(ctx); err != nil {
		s.log.Warn("the supervisor has not closed its listeners", zap.Error(err))
	}
}

// errStuck is in the error of something that did not end when it should have.
var errStuck = errors.New("did not return in time")

// open binds the admin listener and runs Setup.
func (i *Instance) open(ctx context.Context, setup func(context.Context) error) error {
	s := i.service
	i.enter(StateSetup)
	if err := s.openAdmin(); err != nil {
		return err
	}
	err := await(ctx, s.settings.Drain.Timeout, setup)
	if fields := withStack(err); len(fields) > 0 {
		s.log.Error("Setup panicked", append(fields, zap.Error(err))...)
	}
	if wary.Is(err, errStuck) {
		return fmt.Errorf("setup %w: its context ended %v ago", errStuck, s.settings.Drain.Timeout)
	}
	return err
}

// begin starts what waited for readiness: servers and background work.
func (i *Instance) begin() {
	s := i.service
	s.keepLogFiles()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.admin != nil {
		s.logListener(adminName, "http", s.admin.listener)
		s.admin.begin()
	}
	for _, l := range s.listeners {
		if l.Listener == nil {
			continue
		}
		s.logListener(l.name, l.protocol, l.Listener)
		go func() {
			if err := l.server.Serve(l.Listener); err != nil {
				s.end(fmt.Errorf("listener %q on %s: %w", l.name, l.Listener.Addr(), err))
			}
		}()
	}
	for _, start := range s.waiting {
		start()
	}
	s.waiting = nil
	s.log.Info("ready", zap.Duration("after", time.Since(s.started)))
}

func (s *Service) logListener(name, protocol string, l net.Listener) {
	s.log.Info("listening", zap.String("listener", name), zap.String("protocol", protocol), zap.Stringer("addr", l.Addr()))
}

// hurried is closed when the supervisor wants everything to end at once; nil without one.
func (s *Service) hurried() <-chan struct{} {
	if s.world.host == nil {
		return nil
	}
	return s.world.host.Hurry()
}

// enter makes a transition.
func (i *Instance) enter(state State) {
	s := i.service
	s.mu.Lock()
	s.state = state
	observers := s.states
	s.mu.Unlock()
	for _, f := range observers {
		f(state)
	}
}

// delay goes on answering for drain.readiness_delay after readiness went off.
func (i *Instance) delay() {
	d := i.service.settings.Drain.ReadinessDelay
	if d <= 0 {
		return
	}
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-i.hurry:
	case <-i.service.hurried():
	}
}

// finish drains and closes everything and enters the last state. Whatever happens, it gets
// through in little more than the time that drain.timeout gives: see graced. err is why the service ends,
// nil when it was asked to.
func (i *Instance) finish(err error) error {
	s := i.service
	close(s.leaving)
	ctx, cancel := context.WithTimeout(context.Background(), s.settings.Drain.Timeout)
	defer cancel()
	go func() {
		select {
		case <-i.hurry:
			cancel()
		case <-s.hurried():
			cancel()
		case <-ctx.Done():
		}
	}()
	s.headsUp(ctx)
	close(s.draining)
	s.drainServers(ctx)
	errs := []error{err, s.tasks.drain(ctx)}
	select {
	case late := <-s.fatal:
		s.log.Error("something broke during the drain", withStack(late, zap.Error(late))...)
		errs = append(errs, late)
	default:
	}
	err = errors.Join(append(errs, s.closeAll(ctx), s.closeAccessLog(ctx))...)
	if err := graced(ctx, s.aggregate.Close); err != nil {
		s.log.Warn("reports of failures are lost", zap.Error(err))
	}
	if err := graced(ctx, func(ctx context.Context) error { return await(ctx, closeGrace, s.endDaily) }); err != nil {
		s.log.Error("the report of failures is not written", zap.Error(err))
	}
	if err == nil {
		i.enter(StateClosed)
		s.log.Info("closed")
	} else {
		i.enter(StateFailed)
	}
	s.closeAdmin()
	s.lastWords()
	_ = s.log.Sync() // a terminal cannot be synced
	if e := graced(ctx, s.closeLogFiles); e != nil {
		fmt.Fprintf(s.world.Stderr, "%s: %v\n", s.name, e) // there is no log any more
	}
	return err
}

// headsUp has all servers stop accepting and tell their peers, at the same time.
func (s *Service) headsUp(ctx context.Context) {
	s.mu.Lock()
	listeners := s.listeners
	s.mu.Unlock()
	var warn []warner
	for _, l := range listeners {
		if w, ok := l.server.(warner); ok && l.Listener != nil {
			warn = append(warn, w)
		}
	}
	if s.admin != nil && s.replaced.Load() {
		warn = append(warn, s.admin)
	}
	var wg sync.WaitGroup
	for _, w := range warn {
		wg.Go(func() {
			_ = await(ctx, closeGrace, func(ctx context.Context) error { w.HeadsUp(ctx); return nil })
		})
	}
	wg.Wait()
}

// drainServers drains all listeners at the same time and cuts what is not done when ctx ends.
func (s *Service) drainServers(ctx context.Context) {
	s.mu.Lock()
	listeners := s.listeners
	s.mu.Unlock()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.visits.drain(ctx); err != nil {
			s.log.Warn("requests were cut off", zap.Error(err))
		}
	})
	for _, l := range listeners {
		if l.Listener == nil {
			if s.Guest() { // a server has what it was made with
				wg.Go(func() { _ = await(ctx, closeGrace, func(context.Context) error { return l.server.Close() }) })
			}
			continue
		}
		wg.Go(func() {
			if err := await(ctx, closeGrace, l.server.Drain); err != nil {
				s.log.Warn("requests were cut off", withStack(err, zap.String("listener", l.name), zap.Error(err))...)
			}
			// A server that never began to serve has not closed its listener.
			_ = errors.Join(await(ctx, closeGrace, func(context.Context) error { return l.server.Close() }), l.Listener.Close())
		})
	}
	if s.admin != nil && s.replaced.Load() {
		wg.Go(func() { _ = await(ctx, closeGrace, s.admin.drain) }) // closeAdmin cuts the rest
	}
	wg.Wait()
}

// Service is the service that runs.
func (i *Instance) Service() *Service { return i.service }

// Addr is the address that the listener called name is bound to, nil when there is none; the
// admin listener is called "admin".
func (i *Instance) Addr(name string) net.Addr { return i.service.Addr(name) }

// Stop has the service drain and waits until everything is closed. When ctx ends first, what
// is still under way is cut off. It returns what went wrong in the service's life, nil when
// nothing did; requests that were cut off are logged and no error. Stopping twice is harmless.
func (i *Instance) Stop(ctx context.Context) error {
	i.once.Do(func() { close(i.stop) })
	select {
	case <-i.done:
	case <-ctx.Done():
		i.rush.Do(func() { close(i.hurry) })
		<-i.done
	}
	return i.err
}

// Done is closed when the service has ended; Err then says why.
func (i *Instance) Done() <-chan struct{} { return i.done }

// Err is what ended the service: nil while it runs and after a stop in which everything was
// closed without an error.
func (i *Instance) Err() error {
	select {
	case <-i.done:
		return i.err
	default:
		return nil
	}
}
