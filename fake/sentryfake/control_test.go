package sentryfake_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/fake/sentryfake"
)

// ask sends one request to a control plane and reads its JSON answer.
func ask(t *testing.T, control http.Handler, method, target, body string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	control.ServeHTTP(w, local(httptest.NewRequest(method, target, strings.NewReader(body))))
	if !json.Valid(w.Body.Bytes()) {
		t.Errorf("%s %s is answered with no JSON: %s", method, target, w.Body)
	}
	want := "application/json"
	if w.Code >= 400 {
		want = failure.ContentType
	}
	if got := w.Header().Get("Content-Type"); got != want {
		t.Errorf("%s %s: content type %q, want %q", method, target, got, want)
	}
	return w.Code, strings.TrimSpace(w.Body.String())
}

func quiet(t *testing.T, o sentryfake.Options) *sentryfake.Fake {
	t.Helper()
	f, err := sentryfake.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func TestWhatWasAcceptedIsReadOverHTTP(t *testing.T) {
	f := quiet(t, sentryfake.Options{Clock: clock.NewVirtual(epoch)})
	s, control := send(t, f), f.Control()
	is := func(target, want string) {
		t.Helper()
		if status, got := ask(t, control, "GET", target, ""); status != http.StatusOK || got != want {
			t.Errorf("GET %s: %d %s\nwant %s", target, status, got, want)
		}
	}
	is("/events", `{"events":[]}`)
	is("/items", `{"items":[]}`)
	is("/problems", `{"problems":[]}`)
	is("/faults", `{"faults":[]}`)
	s.want(t, 1, http.StatusOK)
	s.want(t, 1, http.StatusOK)
	session := head + "\n" + item("attachment", "ab", `,"filename":"a.txt"`)
	if resp, text, err := s.post(t.Context(), session); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, text, err)
	}
	if resp, _, err := s.post(t.Context(), "nonsense"); err != nil || resp.StatusCode != http.StatusBadRequest {
		t.Fatal(resp, err)
	}
	var got struct {
		Events []struct {
			ID, Received string
			Sent         int
			Event        struct {
				ID string `json:"event_id"`
			}
		}
	}
	status, text := ask(t, control, "GET", "/events?wait=1", "")
	if err := json.Unmarshal([]byte(text), &got); err != nil || status != http.StatusOK || len(got.Events) != 1 {
		t.Fatalf("%d %s, %v", status, text, err)
	}
	const first = "00000000000000000000000000000001"
	if e := got.Events[0]; e.ID != first || e.Event.ID == "" || e.Sent != 2 || e.Received != "2026-01-02T03:04:05Z" {
		t.Errorf("event %+v", e)
	}
	is("/items", `{"items":[{"type":"attachment","filename":"a.txt","payload":"YWI="}]}`)
	is("/stats", `{"duplicates":1,"early":0,"events":1,"faults":0,"items":1,"problems":1,"rate_limited":0,"requests":4}`)
	if status, text := ask(t, control, "GET", "/problems", ""); status != http.StatusOK || !strings.Contains(text, "POST /api/1/envelope/: ") {
		t.Errorf("%d %s", status, text)
	}
	if status, text := ask(t, control, "POST", "/reset", ""); status != http.StatusOK || text != `{"reset":true}` {
		t.Errorf("%d %s", status, text)
	}
	is("/events", `{"events":[]}`)
}

