package fake

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// Rule says which calls a fault strikes, how often and when, and what it does to them. The zero
// Rule does nothing and is refused: a rule has a Failure, a latency or an Action.
//
// Of the calls that Match and When select the fault leaves out the first After, then strikes every
// one, or every Every-th, as far as Nth and Probability agree, until it has struck Count. What
// a rule does is done in this order: its latency, its Action, its Failure.
type Rule struct {
	// Match selects the calls; the zero Match selects all.
	Match
	// When, if it is not nil, selects those calls for which it returns true as well. It must be
	// safe for concurrent use, quick, leave the call as it is, and not keep it.
	When func(call *chassis.Call) bool

	Nth   int // strikes only the nth call that is selected, 1 being the first; 0 any
	After int // leaves out so many calls
	Every int // strikes every nth call of the rest; 0 and 1 are every one
	// Count is how many calls the fault strikes; 0 is every one until it is cleared.
	Count int
	// Probability is the share of calls that are struck by chance, above 0 and up to 1; 0 means 1.
	Probability float64
	// Seed repeats what chance decides, of Probability and Spread: 1 to 2^53-1. 0 has the fake draw one by its own
	// seed ([Options].Seed); [Fault.Rule] tells which.
	Seed uint64

	// Phase is when the fault strikes; the zero Phase is Before.
	Phase Phase
	// At is how many bytes of the answer are out when it strikes, of phase DuringResponse: 0 to 2^40.
	At int64

	// Failure is answered in place of what the handler would answer, or has answered. The zero
	// Failure lets it.
	Failure Failure
	// Latency is how long, in real time, a call waits in this phase: 0 to 1 h. A caller that gives
	// up, the call's deadline, and clearing the fault end the wait.
	Latency time.Duration
	// Spread is drawn for each call and added to Latency.
	Spread Spread
	// Action is what happens to the connection, or Hold. 0 is nothing.
	Action Action
	// Rate is how many bytes a second Slow lets out: 1 to 2^30.
	Rate int64
}

const (
	// maxLatency bounds Rule.Latency: a longer wait is a mistake in a unit.
	maxLatency = time.Hour
	maxAt      = 1 << 40
	maxRate    = 1 << 30
)

// String is the rule in words.
func (r Rule) String() string {
	var s strings.Builder
	s.WriteString(r.which())
	if r.Match != (Match{}) {
		s.WriteString(" of " + r.Match.String())
	}
	if r.When != nil {
		s.WriteString(" that When selects")
	}
	if r.Probability > 0 && r.Probability < 1 {
		fmt.Fprintf(&s, " with probability %v", r.Probability)
	}
	if r.random() && r.Seed != 0 {
		fmt.Fprintf(&s, " (seed %d)", r.Seed)
	}
	s.WriteString(": ")
	switch {
	case r.Phase == DuringResponse:
		fmt.Fprintf(&s, "at byte %d of the answer ", r.At)
	case r.Phase != Before:
		s.WriteString(map[Phase]string{AfterCommit: "after commit ", Connect: "when it connects "}[r.Phase])
	}
	var does []string
	if r.Latency > 0 {
		does = append(does, fmt.Sprintf("wait %v", r.Latency))
	}
	if r.Spread != (Spread{}) {
		does = append(does, fmt.Sprintf("wait as drawn from %v", r.Spread))
	}
	if r.Action != 0 {
		does = append(does, r.Action.does(r.Rate))
	}
	if r.Failure != (Failure{}) {
		does = append(does, "fail with "+r.Failure.String())
	}
	return s.String() + strings.Join(does, " and ")
}

// which says how many calls, and which of those that are selected.
func (r Rule) which() string {
	what := "call"
	if r.Phase == Connect {
		what = "connection"
	}
	which := "every " + what
	switch {
	case r.Nth > 0:
		which = fmt.Sprintf("%s %d", what, r.Nth)
	case r.Count == 1:
		which = "next " + what
	case r.Count > 1:
		which = fmt.Sprintf("next %d %ss", r.Count, what)
	}
	if r.Every > 1 {
		which += fmt.Sprintf(", one in %d", r.Every)
	}
	if r.After > 0 {
		which += fmt.Sprintf(", after the first %d,", r.After)
	}
	return which
}

// random reports whether chance has a say.
func (r *Rule) random() bool { return r.Probability > 0 && r.Probability < 1 || r.Spread != (Spread{}) }

// waits reports whether calls are delayed.
func (r *Rule) waits() bool { return r.Latency > 0 || r.Spread != (Spread{}) }

