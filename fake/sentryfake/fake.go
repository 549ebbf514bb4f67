package sentryfake

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
)

// TB is what [Start] needs of a test; *testing.T, *testing.B and *testing.F are one. (Naming
// testing.TB would link package testing into programs that use [New].)
type TB interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
	Failed() bool
}

// Options say what the fake is like. The zero value is ready to use.
type Options struct {
	// Project is the number of the project, "1" by default.
	Project string
	// Key is the public key of its DSN; by default one that is the same in all fakes.
	Key string
	// Port is the port on 127.0.0.1; 0 is any free one.
	Port int
	// TLS has it speak HTTPS, with a certificate of its own making: see [Fake.CertPool].
	TLS bool
	// Clock is what faults, quotas and times of receipt go by; nil is the machine's.
	Clock clock.Clock
	// Quotas are what Sentry accepts; none by default.
	Quotas []Quota
	// Keep bounds what is recorded, 100,000 events and as many other items by default. What comes
	// beyond is a problem.
	Keep int
	// MaxEnvelope bounds an envelope after decompression, [MaxEnvelope] by default.
	MaxEnvelope int
}

func (o *Options) fill() error {
	if o.Project == "" {
		o.Project = "1"
	}
	if o.Key == "" {
		o.Key = strings.Repeat("5e", 16)
	}
	if o.Clock == nil {
		o.Clock = clock.Real()
	}
	if o.Keep == 0 {
		o.Keep = 100_000
	}
	if o.MaxEnvelope == 0 {
		o.MaxEnvelope = MaxEnvelope
	}
	if o.Port < 0 || o.Port > 65535 || o.Keep < 0 || o.MaxEnvelope < 0 {
		return errors.New("sentryfake: port, keep and max envelope: want 0 or more, and a port that is one")
	}
	for _, q := range o.Quotas {
		if q.Items < 0 || q.Per <= 0 {
			return fmt.Errorf("sentryfake: quota %+v: want 0 items or more, and a time above 0", q)
		}
	}
	return nil
}

// Fake is a Sentry that listens on loopback. Its methods are safe for concurrent use. Make one with
// [Start] or [New].
type Fake struct {
	options Options
	tb      TB // nil when made by New
	addr    string
	server  *http.Server
	cert    []byte
	pool    *x509.CertPool
	script  script
	closed  chan struct{}
	working sync.WaitGroup // requests that are handled, and the server

	mu       sync.Mutex // guards what follows
	conns    map[net.Conn]struct{}
	closing  bool
	limits   *limiter
	events   []*Event
	byID     map[string]*Event
	items    []Item
	problems []string
	stats    Stats
	changed  chan struct{} // closed, and another made, when the stats change
}

// Stats say what a fake has seen since it was started or reset.
type Stats struct {
	Requests    int // that came whole, whatever they were answered
	Events      int // accepted, each once
	Duplicates  int // events whose id had been accepted before; they are answered like others
	Items       int // accepted that are no events
	RateLimited int // requests answered with 429 because of a quota
	Early       int // requests with what the client had been told not to send yet
	Faults      int // requests and connections that faults struck
	Problems    int // mistakes of clients, those that [Fake.Problems] has no room for included
}

// maxProblems bounds the problems that are kept in words.
const maxProblems = 100

// Start runs a fake for the length of a test. A mistake in what a client sends fails the test; so
// does, at its end, a fault of a script that never struck.
func Start(tb TB, o Options) *Fake {
	tb.Helper()
	f, err := newFake(tb, o)
	if err != nil {
		tb.Fatalf("%v", err)
		return nil
	}
	tb.Cleanup(func() {
		tb.Helper()
		unused := f.script.clear(f.options.Clock.Now())
		f.Close()
		for _, fault := range unused {
			tb.Errorf("sentryfake: this fault never struck: %+v", fault)
		}
	})
	return f
}

// New runs a fake until Close. It tells of problems by [Fake.Problems] alone.
func New(o Options) (*Fake, error) { return newFake(nil, o) }

func newFake(tb TB, o Options) (*Fake, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	f := &Fake{
		options: o, tb: tb, closed: make(chan struct{}), conns: map[net.Conn]struct{}{},
		byID: map[string]*Event{}, changed: make(chan struct{}), limits: newLimiter(o.Quotas),
	}
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", o.Port))
	if err != nil {
		return nil, fmt.Errorf("sentryfake: %w", err)
	}
	f.addr = l.Addr().String()
	f.server = &http.Server{
		Handler:           http.HandlerFunc(f.serve),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0),
		ConnState:         f.track,
	}
	l = &gate{Listener: l, fake: f}
	if o.TLS {
		if l, err = f.secure(l); err != nil {
			return nil, errors.Join(fmt.Errorf("sentryfake: %w", err), l.Close())
		}
	}
	f.working.Go(func() { _ = f.server.Serve(l) }) // it ends with Close, and says so
	return f, nil
}

