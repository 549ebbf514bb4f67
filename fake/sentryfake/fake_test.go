package sentryfake_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/fake/sentryfake"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// sender posts to a fake; its header is good until it is changed.
type sender struct {
	client *http.Client
	url    string
	header http.Header
}

func send(t *testing.T, f *sentryfake.Fake) *sender {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: f.CertPool()}}
	t.Cleanup(transport.CloseIdleConnections)
	scheme, _, _ := strings.Cut(f.DSN(), "://")
	key, _, _ := strings.Cut(strings.TrimPrefix(f.DSN(), scheme+"://"), "@")
	return &sender{
		client: &http.Client{Transport: transport},
		url:    scheme + "://" + f.Addr() + "/api/1/envelope/",
		header: http.Header{
			"X-Sentry-Auth": {"Sentry sentry_version=7, sentry_client=test/1, sentry_key=" + key},
			"Content-Type":  {"application/x-sentry-envelope"},
		},
	}
}

func (s *sender) post(ctx context.Context, body string) (*http.Response, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, strings.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	req.Header = s.header
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp, string(text), err
}

// ok posts the event number n and wants the status.
func (s *sender) want(t *testing.T, n, status int) *http.Response {
	t.Helper()
	resp, text, err := s.post(t.Context(), numbered(n))
	if err != nil {
		t.Fatalf("event %d: %v", n, err)
	}
	if resp.StatusCode != status {
		t.Fatalf("event %d is answered %d %s, want %d", n, resp.StatusCode, text, status)
	}
	return resp
}

// fails posts the event number n and wants no answer.
func (s *sender) fails(t *testing.T, n int) {
	t.Helper()
	if resp, _, err := s.post(t.Context(), numbered(n)); err == nil {
		t.Fatalf("event %d is answered %d, want no answer", n, resp.StatusCode)
	}
}

func numbered(n int) string {
	return strings.ReplaceAll(head+"\n"+item("event", event, ""), id, fmt.Sprintf("%032x", n))
}

func TestAnEventIsRecordedWithAllThatTestsAskFor(t *testing.T) {
	virtual := clock.NewVirtual(epoch)
	f := sentryfake.Start(t, sentryfake.Options{Clock: virtual})
	payload := `{"event_id":"` + id + `","timestamp":1767323045.25,"platform":"go","level":"warning","logger":"l",
"message":{"formatted":"it broke"},"transaction":"/v1/games/{id}","release":"game@1","environment":"production","server_name":"h1",
"fingerprint":["game","1042"],"tags":[["code","1042"]],"user":{"id":"u1"},"contexts":{"failure":{"count":18446744073709551615}},
"exception":{"values":[{"type":"game 1042","value":"column is full","mechanism":{"type":"panic","handled":false},
"stacktrace":{"frames":[{"function":"main","module":"m","filename":"m/main.go","lineno":7,"in_app":true}]}}]}}`
	resp, text, err := send(t, f).post(t.Context(), head+"\n"+item("event", payload, "")+item("attachment", "x", `,"filename":"f"`))
	if err != nil || resp.StatusCode != http.StatusOK || text != `{"id":"`+id+`"}` {
		t.Fatalf("answered %v %q, %v", resp, text, err)
	}
	if err := f.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	e := f.Events()[0]
	if !bytes.Equal(e.JSON, []byte(payload)) {
		t.Errorf("its JSON is %s", e.JSON)
	}
	e.JSON, e.Contexts = nil, map[string]map[string]any{"failure": {"count": json.Number(fmt.Sprint(e.Count()))}}
	want := `{9ec79c33ec9942ab8353589fcb2e04dc 2026-01-02 03:04:05.25 +0000 UTC go warning l it broke /v1/games/{id} game@1 production h1 ` +
		`[game 1042] map[code:1042] u1 [{game 1042 column is full panic false [{main m m/main.go 7 true}]}] ` +
		`map[failure:map[count:18446744073709551615]] 2026-01-02 03:04:05 +0000 UTC 1 []}`
	if got := fmt.Sprint(e); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if e.Code() != 1042 {
		t.Errorf("its code is %d", e.Code())
	}
	if items := f.Items(); len(items) != 1 || items[0].Filename != "f" {
		t.Errorf("items are %+v", items)
	}
}

func TestAnEventWithoutCodeAndCountStandsForOneFailure(t *testing.T) {
	f := sentryfake.Start(t, sentryfake.Options{})
	send(t, f).want(t, 1, http.StatusOK)
	if e := f.Events()[0]; e.Code() != 0 || e.Count() != 1 || e.Level != "error" {
		t.Errorf("code %d, count %d, level %s", e.Code(), e.Count(), e.Level)
	}
}

