package chassis_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/reload"
)

// holder is what may be open once, and says so.
type holder struct {
	opened, closed chan struct{}
	openErr        error
	closeErr       error
	slow           time.Duration // that close takes
	ended          error         // of close's context, when close ended
}

func newHolder() *holder {
	return &holder{opened: make(chan struct{}, 1), closed: make(chan struct{}, 1)}
}

func (h *holder) open(context.Context) error {
	h.opened <- struct{}{}
	return h.openErr
}

func (h *holder) close(ctx context.Context) error {
	if h.slow > 0 {
		select {
		case <-time.After(h.slow):
		case <-ctx.Done():
		}
	}
	h.ended = ctx.Err()
	h.closed <- struct{}{}
	return h.closeErr
}

// exclusively is a setup that holds name, and hands out its lease.
func exclusively(name string, h *holder, lease **chassis.Lease) setup {
	return func(_ context.Context, s *chassis.Service, _ conf) error {
		*lease = s.Exclusive(name, h.open, h.close)
		if (*lease).Held() {
			return errors.New("held in Setup")
		}
		return nil
	}
}

// wantHeld waits until the lease is held, or is not.
func wantHeld(t *testing.T, lease *chassis.Lease, want bool) {
	t.Helper()
	eventually(t, func() bool { return lease.Held() == want }, "held: %v", want)
}

// eventually waits until something is so.
func eventually(t *testing.T, so func() bool, format string, args ...any) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(time.Minute)
	for !so() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("did not happen: "+format, args...)
		}
	}
}

func TestWithoutASupervisorWhatIsExclusiveIsHeldAtOnce(t *testing.T) {
	hold := newHolder()
	var lease *chassis.Lease
	h := start(t, options{}, exclusively("journal", hold, &lease))
	receive(t, hold.opened, "open")
	wantHeld(t, lease, true)
	h.stop()
	select {
	case <-hold.closed:
	default:
		t.Error("the service has ended, and it is open")
	}
	if lease.Held() || hold.ended != nil {
		t.Errorf("held: %v; closed with a context that ended with %v", lease.Held(), hold.ended)
	}
}

func TestWhatIsExclusiveWaitsForTheOneBefore(t *testing.T) {
	sup := supervise()
	<-sup.locks // the one before has it
	hold := newHolder()
	var lease *chassis.Lease
	h := start(t, sup.options(), exclusively("journal", hold, &lease))
	eventually(t, func() bool {
		sup.mu.Lock()
		defer sup.mu.Unlock()
		return slices.Contains(sup.calls, "lock journal")
	}, "the lock is asked for")
	select {
	case <-hold.opened:
		t.Error("opened while another one has it")
	default:
	}
	sup.locks <- struct{}{}
	receive(t, hold.opened, "open")
	wantHeld(t, lease, true)
	sup.orders <- reload.Order{}
	receive(t, h.Done(), "the end")
	if err := h.Err(); err != nil || lease.Held() {
		t.Errorf("ended with %v, held: %v", err, lease.Held())
	}
	receive(t, hold.closed, "close")
	sup.wantCalls(t, "hello", "listen admin", "ready", "lock journal", "unlock journal", "leave")
}

func TestWhatIsExclusiveIsLetGoOfAsTheDrainBegins(t *testing.T) {
	sup := supervise()
	entered, release := make(chan struct{}, 1), make(chan struct{})
	hold := newHolder()
	var lease *chassis.Lease
	h := start(t, sup.options(), func(ctx context.Context, s *chassis.Service, c conf) error {
		return errors.Join(exclusively("journal", hold, &lease)(ctx, s, c), held(entered, release)(ctx, s, c))
	})
	receive(t, hold.opened, "open")
	answer := make(chan error, 1)
	c := probing(t, h.Addr("http"))
	go func() {
		_, _, err := c.ask("/held")
		answer <- err
	}()
	receive(t, entered, "the request")
	sup.orders <- reload.Order{}
	receive(t, hold.closed, "close with a request under way")
	eventually(t, func() bool { return len(sup.locks) == 1 }, "the lock is given back with a request under way")
	close(release)
	if err := receive(t, answer, "the answer"); err != nil {
		t.Error(err)
	}
}

