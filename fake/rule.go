package fake

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// Rule says which calls a fault strikes, how often, and what it does to them. The zero Rule
// does nothing and is refused: a rule has a Failure or a Latency or both.
type Rule struct {
	// Match selects the calls; the zero Match selects all.
	Match
	// Count is how many calls the fault strikes; 0 is every one until it is cleared.
	Count int
	// Failure is answered in place of what the handler would have answered: the handler does
	// not run. The zero Failure lets it run.
	Failure Failure
	// Latency is how long, in real time, a call waits before its handler runs or its failure
	// is answered: 0 to 1 h. A caller that gives up, the call's deadline, and clearing the
	// fault end the wait.
	Latency time.Duration
}

// maxLatency bounds Rule.Latency: a longer wait is a mistake in a unit.
const maxLatency = time.Hour

// String is the rule in words.
func (r Rule) String() string {
	which := "every call"
	switch {
	case r.Count == 1:
		which = "next call"
	case r.Count > 1:
		which = fmt.Sprintf("next %d calls", r.Count)
	}
	if r.Match != (Match{}) {
		which += " of " + r.Match.String()
	}
	var does []string
	if r.Latency > 0 {
		does = append(does, fmt.Sprintf("wait %v", r.Latency))
	}
	if r.Failure != (Failure{}) {
		does = append(does, "fail with "+r.Failure.String())
	}
	return which + ": " + strings.Join(does, " and ")
}

// Match selects calls: those that agree with every field that is not empty. The zero Match
// selects all calls but those of gRPC's health and reflection services, which only their own
// Route selects, so that a prober does not use up a fault that was meant for a call.
type Match struct {
	Listener string // the listener's name
	Method   string // the HTTP method; "POST" for gRPC
	// Route is gRPC's full method, "/game.v1.GameService/DropDisc", or the pattern of an HTTP
	// route as it was registered, "POST /v1/games/{game_id}/drop".
	Route string
}

// On selects the calls of a route; see [Match].
func On(route string) Match { return Match{Route: route} }

// OnListener selects the calls that come in by the listener called name.
func OnListener(name string) Match { return Match{Listener: name} }

// OnMethod selects the calls with an HTTP method.
func OnMethod(method string) Match { return Match{Method: method} }

// String is the match in words.
func (m Match) String() string {
	var parts []string
	for _, p := range []struct{ name, value string }{{"listener", m.Listener}, {"method", m.Method}, {"route", m.Route}} {
		if p.value != "" {
			parts = append(parts, p.name+" "+strconv.Quote(p.value))
		}
	}
	return strings.Join(parts, ", ")
}

func (m Match) selects(call chassis.Call) bool {
	if m.Route == "" && aside(call.Route) {
		return false
	}
	return (m.Listener == "" || m.Listener == call.Listener) &&
		(m.Method == "" || m.Method == call.Method) &&
		(m.Route == "" || m.Route == call.Route)
}

// aside reports whether a route belongs to gRPC itself rather than to the service.
func aside(route string) bool {
	return strings.HasPrefix(route, "/grpc.health.") || strings.HasPrefix(route, "/grpc.reflection.")
}

// merge makes one Match of several that must all hold.
func merge(on []Match) (Match, error) {
	var all Match
	for _, m := range on {
		for _, p := range []struct {
			name string
			into *string
			from string
		}{{"listeners", &all.Listener, m.Listener}, {"methods", &all.Method, m.Method}, {"routes", &all.Route, m.Route}} {
			if p.from == "" || *p.into == p.from {
				continue
			}
			if *p.into != "" {
				return Match{}, fmt.Errorf("no call has two %s, %q and %q: install two faults", p.name, *p.into, p.from)
			}
			*p.into = p.from
		}
	}
	return all, nil
}

