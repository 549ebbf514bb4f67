package spool_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/spool"
)

func TestARecordThatTheDatabaseRefusesFailsAlone(t *testing.T) {
	path := file(t)
	s := open(t, path, spool.Config{})
	must(t, spool.Run(s, "CREATE TRIGGER poison BEFORE INSERT ON records WHEN new.id = '10' BEGIN SELECT RAISE(ABORT, 'poisoned'); END"))
	other := open(t, path, spool.Config{})
	must(t, spool.Run(other, "BEGIN IMMEDIATE")) // so that all are in one transaction, or two
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			err := s.Put(t.Context(), spool.Record{ID: fmt.Sprint(i)})
			if (err != nil) != (i == 10) || errors.Is(err, spool.ErrFailed) {
				t.Errorf("put %d: %v", i, err)
			}
		})
	}
	must(t, spool.Run(other, "ROLLBACK"))
	wg.Wait()
	if st := stats(t, s); st.Records != 19 {
		t.Errorf("%+v", st)
	}
}

func TestACallWhoseContextEndsWhileItIsWrittenHasAnUnknownOutcome(t *testing.T) {
	path := file(t)
	s, other := open(t, path, spool.Config{}), open(t, path, spool.Config{})
	must(t, spool.Run(other, "BEGIN IMMEDIATE"))
	var err error
	for !errors.Is(err, spool.ErrUnknownOutcome) { // until the writer has taken it, it is withdrawn
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		err = s.Put(ctx, spool.Record{ID: "a"})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%v, want context.DeadlineExceeded", err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Put(ctx, spool.Record{ID: "b"}); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, spool.ErrUnknownOutcome) {
		t.Errorf("a call that was not taken: %v, want context.DeadlineExceeded alone", err)
	}
	must(t, spool.Run(other, "ROLLBACK"))
	must(t, s.Put(t.Context(), spool.Record{ID: "a"}))
	if st := stats(t, s); st.Records != 1 {
		t.Errorf("%+v", st)
	}
}

// A call whose context has ended has returned, and its arguments are the caller's again, while the
// writer may still be carrying it out.
func TestWhatTheCallerDoesWithItsSlicesAfterACallChangesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		call func(ctx context.Context, s *spool.Spool, l []spool.Leased, ids []string) error
		want string // what is ready, and what is parked
	}{
		"ack": {func(ctx context.Context, s *spool.Spool, l []spool.Leased, _ []string) error { return s.Ack(ctx, l...) }, "; bad worse"},
		"nack": {func(ctx context.Context, s *spool.Spool, l []spool.Leased, _ []string) error {
			return s.Nack(ctx, 0, l...)
		}, "a; bad worse"},
		"release": {func(ctx context.Context, s *spool.Spool, l []spool.Leased, _ []string) error {
			return s.Release(ctx, 0, l...)
		}, "a; bad worse"},
		"park": {func(ctx context.Context, s *spool.Spool, l []spool.Leased, _ []string) error {
			return s.Park(ctx, "x", l...)
		}, "; a bad worse"},
		"requeue": {func(ctx context.Context, s *spool.Spool, _ []spool.Leased, ids []string) error {
			_, err := s.Requeue(ctx, ids...)
			return err
		}, "bad; worse"},
		"discard": {func(ctx context.Context, s *spool.Spool, _ []spool.Leased, ids []string) error {
			_, err := s.Discard(ctx, ids...)
			return err
		}, "; worse"},
	} {
		t.Run(name, func(t *testing.T) {
			path := file(t)
			s, other := open(t, path, spool.Config{}), open(t, path, spool.Config{})
			put(t, s, "a", "bad", "b", "worse")
			all := lease(t, s, 4, time.Hour)
			must(t, s.Park(t.Context(), "bad", all[1], all[3]))
			l, ids := []spool.Leased{all[0]}, []string{"bad"}
			must(t, spool.Run(other, "BEGIN IMMEDIATE"))
			var err error
			for !errors.Is(err, spool.ErrUnknownOutcome) { // until the writer has taken it, it is withdrawn
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
				err = c.call(ctx, s, l, ids)
				cancel()
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Fatalf("%v, want context.DeadlineExceeded", err)
				}
			}
			l[0], ids[0] = all[2], "worse"
			must(t, spool.Run(other, "ROLLBACK"))
			got := names(lease(t, s, 9, time.Hour)) + ";"
			parked, err := s.Parked(t.Context(), "", 9)
			must(t, err)
			for _, p := range parked {
				got += " " + p.ID
			}
			if got != c.want {
				t.Errorf("ready and parked are %q, want %q", got, c.want)
			}
		})
	}
}

