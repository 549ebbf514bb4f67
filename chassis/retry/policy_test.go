package retry_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	mathrand "math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/retry"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// always is a source of randomness that gives one number, from 0 to below 1.
type always float64

func (a always) Read(p []byte) (int, error) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], uint64(float64(a)*(1<<53))<<11)
	return copy(p, b[:]), nil
}

const (
	lowest  = always(0)
	highest = always(1 - 1.0/(1<<53))
)

// unthrottled is all defaults but the throttle.
var unthrottled = retry.Config{Throttle: -1}

func begin(t *testing.T, p *retry.Policy) *retry.Request {
	t.Helper()
	r, err := p.Begin()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var safe = retry.Failure{Safe: true}

func TestOfAHundredRequestsTenAreSentAgain(t *testing.T) {
	c := clock.NewVirtual(epoch)
	p := retry.New("game", unthrottled, c, rand.Reader)
	again := func(requests int) (n int) {
		for range requests {
			r := begin(t, p)
			r.Attempted(retry.Rejected)
			if _, ok := r.Again(t.Context(), safe); ok {
				n++
			}
		}
		return n
	}
	// The minimum of 3 a second is 30 in ten seconds; from 300 requests on a tenth is more.
	if n := again(1000); n != 100 {
		t.Errorf("of 1000 requests at a time %d were sent again, want 100", n)
	}
	c.Advance(9 * time.Second)
	if n := again(1000); n != 100 {
		t.Errorf("of 1000 more in the same ten seconds %d, want 100", n)
	}
	c.Advance(2 * time.Second) // the first thousand is out of the window
	if n := again(500); n != 50 {
		t.Errorf("of 500 more two seconds later %d, want 50", n)
	}
	c.Advance(time.Hour)
	if n := again(200); n != 30 {
		t.Errorf("of 200 after an hour %d, want 30", n)
	}
	s := p.Stats()
	if s.Requests != 2700 || s.Retries != 280 || s.Exhausted != 2700-280 || s.Attempts["rejected"] != 2700 {
		t.Errorf("%+v", s)
	}
}

func TestTheBudgetCanBeSetApart(t *testing.T) {
	for _, c := range []struct {
		cfg  retry.Config
		want int
	}{
		{retry.Config{Budget: 50, BudgetMin: -1}, 100},
		{retry.Config{Budget: -1, BudgetMin: 7}, 70},
		{retry.Config{Budget: -1, BudgetMin: -1}, 0},
	} {
		c.cfg.Throttle = -1
		p := retry.New("game", c.cfg, clock.NewVirtual(epoch), rand.Reader)
		requests := make([]*retry.Request, 200)
		for i := range requests {
			requests[i] = begin(t, p)
		}
		n := 0
		for _, r := range requests {
			if _, ok := r.Again(t.Context(), safe); ok {
				n++
			}
		}
		if n != c.want {
			t.Errorf("%+v: %d of 200 are sent again, want %d", c.cfg, n, c.want)
		}
	}
}

func TestTheWaitIsRandomUpToABoundThatDoubles(t *testing.T) {
	cfg := retry.Config{Throttle: -1, Attempts: 10, BudgetMin: 1000}
	ms := time.Millisecond
	bounds := []time.Duration{50 * ms, 100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 2000 * ms, 2000 * ms, 2000 * ms}
	r := begin(t, retry.New("game", cfg, clock.NewVirtual(epoch), highest))
	for i, bound := range bounds {
		if wait, again := r.Again(t.Context(), safe); !again || wait < bound-1 || wait >= bound {
			t.Errorf("after attempt %d: %v, %v, want just below %v", i+1, wait, again, bound)
		}
	}
	if _, again := r.Again(t.Context(), safe); again {
		t.Error("an eleventh attempt")
	}
	r = begin(t, retry.New("game", cfg, clock.NewVirtual(epoch), lowest))
	for range bounds {
		if wait, again := r.Again(t.Context(), safe); !again || wait != 0 {
			t.Errorf("%v, %v, want no wait", wait, again)
		}
	}
	// Full jitter: the mean is half of the bound.
	cfg.Budget = 100
	p := retry.New("game", cfg, clock.NewVirtual(epoch), mathrand.NewChaCha8([32]byte{1}))
	var sum time.Duration
	for range 1000 {
		wait, _ := begin(t, p).Again(t.Context(), safe)
		sum += wait
	}
	if mean := sum / 1000; mean < 24*ms || mean > 26*ms {
		t.Errorf("the mean of 1000 waits is %v, want 25ms", mean)
	}
	huge := retry.Config{Throttle: -1, Attempts: 10, Backoff: math.MaxInt64 / 3, MaxBackoff: math.MaxInt64 / 2}
	r = begin(t, retry.New("game", huge, clock.NewVirtual(epoch), highest))
	for range 9 {
		if wait, again := r.Again(t.Context(), safe); !again || wait < math.MaxInt64/4 {
			t.Errorf("a bound beyond what there is: %v, %v", wait, again)
		}
	}
}

func TestWhatTheServiceAsksForIsWaitedAtLeast(t *testing.T) {
	for _, c := range []struct {
		after, low, high time.Duration
		again            bool
	}{
		{2 * time.Second, 2 * time.Second, 2050 * time.Millisecond, true},
		{5 * time.Second, 5 * time.Second, 5050 * time.Millisecond, true},
		{5001 * time.Millisecond, 0, 1, false},
		{-time.Second, 0, 50 * time.Millisecond, true},
	} {
		for _, source := range []io.Reader{lowest, highest} {
			r := begin(t, retry.New("game", unthrottled, clock.NewVirtual(epoch), source))
			wait, again := r.Again(t.Context(), retry.Failure{Safe: true, After: c.after})
			if again != c.again || wait < c.low || wait >= c.high {
				t.Errorf("asked for %v: %v, %v", c.after, wait, again)
			}
		}
	}
}

func TestWhatIsNotSentAgain(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx     context.Context
		failure retry.Failure
		cfg     retry.Config
	}{
		"what may do something twice":      {t.Context(), retry.Failure{}, retry.Config{}},
		"what the service does not want":   {t.Context(), retry.Failure{Safe: true, Never: true}, retry.Config{}},
		"what nobody waits for":            {ended, safe, retry.Config{}},
		"anything where once is all":       {t.Context(), safe, retry.Config{Attempts: 1}},
		"what would have to wait too long": {t.Context(), retry.Failure{Safe: true, After: time.Minute}, retry.Config{}},
	} {
		p := retry.New("game", c.cfg, clock.NewVirtual(epoch), rand.Reader)
		r := begin(t, p)
		if wait, again := r.Again(c.ctx, c.failure); again || wait != 0 {
			t.Errorf("%s is sent again after %v", name, wait)
		}
		if s := p.Stats(); s.Retries != 0 || s.Exhausted != 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestAWaitThatWouldEndAfterTheDeadlineIsNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := retry.New("game", unthrottled, clock.Real(), lowest)
		for left, want := range map[time.Duration]bool{time.Second: false, time.Second + 1: true} {
			ctx, cancel := context.WithTimeout(t.Context(), left)
			if _, again := begin(t, p).Again(ctx, retry.Failure{Safe: true, After: time.Second}); again != want {
				t.Errorf("to wait for 1s with %v left: %v", left, again)
			}
			cancel()
		}
	})
}

func TestWaitsGoByTheClockAndEndWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.NewVirtual(epoch)
		r := begin(t, retry.New("game", unthrottled, c, rand.Reader))
		done := make(chan error)
		go func() { done <- r.Wait(t.Context(), time.Hour) }()
		synctest.Wait()
		c.Advance(time.Hour)
		if err := <-done; err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { done <- r.Wait(ctx, time.Hour) }()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) || c.Pending() != 0 {
			t.Errorf("%v, %d timers left", err, c.Pending())
		}
	})
}

// published is the formula of Site Reliability Engineering, chapter 21, for K = 2.
func published(requests, accepts int) float64 {
	return max(0, float64(requests-2*accepts)/float64(requests+1))
}

func TestTheThrottleFollowsThePublishedFormula(t *testing.T) {
	for _, c := range []struct{ requests, accepts int }{
		{0, 0}, {10, 0}, {10, 5}, {10, 4}, {100, 50}, {100, 49}, {100, 25}, {1000, 200}, {1000, 0}, {1000, 1000},
	} {
		want := published(c.requests, c.accepts)
		for _, u := range []float64{0, want - 1e-9, want + 1e-9, 1 - 1e-9} {
			if u < 0 {
				continue
			}
			p := retry.New("game", retry.Config{}, clock.NewVirtual(epoch), always(u))
			requests := make([]*retry.Request, c.requests) // under way at a time: none is refused yet
			for i := range requests {
				requests[i] = begin(t, p)
			}
			for i, r := range requests {
				if i < c.accepts {
					r.Attempted(retry.Accepted)
				} else {
					r.Attempted([]retry.Outcome{retry.Rejected, retry.Unreachable, retry.Broken}[i%3])
				}
			}
			_, err := p.Begin()
			held, ok := errors.AsType[*retry.Throttled](err)
			if wanted := u < want; ok != wanted {
				t.Errorf("%d requests, %d accepted, drawn %v: held back: %v, want probability %v", c.requests, c.accepts, u, ok, want)
			}
			if ok && (held.Probability != want || held.Service != "game") {
				t.Errorf("%d requests, %d accepted: %+v, want probability %v", c.requests, c.accepts, held, want)
			}
		}
	}
}

