package sentry_test

import (
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/failure/aggregate"
	"github.com/seed-754044b3/roadworthy/chassis/failure/sentry"
	"github.com/seed-754044b3/roadworthy/chassis/spool"
	"github.com/seed-754044b3/roadworthy/fake/sentryfake"
)

func TestAReportBecomesOneEventWithAllThatItSays(t *testing.T) {
	f := sentryfake.Start(t, sentryfake.Options{})
	s, _ := run(t, to(t, f), sentry.Options{})
	r := report(7)
	r.Code, r.Revision, r.Generation = errDown.Describe(), "abc123", 3
	r.Sample = aggregate.Sample{
		ID: "8KQ2M4XV7P0R", RequestID: "req1", TraceID: "0af7651916cd43dd8448eb211c80319c", Listener: "http", Protocol: "http",
		Method: "POST", Route: "/v1/games/{id}/moves", Status: 502, Message: "the game store does not answer (*net.OpError)",
		Args: []aggregate.Arg{{Key: "column", Value: "7"}, {Key: "token", Value: "abc"}},
		Stack: []aggregate.Frame{
			{Function: "github.com/x/game/arena.(*Table).Drop", File: "arena/table.go", Line: 77},
			{Function: "net/http.HandlerFunc.ServeHTTP", File: "net/http/server.go", Line: 2322},
			{Function: "main", File: "main.go"},
		},
		User: "u123", Time: epoch,
	}
	take(t, s, r)
	if err := f.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	e := f.Events()[0]
	if e.Code() != 1201 || e.Count() != 7 || e.ID != r.ID || !e.Time.Equal(r.Last) {
		t.Errorf("code %d, count %d, id %s, time %v", e.Code(), e.Count(), e.ID, e.Time)
	}
	wantTags := map[string]string{
		"code": "1201", "set": "game", "class": "dependency", "service": "game", "revision": "abc123", "error_id": "8KQ2M4XV7P0R",
		"request_id": "req1", "trace_id": "0af7651916cd43dd8448eb211c80319c", "listener": "http", "protocol": "http",
		"method": "POST", "route": "/v1/games/{id}/moves", "status": "502", "runbook": "https://runbooks.example/1201",
	}
	if !maps.Equal(e.Tags, wantTags) {
		t.Errorf("tags are %v\nwant     %v", e.Tags, wantTags)
	}
	if want := []string{"game", "1201", "arena.(*Table).Drop arena/table.go"}; !slices.Equal(e.Fingerprint, want) {
		t.Errorf("the fingerprint is %q, want %q: without the line", e.Fingerprint, want)
	}
	got := fmt.Sprint(e.Level, " ", e.Transaction, " ", e.Release, " ", e.Environment, " ", e.ServerName, " ", e.UserID)
	if want := "warning /v1/games/{id}/moves game@1.2.3 production h1 u123"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	wantException := []sentryfake.Exception{{
		Type: "game 1201: the game store does not answer", Value: "the game store does not answer (*net.OpError)",
		Mechanism: "auto.failure", Handled: true,
		Frames: []sentryfake.Frame{
			{Function: "main", File: "main.go", InApp: true},
			{Function: "HandlerFunc.ServeHTTP", Module: "net/http", File: "net/http/server.go", Line: 2322},
			{Function: "(*Table).Drop", Module: "github.com/x/game/arena", File: "arena/table.go", Line: 77, InApp: true},
		},
	}}
	if !reflect.DeepEqual(e.Exceptions, wantException) {
		t.Errorf("exceptions are %+v\nwant           %+v", e.Exceptions, wantException)
	}
	if args := e.Contexts["arguments"]; args["column"] != "7" || args["token"] != "[redacted]" {
		t.Errorf("arguments are %v", args)
	}
	if facts := fmt.Sprint(e.Contexts["failure"]); !strings.Contains(facts, "generation:3") || !strings.Contains(facts, "total:17") {
		t.Errorf("facts are %s", facts)
	}
}

