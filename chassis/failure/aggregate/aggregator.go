package aggregate

import (
	"cmp"
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// Config is what an Aggregator knows of the service it works for. The zero Config is a service
// without a name on the machine's clock.
type Config struct {
	Service, Version, Revision string
	// Host is the machine's name; empty asks the operating system.
	Host       string
	Generation int // of the worker process; 0 without a supervisor

	Clock clock.Clock // nil is the machine's
	Rand  io.Reader   // where the ids of reports come from; nil is crypto/rand
	// Salt is what users are hashed with; empty means 32 bytes of Rand, which end with the process.
	Salt []byte
	// Elsewhere tells what other processes of the service know, for the totals of reports. It is asked
	// every ten seconds at most, while there is something to report, and never by who adds a failure.
	// Nil is a service of one process.
	Elsewhere func(ctx context.Context) ([]Group, error)
	// OnError is told what a sink could not take. It must not block. Nil tells nobody.
	OnError func(sink string, r Report, err error)
}

// An Occurrence is one failure that was answered.
type Occurrence struct {
	Error *failure.Error // required
	ID    string         // the error id that the client got
	Time  time.Time      // required

	// What was asked: see [Sample]. Of background work, Route is its name and the rest is empty.
	RequestID, Listener, Protocol, Method, Route string
	TraceID                                      [16]byte
	User                                         string // who asked, if that is known; it is hashed
}

// An Aggregator groups failures and has sinks take reports of them. Make one with New. It is safe for
// concurrent use.
type Aggregator struct {
	cfg   Config
	sites sites

	mu     sync.Mutex
	groups map[key]*group
	by     map[string]*group // those of groups, of the overflow, and of decisions, by their names
	pruned time.Time         // the last prune
	pace   pace

	sinks      []namedSink
	outbox     []pending     // reports that no sink has yet
	delivering chan struct{} // closed when outbox is empty; nil when nobody delivers
	timer      clock.Timer   // for what waits; nil when nothing does
	elsewhere  map[string]uint64
	asked      time.Time // when elsewhere was
}

// key is what failures of one group have in common.
type key struct {
	code  *failure.Code
	place string
}

// group is a Group that is being counted.
type group struct {
	code   *failure.Code
	place  string
	name   string
	count  uint64
	first  time.Time
	last   time.Time
	pinned bool
	when   time.Time // pinned was changed
	newest *sampled  // a failure of the last minute
	days   [maxDays]dayCount
	seen   []Seen // a ring
	next   int    // where in seen the next one goes

	outbreak time.Time // when it began; see pace
	reported time.Time // the last report
	early    int       // reports made at once in the outbreak
	waiting  uint64    // failures that no report tells of
	since    time.Time // the first of them
	sample   *sampled  // one of them
}

// dayCount is how often a group failed on a day; it stands at the day modulo their number.
type dayCount struct {
	day   int64 // since 1970, UTC
	count uint64
}

// New returns an Aggregator that counts. One that has sinks is to be closed, so that they are told the
// rest.
func New(cfg Config) *Aggregator {
	if cfg.Clock == nil {
		cfg.Clock = clock.Real()
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if cfg.Host == "" {
		cfg.Host, _ = os.Hostname()
	}
	if len(cfg.Salt) == 0 {
		cfg.Salt = make([]byte, 32)
		_, _ = io.ReadFull(cfg.Rand, cfg.Salt) // of a source that fails, users are told apart less well
	}
	info, _ := debug.ReadBuildInfo()
	a := &Aggregator{cfg: cfg, groups: map[key]*group{}, by: map[string]*group{}}
	a.sites = sites{module: moduleOf(info), known: map[uintptr]site{}}
	return a
}

// Add counts a failure. It never blocks and never fails, whatever the methods of its causes do.
func (a *Aggregator) Add(o Occurrence) {
	place := a.place(&o)
	var s *sampled
	for !a.count(&o, place, s) {
		s = a.sampleOf(&o) // outside of the lock: it asks the causes, which others have made
	}
}

// count counts a failure. It is false, and nothing is counted, if the failure is to be shown as a sample
// and s, which is it as one, is nil.
func (a *Aggregator) count(o *Occurrence, place string, s *sampled) bool {
	code := o.Error.Code()
	a.mu.Lock()
	defer a.mu.Unlock()
	g := a.groups[key{code, place}]
	if g == nil {
		g = a.admit(code, place, o.Time)
	}
	told := len(a.sinks) > 0 && !harmless(code)
	renew := g.newest == nil || o.Time.Sub(g.newest.Time) >= window
	if s == nil && (renew || told && g.waiting == 0) {
		return false
	}
	if g.count == 0 {
		g.first = o.Time
	}
	quiet := o.Time.Sub(g.last)
	g.count++
	g.last = o.Time
	day := o.Time.Unix() / (24 * 60 * 60)
	if on := &g.days[uint64(day)%maxDays]; on.day == day {
		on.count++
	} else {
		*on = dayCount{day, 1}
	}
	g.see(o)
	if renew {
		g.newest = s
	}
	if told {
		a.account(g, o, s, quiet)
	}
	return true
}

// harmless reports whether code is no failure of the service: it is counted, and nobody is told.
func harmless(code *failure.Code) bool { return quiet(code.Class()) }

func quiet(class failure.Class) bool { return class == failure.Caller || class == failure.NotProblem }

// place is where a failure belongs.
func (a *Aggregator) place(o *Occurrence) string {
	f := o.Error
	if harmless(f.Code()) {
		return f.Code().Place()
	}
	place := a.sites.top(f.Callers())
	if text := f.Stack(); text != "" {
		place = a.sites.panicked(text)
	}
	if place == "" {
		place = strings.TrimSpace(methodOf(o) + o.Route)
	}
	if place = cmp.Or(place, f.Code().Place()); len(place) > maxPlace {
		place = clip(place, maxPlace)
	}
	return place
}

// methodOf is what stands in front of a route: HTTP's have it themselves, where it is declared.
func methodOf(o *Occurrence) string {
	if o.Protocol != "http" || strings.HasPrefix(o.Route, o.Method+" ") {
		return ""
	}
	return knownMethod(o.Method) + " "
}

// knownMethod is the method if HTTP knows it, and OTHER if a caller made it up: it is part of what
// failures are grouped by.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace, "":
		return strings.Clone(method)
	}
	return "OTHER"
}