func TestWhatIsHeldBackCountsAsARequest(t *testing.T) {
	p := retry.New("game", retry.Config{}, clock.NewVirtual(epoch), lowest)
	var requests []*retry.Request
	for range 10 {
		requests = append(requests, begin(t, p))
	}
	for _, r := range requests[1:] {
		r.Attempted(retry.Rejected)
	}
	begin(t, p) // nine are too few to tell
	requests[0].Attempted(retry.Rejected)
	for n := 10; n < 100; n++ {
		_, err := p.Begin()
		held, ok := errors.AsType[*retry.Throttled](err)
		if !ok || held.Probability != published(n, 0) {
			t.Fatalf("after %d requests: %v", n, err)
		}
	}
	_, err := p.Begin()
	if want := `not sent: service "game" refuses too many requests, 99 % are held back`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if s := p.Stats(); s.Throttled != 91 || s.Requests != 102 {
		t.Errorf("%+v", s)
	}
}

func TestAttemptsThatNobodyAnsweredSayNothing(t *testing.T) {
	p := retry.New("game", retry.Config{}, clock.NewVirtual(epoch), lowest)
	for range 100 {
		begin(t, p).Attempted(retry.Expired)
		begin(t, p).Attempted(retry.Abandoned)
	}
	if s := p.Stats(); s.Attempts["expired"] != 100 || s.Attempts["abandoned"] != 100 || s.Throttled != 0 {
		t.Errorf("%+v", s)
	}
}

func TestTheThrottleHoldsRetriesAndHedgesBackToo(t *testing.T) {
	p := retry.New("game", retry.Config{}, clock.NewVirtual(epoch), always(0.5))
	r := begin(t, p)
	for range 10 {
		r.Attempted(retry.Rejected)
	}
	if _, again := r.Again(t.Context(), safe); again || r.Hedge() {
		t.Error("at 10 refused of 10 an attempt is made")
	}
	if s := p.Stats(); s.Retries != 0 || s.Hedges != 0 || s.Throttled != 0 || s.Exhausted != 0 {
		t.Errorf("%+v", s)
	}
}