func TestAReleaseThatLooksLikeAnAddressArrivesAndAnAddressDoesNot(t *testing.T) {
	const release = "shop@1.2.3-alpha.beta"
	f := sentryfake.Start(t, sentryfake.Options{})
	named := to(t, f)
	named.Release = release
	byVersion := to(t, f)
	for n, cfg := range []sentry.Config{named, byVersion} {
		r := report(n + 1)
		r.Service, r.Version = "shop", "1.2.3-alpha.beta"
		r.Sample.Args = []aggregate.Arg{{Key: "note", Value: "of " + release}}
		s, _ := run(t, cfg, sentry.Options{})
		take(t, s, r)
		if err := f.Wait(t.Context(), n+1); err != nil {
			t.Fatal(err)
		}
		e := f.Events()[n]
		if e.Release != release {
			t.Errorf("the release is %q, want %q", e.Release, release)
		}
		if got := fmt.Sprint(e.Contexts["arguments"]["note"]); got != "of [redacted]" {
			t.Errorf("in free text it is %q, want it taken out: nothing tells it from an address there", got)
		}
	}
}

func TestHowLoudAnEventIsFollowsTheCode(t *testing.T) {
	f := sentryfake.Start(t, sentryfake.Options{})
	cfg := to(t, f)
	cfg.Release, cfg.ServerName, cfg.Environment = "r1", "s1", "staging"
	s, _ := run(t, cfg, sentry.Options{})
	caller, dependency, service, panicked := report(1), report(2), report(3), report(4)
	dependency.Code, service.Code, panicked.Code = errDown.Describe(), errLost.Describe(), errLost.Describe()
	panicked.Sample.Panic = true
	for _, r := range []aggregate.Report{caller, dependency, service, panicked} {
		take(t, s, r)
	}
	if err := f.Wait(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	for n, want := range []string{"info", "warning", "error", "fatal"} {
		e := f.Events()[n]
		if e.Level != want || e.Release != "r1" || e.ServerName != "s1" || e.Environment != "staging" {
			t.Errorf("%s: level %s, want %s; %s %s %s", e.ID, e.Level, want, e.Release, e.ServerName, e.Environment)
		}
	}
	if x := f.Events()[3].Exceptions[0]; x.Handled || x.Mechanism != "auto.panic" {
		t.Errorf("a panic is %+v", x)
	}
}

func TestLongTextIsCutToWhatSentryTakes(t *testing.T) {
	f := sentryfake.Start(t, sentryfake.Options{})
	s, _ := run(t, to(t, f), sentry.Options{})
	r := report(1)
	r.Sample.RequestID = strings.Repeat("ä\n", 1000)
	r.Sample.Message = strings.Repeat("word ", 1000)
	r.Sample.Args = []aggregate.Arg{{Key: "k", Value: "\xff"}}
	take(t, s, r)
	if err := f.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if e := f.Events()[0]; len(e.Exceptions[0].Value) > 2000 || len(e.Tags["request_id"]) > 200 {
		t.Errorf("%d bytes of message, %d of request id", len(e.Exceptions[0].Value), len(e.Tags["request_id"]))
	}
}

func TestAReportWithoutAnEventIDIsRefused(t *testing.T) {
	f := sentryfake.Start(t, sentryfake.Options{})
	s, stop := run(t, to(t, f), sentry.Options{})
	r := report(1)
	r.ID = "x"
	if err := s.Take(t.Context(), r); err == nil || !strings.Contains(err.Error(), "32 lower-case") {
		t.Errorf("the error is %v", err)
	}
	stop()
	if err := s.Take(t.Context(), report(1)); err == nil {
		t.Error("a closed sink takes a report")
	}
}

// tally counts outcomes.
type tally struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *tally) add(outcome string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[outcome]++
}

func (c *tally) get(outcome string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[outcome]
}

