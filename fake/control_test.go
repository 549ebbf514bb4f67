package fake_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/fake"
)

// ask sends one request to a control plane and reads its JSON answer.
func ask(tb testing.TB, control http.Handler, method, path, body string) (int, map[string]any) {
	tb.Helper()
	r := local(httptest.NewRequest(method, "http://127.0.0.1"+path, strings.NewReader(body)))
	w := httptest.NewRecorder()
	control.ServeHTTP(w, r)
	var got map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		tb.Fatalf("%s %s: %v in %q", method, path, err, w.Body)
	}
	want := "application/json"
	if w.Code >= 400 {
		want = failure.ContentType
	}
	if got := w.Header().Get("Content-Type"); got != want {
		tb.Errorf("%s %s: content type %q, want %q", method, path, got, want)
	}
	return w.Code, got
}

// local is a request that comes from this machine.
func local(r *http.Request) *http.Request {
	r.RemoteAddr = "127.0.0.1:40000"
	return r
}

func shown(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

func TestFaultsAreGovernedOverHTTP(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	control := f.Control()
	for _, c := range []struct{ body, installed, rule string }{
		{`{"code":1002,"count":1,"route":"POST /count/{name}","method":"POST","listener":"http"}`,
			`{"code":1002,"count":1,"held":0,"hits":0,"id":1,"listener":"http","method":"POST","route":"POST /count/{name}"}`,
			`next call of listener "http", method "POST", route "POST /count/{name}": fail with code 1002`},
		{`{"status":429,"count":2,"retry_after":"2s"}`, `{"count":2,"held":0,"hits":0,"id":2,"retry_after":"2s","status":429}`, `next 2 calls: fail with HTTP status 429, retry after 2s`},
		{`{"latency":"1ms"}`, `{"held":0,"hits":0,"id":3,"latency":"1ms"}`, `every call: wait 1ms`},
	} {
		status, got := ask(t, control, "POST", "/faults", c.body)
		if got["text"] != c.rule {
			t.Errorf("%s: %q, want %q", c.body, got["text"], c.rule)
		}
		delete(got, "text")
		if status != 200 || shown(got) != c.installed {
			t.Errorf("%s: %d %s, want %s", c.body, status, shown(got), c.installed)
		}
		faults := f.Faults()
		if rule := faults[len(faults)-1].Rule().String(); rule != c.rule {
			t.Errorf("%s: %s, want %s", c.body, rule, c.rule)
		}
	}
	for _, want := range []int{503, 429, 429, 200} {
		if got := count(t, f); got.status != want {
			t.Errorf("%+v, want %d", got, want)
		}
	}
	if _, got := ask(t, control, "GET", "/faults", ""); len(got["faults"].([]any)) != 3 || !strings.Contains(shown(got), `"hits":1,"id":3,"latency":"1ms"`) {
		t.Errorf("the list: %s", shown(got))
	}
	if _, got := ask(t, control, "GET", "/calls", ""); len(got["calls"].([]any)) != 4 || !strings.Contains(shown(got), `"injected":true`) {
		t.Errorf("calls: %s", shown(got))
	}
	if _, got := ask(t, control, "DELETE", "/faults", ""); shown(got) != `{"faults":[]}` || len(f.Faults()) != 0 {
		t.Errorf("after DELETE: %s", shown(got))
	}
}

func TestTheControlPlaneSaysWhatItCanDo(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	_, got := ask(t, f.Control(), "GET", "/", "")
	all := shown(got)
	for _, want := range []string{`"service":"tally"`, `"path":"/clock/advance"`, `"path":"/"`, `{\"seconds\":30}`, `"number":1002`, `"routes":["/tally.v1.Tally/Count"`} {
		if !strings.Contains(all, want) {
			t.Errorf("%s is missing in %s", want, all)
		}
	}
	w := httptest.NewRecorder()
	f.Control().ServeHTTP(w, local(httptest.NewRequest("GET", "http://127.0.0.1/", nil)))
	if !strings.HasPrefix(w.Body.String(), "{\n  \"service\": \"tally\",\n") {
		t.Errorf("it is not laid out for people: %.200s", w.Body)
	}
}

func TestTheClockIsGovernedOverHTTP(t *testing.T) {
	begin := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	f := fake.Start(t, spec, fake.Options[config]{Begin: begin})
	call(t, "POST", f.URL("http")+"/alarm/1")
	if _, got := ask(t, f.Control(), "GET", "/clock", ""); shown(got) != `{"now":"2030-01-02T03:04:05Z","virtual":true}` {
		t.Errorf("%s", shown(got))
	}
	if _, got := ask(t, f.Control(), "POST", "/clock/advance", `{"seconds":1.5}`); shown(got) != `{"now":"2030-01-02T03:04:06.5Z","virtual":true}` {
		t.Errorf("%s", shown(got))
	}
	if got := call(t, "GET", f.URL("http")+"/alarm"); got.body != "1" {
		t.Errorf("%s alarms", got.body)
	}
	real := fake.Start(t, spec, fake.Options[config]{RealTime: true})
	if _, got := ask(t, real.Control(), "GET", "/clock", ""); got["virtual"] != false {
		t.Errorf("%s", shown(got))
	}
	if status, got := ask(t, real.Control(), "POST", "/clock/advance", `{"seconds":1}`); status != 409 {
		t.Errorf("%d %s", status, shown(got))
	}
}

func TestAResetIsAskedForOverHTTP(t *testing.T) {
	what := ""
	f := fake.Start(&judge{}, spec, fake.Options[config]{Configure: func(_ *chassis.Settings, c *config) { c.Break = what }})
	defer f.Stop()
	count(t, f)
	if status, got := ask(t, f.Control(), "POST", "/reset", ""); status != 200 || shown(got) != `{"reset":true}` {
		t.Errorf("%d %s", status, shown(got))
	}
	if got := count(t, f); got.body != "1" {
		t.Errorf("%+v", got)
	}
	what = "setup"
	if status, got := ask(t, f.Control(), "POST", "/reset", ""); status != 500 || got["detail"] != "tally: the disk is upside down" {
		t.Errorf("%d %s", status, shown(got))
	}
}

func TestTheControlPlaneRefusesWhatItDoesNotUnderstand(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/nowhere", "", 404, "there is no GET /nowhere here: GET / lists what there is"},
		{"PATCH", "/faults", "{}", 404, "there is no PATCH /faults here"},
		{"PUT", "/faults", "{}", 400, "faults: want a list"},
		{"PUT", "/faults", `{"faults":[{"code":1001},{"code":1001,"status":500}]}`, 400, "fault 2: a fault has a code or a status, not both"},
		{"PUT", "/faults", `{"faults":[{"code":1001},{"code":1003}]}`, 400, "fault 2: there is no failure code 1003"},
		{"POST", "/faults", `{"action":"explode"}`, 400, `"explode" is no action: want one of rst, fin, half-open, slow, truncate, goaway, garbage, hold`},
		{"POST", "/faults", `{"phase":"late"}`, 400, `"late" is no phase: want one of before, after-commit, during-response, connect`},
		{"GET", "/faults/7", "", 404, `there is no fault "7": GET /faults lists`},
		{"GET", "/faults/x", "", 404, `there is no fault "x"`},
		{"DELETE", "/faults/7", "", 404, `there is no fault "7"`},
		{"POST", "/faults/7/wait", `{"held":1}`, 404, `there is no fault "7"`},
		{"POST", "/faults/7/wait", ``, 400, "it is empty"},
		{"POST", "/faults/7/release", ``, 404, `there is no fault "7"`},
		{"POST", "/faults/7/release", `{"n":1}`, 400, `unknown field "n"`},
		{"POST", "/quiescent", `{"timeout":"2m"}`, 400, "timeout 2m0s: want more than 0 and 1m0s at most"},
		{"POST", "/quiescent", `{"timeout":2}`, 400, `"timeout": want a string, got number`},
		{"POST", "/faults", "", 400, "the body is not as wanted: it is empty"},
		{"POST", "/faults", "[]", 400, "the document: want an object, got array"},
		{"POST", "/faults", `{"code":"x"}`, 400, `"code": want a whole number, got string`},
		{"POST", "/faults", `{"cods":1}`, 400, `unknown field "cods"`},
		{"POST", "/faults", `{"code":1001} {}`, 400, "the body goes on after its JSON document, at byte 15"},
		{"POST", "/faults", `{}`, 400, "a fault needs a failure, a latency or an action"},
		{"POST", "/faults", `{"code":1001,"status":503}`, 400, "a code or a status, not both"},
		{"POST", "/faults", `{"latency":"1s","retry_after":"1s"}`, 400, "retry_after belongs to a code or a status"},
		{"POST", "/faults", `{"latency":"1"}`, 400, `want a duration such as "150ms" or "2s", got "1"`},
		{"POST", "/faults", `{"code":1003}`, 400, "there is no failure code 1003"},
		{"POST", "/faults", strings.Repeat(" ", 8<<20+1), 413, "larger than 8388608 bytes"},
		{"POST", "/clock/advance", `{}`, 400, "seconds: want a number from 0 to"},
		{"POST", "/clock/advance", `{"seconds":-1}`, 400, "seconds: want a number from 0 to"},
		{"POST", "/clock/advance", `{"seconds":1e300}`, 400, "seconds: want a number from 0 to"},
		{"POST", "/clock/advance", `{"minutes":1}`, 400, `unknown field "minutes"`},
		{"POST", "/reset", `{}`, 400, "POST /reset takes no body"},
	} {
		status, got := ask(t, f.Control(), c.method, c.path, c.body)
		if detail, _ := got["detail"].(string); status != c.status || !strings.Contains(detail, c.says) {
			t.Errorf("%s %s %.40s: %d %s, want %d %s", c.method, c.path, c.body, status, shown(got), c.status, c.says)
		}
	}
	if len(f.Faults()) != 0 {
		t.Errorf("%d faults were installed", len(f.Faults()))
	}
}

