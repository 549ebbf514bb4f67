package chassis

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/seed-754044b3/roadworthy/internal/wary"
)

// checkTimeout bounds one readiness check: probes usually give up after a second.
const checkTimeout = time.Second

// check is a condition of readiness.
type check struct {
	name string
	run  func(context.Context) error

	mu     sync.Mutex
	flight *flight // the run under way, nil when there is none
}

// flight is one run of a check. err is set before done is closed.
type flight struct {
	done chan struct{}
	err  error
}

// start runs the check, or joins the run under way: however often probes come, a check that
// hangs holds one goroutine.
func (c *check) start(base context.Context) *flight {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.flight == nil {
		f := &flight{done: make(chan struct{})}
		c.flight = f
		ctx, cancel := context.WithTimeout(base, checkTimeout)
		go protect(ctx, c.run, func(err error) {
			cancel()
			c.mu.Lock()
			c.flight = nil
			c.mu.Unlock()
			f.err = err
			close(f.done)
		})
	}
	return c.flight
}

// result is the outcome of one check.
type result struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

func resultOf(name string, err error) result {
	if err != nil {
		return result{Name: name, Error: wary.Text(err)}
	}
	return result{Name: name, OK: true}
}

// checkStarted says whether Setup is over.
func (s *Service) checkStarted() result {
	if s.State() <= StateSetup {
		return result{Name: "startup", Error: "the service is in setup"}
	}
	return result{Name: "startup", OK: true}
}

// checkReady runs all conditions of readiness at the same time. The first result is that of the
// service's state; the others follow in the order in which they were added.
func (s *Service) checkReady(ctx context.Context) []result {
	s.mu.Lock()
	state, checks := s.state, s.checks
	s.mu.Unlock()
	results := make([]result, 1, 1+len(checks))
	// While another process goes on with the service, what this one drains is answered as before.
	results[0] = result{Name: "state", OK: state == StateReady || state == StateDraining && s.replaced.Load()}
	if !results[0].OK {
		results[0].Error = "the service is " + state.String()
	}
	flights := make([]*flight, len(checks))
	for i, c := range checks {
		flights[i] = c.start(s.base)
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	for i, c := range checks {
		results = append(results, resultOf(c.name, flights[i].outcome(ctx)))
	}
	return results
}

// outcome waits for the run, or for the end of ctx.
func (f *flight) outcome(ctx context.Context) error {
	select {
	case <-f.done:
		return f.err
	default:
	}
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return fmt.Errorf("no answer within %v", checkTimeout)
	}
}

// ReadyError says why the service is not ready to serve, nil when it is.
func (s *Service) ReadyError(ctx context.Context) error {
	for _, r := range s.checkReady(ctx) {
		if !r.OK {
			return fmt.Errorf("%s: %s", r.Name, r.Error)
		}
	}
	return nil
}
