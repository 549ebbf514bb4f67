package faketest_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
	"github.com/seed-754044b3/roadworthy/fake"
	"github.com/seed-754044b3/roadworthy/fake/faketest"
)

// Promises that a diary breaks in what follows.
const (
	strikes  = "every kind of rule strikes"
	selects  = "a rule selects its calls"
	recorded = "each call is recorded once, with its outcome"
	tenants  = "tenants do not disturb each other"
	states   = "a state is restored and forked"
)

// loses has a fake lose faults of a kind as soon as a call comes that they might strike.
func loses(kind func(fake.Rule) bool) func(*diary) {
	return func(d *diary) {
		d.meet = func(f *fake.Fake) {
			for _, fault := range f.Faults() {
				if kind(fault.Rule()) {
					fault.Remove()
				}
			}
		}
	}
}

// edits has a fake see another request than the one that was sent.
func edits(edit func(*http.Request)) func(*diary) {
	return func(d *diary) { d.edit = edit }
}

// keeps has the service use a journal that is not as it should be.
func keeps(with func(journal.Journal) journal.Journal) func(*diary) {
	return func(d *diary) {
		d.engine.Open = func(ctx context.Context, r journal.Request) (journal.Journal, error) {
			j, err := sqlite.Engine.Open(ctx, r)
			if err != nil {
				return nil, err
			}
			return with(j), nil
		}
	}
}

// again makes a call of the service's own for each that it gets, without a tenant.
func again(d *diary) {
	d.edit = func(req *http.Request) {
		if req.Header.Get("X-Again") != "" {
			return
		}
		other, err := http.NewRequestWithContext(req.Context(), "GET", d.fake.URL("http")+"/plain", nil)
		if err != nil {
			return
		}
		other.Header.Set("X-Again", "1")
		transport := &http.Transport{DisableKeepAlives: true}
		if resp, err := transport.RoundTrip(other); err == nil {
			resp.Body.Close()
		}
	}
}

