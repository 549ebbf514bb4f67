package fake

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// TB is what Start needs of a test; *testing.T, *testing.B and *testing.F are one. (Naming
// testing.TB would link package testing into the programs that Main makes.)
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
	Failed() bool
}

// Options say how a service with configuration C is faked. The zero value is ready to use.
type Options[C any] struct {
	// Configure changes the configuration before the service starts, above all to keep its
	// state in memory. It finds the Spec's defaults, no admin listener, no access log and a
	// drain of 2 s. It is called again at each start, as that of a tenant or after a Reset, also while it
	// runs for another tenant. nil changes nothing.
	Configure func(*chassis.Settings, *C)
	// Ports gives listeners fixed ports on 127.0.0.1, by name; the others get free ones. The
	// addresses in the configuration are not used: fakes must run side by side.
	Ports map[string]int
	// Begin is what the virtual clock shows at first; the zero time is now.
	Begin time.Time
	// RealTime gives the service the machine's clock in place of a virtual one.
	RealTime bool
	// Rand is the service's randomness, safe for concurrent use; nil is crypto/rand.
	Rand io.Reader
	// Seed is what all that chance decides in faults is drawn from, 1 to 2^53-1: the same faults,
	// installed in the same order, are drawn alike. 0 draws the seed itself; Start shows it when a
	// test fails in which chance had a say. Rule.Seed is for one fault.
	Seed uint64
	// Log takes the service's log. nil drops it; Start then keeps the latest lines and shows
	// them when the test fails.
	Log *zap.Logger
}

// startLimit bounds how long a service may take to start, stopLimit how long to stop.
const (
	startLimit   = 30 * time.Second
	stopLimit    = 10 * time.Second
	drainTimeout = 2 * time.Second
)

// Fake is a service that runs in this process and misbehaves on request. Its methods are safe
// for concurrent use. Make one with [Start] or [New].
//
// Methods that take a [Match] or a [Failure] and return no error are for tests: a mistake in
// their arguments, such as a route that the service does not have, ends the test that Start
// was given, and panics in a fake made by New. [Fake.Install] returns it.
type Fake struct {
	name    string
	seed    uint64
	kept    atomic.Int64 // connections that faults of phase Connect keep back
	cover   coverage
	config  func() ([]chassis.ConfigDescription, error) // of a daemon that nobody configures
	sets    []*failure.Set
	tb      TB // nil when made by New
	virtual *clock.Virtual
	clock   clock.Clock
	ports   *ports
	faults  faults
	calls   recording
	visits  sync.Pool // of *visit
	start   func(context.Context, chassis.World) (*chassis.Instance, error)
	world   chassis.World                                // without what belongs to one life
	event   func(stream, kind string, data []byte) error // chassis.Spec.Event

	parent  *Fake  // of a tenant; nil of the fake itself
	tenant  string // the tenant's name
	tenants tenants
	states  states
	latest  atomic.Pointer[life] // the last that has begun, also when it has ended

	mu      turn // one Reset or Stop at a time; guards what follows
	life    *life
	past    *life // the one before, for what is asked after its end
	stopped bool
	err     error // why it ended
	done    chan struct{}
}

// Start runs spec for the length of a test and returns when it is ready. A service that does
// not start ends the test; so does, at its end, one that does not stop cleanly, or a fault
// that was installed and never struck. Connections that are open at the end are cut.
func Start[C any](tb TB, spec chassis.Spec[C], o Options[C]) *Fake {
	tb.Helper()
	var lines *tail
	if o.Log == nil {
		o.Log, lines = newTail()
	}
	f, err := New(context.Background(), spec, o)
	if err != nil {
		tb.Fatalf("fake: %v", err)
		return nil
	}
	f.tb = tb
	tb.Cleanup(func() {
		tb.Helper()
		unused, drawn, drew := f.Unused(), f.drawn(), f.drew()
		if err := f.Stop(); err != nil {
			tb.Errorf("fake: %v", err)
		}
		if !tb.Failed() {
			for _, rule := range unused {
				tb.Errorf("fake: %s: this fault never struck: %v", f.name, rule)
			}
		}
		if tb.Failed() && drew {
			tb.Logf("fake: %s: what chance decided is repeated with seed %d: Options.Seed, or Seed of the rules:%s", f.name, f.seed, drawn)
		}
		if tb.Failed() && lines != nil {
			tb.Logf("the log of %s:\n%s", f.name, lines)
		}
	})
	return f
}