// offer has p send requests for d, rps a second; accept says which reach the service and are taken.
func offer(c *clock.Virtual, p *retry.Policy, d time.Duration, rps int, accept func() bool) (sent, accepted int) {
	for range int(d.Seconds() * float64(rps)) {
		if r, err := p.Begin(); err == nil {
			sent++
			if accept() {
				accepted++
				r.Attempted(retry.Accepted)
			} else {
				r.Attempted(retry.Rejected)
			}
		}
		c.Advance(time.Second / time.Duration(rps))
	}
	return sent, accepted
}

func TestAnOverloadedServiceIsSentTwiceWhatItAcceptsAndNoMore(t *testing.T) {
	c := clock.NewVirtual(epoch)
	p := retry.New("game", retry.Config{}, c, mathrand.NewChaCha8([32]byte{2}))
	n, second := 0, int64(0)
	fifth := func() bool { // five times the capacity: at most 20 of 100 a second
		if at := c.Now().Unix(); at != second {
			n, second = 0, at
		}
		n++
		return n <= 20
	}
	offer(c, p, 10*time.Second, 100, fifth)
	sent, accepted := offer(c, p, time.Minute, 100, fifth)
	if share := float64(sent) / float64(accepted); accepted < 1190 || share < 1.7 || share > 2.3 {
		t.Errorf("of 6000 offered %d were sent and %d accepted, want 1200 and two sent to each", sent, accepted)
	}
	// Over: all are accepted from now on.
	_, first := offer(c, p, time.Second, 100, func() bool { return true })
	_, then := offer(c, p, 10*time.Second, 100, func() bool { return true })
	if first < 20 || then != 1000 {
		t.Errorf("after the overload %d of 100 were served in the first second and %d of 1000 in the next ten", first, then)
	}
}

func TestWhenLessIsOfferedThanIsAcceptedNothingIsHeldBackAnyMore(t *testing.T) {
	c := clock.NewVirtual(epoch)
	p := retry.New("game", retry.Config{}, c, mathrand.NewChaCha8([32]byte{5}))
	next := c.Now()
	capacity := func() bool { // 200 a second, evenly
		if c.Now().Before(next) {
			return false
		}
		next = c.Now().Add(5 * time.Millisecond)
		return true
	}
	sent, _ := offer(c, p, 10*time.Second, 2000, capacity)
	if sent > 5000 {
		t.Errorf("under overload %d of 20000 requests were sent, want twice the 2000 that can be accepted and little more", sent)
	}
	_, first := offer(c, p, time.Second, 140, capacity)
	_, then := offer(c, p, time.Second, 140, capacity)
	if first < 133 || then != 140 {
		t.Errorf("of 140 requests %d were served in the first second after the overload and %d in the second, want 133 and all", first, then)
	}
}

// Requests that come at random, as those of many users do, are not taken for an overload because some of them come
// close together, whether there are many or few. Of what comes in the first second after one, so much is held back.
func TestChanceDoesNotLookLikeOverload(t *testing.T) {
	for _, c := range []struct {
		during, accepted, after float64 // requests a second
		most                    float64
	}{
		{2000, 195, 140, 0.025}, // ten times what can be accepted
		{600, 120, 140, 0.03},   // a hog, who was left with little
		{480, 160, 140, 0.015},
		{20000, 1950, 1400, 0.005},
		{200, 19.5, 14, 0.2}, // one of 14 is 0.07
	} {
		came, held := 0, 0
		for seed := range uint64(40) {
			v := clock.NewVirtual(epoch)
			random := mathrand.New(mathrand.NewPCG(seed, 1))
			p := retry.New("game", retry.Config{}, v, mathrand.NewChaCha8([32]byte{byte(seed)}))
			const quiet, overload = time.Second, 3 * time.Second
			room, over := 0.0, epoch.Add(quiet+overload)
			for now := v.Now(); now.Before(over.Add(time.Second)); now = v.Now() {
				rate, accepts := c.during, c.accepted
				if now.Before(epoch.Add(quiet)) || !now.Before(over) {
					rate, accepts = c.after, 10*c.after
				}
				if !now.Before(over) {
					came++
				}
				gap := random.ExpFloat64() / rate
				r, err := p.Begin()
				switch {
				case err != nil && now.Before(over):
				case err != nil:
					held++
				case room >= 1:
					room--
					r.Attempted(retry.Accepted)
				default:
					r.Attempted(retry.Rejected)
				}
				room = min(room+gap*accepts, 12) // places in a queue
				v.Advance(time.Duration(gap * float64(time.Second)))
			}
		}
		share := float64(held) / float64(came)
		t.Logf("after %v requests a second, of which %v are accepted, %.3f of %v a second are held back", c.during, c.accepted, share, c.after)
		if share > c.most {
			t.Errorf("%.3f of %v requests a second are held back after the overload, want %v at most", share, c.after, c.most)
		}
	}
}

