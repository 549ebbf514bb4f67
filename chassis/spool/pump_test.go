package spool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/spool"
)

// A receiver takes what is not bad while it is up. Failures take their time, as time-outs do.
type receiver struct {
	bad  func(id string) bool
	up   time.Time // down before
	slow time.Duration
	// How Deliver goes on after a failure, and what it says of it.
	fail func(errs []error, i int) (over bool)

	mu    sync.Mutex
	got   []string
	tries map[string]int
}

func (r *receiver) deliver(_ context.Context, rs []spool.Record) []error {
	errs := make([]error, len(rs))
	for i, rec := range rs {
		if r.take(rec.ID) {
			continue
		}
		time.Sleep(r.slow)
		if r.fail(errs, i) {
			break
		}
	}
	return errs
}

func (r *receiver) take(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tries == nil {
		r.tries = map[string]int{}
	}
	r.tries[id]++
	if time.Now().Before(r.up) || r.bad != nil && r.bad(id) {
		return false
	}
	r.got = append(r.got, id)
	return true
}

// delivered are the IDs that it took so far, in their order.
func (r *receiver) delivered() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// tried is how often a record was sent.
func (r *receiver) tried(id string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tries[id]
}

var errBoom = errors.New("boom")

// Ways in which sinks say that a record did not get through.
var ways = map[string]func(errs []error, i int) bool{
	"doubtful": func(errs []error, i int) bool { errs[i] = errBoom; return false },
	"unavailable, each tried": func(errs []error, i int) bool {
		errs[i] = spool.Unavailable(errBoom, 0)
		return false
	},
	"unavailable, the rest not tried": func(errs []error, i int) bool { return stopAt(errs, i, 0) },
	"asking to wait":                  func(errs []error, i int) bool { return stopAt(errs, i, 10*time.Second) },
}

// stopAt is what a sink says that tries no more after a failure.
func stopAt(errs []error, i int, after time.Duration) bool {
	errs[i] = spool.Unavailable(errBoom, after)
	for k := i + 1; k < len(errs); k++ {
		errs[k] = spool.Untried(errBoom, after)
	}
	return true
}

// quick opens a spool that does not wait for the disk, for tests with days of virtual time.
func quick(t *testing.T, cfg spool.Config) *spool.Spool {
	t.Helper()
	s := open(t, file(t), cfg)
	must(t, spool.Run(s, "PRAGMA synchronous = off"))
	return s
}

func poison(id string) bool { return strings.HasPrefix(id, "poison") }

// many puts n records named after what, and returns their names.
func many(t *testing.T, s *spool.Spool, what string, n int) (ids []string) {
	t.Helper()
	for i := range n {
		ids = append(ids, fmt.Sprintf("%s%03d", what, i))
	}
	put(t, s, ids...)
	return ids
}

func TestPoisonAtTheFrontHoldsUpNothingAndIsParked(t *testing.T) {
	for way, fail := range ways {
		for _, c := range []struct{ bad, batch int }{{1, 100}, {2, 2}, {12, 100}} {
			t.Run(fmt.Sprintf("%s, %d of them, %d in a batch", way, c.bad, c.batch), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := quick(t, spool.Config{MaxTries: 3})
					defer s.Close()
					bad := many(t, s, "poison", c.bad)
					good := many(t, s, "good", 40)
					r := &receiver{bad: poison, fail: fail, slow: time.Second}
					stop := pumped(t, s, spool.PumpConfig{Batch: c.batch, Poll: time.Minute}, r.deliver)
					time.Sleep(90 * time.Minute)
					synctest.Wait()
					got := slices.Sorted(slices.Values(r.delivered()))
					if !slices.Equal(got, good) {
						t.Errorf("%d of %d good records have been delivered", len(got), len(good))
					}
					for i := range 12 { // it takes others getting through to tell
						put(t, s, fmt.Sprint("later", i))
						time.Sleep(20 * time.Minute)
					}
					stop()
					if st := stats(t, s); st.Parked != int64(len(bad)) || st.Records != st.Parked {
						t.Errorf("%+v, want all %d bad ones parked and nothing else left", st, len(bad))
					}
					for _, id := range bad {
						if r.tried(id) < 3 || r.tried(id) > 200 {
							t.Errorf("record %s was tried %d times, want 3 or more, and one in minutes", id, r.tried(id))
						}
					}
				})
			})
		}
	}
}

