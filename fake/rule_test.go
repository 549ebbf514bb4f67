package fake_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/fake"
)

// struck makes n calls over HTTP and shows which of them failed: "x" for those, "." for others.
func struck(t *testing.T, f *fake.Fake, n int) string {
	t.Helper()
	var s strings.Builder
	for range n {
		if count(t, f).status == 200 {
			s.WriteByte('.')
		} else {
			s.WriteByte('x')
		}
	}
	return s.String()
}

func TestARuleStrikesTheCallsItCounts(t *testing.T) {
	fail := fake.Code(1001)
	for want, rule := range map[string]fake.Rule{
		"..x.......": {Nth: 3, Failure: fail},
		"..xxxxxxxx": {After: 2, Failure: fail},
		"..xxx.....": {After: 2, Count: 3, Failure: fail},
		"..x..x..x.": {Every: 3, Failure: fail},
		"...x.x....": {After: 2, Every: 2, Count: 2, Failure: fail},
		"xxxxxxxxxx": {Probability: 1, Every: 1, Failure: fail},
	} {
		f := fake.Start(t, spec, fake.Options[config]{})
		fault := f.Inject(rule)
		if got := struck(t, f, 10); got != want || fault.Hits() != strings.Count(want, "x") {
			t.Errorf("%v: %s with %d hits, want %s", rule, got, fault.Hits(), want)
		}
	}
}

func TestChanceIsRepeatedByItsSeed(t *testing.T) {
	half := fake.Rule{Probability: 0.5, Failure: fake.Code(1001)}
	draw := func(seed uint64, rule fake.Rule) string {
		f := fake.Start(t, spec, fake.Options[config]{Seed: seed})
		fault := f.Inject(rule)
		if f.Seed() == 0 || seed != 0 && f.Seed() != seed || fault.Rule().Seed == 0 || rule.Seed != 0 && fault.Rule().Seed != rule.Seed {
			t.Errorf("seed %d of the fake, %d of the rule", f.Seed(), fault.Rule().Seed)
		}
		return struck(t, f, 40)
	}
	first := draw(7, half)
	if second := draw(7, half); first != second || !strings.Contains(first, "x") || !strings.Contains(first, ".") {
		t.Errorf("one seed gives\n%s and\n%s", first, second)
	}
	if other := draw(8, half); other == first {
		t.Errorf("another seed gives the same: %s", other)
	}
	half.Seed = 11
	if a, b := draw(0, half), draw(9, half); a != b {
		t.Errorf("one seed of the rule gives\n%s and\n%s", a, b)
	}
	if _, err := fake.New(t.Context(), spec, fake.Options[config]{Seed: math.MaxUint64}); err == nil || !strings.Contains(err.Error(), "a seed is 1 to 2^53-1") {
		t.Errorf("too large a seed: %v", err)
	}
}

func TestAFailingTestShowsTheSeed(t *testing.T) {
	j := &judge{}
	f := fake.Start(j, spec, fake.Options[config]{Seed: 7})
	f.Inject(fake.Rule{Probability: 0.5, Seed: 9, Failure: fake.Code(1001)})
	count(t, f)
	j.Errorf("wrong")
	j.end()
	want := "fake: tally: what chance decided is repeated with seed 7: Options.Seed, or Seed of the rules:\n\tevery call with probability 0.5 (seed 9): fail with code 1001"
	if len(j.logged) != 2 || j.logged[0] != want {
		t.Errorf("%q, want %q", j.logged, want)
	}
}

func TestARuleSelectsByTenantHeaderAndPredicate(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	conn := dial(t, f)
	post := func(header ...string) bool {
		req, _ := http.NewRequestWithContext(t.Context(), "POST", f.URL("http")+"/count/x", nil)
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		transport := &http.Transport{DisableKeepAlives: true}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode != 200
	}
	rpc := func(pairs ...string) bool {
		return invoke(metadata.AppendToOutgoingContext(t.Context(), pairs...), conn) != nil
	}
	for name, on := range map[string]fake.Rule{
		"tenant":    {Match: fake.OnTenant("ann")},
		"header":    {Match: fake.OnHeader("x-Tenant", "ann")},
		"both":      {Match: fake.Match{Tenant: "ann", Header: "X-TENANT:ann"}},
		"predicate": {When: func(c *chassis.Call) bool { return c.Header("X-Tenant") == "ann" }},
	} {
		on.Failure = fake.Code(1001)
		fault := f.Inject(on)
		if !post("X-Tenant", "ann") || post("X-Tenant", "bob") || post() || !rpc("x-tenant", "ann") || rpc("x-tenant", "bob") || rpc() {
			t.Errorf("%s: it strikes others", name)
		}
		if fault.Hits() != 2 {
			t.Errorf("%s: %d hits", name, fault.Hits())
		}
		fault.Remove()
	}
	f.Inject(fake.Rule{Action: fake.Hold, Latency: 1, Count: 1}, fake.OnTenant("nobody"), fake.OnHeader("X-A", "b")).Remove()
}