func TestAfterAnOutageTheClientIsBackInSeconds(t *testing.T) {
	c := clock.NewVirtual(epoch)
	p := retry.New("game", retry.Config{}, c, mathrand.NewChaCha8([32]byte{3}))
	yes, no := func() bool { return true }, func() bool { return false }
	sent, _ := offer(c, p, 5*time.Minute, 100, no)
	if sent < 150 || sent > 900 {
		t.Errorf("in an outage of 300 s %d requests were sent of 30000, want one or two a second", sent)
	}
	_, soon := offer(c, p, 10*time.Second, 100, yes)
	_, then := offer(c, p, 10*time.Second, 100, yes)
	if then != 1000 {
		t.Errorf("%d of 1000 were served in the first ten seconds after it and %d in the next", soon, then)
	}
	// The two minutes alone: of 100 requests a second one in 6000 is sent.
	if alone := 1 - published(12000, 1); alone > 1.0/3000 {
		t.Errorf("by the formula alone a share of %v is sent", alone)
	}
}

func TestFullRejectionIsNotAmplified(t *testing.T) {
	for name, cfg := range map[string]retry.Config{"with the throttle": {}, "with the budget alone": unthrottled} {
		c := clock.NewVirtual(epoch)
		p := retry.New("game", cfg, c, mathrand.NewChaCha8([32]byte{4}))
		offered, sent := 0, 0
		for range 10 * 500 { // 500 requests a second for 10 s
			offered++
			r, err := p.Begin()
			for again := err == nil; again; {
				sent++
				r.Attempted(retry.Rejected)
				_, again = r.Again(t.Context(), safe)
			}
			c.Advance(2 * time.Millisecond)
		}
		factor := float64(sent) / float64(offered)
		t.Logf("%s: %d sent of %d offered, %.3f", name, sent, offered, factor)
		if factor > 1.1 {
			t.Errorf("%s: amplified by %.3f, want at most 1.1", name, factor)
		}
		if cfg.Throttle < 0 && sent != 5500 {
			t.Errorf("%s: %d sent, want exactly 5500", name, sent)
		}
	}
}

func TestARequestIsHedgedOnceAndFromTheSameBudget(t *testing.T) {
	cfg := unthrottled
	cfg.Hedge, cfg.BudgetMin = 20*time.Millisecond, -1
	p := retry.New("game", cfg, clock.NewVirtual(epoch), rand.Reader)
	requests := make([]*retry.Request, 100)
	for i := range requests {
		requests[i] = begin(t, p)
	}
	hedged := 0
	for _, r := range requests {
		if r.Hedge() {
			hedged++
		}
	}
	if _, again := requests[0].Again(t.Context(), safe); again || hedged != 10 || requests[0].Hedge() {
		t.Errorf("%d hedged of 100; a retry beside: %v", hedged, again)
	}
	if s := p.Stats(); s.Hedges != 10 || s.Exhausted != 91 || p.Hedge() != cfg.Hedge || p.Clock() == nil {
		t.Errorf("%+v", s)
	}
}