func TestEveryEventArrivesOnceWhateverGoesWrong(t *testing.T) {
	c := clock.NewVirtual(epoch)
	f := sentryfake.Start(t, sentryfake.Options{Clock: c})
	var n tally
	s, _ := run(t, to(t, f), sentry.Options{Clock: c, Counted: n.add})
	f.Script(
		sentryfake.Fault{Kind: sentryfake.Down, Count: 2},
		sentryfake.Fault{Kind: sentryfake.Status, Status: 503, Count: 3, RetryAfter: 10 * time.Second},
		sentryfake.Fault{Kind: sentryfake.Truncate, Count: 2},
		sentryfake.Fault{Kind: sentryfake.Lose, Count: 2},
		sentryfake.Fault{Kind: sentryfake.Cut, Count: 1},
		sentryfake.Fault{Kind: sentryfake.Status, Status: 502, Taken: true, Count: 2},
		sentryfake.Fault{Kind: sentryfake.Status, Status: 403, Count: 1},
		sentryfake.Fault{Kind: sentryfake.Status, Status: 429, Count: 1},
	)
	for i := range 30 {
		take(t, s, report(i+1))
	}
	arrive(t, f, c, 30)
	var got []string
	for _, e := range f.Events() {
		got = append(got, e.ID)
	}
	slices.Sort(got)
	for i := range 30 {
		if want := report(i + 1).ID; got[i] != want {
			t.Fatalf("events are %v", got)
		}
	}
	if stats := f.Stats(); stats.Early != 0 || stats.Duplicates == 0 {
		t.Errorf("stats are %+v, want nothing early, and duplicates of what was lost on its way back", stats)
	}
	if n.get(sentry.Taken) != 30 || n.get(sentry.Limited) != 1 || n.get(sentry.Refused) != 0 || n.get(sentry.Failed) < 8 {
		t.Errorf("outcomes are %v", n.n)
	}
}

func TestWhatSentrySaysAboutRatesIsKeptTo(t *testing.T) {
	c := clock.NewVirtual(epoch)
	f := sentryfake.Start(t, sentryfake.Options{Clock: c, Quotas: []sentryfake.Quota{{Category: "error", Items: 5, Per: time.Minute}}})
	s, _ := run(t, to(t, f), sentry.Options{Clock: c})
	for i := range 20 {
		take(t, s, report(i+1))
	}
	arrive(t, f, c, 20)
	if stats := f.Stats(); stats.Early != 0 || stats.RateLimited == 0 || stats.RateLimited > 4 || stats.Duplicates != 0 {
		t.Errorf("stats are %+v", stats)
	}
	if took := c.Now().Sub(epoch); took < 3*time.Minute {
		t.Errorf("20 events at 5 a minute took %v", took)
	}
}

func TestALimitInAGoodAnswerHolds(t *testing.T) {
	c := clock.NewVirtual(epoch)
	answered := make(chan int, 10)
	first := true // touched by one request at a time
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if first {
			w.Header().Set("X-Sentry-Rate-Limits", "60:error;default:organization:quota, 5::key")
		}
		first = false
		answered <- 1
	})
	s, _ := run(t, sentry.Config{DSN: config.NewSecret(srv), Spool: filepath.Join(t.TempDir(), "s")}, sentry.Options{Clock: c})
	take(t, s, report(1))
	take(t, s, report(2))
	<-answered
	tick(c, answered)
	if took := c.Now().Sub(epoch); took < time.Minute {
		t.Errorf("the second was sent after %v, want a minute or more", took)
	}
}