func TestLatenciesAreDrawnFromTheirDistribution(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{Seed: 5})
	f.Inject(fake.Rule{Latency: time.Microsecond, Spread: fake.Spread{P50: 10 * time.Microsecond, P90: 20 * time.Microsecond, P99: 2 * time.Millisecond, Max: 3 * time.Millisecond}})
	conn := dial(t, f)
	for range 1000 {
		if _, err := countGRPC(t, conn); err != nil {
			t.Fatal(err)
		}
	}
	var upTo [4]int
	for _, c := range f.Calls() {
		for i, most := range []time.Duration{11 * time.Microsecond, 21 * time.Microsecond, 2001 * time.Microsecond, 3001 * time.Microsecond} {
			if c.Latency <= most {
				upTo[i]++
			}
		}
		if c.Latency < time.Microsecond {
			t.Errorf("%v is less than the fixed part", c.Latency)
		}
	}
	// With this seed; another would be off by some 50 at the most.
	if d := upTo[0] - 500; d < -60 || d > 60 || upTo[1] < 860 || upTo[1] > 940 || upTo[2] < 975 || upTo[2] == 1000 || upTo[3] != 1000 {
		t.Errorf("%v of 1,000 calls are up to the quantiles, want about 500, 900, 990 and all", upTo)
	}
	even := fake.Start(t, spec, fake.Options[config]{})
	even.Inject(fake.Rule{Spread: fake.Spread{P50: time.Millisecond}})
	count(t, even)
	if got := even.Calls()[0].Latency; got > time.Millisecond {
		t.Errorf("%v is more than all that was said of it", got)
	}
}

func TestRulesWithoutSenseAreRefused(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	fail := fake.Code(1001)
	for says, rule := range map[string]fake.Rule{
		"nth, after and every are 0 or more; got -1, 0 and 0":              {Nth: -1, Failure: fail},
		"nth 2 is one call: after, every and count do not go with it":      {Nth: 2, Every: 2, Failure: fail},
		"probability 1.5: want more than 0 and 1 at most, or 0 for always": {Probability: 1.5, Failure: fail},
		"probability NaN: want":                                                            {Probability: math.NaN(), Failure: fail},
		"a seed is 1 to 2^53-1; 0 lets the fake choose":                                    {Seed: 1 << 53, Failure: fail},
		"at 5 is a byte of an answer: want phase during-response, got before":              {At: 5, Action: fake.RST},
		"at -1: want 0 to 1099511627776 bytes":                                             {At: -1, Phase: fake.DuringResponse, Action: fake.RST},
		"rate 0: want 1 to 1073741824 bytes a second with action slow, and 0 without":      {Action: fake.Slow},
		"rate 5: want 1 to 1073741824 bytes a second with action slow":                     {Action: fake.RST, Rate: 5},
		"spread p50 2s, p90 1s, p99 1s, max 1s: want each at least the one before it":      {Spread: fake.Spread{P50: 2 * time.Second, P90: time.Second}},
		"there is no phase(9), or no rst":                                                  {Phase: 9, Action: fake.RST},
		"there is no before, or no action(99)":                                             {Action: 99},
		"a failure is answered before or after the handler, not in phase during-response":  {Phase: fake.DuringResponse, Failure: fail},
		"a failure is answered before or after the handler, not in phase connect":          {Phase: fake.Connect, Failure: fail},
		"nothing is answered after action rst: give a failure or the action":               {Action: fake.RST, Failure: fail},
		"action goaway needs an answer, or a call: phase connect has none":                 {Phase: fake.Connect, Action: fake.GoAway},
		"action truncate needs an answer: want phase after-commit or during-response":      {Action: fake.Truncate},
		"a connection has a listener and nothing else to select it by, got method \"GET\"": {Phase: fake.Connect, Action: fake.RST, Match: fake.OnMethod("GET")},
		"header \"x\": want a name and a value, such as \"X-Client: 7\"":                   {Match: fake.Match{Header: "x"}, Failure: fail},
		"there is no listener \"tcp\"":                                                     {Match: fake.OnListener("tcp"), Action: fake.GoAway},
	} {
		if _, err := f.Install(rule); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %s", err, says)
		}
	}
	if len(f.Faults()) != 0 {
		t.Errorf("%d were installed", len(f.Faults()))
	}
}