// TestAFakeThatIsBrokenInOneRespectIsFound breaks a fake in one thing that clients rely on.
func TestAFakeThatIsBrokenInOneRespectIsFound(t *testing.T) {
	var all []journal.Journal // of every life
	for name, c := range map[string]struct {
		breaks  func(*diary)
		promise string
		says    string
	}{
		"RST does not strike": {
			loses(func(r fake.Rule) bool { return r.Action == fake.RST && r.Phase == fake.Before }), strikes, "reset the connection: 0 hits, want 1"},
		"a failure after commit does not strike": {
			loses(func(r fake.Rule) bool { return r.Phase == fake.AfterCommit && r.Failure != fake.Failure{} }), strikes, "after commit fail with code 1002: 0 hits, want 1"},
		"an answer is not cut": {
			loses(func(r fake.Rule) bool { return r.Phase == fake.DuringResponse && r.Action == fake.Truncate }), strikes, "at byte 5 of the answer cut what is being sent in half: 0 hits, want 1"},
		"a barrier does not hold": {
			loses(func(r fake.Rule) bool { return r.Phase == fake.AfterCommit && r.Action == fake.Hold }), strikes, "after commit hold it until it is released: 0 hits, want 1"},
		"a half-open connection is not": {
			loses(func(r fake.Rule) bool { return r.Phase == fake.DuringResponse && r.Action == fake.HalfOpen }), strikes, "leave the connection silent: 0 hits, want 1"},
		"GOAWAY is not sent": {
			loses(func(r fake.Rule) bool { return r.Action == fake.GoAway }), strikes, "send GOAWAY: 0 hits, want 1"},
		"a header that asks for a fault is not heeded": {
			edits(func(r *http.Request) { r.Header.Del(fake.FaultHeader) }), strikes, "X-Fault: phase=before;latency=10ms"},
		"a header with a mistake is heeded": {
			edits(func(r *http.Request) {
				if r.Header.Get(fake.FaultHeader) == "so=what" {
					r.Header.Del(fake.FaultHeader)
				}
			}), strikes, "X-Fault: so=what: the client saw {http:503"},
		"what one call asks for is done to the next": {
			func() func(*diary) {
				own := ""
				return edits(func(r *http.Request) {
					if own == "status=404" {
						r.Header.Set(fake.FaultHeader, own)
					}
					own = r.Header.Get(fake.FaultHeader)
				})
			}(), strikes, "map[]: the client saw {http:404"},

		"faults are lost": {
			loses(func(r fake.Rule) bool { return r.Failure == fake.HTTPStatus(404) }), selects, "struck .., want XX"},
		"counts begin anew with each call": {
			func(d *diary) {
				d.meet = func(f *fake.Fake) {
					if len(f.Faults()) > 0 && f.Faults()[0].Rule().Nth == 2 {
						_, _ = f.Replace(f.Faults()[0].Rule(), f.Faults()[1].Rule())
					}
				}
			}, selects, "struck ..., want .X."},
		"chance is not repeated": {
			func(d *diary) {
				n := 0
				d.edit = func(r *http.Request) {
					if faults := d.fake.Faults(); len(faults) > 0 && faults[0].Rule().Probability == 0.5 {
						if n++; n > 8 { // of the second round
							r.Header.Set(fake.FaultHeader, "status=503")
						}
					}
				}
			}, selects, "and then ........, want some of the calls, and the same"},
		"the header is another one": {
			edits(func(r *http.Request) { r.Header.Set("X-Faketest", "2") }), selects, `header "X-Faketest: 1" has not struck`},
		"any header will do": {
			edits(func(r *http.Request) { r.Header.Set("X-Faketest-Not", "1") }), selects, `header "X-Faketest-Not: 1" has struck`},

		"hits are not counted": {
			func(d *diary) {
				d.meet = func(f *fake.Fake) {
					if faults := f.Faults(); len(faults) == 2 {
						_, _ = f.Replace(faults[0].Rule(), faults[1].Rule())
					}
				}
			}, selects, ": 0 hits, and the client saw XX"},
		"another fault strikes": {
			edits(func(r *http.Request) { r.Header.Set(fake.FaultHeader, "status=500") }), selects, "answered {http:500"},

		"a record tells of another fault": {
			edits(func(r *http.Request) { r.Header.Set(fake.FaultHeader, "status=500") }), recorded, "a call that a fault answered with 503 is recorded as"},
		"calls are recorded twice": {again, recorded, "one call is recorded as [{Seq:"},
		"a duplicate is not seen": {
			func() func(*diary) {
				n := 0
				return edits(func(r *http.Request) { n++; r.RequestURI = fmt.Sprint("/entry?", n) })
			}(), recorded, "want it to be a duplicate of"},
		"a fault strikes that nobody has installed": {
			func(d *diary) {
				d.edit = func(r *http.Request) {
					if len(d.fake.Faults()) == 0 {
						r.Header.Set(fake.FaultHeader, "latency=1ms")
					}
				}
			}, recorded, "a call that its handler answered is recorded as"},

		"a service that starts once": {
			func(d *diary) {
				started := false
				d.settle = func(s *chassis.Service) error {
					if started {
						return errors.New("once is enough")
					}
					started = true
					return nil
				}
			}, tenants, "once is enough"},
		"a tenant that cannot be removed": {
			func(d *diary) {
				d.settle = func(s *chassis.Service) error {
					if d.fake != nil {
						s.OnClose("door", func(context.Context) error { return errors.New("the door is jammed") })
					}
					return nil
				}
			}, tenants, "the door is jammed"},
		"time of one tenant is that of another": {
			func(d *diary) {
				d.settle = func(s *chassis.Service) error {
					if d.fake != nil {
						s.Clock().AfterFunc(time.Second, func() { d.fake.Clock().Advance(time.Hour) })
					}
					return nil
				}
			}, tenants, "a second has passed for tenant"},
		"calls of a tenant are the fake's as well": {again, tenants, "is recorded"},
		"a tenant has the fake's faults": {
			func(d *diary) {
				d.meet = func(f *fake.Fake) {
					for _, fault := range f.Faults() {
						fault.Remove()
					}
				}
			}, tenants, "the client saw"},

		"a journal that forgets": {
			keeps(func(j journal.Journal) journal.Journal { return &forgetful{Journal: j} }), states, "a state that is taken twice: it has 3 events, want 4"},
		"a journal that has its own time": {
			func(d *diary) {
				d.engine.Open = func(ctx context.Context, r journal.Request) (journal.Journal, error) {
					r.Clock = clock.Real()
					return sqlite.Engine.Open(ctx, r)
				}
			}, states, "a state that was restored: event 1 is "},
		"a journal of all lives": {
			func(d *diary) {
				var one journal.Journal
				d.engine.Open = func(ctx context.Context, r journal.Request) (journal.Journal, error) {
					if one == nil {
						j, err := sqlite.Engine.Open(ctx, r)
						if err != nil {
							return nil, err
						}
						t.Cleanup(func() { _ = j.Close() })
						one = &lasting{j}
					}
					return one, nil
				}
			}, states, "events of its own when it is opened"},
		"what is written is written for all": {
			func(d *diary) {
				d.engine.Open = func(ctx context.Context, r journal.Request) (journal.Journal, error) {
					j, err := sqlite.Engine.Open(ctx, r)
					all = append(all, j)
					return j, err
				}
				d.written = func(mine journal.Journal) {
					var last journal.Recorded
					for e, err := range mine.All(context.Background(), 0, journal.Filter{}) {
						if err == nil {
							last = e
						}
					}
					for _, j := range all {
						_, _ = j.Append(context.Background(), last.Stream, journal.Any, last.Event) // those of the past are closed
					}
				}
			}, states, "have left is in the other's state"},
		"faults are lost when a state is restored": {
			func(d *diary) {
				d.settle = func(*chassis.Service) error {
					if d.fake != nil {
						d.fake.Clear()
					}
					return nil
				}
			}, states, "0 faults are left, want all"},
		"time goes on when a state is restored": {
			func(d *diary) {
				d.settle = func(*chassis.Service) error {
					if d.fake != nil {
						d.fake.Clock().Advance(time.Second)
					}
					return nil
				}
			}, states, "the clock shows"},
		"two journals, and faults that are lost": {
			func(d *diary) { d.journals = 2; d.meet = func(f *fake.Fake) { f.Clear() } }, states, "the client saw"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDiary()
			d.brief = true // or calls that no fault answers would take as long as one may
			c.breaks(d)
			if c.promise == strikes {
				d.options.Configure = func(_ *chassis.Settings, c *config) { c.HTTP.H2C = true }
			}
			if err := faketest.Promises()[c.promise](t.Context(), d.start); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v, want %q", c.promise, err, c.says)
			}
		})
	}
}