func TestADrainEndsTheWaitForWhatIsExclusive(t *testing.T) {
	sup := supervise()
	<-sup.locks
	hold := newHolder()
	var lease *chassis.Lease
	h := start(t, sup.options(), exclusively("journal", hold, &lease))
	h.stop()
	if lease.Held() || len(hold.opened) != 0 || len(hold.closed) != 0 {
		t.Errorf("held: %v, opened %d times, closed %d times", lease.Held(), len(hold.opened), len(hold.closed))
	}
}

func TestADrainEndsTheOpeningOfWhatIsExclusive(t *testing.T) {
	sup := supervise()
	opening := make(chan struct{})
	hold := newHolder()
	h := start(t, sup.options(), func(_ context.Context, s *chassis.Service, _ conf) error {
		s.Exclusive("journal", func(ctx context.Context) error {
			close(opening)
			<-ctx.Done()
			return ctx.Err()
		}, hold.close)
		return nil
	})
	receive(t, opening, "open")
	h.stop()
	if len(hold.closed) != 0 || len(sup.locks) != 1 {
		t.Errorf("closed %d times, locks free %d", len(hold.closed), len(sup.locks))
	}
}

func TestWhatIsExclusiveAndFailsEndsTheService(t *testing.T) {
	broken := errors.New("the disk is gone")
	t.Run("its lock", func(t *testing.T) {
		sup := supervise()
		sup.broken["lock"] = broken
		hold := newHolder()
		var lease *chassis.Lease
		h := start(t, sup.options(), exclusively("journal", hold, &lease))
		receive(t, h.Done(), "the end")
		if err := h.Err(); !errors.Is(err, broken) || len(hold.opened) != 0 {
			t.Errorf("ended with %v, opened %d times", err, len(hold.opened))
		}
	})
	t.Run("open", func(t *testing.T) {
		sup := supervise()
		hold := newHolder()
		hold.openErr = broken
		var lease *chassis.Lease
		h := start(t, sup.options(), exclusively("journal", hold, &lease))
		receive(t, h.Done(), "the end")
		if err := h.Err(); err == nil || err.Error() != `background work "exclusive journal": open: the disk is gone` {
			t.Errorf("ended with %v", err)
		}
		if lease.Held() || len(hold.closed) != 0 || len(sup.locks) != 1 {
			t.Errorf("held: %v, closed %d times, locks free %d", lease.Held(), len(hold.closed), len(sup.locks))
		}
	})
	for _, slow := range []time.Duration{0, 10 * time.Second} {
		// However long it takes: also when the listeners have been drained by then.
		t.Run("close after "+slow.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hold := newHolder()
				hold.closeErr, hold.slow = broken, slow
				var lease *chassis.Lease
				h := start(t, options{pipes: true}, exclusively("journal", hold, &lease))
				<-hold.opened
				synctest.Wait()
				err := h.Stop(context.Background())
				if err == nil || err.Error() != `background work "exclusive journal": close: the disk is gone` {
					t.Errorf("ended with %v", err)
				}
				if h.s.State() != chassis.StateFailed {
					t.Errorf("state %v", h.s.State())
				}
			})
		})
	}
}

func TestClosingWhatIsExclusiveIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := newHolder()
		hold.slow = time.Hour
		var lease *chassis.Lease
		h := start(t, options{pipes: true, settings: func(s *chassis.Settings) { s.Drain.Timeout = 4 * time.Second }}, exclusively("journal", hold, &lease))
		<-hold.opened
		synctest.Wait()
		began := time.Now()
		if err := h.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 4*time.Second || !errors.Is(hold.ended, context.DeadlineExceeded) {
			t.Errorf("ended after %v, close's context with %v", took, hold.ended)
		}
	})
}

func TestWhatIsExclusiveHasAName(t *testing.T) {
	for _, name := range []string{"", "a b", "a/b", strings.Repeat("x", 33)} {
		_, err := try(t, options{}, func(_ context.Context, s *chassis.Service, _ conf) (err error) {
			defer func() {
				if v, ok := recover().(string); !ok || !strings.HasPrefix(v, "chassis: name of a lock ") {
					t.Errorf("%q: panic %q", name, v)
				}
			}()
			hold := newHolder()
			s.Exclusive(name, hold.open, hold.close)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}