// admit is the group of a code and place that has none yet.
func (a *Aggregator) admit(code *failure.Code, place string, now time.Time) *group {
	name := code.Set() + " " + strconv.Itoa(code.Number()) + " " + place
	if g := a.by[name]; g != nil { // pinned before it failed here
		g.code, g.place = code, place
		a.groups[key{code, place}] = g
		return g
	}
	if len(a.groups) >= MaxGroups && now.Sub(a.pruned) >= window {
		a.prune(now)
	}
	if len(a.groups) < MaxGroups {
		g := &group{code: code, place: place, name: name}
		a.groups[key{code, place}], a.by[name] = g, g
		return g
	}
	name = Overflow
	if harmless(code) {
		name = OverflowOfCallers
	}
	g := a.by[name]
	if g == nil {
		g = &group{place: "places for which there was no room", name: name}
		a.by[name] = g
	}
	return g
}

// prune forgets what nobody looks for any more and no report has to tell of. What was decided of a group
// outlives it: another process may carry an earlier decision for as long as the service lives.
func (a *Aggregator) prune(now time.Time) {
	a.pruned = now
	for name, g := range a.by {
		if g.count == 0 && !g.when.IsZero() || g.waiting > 0 || g.pinned || now.Sub(g.last) < Keep || now.Sub(g.when) < Keep {
			continue
		}
		delete(a.groups, key{g.code, g.place})
		delete(a.by, name)
		if !g.when.IsZero() {
			a.decide(name, false, g.when)
		}
	}
}

// decide notes a decision about a group that has not failed here, and reports whether there was room. Of
// more than MaxGroups the oldest is forgotten that only says what holds without it, if no other process
// can have carried on for long what it was about.
func (a *Aggregator) decide(name string, pinned bool, when time.Time) bool {
	n := 0
	var oldest *group
	for _, g := range a.by {
		if g.count > 0 || g.when.IsZero() {
			continue
		}
		n++
		if !g.pinned && when.Sub(g.when) >= Keep && (oldest == nil || g.when.Before(oldest.when)) {
			oldest = g
		}
	}
	if n >= MaxGroups {
		if oldest == nil {
			return false
		}
		delete(a.groups, key{oldest.code, oldest.place})
		delete(a.by, oldest.name)
	}
	a.by[name] = &group{name: name, pinned: pinned, when: when}
	return true
}

// see notes the ids of a failure.
func (g *group) see(o *Occurrence) {
	// The id of a request may share the memory of all that is known of the request.
	seen := Seen{o.ID, strings.Clone(o.RequestID), o.Time}
	if len(g.seen) < maxSeen {
		g.seen = append(g.seen, seen)
		return
	}
	g.seen[g.next] = seen
	g.next = (g.next + 1) % maxSeen
}

// Pin keeps the group of that name however long it is quiet, or no longer. It reports whether the group
// is known: here, or, as known says, in another process. Of groups that have not failed here, 512 decisions
// are remembered; one more is refused.
func (a *Aggregator) Pin(name string, pinned, known bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.cfg.Clock.Now()
	g := a.by[name]
	if g == nil {
		return known && a.decide(name, pinned, now)
	}
	g.pinned, g.when = pinned, now
	return true
}

// Groups are all groups of this process that have not been quiet for seven days, and those of which
// something was decided ([Group.Decided]), in no order.
func (a *Aggregator) Groups() []Group {
	now := a.cfg.Clock.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.prune(now)
	all := make([]Group, 0, len(a.by))
	for _, g := range a.by {
		if g.count == 0 && g.when.IsZero() {
			continue // its first failure is being looked at
		}
		one := Group{Key: g.name, Place: g.place, Count: g.count, First: g.first, Last: g.last, Pinned: g.pinned, Decided: g.when}
		if g.newest != nil {
			one.Code, one.Sample = g.newest.code.Describe(), &g.newest.Sample
		}
		for _, on := range g.days {
			if on.count > 0 {
				one.Days = append(one.Days, Day{time.Unix(on.day*24*60*60, 0).UTC().Format(time.DateOnly), on.count})
			}
		}
		slices.SortFunc(one.Days, func(a, b Day) int { return strings.Compare(b.Day, a.Day) })
		one.Seen = slices.Clone(g.seen)
		slices.Reverse(one.Seen[:g.next])
		slices.Reverse(one.Seen[g.next:])
		all = append(all, one)
	}
	return all
}