// DSN is what clients are configured with.
func (f *Fake) DSN() string {
	scheme := "http"
	if f.options.TLS {
		scheme = "https"
	}
	return scheme + "://" + f.options.Key + "@" + f.addr + "/" + f.options.Project
}

// Addr is host and port.
func (f *Fake) Addr() string { return f.addr }

// CertPool has the certificate that a client must trust when the fake has Options.TLS; otherwise it
// is nil.
func (f *Fake) CertPool() *x509.CertPool { return f.pool }

// Certificate is that certificate in DER, for clients that read it from a file.
func (f *Fake) Certificate() []byte { return slices.Clone(f.cert) }

// Script adds faults to the script. They come one after another: the first until it has struck as
// often, or lasted as long, as it says, then the next. Mistakes end the test; of a fake made by New
// they panic.
func (f *Fake) Script(faults ...Fault) {
	if f.tb != nil {
		f.tb.Helper()
	}
	err := f.Install(faults...)
	switch {
	case err == nil:
	case f.tb != nil:
		f.tb.Fatalf("%v", err)
	default:
		panic(err.Error())
	}
}

// Install is Script with an error in place of a failed test: all of the faults are added, or none.
func (f *Fake) Install(faults ...Fault) error {
	for n, fault := range faults {
		if err := fault.check(f.options.TLS); err != nil {
			return fmt.Errorf("sentryfake: fault %d: %w", n+1, err)
		}
	}
	now := f.options.Clock.Now()
	if err := f.script.add(now, faults); err != nil {
		return fmt.Errorf("sentryfake: %w", err)
	}
	if k := f.script.peek(now); k == Down || k == TLS {
		f.hangUp()
	}
	return nil
}

// Clear ends the script: the fake is well again.
func (f *Fake) Clear() { f.script.clear(f.options.Clock.Now()) }

// Reset forgets everything and ends the script. The address stays.
func (f *Fake) Reset() {
	f.Clear()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limits = newLimiter(f.options.Quotas)
	f.events, f.items, f.problems, f.stats = nil, nil, nil, Stats{}
	clear(f.byID)
}

// Close ends the fake and returns when nothing of it runs any more. More calls than one do nothing.
func (f *Fake) Close() {
	f.mu.Lock()
	first := !f.closing
	f.closing = true
	f.mu.Unlock()
	if first {
		close(f.closed)
		_ = f.server.Close()
	}
	f.working.Wait()
}

// Events are the accepted ones in the order in which they came, each once. What they point to must
// not be changed.
func (f *Fake) Events() []Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	events := make([]Event, len(f.events))
	for i, e := range f.events {
		events[i] = *e
	}
	return events
}

// Items are those accepted that are no events.
func (f *Fake) Items() []Item {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.items)
}

// Problems are mistakes in what clients sent, the first 100 of them.
func (f *Fake) Problems() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.problems)
}

// Stats are the counts so far.
func (f *Fake) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stats
}

// Wait returns when n events have been accepted, or with an error when ctx ends first.
func (f *Fake) Wait(ctx context.Context, n int) error {
	return f.Await(ctx, func(s Stats) bool { return s.Events >= n })
}

// Await returns when what the fake has seen is enough, or with an error when ctx ends first. enough
// must not call the fake.
func (f *Fake) Await(ctx context.Context, enough func(Stats) bool) error {
	for {
		f.mu.Lock()
		stats, changed := f.stats, f.changed
		f.mu.Unlock()
		if enough(stats) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("sentryfake: waiting, with %+v: %w", stats, ctx.Err())
		}
	}
}

// count changes the stats and wakes those who await it.
func (f *Fake) count(change func(*Stats)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.stats)
	f.wake()
}

// wake is for whoever holds the lock and has changed the stats.
func (f *Fake) wake() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// problem notes a mistake of a client.
func (f *Fake) problem(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note(err)
}

// note is problem for whoever holds the lock.
func (f *Fake) note(err error) {
	f.stats.Problems++
	if len(f.problems) < maxProblems {
		f.problems = append(f.problems, err.Error())
	}
	if f.tb != nil {
		f.tb.Errorf("sentryfake: %v", err)
	}
}