func TestAnEventThatIsRefusedIsParkedAndTheOthersGoOn(t *testing.T) {
	c := clock.NewVirtual(epoch)
	f := sentryfake.Start(t, sentryfake.Options{Clock: c})
	var n tally
	s, _ := run(t, to(t, f), sentry.Options{Clock: c, Counted: n.add})
	f.Script(sentryfake.Fault{Kind: sentryfake.Status, Status: 413, Count: 1})
	take(t, s, report(1))
	take(t, s, report(2))
	arrive(t, f, c, 1)
	if e := f.Events()[0]; e.ID != report(2).ID {
		t.Errorf("event %s arrived", e.ID)
	}
	for {
		stats, err := s.Spool(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if stats.Records == 1 && stats.Parked == 1 {
			break
		}
		c.Advance(time.Second)
	}
	if n.get(sentry.Refused) != 1 {
		t.Errorf("outcomes are %v", n.n)
	}
}

func TestFailuresAreToldWithoutTheKey(t *testing.T) {
	c := clock.NewVirtual(epoch)
	f := sentryfake.Start(t, sentryfake.Options{Clock: c})
	told := make(chan error, 100)
	s, _ := run(t, to(t, f), sentry.Options{Clock: c, Failed: func(err error) { told <- err }})
	f.Script(sentryfake.Fault{Kind: sentryfake.Status, Status: 401, Count: 1})
	take(t, s, report(1))
	err := <-told
	if text := err.Error(); !strings.Contains(text, "answers 401") || strings.Contains(text, "5e5e") {
		t.Errorf("told is %s", text)
	}
	arrive(t, f, c, 1)
	if took := c.Now().Sub(epoch); took < 5*time.Minute {
		t.Errorf("tried again after %v, want 5 minutes", took)
	}
}

func TestTLSIsCheckedAgainstTheGivenCertificates(t *testing.T) {
	c := clock.NewVirtual(epoch)
	f := sentryfake.Start(t, sentryfake.Options{Clock: c, TLS: true})
	told := make(chan error, 100)
	cfg := to(t, f)
	s, stop := run(t, cfg, sentry.Options{Clock: c, Failed: func(err error) { told <- err }})
	take(t, s, report(1))
	if err := <-told; !strings.Contains(err.Error(), "certificate") {
		t.Errorf("told is %v", err)
	}
	stop()
	cfg.CA = filepath.Join(t.TempDir(), "ca.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate()})
	if err := os.WriteFile(cfg.CA, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, cfg, sentry.Options{Clock: c})
	arrive(t, f, c, 1)
}

func TestAProxyIsUsed(t *testing.T) {
	seen := make(chan string, 10)
	proxy := serve(t, func(w http.ResponseWriter, r *http.Request) { seen <- r.URL.String() })
	proxy = strings.TrimSuffix(strings.Replace(proxy, "key@", "user:p4ss@", 1), "/1")
	cfg := sentry.Config{
		DSN: config.NewSecret("http://key@sentry.invalid/9"), Proxy: config.NewSecret(proxy), Spool: filepath.Join(t.TempDir(), "s"),
	}
	s, _ := run(t, cfg, sentry.Options{})
	take(t, s, report(1))
	if got := <-seen; got != "http://sentry.invalid/api/9/envelope/" {
		t.Errorf("the proxy was asked for %s", got)
	}
}

func TestWhatIsWrongWithTheConfigurationIsSaidWithoutSecrets(t *testing.T) {
	dir := t.TempDir()
	none := filepath.Join(dir, "none.pem")
	if err := os.WriteFile(none, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := "https://k3y@o1.ingest.sentry.io/42"
	for _, c := range []struct {
		cfg  sentry.Config
		want string
	}{
		{sentry.Config{DSN: config.NewSecret("https://k3y@host\x00/1")}, "no URL"},
		{sentry.Config{DSN: config.NewSecret("ftp://k3y@host/1")}, `scheme is "ftp"`},
		{sentry.Config{DSN: config.NewSecret("https://host/1")}, "no key"},
		{sentry.Config{DSN: config.NewSecret("https://k3y%20x@host/1")}, "letters and digits"},
		{sentry.Config{DSN: config.NewSecret("https://k3y@/1")}, "no host"},
		{sentry.Config{DSN: config.NewSecret("https://k3y@host/1?x=y")}, "behind the project"},
		{sentry.Config{DSN: config.NewSecret("https://k3y@host")}, "no project number"},
		{sentry.Config{DSN: config.NewSecret("https://k3y@host/game")}, "does not end with a project number"},
		{sentry.Config{DSN: config.NewSecret(good)}, "sentry.spool"},
		{sentry.Config{DSN: config.NewSecret(good), Spool: filepath.Join(dir, "no", "such")}, "sentry.spool"},
		{sentry.Config{DSN: config.NewSecret(good), Rate: 1001, Bytes: 1, Age: -1, Timeout: time.Hour}, "rate"},
		{sentry.Config{DSN: config.NewSecret(good), Proxy: config.NewSecret("ftp://k3y")}, "proxy"},
		{sentry.Config{DSN: config.NewSecret(good), Spool: dir + "/s", CA: filepath.Join(dir, "no")}, "sentry.ca"},
		{sentry.Config{DSN: config.NewSecret(good), Spool: dir + "/s", CA: none}, "no certificate"},
		{sentry.Config{DSN: config.NewSecret("file:/no/such"), Spool: dir + "/s"}, "sentry.dsn"},
	} {
		s, err := sentry.Open(t.Context(), c.cfg, sentry.Options{})
		if err == nil {
			_ = s.Close()
			t.Errorf("%q: no error", c.cfg.DSN.Reveal())
			continue
		}
		if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "k3y") {
			t.Errorf("%q: the error is %v, want one that says %q and not the key", c.cfg.DSN.Reveal(), err, c.want)
		}
	}
}

func TestReportsOutliveTheProcessThatTookThem(t *testing.T) {
	c := clock.NewVirtual(epoch)
	f := sentryfake.Start(t, sentryfake.Options{Clock: c})
	f.Script(sentryfake.Fault{Kind: sentryfake.Down, For: time.Hour})
	cfg := to(t, f)
	for life := range 4 {
		s, stop := run(t, cfg, sentry.Options{Clock: c})
		for i := range 5 {
			take(t, s, report(life*5+i+1))
		}
		until(t, f, c, func(s sentryfake.Stats) bool { return s.Faults > life })
		stop()
		c.Advance(16 * time.Minute)
	}
	run(t, cfg, sentry.Options{Clock: c})
	arrive(t, f, c, 20)
	if stats := f.Stats(); stats.Events != 20 || stats.Duplicates != 0 {
		t.Errorf("stats are %+v", stats)
	}
}

func TestEventsKeepToTheRate(t *testing.T) {
	c := clock.NewVirtual(epoch)
	f := sentryfake.Start(t, sentryfake.Options{Clock: c})
	cfg := to(t, f)
	cfg.Rate = 2
	s, _ := run(t, cfg, sentry.Options{Clock: c})
	for i := range 12 {
		take(t, s, report(i+1))
	}
	arrive(t, f, c, 12)
	if took := c.Now().Sub(epoch); took < 5*time.Second {
		t.Errorf("12 events at 2 a second took %v", took)
	}
}

func TestWhetherAnEventIsAtFaultOrSentryIsToldByTheNext(t *testing.T) {
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if e := envelope(t, r); strings.Contains(e, "bad") {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	for name, c := range map[string]struct{ bodies, want string }{
		"the event":                   {"good bad good", "ok *sentry.answer ok"},
		"perhaps either":              {"good bad", "ok *spool.UnavailableError"},
		"sentry":                      {"bad bad good", "*spool.UnavailableError *spool.UnavailableError *spool.UnavailableError"},
		"the event, and perhaps both": {"bad good bad", "*sentry.answer ok *spool.UnavailableError"},
	} {
		var records []spool.Record
		for i, body := range strings.Fields(c.bodies) {
			records = append(records, spool.Record{ID: report(i + 1).ID, Body: []byte(body)})
		}
		errs, err := sentry.Deliver(t.Context(), sentry.Config{DSN: config.NewSecret(srv)}, records)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, err := range errs {
			if err == nil {
				got = append(got, "ok")
			} else {
				got = append(got, fmt.Sprintf("%T", err))
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %v, want %s", name, got, c.want)
		}
	}
}