func TestAnEventThatComesAgainIsRecordedOnce(t *testing.T) {
	f := sentryfake.Start(t, sentryfake.Options{})
	s := send(t, f)
	for range 3 {
		s.want(t, 1, http.StatusOK)
	}
	if got := f.Stats(); got != (sentryfake.Stats{Requests: 3, Events: 1, Duplicates: 2}) {
		t.Errorf("stats are %+v", got)
	}
	if sent := f.Events()[0].Sent; sent != 3 {
		t.Errorf("it was sent %d times, want 3", sent)
	}
	f.Reset()
	s.want(t, 1, http.StatusOK)
	if got := f.Stats(); got != (sentryfake.Stats{Requests: 1, Events: 1}) {
		t.Errorf("after Reset stats are %+v", got)
	}
}

func TestCompressedBodiesAreRead(t *testing.T) {
	f := sentryfake.Start(t, sentryfake.Options{})
	for n, encoding := range []string{"gzip", "deflate", "identity"} {
		var b bytes.Buffer
		var w io.WriteCloser
		switch encoding {
		case "gzip":
			w = gzip.NewWriter(&b)
		case "deflate":
			w = zlib.NewWriter(&b)
		}
		if w == nil {
			b.WriteString(numbered(n))
		} else {
			_, _ = io.WriteString(w, numbered(n))
			_ = w.Close()
		}
		s := send(t, f)
		s.header.Set("Content-Encoding", encoding)
		if resp, text, err := s.post(t.Context(), b.String()); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s is answered %v %s, %v", encoding, resp, text, err)
		}
	}
	if n := len(f.Events()); n != 3 {
		t.Errorf("%d events, want 3", n)
	}
}

func TestMistakesOfClientsAreProblems(t *testing.T) {
	good := numbered(1)
	query := func(q string) func(*sender) {
		return func(s *sender) { s.header.Del("X-Sentry-Auth"); s.url += q }
	}
	auth := func(v string) func(*sender) { return func(s *sender) { s.header.Set("X-Sentry-Auth", v) } }
	header := func(k, v string) func(*sender) { return func(s *sender) { s.header.Set(k, v) } }
	for name, c := range map[string]struct {
		change func(*sender)
		body   string
		status int
		want   string
	}{
		"no authentication":           {query(""), good, 403, "neither"},
		"another key":                 {auth("Sentry sentry_version=7, sentry_key=x"), good, 403, "not the project's"},
		"another version":             {auth("Sentry sentry_version=6, sentry_key=x"), good, 403, "sentry_version"},
		"another scheme":              {auth("Bearer x"), good, 403, "scheme"},
		"a field of no name":          {auth("Sentry sentry_version=7, sentry_kee=x"), good, 403, "field 2"},
		"a field twice":               {auth("Sentry sentry_version=7, sentry_version=7"), good, 403, "twice"},
		"another key in a query":      {query("?sentry_version=7&sentry_key=x"), good, 403, "query"},
		"another key in the envelope": {query(""), `{"dsn":"http://x@h/1"}` + "\n", 403, "another key"},
		"another project in the envelope": {query(""),
			`{"dsn":"http://5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e5e@h/2"}` + "\n", 403, `project "2"`},
		"the store endpoint":   {func(s *sender) { s.url = strings.Replace(s.url, "envelope", "store", 1) }, good, 404, "out of use"},
		"another project":      {func(s *sender) { s.url = strings.Replace(s.url, "/1/", "/2/", 1) }, good, 404, "/api/1/envelope/"},
		"nothing":              {func(*sender) {}, "", 400, "empty"},
		"no envelope":          {func(*sender) {}, "x", 400, "envelope header"},
		"another content type": {header("Content-Type", "application/json"), good, 400, "content type"},
		"another encoding":     {header("Content-Encoding", "br"), good, 415, "content encoding"},
		"a wrong encoding":     {header("Content-Encoding", "gzip"), good, 400, "content encoding gzip"},
		"too much":             {func(*sender) {}, head + "\n" + item("attachment", strings.Repeat("x", 9000), `,"filename":"a"`), 413, "more than 9000"},
		"too large a part":     {func(*sender) {}, "{}\n" + item("client_report", `{"x":"`+strings.Repeat("x", 5000)+`"}`, ""), 413, "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			var tb recorder
			f := sentryfake.Start(&tb, sentryfake.Options{MaxEnvelope: 9000})
			defer tb.end()
			s := send(t, f)
			c.change(s)
			resp, text, err := s.post(t.Context(), c.body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != c.status || !strings.Contains(text, "detail") {
				t.Errorf("answered %d %s, want %d", resp.StatusCode, text, c.status)
			}
			problems := f.Problems()
			if len(problems) != 1 || !strings.Contains(problems[0], c.want) {
				t.Errorf("problems are %q, want one that says %q", problems, c.want)
			}
			if len(tb.errors) != 1 || !strings.Contains(tb.errors[0], c.want) {
				t.Errorf("the test was told %q", tb.errors)
			}
			if n := len(f.Events()); n != 0 {
				t.Errorf("%d events are recorded", n)
			}
		})
	}
}