// onWire reports whether the rule needs the call's connection.
func (r *Rule) onWire() bool {
	return r.Phase == DuringResponse || r.Action != 0 && r.Action != Hold
}

// check refuses a rule that makes no sense, or strikes nothing of the service, and returns what it
// answers.
func (r *Rule) check(d chassis.Description, sets []*failure.Set) (*failure.Error, error) {
	answer, err := r.resolve(sets)
	if err == nil {
		err = r.Match.check(d)
	}
	if err == nil {
		err = r.checkAction(d)
	}
	return answer, err
}

// resolve refuses a rule that makes no sense, and returns what it answers.
func (r *Rule) resolve(sets []*failure.Set) (*failure.Error, error) {
	if r.Latency == 0 && r.Spread == (Spread{}) && r.Failure == (Failure{}) && r.Action == 0 {
		return nil, errors.New("a fault needs a failure, a latency or an action")
	}
	for _, check := range []error{r.checkCounts(), r.checkAmounts(), r.Spread.check(), r.checkPhase()} {
		if check != nil {
			return nil, check
		}
	}
	return r.Failure.resolve(sets)
}

func (r *Rule) checkCounts() error {
	if r.Count < 0 {
		return fmt.Errorf("a fault strikes 1 or more calls, or 0 for every one; got %d", r.Count)
	}
	if r.Nth < 0 || r.After < 0 || r.Every < 0 {
		return fmt.Errorf("nth, after and every are 0 or more; got %d, %d and %d", r.Nth, r.After, r.Every)
	}
	if r.Nth > 0 && (r.After > 0 || r.Every > 1 || r.Count > 1) {
		return fmt.Errorf("nth %d is one call: after, every and count do not go with it", r.Nth)
	}
	if !(r.Probability >= 0 && r.Probability <= 1) {
		return fmt.Errorf("probability %v: want more than 0 and 1 at most, or 0 for always", r.Probability)
	}
	if r.Seed > maxSeed {
		return errSeed
	}
	return nil
}

func (r *Rule) checkAmounts() error {
	if r.Latency < 0 || r.Latency > maxLatency {
		return fmt.Errorf("latency %v: want 0 to %v", r.Latency, maxLatency)
	}
	if r.At != 0 && r.Phase != DuringResponse {
		return fmt.Errorf("at %d is a byte of an answer: want phase %v, got %v", r.At, DuringResponse, r.Phase)
	}
	if r.At < 0 || r.At > maxAt {
		return fmt.Errorf("at %d: want 0 to %d bytes", r.At, int64(maxAt))
	}
	if (r.Action == Slow) != (r.Rate != 0) || r.Rate < 0 || r.Rate > maxRate {
		return fmt.Errorf("rate %d: want 1 to %d bytes a second with action slow, and 0 without", r.Rate, maxRate)
	}
	return nil
}

func (r *Rule) checkPhase() error {
	if int(r.Phase) >= len(phases) || int(r.Action) >= len(actions) {
		return fmt.Errorf("there is no %v, or no %v", r.Phase, r.Action)
	}
	fails := r.Failure != (Failure{})
	switch {
	case fails && (r.Phase == DuringResponse || r.Phase == Connect):
		return fmt.Errorf("a failure is answered before or after the handler, not in phase %v", r.Phase)
	case fails && r.Action.ends():
		return fmt.Errorf("nothing is answered after action %v: give a failure or the action", r.Action)
	case r.Phase == Connect && (r.Action == Truncate || r.Action == GoAway):
		return fmt.Errorf("action %v needs an answer, or a call: phase %v has none", r.Action, r.Phase)
	case r.Phase == Before && r.Action == Truncate:
		return fmt.Errorf("action %v needs an answer: want phase %v or %v", r.Action, AfterCommit, DuringResponse)
	case r.Phase == Connect && r.Match != (Match{Listener: r.Listener}):
		return fmt.Errorf("a connection has a listener and nothing else to select it by, got %v", r.Match)
	}
	return nil
}

// checkAction refuses a GOAWAY for calls that cannot come over HTTP/2.
func (r *Rule) checkAction(d chassis.Description) error {
	if r.Action != GoAway {
		return nil
	}
	var names []string
	for _, l := range d.Listeners {
		if !agree(r.Listener, l.Name) || r.Route != "" && !aside(r.Route) && !slices.Contains(l.Routes, r.Route) {
			continue
		}
		if l.HTTP2 {
			return nil
		}
		names = append(names, l.Name)
	}
	return fmt.Errorf("action goaway: there is no HTTP/2 on listener %s: want one of gRPC, or of HTTP with TLS or h2c", list(names))
}