// check refuses a match that no call of the service can agree with.
func (m Match) check(d chassis.Description) error {
	var names, routes []string
	for _, l := range d.Listeners {
		names = append(names, l.Name)
		if m.Listener == "" || m.Listener == l.Name {
			routes = append(routes, l.Routes...)
		}
	}
	if m.Listener != "" && !slices.Contains(names, m.Listener) {
		return fmt.Errorf("there is no listener %q: the service has %s", m.Listener, list(names))
	}
	if m.Route != "" && !aside(m.Route) && !slices.Contains(routes, m.Route) {
		return fmt.Errorf("there is no route %q: the service has %s", m.Route, list(routes))
	}
	if m.Method != strings.ToUpper(m.Method) {
		return fmt.Errorf("methods are written in capitals, got %q", m.Method)
	}
	if method, _, found := strings.Cut(m.Route, " "); found && m.Method != "" && m.Method != method {
		return fmt.Errorf("route %q has no calls with method %s", m.Route, m.Method)
	}
	return nil
}

// list shows names in an error message.
func list(names []string) string {
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) == 0 {
		return "none"
	}
	const most = 40
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

// Failure is what a call is answered in place of its result. Make one with [Code] or
// [HTTPStatus]; the zero Failure is none. Failures are comparable.
type Failure struct {
	code   int
	status int
	retry  bool
	after  time.Duration
}

// Code is the failure with this number: one of the service's, or below 1000 one of the
// chassis's. It is answered exactly as when a handler returns it, but for arguments, which
// only a handler knows.
func Code(number int) Failure { return Failure{code: number} }

// HTTPStatus is a failure with this HTTP status, 400 to 599, and over gRPC with the code that
// belongs to it (503: UNAVAILABLE, 404: NOT_FOUND, 429: RESOURCE_EXHAUSTED, …). Its failure
// code is the chassis's for injected faults; no service answers so by itself. Where it does,
// [Code] shows the client more: Code(503) is what the chassis says when it is overloaded.
func HTTPStatus(status int) Failure { return Failure{status: status} }

// After is the same failure that also tells callers to try again after d, by Retry-After or
// google.rpc.RetryInfo. A negative d is 0, which says that they may, and not when.
func (f Failure) After(d time.Duration) Failure {
	f.retry, f.after = true, max(d, 0)
	return f
}

// String is the failure in words.
func (f Failure) String() string {
	var s string
	switch {
	case f.code != 0:
		s = "code " + strconv.Itoa(f.code)
	case f.status != 0:
		s = "HTTP status " + strconv.Itoa(f.status)
	default:
		return "nothing"
	}
	if f.retry {
		s += fmt.Sprintf(", retry after %v", f.after)
	}
	return s
}

// resolve is the error that a handler would return, nil for the zero Failure.
func (f Failure) resolve(sets []*failure.Set) (*failure.Error, error) {
	var e *failure.Error
	switch {
	case f == Failure{}:
		return nil, nil
	case f.code != 0:
		code := lookup(sets, f.code)
		if code == nil {
			return nil, fmt.Errorf("there is no failure code %d: declared are %s", f.code, list(numbers(sets)))
		}
		e = code.New()
	case f.status < 400 || f.status > 599:
		return nil, fmt.Errorf("HTTP status %d is no failure: want 400 to 599", f.status)
	default:
		e = failure.Injected.With("status", failure.Safe(f.status)).WithStatus(f.status)
	}
	if f.retry {
		e = e.After(f.after)
	}
	return e, nil
}

func lookup(sets []*failure.Set, number int) *failure.Code {
	for _, s := range sets {
		if code, ok := s.Lookup(number); ok {
			return code
		}
	}
	return nil
}

func numbers(sets []*failure.Set) []string {
	var all []string
	for _, s := range sets {
		for _, c := range s.Codes() {
			all = append(all, fmt.Sprintf("%d (%s)", c.Number(), c.Message()))
		}
	}
	return all
}

// check refuses a rule that makes no sense, and returns what it answers.
func (r Rule) check(d chassis.Description, sets []*failure.Set) (*failure.Error, error) {
	if r.Count < 0 {
		return nil, fmt.Errorf("a fault strikes 1 or more calls, or 0 for every one; got %d", r.Count)
	}
	if r.Latency < 0 || r.Latency > maxLatency {
		return nil, fmt.Errorf("latency %v: want 0 to %v", r.Latency, maxLatency)
	}
	if r.Latency == 0 && r.Failure == (Failure{}) {
		return nil, errors.New("a fault needs a failure or a latency")
	}
	if err := r.Match.check(d); err != nil {
		return nil, err
	}
	return r.Failure.resolve(sets)
}
