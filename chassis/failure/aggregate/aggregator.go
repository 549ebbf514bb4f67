package aggregate

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"os"
	"reflect"
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
	by     map[string]*group // those of groups, and the overflow, by their names
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
	newest *raw      // a failure of the last minute
	days   [maxDays]dayCount
	seen   []Seen // a ring
	next   int    // where in seen the next one goes

	outbreak time.Time // when it began; see pace
	reported time.Time // the last report
	early    int       // reports made at once in the outbreak
	waiting  uint64    // failures that no report tells of
	since    time.Time // the first of them
	sample   *raw      // one of them
}

// dayCount is how often a group failed on a day; it stands at the day modulo their number.
type dayCount struct {
	day   int64 // since 1970, UTC
	count uint64
}

// raw is a failure before anybody has looked at it.
type raw struct {
	Occurrence
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

// Add counts a failure. It never blocks and never fails.
func (a *Aggregator) Add(o Occurrence) {
	code := o.Error.Code()
	place := a.place(&o)
	a.mu.Lock()
	defer a.mu.Unlock()
	g := a.groups[key{code, place}]
	if g == nil {
		g = a.admit(code, place, o.Time)
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
	g.see(&o)
	if g.newest == nil || o.Time.Sub(g.newest.Time) >= window {
		g.newest = a.keep(&o)
	}
	if len(a.sinks) > 0 && !harmless(code) {
		a.account(g, &o, quiet)
	}
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
	return cmp.Or(place, f.Code().Place())
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
	if len(a.groups) >= MaxGroups {
		a.prune(now)
	}
	if len(a.groups) < MaxGroups {
		g := &group{code: code, place: place, name: name}
		a.groups[key{code, place}], a.by[name] = g, g
		return g
	}
	g := a.by[Overflow]
	if g == nil {
		g = &group{place: "places for which there was no room", name: Overflow}
		a.by[Overflow] = g
	}
	g.code = code // that of its sample
	return g
}

// prune forgets what nobody looks for any more and no report has to tell of.
func (a *Aggregator) prune(now time.Time) {
	for name, g := range a.by {
		if g.waiting == 0 && !g.pinned && now.Sub(g.last) >= Keep {
			delete(a.groups, key{g.code, g.place})
			delete(a.by, name)
		}
	}
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

// keep is a failure for later.
func (a *Aggregator) keep(o *Occurrence) *raw {
	r := &raw{*o}
	r.RequestID, r.Route, r.Method = strings.Clone(o.RequestID), strings.Clone(o.Route), knownMethod(o.Method)
	r.User = ""
	if o.User != "" {
		mac := hmac.New(sha256.New, a.cfg.Salt)
		_, _ = io.WriteString(mac, o.User)
		r.User = hex.EncodeToString(mac.Sum(nil)[:8])
	}
	return r
}

// sampleOf is a failure as it may leave the process.
func (a *Aggregator) sampleOf(r *raw) Sample {
	f := r.Error
	s := Sample{
		ID: r.ID, RequestID: r.RequestID, Listener: r.Listener, Protocol: r.Protocol, Method: r.Method,
		Route: r.Route, User: r.User, Time: r.Time, Panic: f.Stack() != "",
	}
	if r.TraceID != [16]byte{} {
		s.TraceID = hex.EncodeToString(r.TraceID[:])
	}
	if r.Protocol != "" {
		s.Status = f.HTTPStatus()
	}
	s.Message = message(f)
	for _, arg := range f.Args() {
		if !arg.Safe || quotes(f.Code()) {
			arg.Value = Redacted
		}
		s.Args = append(s.Args, Arg{arg.Key, arg.Value})
	}
	if s.Panic {
		s.Stack = a.sites.parsed(f.Stack())
	} else {
		s.Stack = a.sites.frames(f.Callers())
	}
	return s
}

// quotes tells codes whose arguments are the caller's own words, a path or a method: safe to say to that
// caller, and nothing to keep.
func quotes(code *failure.Code) bool {
	return code == failure.UnknownRoute || code == failure.MethodNotAllowed
}

// maxChain bounds how far a chain of errors is followed.
const maxChain = 8

// message is what may be told of a failure: its code's words, its safe arguments, and the types of its
// causes. What a cause says may hold anything, but for what the runtime itself says of a panic.
func message(f *failure.Error) string {
	text := f.Detail()
	if quotes(f.Code()) {
		text = f.Code().Message()
	}
	cause := f.Unwrap()
	for n := 0; cause != nil && n < maxChain; n++ {
		if t := typeOf(cause); t != "" {
			text += ": " + t
		}
		switch c := cause.(type) {
		case interface{ Unwrap() error }:
			cause = c.Unwrap()
		case interface{ Unwrap() []error }:
			cause = nil
			if all := c.Unwrap(); len(all) > 0 {
				cause = all[0]
			}
		default:
			cause = nil
		}
	}
	return text
}

// typeOf names an error by its type, or by what it says if the runtime made it or its code is declared; it
// is empty for wrappers that everybody uses.
func typeOf(err error) string {
	if f, ok := err.(*failure.Error); ok && f != nil {
		return f.Code().Error()
	}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(known, err) {
			return err.Error()
		}
	}
	t := reflect.TypeOf(err)
	elem := t
	if t.Kind() == reflect.Pointer {
		elem = t.Elem()
	}
	switch elem.PkgPath() {
	case "runtime":
		return err.Error()
	case "errors", "fmt":
		return ""
	case reflect.TypeFor[failure.Error]().PkgPath():
		if strings.HasPrefix(err.Error(), "goroutine ended") {
			return err.Error()
		}
		return "panic"
	}
	return t.String()
}

// Pin keeps the group of that name however long it is quiet, or no longer. It reports whether the group
// is known: here, or, as known says, in another process.
func (a *Aggregator) Pin(name string, pinned, known bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	g := a.by[name]
	if g == nil {
		if !known || len(a.by) > MaxGroups {
			return false
		}
		g = &group{name: name}
		a.by[name] = g
	}
	g.pinned, g.when = pinned, a.cfg.Clock.Now()
	return true
}

// Groups are all groups of this process that have not been quiet for seven days, or are pinned, in no
// order. It makes frames of stacks, and so takes a while.
func (a *Aggregator) Groups() []Group {
	now := a.cfg.Clock.Now()
	type pair struct {
		Group
		newest *raw
	}
	a.mu.Lock()
	a.prune(now)
	all := make([]pair, 0, len(a.by))
	for _, g := range a.by {
		p := pair{Group{Key: g.name, Place: g.place, Count: g.count, First: g.first, Last: g.last, Pinned: g.pinned, Decided: g.when}, g.newest}
		if g.code != nil {
			p.Code = g.code.Describe()
		}
		for _, on := range g.days {
			if on.count > 0 {
				p.Days = append(p.Days, Day{time.Unix(on.day*24*60*60, 0).UTC().Format(time.DateOnly), on.count})
			}
		}
		slices.SortFunc(p.Days, func(a, b Day) int { return strings.Compare(b.Day, a.Day) })
		p.Seen = slices.Clone(g.seen)
		slices.Reverse(p.Seen[:g.next])
		slices.Reverse(p.Seen[g.next:])
		all = append(all, p)
	}
	a.mu.Unlock()
	out := make([]Group, 0, len(all))
	for _, p := range all {
		if p.newest != nil {
			s := a.sampleOf(p.newest)
			p.Sample = &s
		}
		out = append(out, p.Group)
	}
	return out
}
