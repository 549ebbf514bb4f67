//go:build unix

package chassis_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure/aggregate"
	"github.com/seed-754044b3/roadworthy/chassis/logfile"
	"github.com/seed-754044b3/roadworthy/chassis/reload"
)

// slowSink takes its time for a report, and says no when it has none.
type slowSink struct{ told atomic.Uint64 }

func (s *slowSink) Take(ctx context.Context, r aggregate.Report) error {
	select {
	case <-time.After(50 * time.Millisecond):
		s.told.Add(r.Count)
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestADrainThatTakesAllItsTimeLeavesSomeForWhatIsToldLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		stuck := make(chan struct{})
		defer close(stuck)
		sink, sup := &slowSink{}, supervise()
		o := sup.options()
		host := o.world
		o.world = func(w *chassis.World) { host(w); w.Log = nil }
		o.settings = func(s *chassis.Settings) {
			s.Admin.Addr, s.Drain.Timeout, s.Errors.Dir, s.Log.Path, s.AccessLog.Path = "off", 2*time.Second, dir+"/reports", dir+"/log/", "off"
		}
		h := start(t, o, func(_ context.Context, s *chassis.Service, _ conf) error {
			s.ShipLogs(logfile.NewDir(dir + "/bucket"))
			s.ReportFailures("sink", sink)
			s.Go("stuck", func(context.Context) error { <-stuck; return nil })
			return nil
		})
		for range 12 {
			h.s.Fail(t.Context(), errStore.New(), chassis.Asked{})
		}
		sup.orders <- reload.Order{Stop: true}
		<-h.Done()
		if err := h.Err(); err == nil || err.Error() != "background work did not end in time: stuck" {
			t.Errorf("ended with %v", err)
		}
		if n := sink.told.Load(); n != 12 {
			t.Errorf("the sink was told of %d failures, want 12", n)
		}
		reports, err := filepath.Glob(dir + "/reports/*.json")
		if err != nil || len(reports) != 1 {
			t.Errorf("reports %v, %v", reports, err)
		}
		log := strings.Join(linesIn(t, dir+"/bucket", "app"), "\n")
		if !strings.Contains(log, `"msg":"the report of failures is written"`) || strings.Contains(log, "is not whole") {
			t.Errorf("the log in the bucket:\n%s", log)
		}
	})
}

func TestWhatHangsAtTheEndTakesNoMoreThanItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		defer close(stuck)
		had := make(chan string, 5) // what hangs is left behind, and tells by a channel
		tell := func(ctx context.Context, name string) {
			left := time.Duration(0)
			if end, ok := ctx.Deadline(); ok && ctx.Err() == nil {
				left = time.Until(end)
			}
			had <- fmt.Sprint(name, ": ", left)
		}
		h := start(t, options{pipes: true, settings: func(s *chassis.Settings) { s.Drain.Timeout = 3 * time.Second }},
			func(_ context.Context, s *chassis.Service, _ conf) error {
				for _, name := range []string{"e", "d"} {
					s.OnClose(name, func(ctx context.Context) error { tell(ctx, name); return nil })
				}
				for _, name := range []string{"c", "b", "a"} {
					s.OnClose(name, func(ctx context.Context) error { tell(ctx, name); <-stuck; return nil })
				}
				s.OnClose("busy", func(ctx context.Context) error { <-ctx.Done(); return errors.New("busy") })
				return nil
			})
		begin := time.Now()
		_ = h.Stop(context.Background())
		// Each that hangs has a second and one of grace, until four seconds after the drain's end.
		for _, want := range []string{"a: 1s", "b: 1s", "c: 0s", "d: 0s", "e: 0s"} {
			if got := <-had; got != want {
				t.Errorf("%s was left, want %s", got, want)
			}
		}
		if took := time.Since(begin); took != 8*time.Second {
			t.Errorf("stopped after %v, want the drain's 3 s, twice a second and one of grace, and one of grace", took)
		}
	})
}