func TestEveryWayToAuthenticateIsTaken(t *testing.T) {
	f := sentryfake.Start(t, sentryfake.Options{Project: "42", Key: "k"})
	s := send(t, f)
	s.header.Del("X-Sentry-Auth")
	s.url = "http://" + f.Addr() + "/api/42/envelope/?sentry_version=7&sentry_key=k"
	if resp, text, err := s.post(t.Context(), `{"dsn":"`+f.DSN()+`"}`+"\n"); err != nil || resp.StatusCode != http.StatusOK || text != "{}" {
		t.Errorf("answered %v %s, %v", resp, text, err)
	}
}

func TestGetIsRefused(t *testing.T) {
	f, err := sentryfake.New(sentryfake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := send(t, f)
	resp, err := s.client.Get(s.url)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed || len(f.Problems()) != 1 {
		t.Errorf("answered %d, problems %q", resp.StatusCode, f.Problems())
	}
}

func TestQuotasAreAnsweredAsSentryDoes(t *testing.T) {
	virtual := clock.NewVirtual(epoch)
	f := sentryfake.Start(t, sentryfake.Options{Clock: virtual, Quotas: []sentryfake.Quota{
		{Category: "error", Items: 2, Per: time.Minute}, {Items: 3, Per: time.Hour},
	}})
	s := send(t, f)
	s.want(t, 1, http.StatusOK)
	s.want(t, 2, http.StatusOK)
	virtual.Advance(500 * time.Millisecond)
	resp := s.want(t, 3, http.StatusTooManyRequests)
	if got := resp.Header.Get("X-Sentry-Rate-Limits"); got != "60:error:organization:quota" {
		t.Errorf("X-Sentry-Rate-Limits: %s", got)
	}
	if got := resp.Header.Get("Retry-After"); got != "60" {
		t.Errorf("Retry-After: %s", got)
	}
	s.want(t, 3, http.StatusTooManyRequests) // early
	virtual.Advance(time.Minute)
	s.want(t, 3, http.StatusOK)
	resp = s.want(t, 4, http.StatusTooManyRequests)
	if got := resp.Header.Get("X-Sentry-Rate-Limits"); got != "3540::organization:quota" {
		t.Errorf("X-Sentry-Rate-Limits: %s", got)
	}
	if got := f.Stats(); got != (sentryfake.Stats{Requests: 6, Events: 3, RateLimited: 3, Early: 1}) {
		t.Errorf("stats are %+v", got)
	}
}

func TestAScriptRunsStepByStep(t *testing.T) {
	virtual := clock.NewVirtual(epoch)
	f := sentryfake.Start(t, sentryfake.Options{Clock: virtual})
	s := send(t, f)
	s.want(t, 1, http.StatusOK)
	f.Script(
		sentryfake.Fault{Kind: sentryfake.Down, For: time.Hour},
		sentryfake.Fault{Kind: sentryfake.Status, Status: 503, Count: 2},
		sentryfake.Fault{Kind: sentryfake.Status, Status: 429, Count: 1, RateLimits: "30:error;default:key, 10:transaction:key, x"},
		sentryfake.Fault{Kind: sentryfake.Status, Status: 429, Count: 1, RetryAfter: 90 * time.Second, Taken: true},
		sentryfake.Fault{Kind: sentryfake.Truncate, Count: 1},
		sentryfake.Fault{Kind: sentryfake.Lose, Count: 1},
		sentryfake.Fault{Kind: sentryfake.Cut, Count: 1},
	)
	s.fails(t, 2)
	virtual.Advance(time.Hour - time.Second)
	s.fails(t, 2)
	virtual.Advance(time.Second)
	s.want(t, 2, 503)
	s.want(t, 2, 503)
	if got := s.want(t, 2, 429).Header.Get("X-Sentry-Rate-Limits"); got != "30:error;default:key, 10:transaction:key, x" {
		t.Errorf("X-Sentry-Rate-Limits: %s", got)
	}
	if got := s.want(t, 3, 429).Header.Get("Retry-After"); got != "90" {
		t.Errorf("Retry-After: %s", got)
	}
	virtual.Advance(2 * time.Minute)
	s.fails(t, 4) // truncated
	s.fails(t, 5) // taken, and the answer lost
	if _, text, err := s.post(t.Context(), numbered(6)); err == nil {
		t.Errorf("a cut answer is read whole: %q", text)
	}
	s.want(t, 7, http.StatusOK)
	var ids []string
	for _, e := range f.Events() {
		ids = append(ids, strings.TrimLeft(e.ID, "0"))
	}
	if got := strings.Join(ids, " "); got != "1 3 5 6 7" {
		t.Errorf("recorded are %s, want 1 3 5 6 7", got)
	}
	if got := f.Stats(); got.Early != 1 || got.Faults < 9 || got.Problems != 0 {
		t.Errorf("stats are %+v", got)
	}
}

func TestASlowAnswerComesWhenItsTimeHasPassed(t *testing.T) {
	virtual := clock.NewVirtual(epoch)
	f := sentryfake.Start(t, sentryfake.Options{Clock: virtual})
	f.Script(sentryfake.Fault{Kind: sentryfake.Slow, Delay: time.Minute})
	s := send(t, f)
	for n, hurry := range []func(){func() { virtual.Advance(time.Minute) }, f.Clear} {
		answered := make(chan error, 1)
		go func() {
			_, _, err := s.post(t.Context(), numbered(n))
			answered <- err
		}()
		if err := f.Await(t.Context(), func(s sentryfake.Stats) bool { return s.Requests > n }); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-answered:
			t.Fatalf("answered before its time: %v", err)
		default:
		}
		hurry()
		if err := <-answered; err != nil {
			t.Errorf("event %d: %v", n, err)
		}
	}
	if n := len(f.Events()); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
}