func TestAStorageThatFailsStopsTheSpoolAndItsPump(t *testing.T) {
	for _, table := range []string{"bodies", "records", "counters"} {
		for name, call := range map[string]func(*spool.Spool, []spool.Leased) error{
			"put": func(s *spool.Spool, _ []spool.Leased) error { return s.Put(t.Context(), spool.Record{ID: "x"}) },
			"lease": func(s *spool.Spool, _ []spool.Leased) error {
				_, err := s.Lease(t.Context(), 9, time.Minute)
				return err
			},
			"ack":     func(s *spool.Spool, l []spool.Leased) error { return s.Ack(t.Context(), l...) },
			"parked":  func(s *spool.Spool, _ []spool.Leased) error { _, err := s.Parked(t.Context(), "", 9); return err },
			"discard": func(s *spool.Spool, _ []spool.Leased) error { _, err := s.Discard(t.Context(), "b"); return err },
			"nack":    func(s *spool.Spool, l []spool.Leased) error { return s.Nack(t.Context(), 0, l...) },
			"requeue": func(s *spool.Spool, _ []spool.Leased) error { _, err := s.Requeue(t.Context()); return err },
			"stats":   func(s *spool.Spool, _ []spool.Leased) error { _, err := s.Stats(t.Context()); return err },
			"pump": func(s *spool.Spool, _ []spool.Leased) error {
				p, err := spool.NewPump(s, spool.PumpConfig{}, nil)
				must(t, err)
				return p.Run(t.Context())
			},
		} {
			if onlyRecords := name == "nack" || name == "requeue" || name == "stats"; onlyRecords && table == "bodies" {
				continue // they do not look at bodies
			}
			t.Run(name+" without "+table, func(t *testing.T) {
				s := open(t, file(t), spool.Config{})
				put(t, s, "a", "b", "c")
				l := lease(t, s, 2, time.Minute)
				must(t, s.Park(t.Context(), "bad", l[1]))
				must(t, spool.Run(s, "DROP TABLE "+table))
				if err := call(s, l[:1]); !errors.Is(err, spool.ErrFailed) {
					t.Errorf("%v, want ErrFailed", err)
				}
				if err := s.Put(t.Context(), spool.Record{ID: "later"}); !errors.Is(err, spool.ErrFailed) {
					t.Errorf("afterwards: %v, want ErrFailed", err)
				}
			})
		}
	}
}

func TestWhatIsDeliveredIsAcknowledgedWhenTheSpoolCanAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := file(t)
		s, other := open(t, path, spool.Config{}), open(t, path, spool.Config{})
		defer s.Close()
		defer other.Close()
		put(t, s, "a")
		must(t, spool.Run(other, "CREATE TRIGGER no BEFORE DELETE ON records BEGIN SELECT RAISE(ABORT, 'not now'); END"))
		delivered, told := 0, 0
		cfg := spool.PumpConfig{Failed: func(error) { told++ }}
		stop := pumped(t, s, cfg, func(context.Context, []spool.Record) []error { delivered++; return nil })
		time.Sleep(10 * time.Second)
		must(t, spool.Run(other, "DROP TRIGGER no"))
		time.Sleep(50 * time.Second)
		synctest.Wait()
		if st := stats(t, s); st.Records != 0 || delivered != 1 || told == 0 {
			t.Errorf("delivered %d times, told of %d failures, %+v", delivered, told, st)
		}
		must(t, spool.Run(other, "CREATE TRIGGER no BEFORE DELETE ON records BEGIN SELECT RAISE(ABORT, 'not now'); END"))
		put(t, s, "b")
		time.Sleep(70 * time.Second) // the lease ends before that: it is delivered again
		must(t, spool.Run(other, "DROP TRIGGER no"))
		time.Sleep(2 * time.Minute)
		stop()
		if st := stats(t, s); st.Records != 0 || delivered < 3 || delivered > 4 {
			t.Errorf("delivered %d times, %+v", delivered, st)
		}
	})
}

func TestALeaseThatFailsIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := file(t)
		s, other := open(t, path, spool.Config{}), open(t, path, spool.Config{})
		defer s.Close()
		defer other.Close()
		must(t, spool.Run(other, "CREATE TRIGGER no BEFORE UPDATE ON records BEGIN SELECT RAISE(ABORT, 'not now'); END"))
		put(t, s, "a")
		delivered, told := 0, ""
		p, err := spool.NewPump(s, spool.PumpConfig{Rand: strings.NewReader(""), Failed: func(err error) { told = err.Error() }},
			func(context.Context, []spool.Record) []error { delivered++; return nil })
		must(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Run(ctx) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		if !p.Open() || !strings.Contains(told, "not now") {
			t.Errorf("the circuit is closed, told of %q", told)
		}
		must(t, spool.Run(other, "DROP TRIGGER no"))
		time.Sleep(10 * time.Minute)
		cancel()
		must(t, <-done)
		if delivered != 1 || p.Open() {
			t.Errorf("delivered %d times", delivered)
		}
	})
}

func TestErrorsOfDeliverySayWhy(t *testing.T) {
	why := errors.New("why")
	for _, err := range []error{spool.Refused(why), spool.Unavailable(why, time.Second)} {
		if !errors.Is(err, why) || !strings.Contains(err.Error(), "why") {
			t.Error(err)
		}
	}
}

func TestALeaseHoldsNoMoreBytesThanItsBound(t *testing.T) {
	s := open(t, file(t), spool.Config{Clock: clock.Real(), MaxRecord: 9 << 20})
	for i := range 2 {
		must(t, s.Put(t.Context(), spool.Record{ID: fmt.Sprint(i), Body: make([]byte, 9<<20)}))
	}
	l, err := s.Lease(t.Context(), 10, time.Minute)
	if err != nil || len(l) != 1 {
		t.Fatalf("%d records of 9 MiB, %v; want 1", len(l), err)
	}
	rest, err := s.Lease(t.Context(), 10, time.Minute)
	must(t, err)
	must(t, s.Park(t.Context(), "x", append(l, rest...)...))
	if p, err := s.Parked(t.Context(), "", 10); err != nil || len(p) != 1 {
		t.Errorf("%d parked records of 9 MiB, %v; want 1", len(p), err)
	}
}