func TestTheControlPlaneIsNotForWebPages(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	r := local(httptest.NewRequest("POST", "http://127.0.0.1/reset", nil))
	r.Header.Set("Origin", "https://example.com")
	w := httptest.NewRecorder()
	f.Control().ServeHTTP(w, r)
	if w.Code != http.StatusForbidden {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	r = local(httptest.NewRequest("POST", "http://127.0.0.1/faults", io.MultiReader(strings.NewReader("{"), brokenReader{})))
	w = httptest.NewRecorder()
	f.Control().ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "read the body: unexpected EOF") {
		t.Errorf("a body that breaks off: %d %s", w.Code, w.Body)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// FuzzControl feeds the control plane whatever may come: it answers, and a fault it takes is
// one that can be read back.
func FuzzControl(f *testing.F) {
	for _, seed := range []string{`{"code":1001}`, `{"status":503,"retry_after":"1s"}`, `{"latency":"1h"}`, `{"seconds":1e9}`, `{"count":-1,"code":3}`, "\x00", `{"route":"/x"}`} {
		f.Add("/faults", seed)
		f.Add("/clock/advance", seed)
	}
	tally := fake.Start(f, spec, fake.Options[config]{})
	control := tally.Control()
	f.Fuzz(func(t *testing.T, path, body string) {
		if path != "/faults" && path != "/clock/advance" {
			return
		}
		defer tally.Clear()
		status, got := ask(t, control, "POST", path, body)
		if status != 200 && got["detail"] == "" {
			t.Errorf("%d without a word", status)
		}
		if status == 200 && path == "/faults" {
			for _, own := range []string{"hits", "id", "held", "text"} {
				delete(got, own)
			}
			if again, _ := ask(t, control, "POST", path, shown(got)); again != 200 {
				t.Errorf("%s is not taken back", shown(got))
			}
		}
	})
}