func TestAHangingAnswerEndsWithTheClientTheFaultOrTheFake(t *testing.T) {
	f, err := sentryfake.New(sentryfake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := send(t, f)
	for n, end := range []func(context.CancelFunc){
		func(cancel context.CancelFunc) { cancel() },
		func(context.CancelFunc) { f.Clear() },
		func(context.CancelFunc) { f.Close() },
	} {
		f.Script(sentryfake.Fault{Kind: sentryfake.Hang})
		ctx, cancel := context.WithCancel(t.Context())
		answered := make(chan error, 1)
		go func() {
			_, _, err := s.post(ctx, numbered(n))
			answered <- err
		}()
		if err := f.Await(t.Context(), func(s sentryfake.Stats) bool { return s.Requests > n }); err != nil {
			t.Fatal(err)
		}
		end(cancel)
		if err := <-answered; err == nil {
			t.Errorf("%d: it is answered", n)
		}
		cancel()
	}
	if n := len(f.Events()); n != 0 {
		t.Errorf("%d events are recorded, want none", n)
	}
}

func TestTLSIsSpokenAndBroken(t *testing.T) {
	f := sentryfake.Start(t, sentryfake.Options{TLS: true})
	if !strings.HasPrefix(f.DSN(), "https://") {
		t.Errorf("the DSN is %s", f.DSN())
	}
	s := send(t, f)
	s.want(t, 1, http.StatusOK)
	f.Script(sentryfake.Fault{Kind: sentryfake.TLS, Count: 1})
	s.fails(t, 2)
	s.want(t, 2, http.StatusOK)
	f.Script(sentryfake.Fault{Kind: sentryfake.Down, Count: 1})
	s.fails(t, 3)
}

func TestFaultsThatMakeNoSenseAreRefused(t *testing.T) {
	f, err := sentryfake.New(sentryfake.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, c := range []struct {
		fault sentryfake.Fault
		want  string
	}{
		{sentryfake.Fault{}, "no kind"},
		{sentryfake.Fault{Kind: 99}, "kind(99)"},
		{sentryfake.Fault{Kind: sentryfake.Hang, Count: -1}, "0 or more"},
		{sentryfake.Fault{Kind: sentryfake.TLS}, "plain HTTP"},
		{sentryfake.Fault{Kind: sentryfake.Slow}, "delay"},
		{sentryfake.Fault{Kind: sentryfake.Status, Status: 200}, "300 to 599"},
	} {
		if err := f.Install(c.fault); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want an error that says %q", c.fault, err, c.want)
		}
	}
	if err := f.Install(make([]sentryfake.Fault, 0, 1)...); err != nil {
		t.Errorf("nothing is refused: %v", err)
	}
	many := make([]sentryfake.Fault, sentryfake.MaxSteps+1)
	for i := range many {
		many[i].Kind = sentryfake.Hang
	}
	if err := f.Install(many...); err == nil {
		t.Error("1,001 steps are taken")
	}
	defer func() {
		if v := recover(); v == nil {
			t.Error("Script takes what Install refuses")
		}
	}()
	f.Script(sentryfake.Fault{})
}

func TestFaultsAreData(t *testing.T) {
	in := `[{"kind":"down","for":3600000000000},{"kind":"status","count":3,"status":429,"rate_limits":"60:error:key"}]`
	var script []sentryfake.Fault
	if err := json.Unmarshal([]byte(in), &script); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(script)
	if err != nil || string(out) != in {
		t.Errorf("written again: %s, %v", out, err)
	}
	if err := json.Unmarshal([]byte(`{"kind":"gone"}`), &script[0]); err == nil || !strings.Contains(err.Error(), "known are down") {
		t.Errorf("an unknown kind: %v", err)
	}
}

// recorder is a test that may fail.
type recorder struct {
	testing.TB
	errors  []string
	fatal   bool
	cleanup []func()
}

func (r *recorder) Helper()             {}
func (r *recorder) Cleanup(f func())    { r.cleanup = append(r.cleanup, f) }
func (r *recorder) Failed() bool        { return len(r.errors) > 0 }
func (r *recorder) Logf(string, ...any) {}
func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}
func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	r.fatal = true
}
func (r *recorder) end() {
	for _, f := range r.cleanup {
		f()
	}
}