func TestRulesOfAllPhasesReadAsSentences(t *testing.T) {
	for want, rule := range map[string]fake.Rule{
		`call 3: after commit reset the connection`:                                                            {Nth: 3, Phase: fake.AfterCommit, Action: fake.RST},
		`every call, one in 4: close the connection`:                                                           {Every: 4, Action: fake.FIN},
		`next 2 connections of listener "http": when it connects hold it until it is released`:                 {Count: 2, Phase: fake.Connect, Match: fake.OnListener("http"), Action: fake.Hold},
		`every call, after the first 2,: at byte 100 of the answer cut what is being sent in half`:             {After: 2, Phase: fake.DuringResponse, At: 100, Action: fake.Truncate},
		`every call that When selects: send GOAWAY and fail with code 7`:                                       {When: func(*chassis.Call) bool { return true }, Action: fake.GoAway, Failure: fake.Code(7)},
		`every call of tenant "a", header "X: y" with probability 0.25 (seed 3): send garbage`:                 {Match: fake.Match{Tenant: "a", Header: "X: y"}, Probability: 0.25, Seed: 3, Action: fake.Garbage},
		`every call (seed 4): wait as drawn from p50 1ms, p90 1ms, p99 2ms, max 2ms and send 9 bytes a second`: {Spread: fake.Spread{P50: time.Millisecond, P99: 2 * time.Millisecond}, Seed: 4, Action: fake.Slow, Rate: 9},
		`every connection: when it connects leave the connection silent`:                                       {Phase: fake.Connect, Action: fake.HalfOpen},
	} {
		if got := rule.String(); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

func TestRulesAreReplacedInOneMoment(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	old := f.Fail(fake.Code(1001))
	added, err := f.Replace(fake.Rule{Failure: fake.HTTPStatus(503)}, fake.Rule{Nth: 2, Failure: fake.HTTPStatus(500)})
	if err != nil || len(f.Faults()) != 2 || added[0].ID() != old.ID()+1 || added[1].ID() != old.ID()+2 {
		t.Fatalf("%v, %v", f.Faults(), err)
	}
	if _, err := f.Replace(fake.Rule{Failure: fake.Code(1)}, fake.Rule{}); err == nil || len(f.Faults()) != 2 {
		t.Errorf("a replacement that makes no sense: %v; %d faults", err, len(f.Faults()))
	}
	if got := count(t, f); got.status != 503 {
		t.Errorf("%+v", got)
	}
	if _, err := f.Replace(); err != nil || len(f.Faults()) != 0 {
		t.Errorf("by none: %v", err)
	}
}

func TestABarrierHoldsCallsUntilItIsReleased(t *testing.T) {
	for _, phase := range []fake.Phase{fake.Before, fake.AfterCommit} {
		t.Run(phase.String(), func(t *testing.T) {
			f := fake.Start(t, spec, fake.Options[config]{})
			conn := dial(t, f)
			barrier := f.Inject(fake.Rule{Action: fake.Hold, Phase: phase}, fake.On(routeGRPC))
			done := make(chan error, 5)
			for range 5 {
				go func() { done <- invoke(context.Background(), conn) }()
			}
			if err := barrier.WaitHeld(t.Context(), 5); err != nil {
				t.Fatal(err)
			}
			want := map[fake.Phase]string{fake.Before: "0", fake.AfterCommit: "5"}[phase]
			if got := total(t, f); got != want || barrier.Held() != 5 {
				t.Errorf("%s were done while %d are held, want %s", got, barrier.Held(), want)
			}
			barrier.ReleaseNext(2)
			for range 2 {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
			if barrier.Held() != 3 {
				t.Errorf("%d are held after two were released", barrier.Held())
			}
			barrier.ReleaseNext(-1)
			barrier.Release()
			for range 3 {
				if err := <-done; err != nil {
					t.Error(err)
				}
			}
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			if err := barrier.WaitHeld(ended, 1); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "the fault holds 0, not 1") {
				t.Errorf("%v", err)
			}
			removed := make(chan error)
			go func() { removed <- barrier.WaitHeld(context.Background(), 1) }()
			barrier.Remove()
			if err := <-removed; err == nil || err.Error() != "the fault was removed while it held 0, not 1" {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestACallThatIsHeldEndsWithItsDeadline(t *testing.T) {
	for _, rule := range []fake.Rule{{Action: fake.Hold}, {Action: fake.Hold, Phase: fake.AfterCommit}, {Latency: time.Hour, Phase: fake.AfterCommit}, {Action: fake.HalfOpen}} {
		f := fake.Start(t, spec, fake.Options[config]{Configure: func(_ *chassis.Settings, c *config) { c.HTTP.Timeout = 20 * time.Millisecond }})
		fault := f.Inject(rule, fake.On(routeCount))
		answered := make(chan answer, 1)
		go func() {
			got, _ := try(context.Background(), "POST", f.URL("http")+"/count/x")
			answered <- got
		}()
		if rule.Action == fake.HalfOpen { // its answer comes when it is released
			if err := fault.WaitHeld(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			for len(f.Calls()) == 0 || f.Calls()[0].Sent == "" {
				time.Sleep(time.Millisecond)
			}
			fault.Release()
		}
		if got := <-answered; got.status != 504 {
			t.Errorf("%v: %+v", rule, got)
		}
		if calls := f.Calls(); calls[0].Sent != fake.SentFailure || calls[0].Ran != (rule.Phase == fake.AfterCommit) {
			t.Errorf("%v: recorded %+v", rule, calls)
		}
	}
}

func TestConnectionsAreStruckBeforeTheServiceSeesThem(t *testing.T) {
	for name, c := range map[string]struct {
		rule fake.Rule
		says string // of the client's error; empty when there is none, a space when its words do not matter
	}{
		"RST":            {fake.Rule{Action: fake.RST}, " "},     // "connection reset by peer", or "broken pipe" once net/http's reader has seen it
		"FIN":            {fake.Rule{Action: fake.FIN}, " "},     // "EOF", or that the server has closed an idle connection
		"garbage":        {fake.Rule{Action: fake.Garbage}, " "}, // net/http has no words for an answer before the request
		"latency":        {fake.Rule{Latency: 30 * time.Millisecond}, ""},
		"latency, RST":   {fake.Rule{Latency: 30 * time.Millisecond, Action: fake.RST}, " "},
		"a distribution": {fake.Rule{Latency: 30 * time.Millisecond, Spread: fake.Spread{P50: time.Millisecond}}, ""},
		"slow":           {fake.Rule{Action: fake.Slow, Rate: 4000}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := fake.Start(t, spec, fake.Options[config]{})
			c.rule.Phase, c.rule.Nth = fake.Connect, 2
			fault := f.Inject(c.rule, fake.OnListener("http"))
			if got := count(t, f); got.status != 200 {
				t.Errorf("the first connection: %+v", got)
			}
			begin := time.Now()
			_, err := try(t.Context(), "POST", f.URL("http")+"/count/x")
			if took := time.Since(begin); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), strings.TrimSpace(c.says)) ||
				(c.rule.Latency > 0 || c.rule.Action == fake.Slow) && took < 30*time.Millisecond {
				t.Errorf("the second connection: %v after %v, want %q", err, took, c.says)
			}
			if got := count(t, f); got.status != 200 || fault.Hits() != 1 {
				t.Errorf("the third connection: %+v; %d hits", got, fault.Hits())
			}
		})
	}
}

func TestConnectionsAreHeldUntilTheyAreReleased(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	for round, action := range []fake.Action{fake.Hold, fake.HalfOpen} {
		fault := f.Inject(fake.Rule{Phase: fake.Connect, Action: action, Count: 3}, fake.OnListener("http"))
		done := make(chan answer, 3)
		for range 3 {
			go func() {
				got, _ := try(context.Background(), "POST", f.URL("http")+"/count/x")
				done <- got
			}()
		}
		if err := fault.WaitHeld(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
		if got := total(t, f); got != fmt.Sprint(round*3) { // by a connection that comes after them
			t.Errorf("%s were done", got)
		}
		if round == 0 {
			fault.Release()
		} else {
			fault.Remove()
		}
		for range 3 {
			if got := <-done; got.status != 200 {
				t.Errorf("%v: %+v", action, got)
			}
		}
	}
	fault := f.Inject(fake.Rule{Phase: fake.Connect, Action: fake.Hold})
	conn, err := net.Dial("tcp", f.Addr("http"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := fault.WaitHeld(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := f.Reset(); err != nil { // cuts it
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("a connection that was held outlives the reset")
	}
	if got := count(t, f); got.status != 200 {
		t.Errorf("after it: %+v", got)
	}
}

func TestAReplacedAnswerHasNothingOfTheHandlers(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	f.Inject(fake.Rule{Count: 1, Phase: fake.AfterCommit, Failure: fake.Code(1002)}, fake.On(routeVisit))
	before := call(t, "GET", f.URL("http")+"/fail/1002")
	got := call(t, "GET", f.URL("http")+"/visit")
	for _, h := range []http.Header{before.header, got.header} {
		h.Del("X-Request-Id")
		h.Del("Date")
	}
	if errorID.ReplaceAllString(got.body, "") != errorID.ReplaceAllString(before.body, "") || fmt.Sprint(got.header) != fmt.Sprint(before.header) {
		t.Errorf("after commit: %v %s\nwant %v %s", got.header, got.body, before.header, before.body)
	}
	if c := f.Calls()[1]; !c.Committed || !c.Injected || c.Code != 1002 || c.Sent != fake.SentFailure {
		t.Errorf("recorded: %+v", c)
	}
}

func TestAHandlerThatFailsIsNotStruckAfterCommit(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	fault := f.Inject(fake.Rule{Count: 1, Phase: fake.AfterCommit, Failure: fake.Code(1001)}, fake.OnListener("http"))
	for path, code := range map[string]string{"/fail/1002": `"code":1002`, "/panic": `"code":1,`} {
		if got := call(t, "GET", f.URL("http")+path); !strings.Contains(got.body, code) || fault.Hits() != 0 {
			t.Errorf("%s: %+v; %d hits", path, got, fault.Hits())
		}
	}
	calls := f.Calls()
	for i, code := range map[int]int{calls[0].Failure: 0, calls[1].Failure: 0} {
		if i != 1002 && i != 1 {
			t.Errorf("recorded: %+v (%d)", calls, code)
		}
	}
	if calls[0].Committed || !calls[0].Ran || calls[0].Sent != fake.SentAnswer {
		t.Errorf("recorded: %+v", calls[0])
	}
	if got := call(t, "GET", f.URL("http")+"/visit"); !strings.Contains(got.body, `"code":1001`) || fault.Hits() != 1 {
		t.Errorf("one that succeeds: %+v", got)
	}
}

func TestAnAnswerThatIsOutCanOnlyBeCut(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	big := strings.Repeat("y", 100<<10)
	for _, rule := range []fake.Rule{
		{Count: 1, Phase: fake.AfterCommit, Failure: fake.Code(1001)},
		{Count: 1, Phase: fake.AfterCommit, Action: fake.RST},
	} {
		f.Inject(rule, fake.On("POST /echo"))
		resp, err := http.Post(f.URL("http")+"/echo", "text/plain", strings.NewReader(big))
		if err == nil {
			_, err = readAll(resp)
		}
		if err == nil {
			t.Errorf("%v: the answer came whole", rule)
		}
		if calls := done(t, f); calls[len(calls)-1].Sent != fake.SentPart || !calls[len(calls)-1].Committed {
			t.Errorf("%v: recorded %+v", rule, calls)
		}
	}
	// One that is kept back whole is like any other when nothing strikes.
	f.Inject(fake.Rule{Nth: 9, Phase: fake.AfterCommit, Failure: fake.Code(1001)}, fake.On("POST /echo")).Remove()
	f.Inject(fake.Rule{After: 1000, Phase: fake.AfterCommit, Latency: 1, Every: 1})
	for _, size := range []int{0, 10, 64 << 10, 64<<10 + 1, 100 << 10} {
		resp, err := http.Post(f.URL("http")+"/echo", "text/plain", strings.NewReader(big[:size]))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := readAll(resp); err != nil || got != big[:size] || resp.StatusCode != 200 {
			t.Errorf("%d bytes became %d, %v", size, len(got), err)
		}
	}
	f.Clear()
}
