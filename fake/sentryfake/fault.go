package sentryfake

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Kind is a way in which Sentry, or the network before it, fails. The zero Kind is none.
type Kind uint8

// The kinds of faults. Their names in text are down, slow, hang, status, tls, truncate, lose and cut.
const (
	// Down resets connections: those that are open, and new ones as soon as they are made.
	Down Kind = iota + 1
	// Slow takes the request and answers it Delay later.
	Slow
	// Hang reads the request and does not answer. It ends when the client hangs up, and when the
	// fault is cleared: the client is then reset.
	Hang
	// Status answers Status, with RetryAfter and RateLimits if they are given.
	Status
	// TLS breaks the handshake of new connections and resets those that are open. Only a fake with
	// [Options].TLS has it.
	TLS
	// Truncate resets the connection when half of the request has been read.
	Truncate
	// Lose takes the request as if nothing were wrong and resets the connection in place of an
	// answer: the client cannot know that it was heard.
	Lose
	// Cut takes the request and ends the connection in the middle of the answer.
	Cut
)

var kindNames = []string{"", "down", "slow", "hang", "status", "tls", "truncate", "lose", "cut"}

// String is the kind's name.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// MarshalText is String and never fails.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText takes the name of a kind of fault.
func (k *Kind) UnmarshalText(text []byte) error {
	i := slices.Index(kindNames, string(text))
	if i < 1 {
		return fmt.Errorf("%.40q is no kind of fault; known are %s", text, strings.Join(kindNames[1:], ", "))
	}
	*k = Kind(i)
	return nil
}

// A Fault is a step of a script: data, so that scripts can be written down, compared and printed.
type Fault struct {
	Kind Kind `json:"kind"`
	// Count is how many requests, or connections, the fault strikes before the next step begins; 0
	// is no bound.
	Count int `json:"count,omitempty"`
	// For is how long the fault lasts on the fake's clock, reckoned from when it becomes the
	// current step; 0 is no bound. A fault with neither bound lasts until it is cleared.
	For time.Duration `json:"for,omitempty"`
	// Delay is for Slow.
	Delay time.Duration `json:"delay,omitempty"`
	// Status is for Status: from 300 to 599.
	Status int `json:"status,omitempty"`
	// RetryAfter is a Retry-After header for Status, rounded up to seconds; 0 is none.
	RetryAfter time.Duration `json:"retry_after,omitempty"`
	// RateLimits is an X-Sentry-Rate-Limits header for Status, as it is sent; empty is none.
	RateLimits string `json:"rate_limits,omitempty"`
	// Taken has the events of a request that is answered with Status be recorded all the same, as it
	// happens when something between client and Sentry failed.
	Taken bool `json:"taken,omitempty"`
}

// MaxSteps is how many steps of scripts a fake holds.
const MaxSteps = 1000

func (f Fault) check(tls bool) error {
	switch {
	case f.Kind < Down || f.Kind > Cut:
		return fmt.Errorf("%v is no kind of fault", f.Kind)
	case f.Count < 0 || f.For < 0 || f.Delay < 0 || f.RetryAfter < 0:
		return errors.New("count, for, delay and retry after are 0 or more")
	case f.Kind == TLS && !tls:
		return errors.New("the fake speaks plain HTTP; start it with Options.TLS")
	case f.Kind == Slow && f.Delay == 0:
		return errors.New("slow needs a delay")
	case f.Kind == Status && (f.Status < 300 || f.Status > 599):
		return fmt.Errorf("status %d is not from 300 to 599", f.Status)
	}
	return nil
}

// A step is a fault that is to come, is current, or is over.
type step struct {
	Fault
	hits int
	gone chan struct{} // closed when it is cleared
}

// script is what goes wrong, step after step. The first step is the current one.
type script struct {
	mu     sync.Mutex
	steps  []*step
	began  time.Time // when the current step became current
	unused []Fault   // over without having struck
}

func (s *script) add(now time.Time, faults []Fault) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current(now)
	if n := len(s.steps) + len(faults); n > MaxSteps {
		return fmt.Errorf("%d steps would be more than %d", n, MaxSteps)
	}
	if len(s.steps) == 0 {
		s.began = now
	}
	for _, f := range faults {
		s.steps = append(s.steps, &step{Fault: f, gone: make(chan struct{})})
	}
	return nil
}

// current drops steps that are over. A step that ended by its time ended then, however late that is
// noticed; one that ended by its count ends when the next request comes.
func (s *script) current(now time.Time) *step {
	for len(s.steps) > 0 {
		head := s.steps[0]
		end := s.began.Add(head.For)
		switch {
		case head.For > 0 && !now.Before(end):
			s.began = end
		case head.Count > 0 && head.hits >= head.Count:
			s.began = now
		default:
			return head
		}
		if head.hits == 0 {
			s.unused = append(s.unused, head.Fault)
		}
		s.steps = s.steps[1:]
	}
	return nil
}

// take is the current step if it is of one of the kinds, and counts that it struck.
func (s *script) take(now time.Time, kinds ...Kind) *step {
	s.mu.Lock()
	defer s.mu.Unlock()
	head := s.current(now)
	if head == nil || !slices.Contains(kinds, head.Kind) {
		return nil
	}
	head.hits++
	return head
}

// peek is the kind of the current step.
func (s *script) peek(now time.Time) Kind {
	s.mu.Lock()
	defer s.mu.Unlock()
	if head := s.current(now); head != nil {
		return head.Kind
	}
	return 0
}

// left are the steps that are not over.
func (s *script) left(now time.Time) []step {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current(now)
	steps := make([]step, len(s.steps))
	for i, st := range s.steps {
		steps[i] = *st
	}
	return steps
}

// clear drops all steps and returns those that never struck.
func (s *script) clear(now time.Time) []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current(now)
	unused := s.unused
	for _, st := range s.steps {
		if st.hits == 0 {
			unused = append(unused, st.Fault)
		}
		close(st.gone)
	}
	s.steps, s.unused = nil, nil
	return unused
}