func TestOutcomesHaveNames(t *testing.T) {
	var names []string
	for o := range retry.Abandoned + 2 {
		names = append(names, fmt.Sprintf("%v/%v", o, o.Against()))
	}
	want := "accepted/false rejected/true unreachable/true broken/true expired/false abandoned/false Outcome(6)/false"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestARandomSourceThatFailsIsNotSurvived(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	_, _ = begin(t, retry.New("game", unthrottled, clock.Real(), bytes.NewReader(nil))).Again(t.Context(), safe)
}

func TestSettingsThatMakeNoSenseAreRefused(t *testing.T) {
	var c retry.Config
	c.SetDefaults()
	want := retry.Config{
		Attempts: 3, Backoff: 50 * time.Millisecond, MaxBackoff: 2 * time.Second, MaxWait: 5 * time.Second,
		Budget: 10, BudgetMin: 3, Throttle: 2,
	}
	if c != want {
		t.Errorf("defaults %+v, want %+v", c, want)
	}
	for wrong, set := range map[string]func(*retry.Config){
		"":                                   func(*retry.Config) {},
		"attempts: want 1 to 10, got -1":     func(c *retry.Config) { c.Attempts = -1 },
		"attempts: want 1 to 10, got 11":     func(c *retry.Config) { c.Attempts = 11 },
		"backoff: want more than 0, got -1s": func(c *retry.Config) { c.Backoff = -time.Second },
		"max_backoff: want no less than backoff, 1m0s, got 2s":                      func(c *retry.Config) { c.Backoff = time.Minute },
		"max_wait: want more than 0, got -1ns":                                      func(c *retry.Config) { c.MaxWait = -1 },
		"budget: want at most 100 of a hundred requests, got 101":                   func(c *retry.Config) { c.Budget = 101 },
		"budget_min: want at most 1000 a second, got 1001":                          func(c *retry.Config) { c.BudgetMin = 1001 },
		"throttle: want 1 or more, or a negative value for none, got 0.5":           func(c *retry.Config) { c.Throttle = 0.5 },
		"throttle: want 1 or more, or a negative value for none, got NaN":           func(c *retry.Config) { c.Throttle = math.NaN() },
		"hedge: want 0 for none, or more, got -1ns":                                 func(c *retry.Config) { c.Hedge = -1 },
		"attempts: want 1 to 10, got 20\nhedge: want 0 for none, or more, got -1ns": func(c *retry.Config) { c.Attempts, c.Hedge = 20, -1 },
	} {
		c := want
		set(&c)
		got := ""
		if err := c.Validate(); err != nil {
			got = err.Error()
		}
		if got != wrong {
			t.Errorf("%q, want %q", got, wrong)
		}
	}
	long := retry.Config{Backoff: time.Minute}
	if long.SetDefaults(); long.MaxBackoff != time.Minute {
		t.Errorf("the bound of a back-off of 1m grows to %v", long.MaxBackoff)
	}
}

// dated is a clock whose date can be set.
type dated struct {
	*clock.Virtual
	set time.Duration
}

func (d *dated) Now() time.Time { return d.Virtual.Now().Add(d.set) }

func TestAClockThatIsSetBackMakesNoOutageLonger(t *testing.T) {
	c := &dated{Virtual: clock.NewVirtual(epoch)}
	p := retry.New("game", retry.Config{}, c, lowest)
	c.Advance(3 * time.Hour)
	for range 1000 {
		begin(t, p)
	}
	r := begin(t, p)
	for range 1000 {
		r.Attempted(retry.Rejected)
	}
	if _, err := p.Begin(); err == nil {
		t.Fatal("nothing is held back in an outage")
	}
	for _, set := range []time.Duration{-time.Hour, -24 * time.Hour} {
		c.set = set
		c.Advance(2 * time.Second)
		r := begin(t, p)
		for range 20 {
			r.Attempted(retry.Rejected)
		}
		if _, err := p.Begin(); err == nil {
			t.Errorf("%v: what happens afterwards is not seen", set)
		}
		c.Advance(2 * time.Second)
		if _, err := p.Begin(); err != nil {
			t.Errorf("%v: two seconds after the outage: %v", set, err)
		}
	}
}
