package chassis_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
)

// wild is an error whose methods all panic when it is nil.
type wild struct{ err error }

func (w *wild) Error() string          { return w.err.Error() }
func (w *wild) Unwrap() error          { return w.err }
func (w *wild) Is(error) bool          { panic(w.err) }
func (w *wild) As(any) bool            { panic(w.err) }
func (w *wild) Format(fmt.State, rune) { panic(w.err) }
func (w *wild) LogValue() slog.Value   { panic(w.err) }

// wildErrors are what a service may return, and the number and text that it is logged with.
func wildErrors() map[string]struct {
	err  error
	code int
	text string
} {
	none := (*wild)(nil)
	const says = "*chassis_test.wild, whose Error method panicked: runtime error: invalid memory address"
	type want = struct {
		err  error
		code int
		text string
	}
	return map[string]want{
		"alone":          {none, 1, says},
		"with a code":    {errStore.Wrap(none), 1201, "the store does not answer: " + says},
		"within a code":  {fmt.Errorf("get: %w", errStore.Wrap(none)), 1201, "get: "},
		"among others":   {errors.Join(none, errors.New("other")), 1, "*errors.joinError, whose Error method panicked: runtime error: invalid memory address"},
		"as an argument": {errStore.With("cause", none), 1201, "the store does not answer (cause=<nil>)"},
	}
}

func TestAnErrorWhoseMethodsPanicIsAnsweredLikeAnyOther(t *testing.T) {
	for name, c := range wildErrors() {
		t.Run(name, func(t *testing.T) {
			h := start(t, options{}, serve(routes(map[string]chassis.Handler{
				"GET /returned": fails(c.err),
				"GET /panicked": func(http.ResponseWriter, *http.Request) error { panic(c.err) },
			})))
			a := h.get("/returned")
			p := a.problem(t)
			if p.Code != c.code {
				t.Errorf("returned: answered with code %d, want %d", p.Code, c.code)
			}
			lines := h.logged("request failed")
			if len(lines) != 1 || lines[0]["error_id"] != p.ID || !strings.Contains(fmt.Sprint(lines[0]["error"]), c.text) {
				t.Errorf("logged %v, want %q", lines, c.text)
			}
			a = h.get("/panicked")
			if p := a.problem(t); p.Code != 1 || h.failures("&id="+p.ID).One.Sample == nil || !h.failures("&id="+p.ID).One.Sample.Panic {
				t.Errorf("panicked: answered with code %d, and kept %+v", p.Code, h.failures("&id="+p.ID))
			}
			h.stop()
			if lines := h.lines(); len(lines) != 2 {
				t.Errorf("%d access lines", len(lines))
			}
		})
	}
}

func TestAnErrorWhoseMethodsPanicEndsNoProcessFromTheBackground(t *testing.T) {
	for name, c := range wildErrors() {
		t.Run(name, func(t *testing.T) {
			sink := &reports{}
			queued, asked := make(chan struct{}), make(chan struct{})
			h := start(t, options{}, func(ctx context.Context, s *chassis.Service, _ conf) error {
				s.ReportFailures("sink", sink)
				s.Check("store", func(context.Context) error { return c.err })
				q := s.Queue("bots", queue.Limits{Workers: 1, Capacity: 4})
				s.Go("returns", func(ctx context.Context) error {
					for _, f := range []func(context.Context) error{func(context.Context) error { return c.err }, func(context.Context) error { panic(c.err) }} {
						if err := q.Submit(ctx, queue.Meta{}, f); err != nil {
							return err
						}
					}
					if err := q.Do(ctx, queue.Meta{}, func(context.Context) error { close(queued); return nil }); err != nil {
						return err
					}
					<-asked
					return c.err
				})
				return nil
			})
			receive(t, queued, "the queued work")
			if err := h.s.ReadyError(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "store: ") && !strings.HasPrefix(err.Error(), "state: ") {
				t.Errorf("ready: %v", err)
			}
			close(asked)
			receive(t, h.Done(), "the end")
			if n := len(h.logged("queued work failed")) + len(h.logged("background work failed")); n != 3 {
				t.Errorf("%d failures are logged, want 3", n)
			}
			if n := sink.count(); n != 3 {
				t.Errorf("%d failures are reported, want 3", n)
			}
		})
	}
}

func TestSetupThatReturnsAnErrorWhoseMethodsPanicDoesNotStart(t *testing.T) {
	for name, c := range wildErrors() {
		if _, err := try(t, options{}, func(context.Context, *chassis.Service, conf) error { return c.err }); err == nil {
			t.Errorf("%s: it has started", name)
		}
	}
}