func TestARecordThatFailsAloneIsKeptAndLaterOnesPassIt(t *testing.T) {
	for way, fail := range ways {
		t.Run(way, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := quick(t, spool.Config{MaxTries: 3})
				defer s.Close()
				put(t, s, "poison")
				r := &receiver{bad: poison, fail: fail}
				stop := pumped(t, s, spool.PumpConfig{Poll: time.Minute}, r.deliver)
				defer func() { stop() }()
				time.Sleep(24 * time.Hour)
				synctest.Wait()
				if st := stats(t, s); st.Records != 1 || st.Total.Nacked+st.Total.Parkings != 0 {
					t.Fatalf("%+v, want nothing counted: it may be the receiver's fault", st)
				}
				var waits []time.Duration
				for i := range 6 {
					id := fmt.Sprint("good", i)
					put(t, s, id)
					start := time.Now()
					for !slices.Contains(r.delivered(), id) && time.Since(start) < time.Hour {
						time.Sleep(20 * time.Second)
						synctest.Wait()
					}
					waits = append(waits, time.Since(start))
					time.Sleep(10 * time.Minute)
				}
				// The first ones meet the back-off that is due to a receiver that may be down.
				if slices.Max(waits) > 21*time.Minute {
					t.Errorf("good records waited for %v", waits)
				}
				if st := stats(t, s); st.Parked != 1 || st.Records != 1 {
					t.Errorf("%+v, want the bad one parked", st)
				}
			})
		})
	}
}

func TestARecordWithAFailureCountedHoldsUpNothingThatIsPutLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := quick(t, spool.Config{MaxTries: 100})
		defer s.Close()
		put(t, s, "poison", "good")
		r := &receiver{bad: poison, fail: ways["doubtful"]}
		stop := pumped(t, s, spool.PumpConfig{Poll: time.Minute}, r.deliver)
		time.Sleep(3 * time.Hour) // it fails alone
		for i := range 10 {
			id := fmt.Sprint("later", i)
			put(t, s, id)
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if !slices.Contains(r.delivered(), id) {
				t.Errorf("record %s waits", id)
			}
			time.Sleep(17 * time.Minute)
		}
		stop()
		if n := r.tried("poison"); n > 200 {
			t.Errorf("in six hours the bad record was tried %d times, want one in 2.5 to 5 minutes", n)
		}
	})
}

// A whole outage in which requests take their time to fail: the receiver may come back while one hangs.
func TestAnOutageOfWhateverKindCountsForNothingAndKeepsTheOrder(t *testing.T) {
	for way, fail := range ways {
		for _, slow := range []time.Duration{0, 30 * time.Second} {
			t.Run(fmt.Sprint(way, " after ", slow), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := quick(t, spool.Config{MaxTries: 2})
					defer s.Close()
					want := many(t, s, "early", 20)
					r := &receiver{fail: fail, slow: slow, up: time.Now().Add(24 * time.Hour)}
					if slow > 0 && way != "unavailable, the rest not tried" && way != "asking to wait" {
						r.slow = time.Second // each record of a batch takes that long
					}
					stop := pumped(t, s, spool.PumpConfig{Poll: time.Minute}, r.deliver)
					for i := range 40 {
						id := fmt.Sprintf("r%03d", i)
						put(t, s, id)
						want = append(want, id)
						time.Sleep(35 * time.Minute)
					}
					synctest.Wait()
					if st := stats(t, s); st.Total.Nacked+st.Total.Parkings != 0 || len(r.delivered()) != 0 {
						t.Fatalf("after %v of the outage: %+v", 40*35*time.Minute, st)
					}
					time.Sleep(2 * time.Hour)
					stop()
					if st := stats(t, s); st.Records != 0 || st.Total.Parkings != 0 {
						t.Errorf("%+v, want all delivered", st)
					}
					probes := 0 // one may have come through just before those in front of it
					if slow > 0 {
						probes = 1
					}
					got := slices.Clone(r.delivered())
					for range probes {
						for i := range got {
							if i+1 < len(got) && got[i] > got[i+1] && len(got) == len(want) {
								want = slices.DeleteFunc(want, func(id string) bool { return id == got[i] })
								got = slices.Delete(got, i, i+1)
								break
							}
						}
					}
					if !slices.Equal(got, want) {
						t.Errorf("delivered %v, want all in order, but for %d that a probe may have brought", r.delivered(), probes)
					}
				})
			})
		}
	}
}

func TestAPartOfTheReceiverThatIsDownParksNothingThatIsYoung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := quick(t, spool.Config{MaxTries: 3})
		defer s.Close()
		back := time.Now().Add(50 * time.Minute)
		r := &receiver{fail: ways["unavailable, each tried"]}
		r.bad = func(id string) bool { return poison(id) && time.Now().Before(back) } // a partition without a leader
		stop := pumped(t, s, spool.PumpConfig{Poll: time.Minute}, r.deliver)
		for i := range 90 {
			put(t, s, fmt.Sprintf("poison%02d", i), fmt.Sprintf("good%02d", i))
			time.Sleep(time.Minute)
		}
		stop()
		if st := stats(t, s); st.Total.Parkings != 0 || st.Records != 0 || st.Total.Nacked < 100 {
			t.Errorf("%+v, want all delivered and many failures counted", st)
		}
	})
}