// forgetful loses an event each time when it is read after the first.
type forgetful struct {
	journal.Journal
	reads int
}

func (f *forgetful) All(ctx context.Context, after journal.Position, filter journal.Filter) iter.Seq2[journal.Recorded, error] {
	f.reads++
	return func(yield func(journal.Recorded, error) bool) {
		skip := f.reads > 1
		for e, err := range f.Journal.All(ctx, after, filter) {
			if skip && err == nil {
				skip = false
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// lasting is not closed with the service.
type lasting struct{ journal.Journal }

func (l *lasting) Close() error { return nil }

// TestRulesThatWouldBeTakenAreFound has a fake that refuses no rule.
func TestRulesThatWouldBeTakenAreFound(t *testing.T) {
	f := newDiary().start(t)
	taken := 0
	err := faketest.Refuses(func(rules ...fake.Rule) ([]*fake.Fault, error) {
		taken++
		return f.Install(rules[0])
	}, failure.Malformed.Number())
	if want := "a rule was installed that makes no sense: "; err == nil || !strings.HasPrefix(err.Error(), want) || taken != 1 || len(f.Faults()) != 0 {
		t.Errorf("%v after %d rules, want %s", err, taken, want)
	}
}

// TestACallForATenantThatIsNotThereMustBeRefused has a service answer every call, whosever it is.
func TestACallForATenantThatIsNotThereMustBeRefused(t *testing.T) {
	start := starting(func(_ context.Context, s *chassis.Service, _ config) error {
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			failure.WriteProblem(w, r, failure.Forbidden.New().Problem(""))
		})
		return s.Serve("web", "http", "127.0.0.1:0", &plain{http.Server{Handler: h}}, func() []string { return []string{"/"} })
	})
	if err := faketest.RefusedTenant(t.Context(), start(t)); err == nil || !strings.Contains(err.Error(), `there is no tenant "nobody", and its call saw {http:403`) {
		t.Error(err)
	}
	if err := faketest.RefusedTenant(t.Context(), newDiary().start(t)); err != nil {
		t.Error(err)
	}
}