// New runs spec until Stop and returns when it is ready. ctx bounds the start-up only. The
// error is the service's own, or says which port cannot be had.
func New[C any](ctx context.Context, spec chassis.Spec[C], o Options[C]) (*Fake, error) {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	f := &Fake{name: spec.Name, sets: []*failure.Set{failure.Chassis, spec.Failures}, mu: newTurn(), done: make(chan struct{})}
	f.visits.New = f.newVisit
	f.clock = clock.Real()
	if !o.RealTime {
		begin := o.Begin
		if begin.IsZero() {
			begin = time.Now()
		}
		f.virtual = clock.NewVirtual(begin)
		f.clock = f.virtual
	}
	f.ports = newPorts(o.Ports)
	f.ports.door = f.admit
	f.seed = cmp.Or(o.Seed, 1+rand.Uint64N(maxSeed))
	if f.seed > maxSeed {
		return nil, errSeed
	}
	f.faults.seeds = newDice(f.seed)
	f.calls.prints = maphash.MakeSeed()
	f.config = func() ([]chassis.ConfigDescription, error) { return chassis.DescribeConfig(spec) }
	f.event = spec.Event
	f.world = chassis.World{Rand: o.Rand, Log: o.Log, Stdout: io.Discard, Stderr: io.Discard}
	f.start = func(ctx context.Context, world chassis.World) (*chassis.Instance, error) {
		return chassis.Start(ctx, spec, func(s *chassis.Settings, c *C) {
			s.Admin.Addr, s.AccessLog.Path, s.Drain.Timeout = "off", "off", drainTimeout
			if o.Configure != nil {
				o.Configure(s, c)
			}
			if world.Guest != nil {
				s.Admin.Addr = "off"
			}
		}, world)
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	err := f.ports.check()
	if err == nil {
		err = f.begin(ctx, nil)
	}
	if err == nil {
		err = f.unknownPorts(o.Ports)
	}
	if err != nil {
		return nil, errors.Join(err, f.Stop())
	}
	return f, nil
}

// unknownPorts refuses ports for listeners that the service did not open.
func (f *Fake) unknownPorts(wanted map[string]int) error {
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if f.ports.addr(name) == "" {
			return fmt.Errorf("%s: a port is given for listener %q: %s", f.name, name, f.ports.known())
		}
	}
	return nil
}

// Addr is the address of a listener, such as "127.0.0.1:40123". It stays the same over Reset.
func (f *Fake) Addr(listener string) string {
	f.helper()
	addr := f.ports.addr(listener)
	if addr == "" {
		f.refuse(fmt.Errorf("%s: there is no listener %q: %s", f.name, listener, f.ports.known()))
	}
	return addr
}

// URL is the address of a listener as the beginning of a URL, such as
// "http://127.0.0.1:40124"; with "https" when the listener speaks TLS.
func (f *Fake) URL(listener string) string {
	f.helper()
	scheme := "http"
	for _, l := range f.Description().Listeners {
		if l.Name == listener && strings.HasSuffix(l.Protocol, "s") {
			scheme = "https"
		}
	}
	return scheme + "://" + f.Addr(listener)
}

// Listeners are the addresses of all listeners by name. The map is the caller's own.
func (f *Fake) Listeners() map[string]string { return f.ports.all() }

// Description is what the service is made of: its listeners with their routes, its queues,
// its failure codes. After Stop it is empty.
func (f *Fake) Description() chassis.Description {
	f.mu.Lock()
	l := f.life
	f.mu.Unlock()
	if l == nil {
		return chassis.Description{}
	}
	return f.describe(l)
}