func TestAWaitForEventsEndsWhenTheyHaveComeOrWhoWaitsHasGone(t *testing.T) {
	f := quiet(t, sentryfake.Options{})
	answered := make(chan string)
	go func() {
		w := httptest.NewRecorder()
		f.Control().ServeHTTP(w, local(httptest.NewRequest("GET", "/events?wait=2", nil)))
		answered <- w.Body.String()
	}()
	s := send(t, f)
	s.want(t, 1, http.StatusOK)
	select {
	case got := <-answered:
		t.Fatalf("answered after one of two events: %s", got)
	default:
	}
	s.want(t, 2, http.StatusOK)
	if got := <-answered; strings.Count(got, `"sent":1`) != 2 {
		t.Errorf("answer %s", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	f.Control().ServeHTTP(w, local(httptest.NewRequest("GET", "/events?wait=3", nil)).WithContext(ctx))
	if w.Code != http.StatusGatewayTimeout || !strings.Contains(w.Body.String(), "Events:2") {
		t.Errorf("%d %s, want what has come until then", w.Code, w.Body)
	}
}

func TestAScriptIsGivenOverHTTP(t *testing.T) {
	f := quiet(t, sentryfake.Options{Clock: clock.NewVirtual(epoch)})
	s, control := send(t, f), f.Control()
	const script = `[{"kind":"status","count":1,"status":429,"retry_after":"1m0s","rate_limits":"60:error:key","taken":true},{"kind":"slow","for":"10s","delay":"150ms"}]`
	shown := func(hits string) string {
		return `{"faults":` + strings.ReplaceAll(strings.Replace(script, "}", hits+"}", 1), `"150ms"}`, `"150ms","hits":0}`) + `}`
	}
	if status, got := ask(t, control, "POST", "/faults", script); status != http.StatusOK || got != shown(`,"hits":0`) {
		t.Errorf("%d %s\nwant %s", status, got, shown(`,"hits":0`))
	}
	if resp := s.want(t, 1, http.StatusTooManyRequests); resp.Header.Get("Retry-After") != "60" || resp.Header.Get("X-Sentry-Rate-Limits") != "60:error:key" {
		t.Errorf("header %v", resp.Header)
	}
	if status, got := ask(t, control, "GET", "/faults", ""); status != http.StatusOK || got != `{"faults":[{"kind":"slow","for":"10s","delay":"150ms","hits":0}]}` {
		t.Errorf("%d %s", status, got)
	}
	if status, got := ask(t, control, "DELETE", "/faults", ""); status != http.StatusOK || got != `{"faults":[]}` {
		t.Errorf("%d %s", status, got)
	}
	s.want(t, 2, http.StatusOK)
	if n := len(f.Events()); n != 2 {
		t.Errorf("%d events, want two: the fault took the first", n)
	}
}

func TestTheControlPlaneSaysWhatItCanDoAndRefusesWhatItCannot(t *testing.T) {
	f := quiet(t, sentryfake.Options{})
	control := f.Control()
	status, page := ask(t, control, "GET", "/", "") // laid out for people
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(page)); err != nil {
		t.Fatalf("%v: %s", err, page)
	}
	index := compact.String()
	for _, want := range []string{`"service":"sentry"`, `"dsn":"` + f.DSN() + `"`, `"path":"/"`, `"path":"/events"`, `"method":"DELETE"`, `\"kind\":\"status\"`} {
		if status != http.StatusOK || !strings.Contains(index, want) {
			t.Errorf("%s is missing in %d %s", want, status, index)
		}
	}
	for _, c := range []struct {
		method, target, body string
		status               int
		says                 string
	}{
		{"GET", "/nowhere", "", 404, "there is no GET /nowhere here: GET / lists what there is"},
		{"PUT", "/faults", "[]", 404, "there is no PUT /faults here"},
		{"GET", "/events?wait=some", "", 400, "wait: want a number of events, got \\\"some\\\""},
		{"GET", "/events?wait=-1", "", 400, "wait: want a number of events"},
		{"POST", "/faults", "", 400, "the body is not as wanted: it is empty"},
		{"POST", "/faults", "{}", 400, "the document: want an array, got object"},
		{"POST", "/faults", "[]", 400, "the body has no fault: want an array of one at least"},
		{"POST", "/faults", "null", 400, "the body has no fault"},
		{"POST", "/faults", `[{"kind":"down"}] []`, 400, "the body goes on after its JSON document, at byte 19"},
		{"POST", "/faults", `[{"kind":"gone"}]`, 400, "is no kind of fault; known are down, slow"},
		{"POST", "/faults", `[{"kind":"down","fro":"1s"}]`, 400, `unknown field \"fro\"`},
		{"POST", "/faults", `[{"kind":"down","for":"1"}]`, 400, `want a duration such as \"150ms\" or \"2s\", got \"1\"`},
		{"POST", "/faults", `[{"kind":"down"},{"kind":"status"}]`, 400, "fault 2: status 0 is not from 300 to 599"},
		{"POST", "/faults", `[{"kind":"tls"}]`, 400, "the fake speaks plain HTTP"},
		{"POST", "/faults", strings.Repeat(" ", 1<<20+1), 413, "larger than 1048576 bytes"},
		{"POST", "/reset", "{}", 400, "POST /reset takes no body"},
	} {
		if status, got := ask(t, control, c.method, c.target, c.body); status != c.status || !strings.Contains(got, c.says) {
			t.Errorf("%s %s %.40s: %d %s, want %d %s", c.method, c.target, c.body, status, got, c.status, c.says)
		}
	}
	if _, got := ask(t, control, "GET", "/faults", ""); got != `{"faults":[]}` {
		t.Errorf("what was refused was installed: %s", got)
	}
}

func TestTheControlPlaneIsNotForWebPages(t *testing.T) {
	f := quiet(t, sentryfake.Options{})
	r := local(httptest.NewRequest("POST", "/reset", nil))
	r.Header.Set("Origin", "https://example.com")
	w := httptest.NewRecorder()
	f.Control().ServeHTTP(w, r)
	if w.Code != http.StatusForbidden {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	r = local(httptest.NewRequest("POST", "/reset", nil))
	r.Host = "rebound.example.com"
	w = httptest.NewRecorder()
	f.Control().ServeHTTP(w, r)
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "rebound.example.com") {
		t.Errorf("a name of somebody else's: %d %s", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	f.Control().ServeHTTP(w, local(httptest.NewRequest("POST", "/faults", io.MultiReader(strings.NewReader("["), brokenReader{}))))
	if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "read the body: unexpected EOF") {
		t.Errorf("a body that breaks off: %d %s", w.Code, w.Body)
	}
}

// local has a request come from this machine, and to it.
func local(r *http.Request) *http.Request {
	r.RemoteAddr, r.Host = "127.0.0.1:40000", "localhost"
	return r
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// FuzzScript gives scripts over HTTP whatever they have: one that is taken is shown so that it is taken again.
func FuzzScript(f *testing.F) {
	for _, seed := range []string{
		`[{"kind":"down","for":"10s"}]`, `[{"kind":"status","status":429,"retry_after":"60s","count":1}]`, `[{"kind":"slow","delay":"1ms"},{"kind":"cut"}]`, "[]", "null", `[{"count":-1}]`, "\x00",
	} {
		f.Add(seed)
	}
	fake, err := sentryfake.New(sentryfake.Options{Clock: clock.NewVirtual(epoch)})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(fake.Close)
	control := fake.Control()
	f.Fuzz(func(t *testing.T, body string) {
		defer fake.Clear()
		status, got := ask(t, control, "POST", "/faults", body)
		if status != http.StatusOK {
			return
		}
		fake.Clear()
		again := strings.TrimSuffix(strings.TrimPrefix(got, `{"faults":`), "}")
		again = strings.ReplaceAll(again, `,"hits":0`, "")
		if status, taken := ask(t, control, "POST", "/faults", again); status != http.StatusOK || taken != got {
			t.Errorf("%s was taken, and shown as %s, which is answered %d %s", body, again, status, taken)
		}
	})
}