func TestAFaultThatNeverStruckFailsTheTest(t *testing.T) {
	virtual := clock.NewVirtual(epoch)
	var tb recorder
	f := sentryfake.Start(&tb, sentryfake.Options{Clock: virtual})
	f.Script(sentryfake.Fault{Kind: sentryfake.Down, For: time.Minute}, sentryfake.Fault{Kind: sentryfake.Hang})
	virtual.Advance(time.Minute)
	tb.end()
	if len(tb.errors) != 2 || !strings.Contains(tb.errors[0], "never struck: {Kind:down") || !strings.Contains(tb.errors[1], "hang") {
		t.Errorf("the test was told %q", tb.errors)
	}
}

func TestScriptsOfNonsenseEndTheTest(t *testing.T) {
	var tb recorder
	f := sentryfake.Start(&tb, sentryfake.Options{})
	defer tb.end()
	f.Script(sentryfake.Fault{})
	if !tb.fatal {
		t.Error("it goes on")
	}
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	taken := sentryfake.Start(t, sentryfake.Options{})
	var port int
	if _, err := fmt.Sscanf(taken.Addr(), "127.0.0.1:%d", &port); err != nil {
		t.Fatal(err)
	}
	for _, o := range []sentryfake.Options{
		{Port: -1}, {Keep: -1}, {MaxEnvelope: -1}, {Quotas: []sentryfake.Quota{{Items: 1}}}, {Port: port},
	} {
		var tb recorder
		if f := sentryfake.Start(&tb, o); f != nil || !tb.fatal {
			t.Errorf("%+v is taken", o)
		}
	}
}

func TestNoMoreIsKeptThanWasAskedFor(t *testing.T) {
	f, err := sentryfake.New(sentryfake.Options{Keep: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := send(t, f)
	for n := range 150 {
		s.want(t, n, http.StatusOK)
	}
	for range 2 {
		if _, _, err := s.post(t.Context(), "{}\n"+item("session", "{}", "")); err != nil {
			t.Fatal(err)
		}
	}
	if len(f.Events()) != 1 || len(f.Items()) != 1 || len(f.Problems()) != 100 || f.Stats().Problems != 150 {
		t.Errorf("%d events, %d items, %d problems of %d", len(f.Events()), len(f.Items()), len(f.Problems()), f.Stats().Problems)
	}
}

func TestWhatIsNotRecordedIsNotAnsweredAsIfItWere(t *testing.T) {
	f := sentryfake.Start(t, sentryfake.Options{})
	s := send(t, f)
	s.want(t, 1, http.StatusOK)
	f.WhileClosing(func() { s.fails(t, 2) })
	// A body that does not come whole, from a client that waits for its answer.
	conn, err := net.Dial("tcp", f.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "POST /api/1/envelope/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n"); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); len(answer) > 0 {
		t.Errorf("the answer to half a request is %q, %v", answer, err)
	}
	if events := f.Events(); len(events) != 1 {
		t.Errorf("%d events, want the first alone", len(events))
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	f := sentryfake.Start(t, sentryfake.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Wait(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	f.Close()
	f.Close()
}