// describe is what a life's service is made of; that of a tenant is made of the same as the fake's own.
func (f *Fake) describe(l *life) chassis.Description {
	if f.parent != nil {
		l = f.parent.latest.Load()
	}
	return l.description()
}

// Seed is what all that chance decides in faults is drawn from; see [Options].Seed.
func (f *Fake) Seed() uint64 { return f.seed }

// drawn lists, for a log, the installed rules in which chance has a say.
func (f *Fake) drawn() string {
	var s strings.Builder
	for _, fault := range f.faults.all() {
		if fault.rule.random() {
			s.WriteString("\n\t" + fault.rule.String())
		}
	}
	for _, t := range f.tenants.all() {
		s.WriteString(t.drawn())
	}
	return s.String()
}

// drew reports whether chance has had a say, here or in a tenant.
func (f *Fake) drew() bool {
	return f.faults.drew.Load() || slices.ContainsFunc(f.tenants.all(), (*Fake).drew)
}

// Clock is the service's time, nil when [Options.RealTime] gave it the machine's clock. It
// stays the same over Reset.
func (f *Fake) Clock() *clock.Virtual { return f.virtual }

// Advance moves the service's time forward by d. When it returns, every timer that became due
// has run.
func (f *Fake) Advance(d time.Duration) {
	f.helper()
	if f.virtual == nil {
		f.refuse(errRealTime)
		return
	}
	f.virtual.Advance(d)
}

var errRealTime = errors.New("the clock is the machine's own and cannot be advanced: the fake was started with real time")

// Reset has the service start anew, empty, at the same addresses. Clients are told to use
// other connections, as when a service is deployed; what is still under way after 50 ms is cut. Tenants
// stay as they are, though their calls come by these connections too; that of a tenant leaves
// connections alone.
// Faults are cleared, recorded calls forgotten and timers dropped; the clock goes on from the
// time it shows. The fake is unusable when the service does not start again; the error says why,
// and with Start it has failed the test too.
func (f *Fake) Reset() error {
	f.helper()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	err := f.reset(ctx)
	if err != nil && f.tb != nil {
		f.tb.Errorf("fake: reset: %v", err)
	}
	return err
}

// Stop ends the service and frees its addresses: connections are cut, and what was opened is
// closed. It ends all tenants. That of a tenant removes it: what it does is cut, connections stay, and
// its name is free again. The error says what went wrong in the service's life or is still running after
// 10 s; it is nil when nothing did. Stopping again returns the same error.
func (f *Fake) Stop() error {
	ended := f.stopTenants()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return f.err
	}
	f.stopped = true
	if f.parent != nil && f.tb != nil && !f.tb.Failed() {
		for _, rule := range f.Unused() {
			f.tb.Errorf("fake: %s: tenant %q: this fault never struck: %v", f.name, f.tenant, rule)
		}
	}
	f.faults.clear()
	f.err = errors.Join(f.err, ended, f.end(0))
	f.close()
	return f.err
}

// close is what comes when the last life has ended. f.mu is held.
func (f *Fake) close() {
	if f.parent != nil {
		f.parent.tenants.remove(f)
	} else {
		f.ports.close()
	}
	close(f.done)
}

// Done is closed when the fake has stopped, also when the service failed by itself; Err then
// says why.
func (f *Fake) Done() <-chan struct{} { return f.done }

// Err is what Stop returned, nil before.
func (f *Fake) Err() error {
	select {
	case <-f.done:
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.err
	default:
		return nil
	}
}

// refuse ends the test, or the program, for a mistake in the arguments of a call.
func (f *Fake) refuse(err error) {
	if f.tb == nil {
		panic("fake: " + err.Error())
	}
	f.tb.Helper()
	f.tb.Fatalf("fake: %v", err)
}

func (f *Fake) helper() {
	if f.tb != nil {
		f.tb.Helper()
	}
}
