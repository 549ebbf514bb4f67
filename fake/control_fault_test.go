package fake_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/fake"
)

func TestBarriersAreGovernedOverHTTP(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	control := f.Control()
	conn := dial(t, f)
	if status, got := ask(t, control, "PUT", "/faults", `{"faults":[{"action":"hold","route":"/tally.v1.Tally/Count"},{"code":1002,"nth":9}]}`); status != 200 || len(got["faults"].([]any)) != 2 {
		t.Fatalf("%d %s", status, shown(got))
	}
	done := make(chan error, 2)
	for range 2 {
		go func() { done <- invoke(t.Context(), conn) }()
	}
	if status, got := ask(t, control, "POST", "/faults/1/wait", `{"held":2,"timeout":"1m"}`); status != 200 || got["held"] != 2.0 || got["hits"] != 2.0 {
		t.Errorf("%d %s", status, shown(got))
	}
	if status, got := ask(t, control, "POST", "/quiescent", `{"timeout":"1ms"}`); status != 409 || !strings.Contains(shown(got), "tally is not quiescent, 2 calls under way, /tally.v1.Tally/Count, queue") {
		t.Errorf("%d %s", status, shown(got))
	}
	if status, got := ask(t, control, "POST", "/faults/1/release", `{"count":1}`); status != 200 || <-done != nil {
		t.Errorf("%d %s", status, shown(got))
	}
	if status, got := ask(t, control, "POST", "/faults/1/wait", `{"held":2,"timeout":"1ms"}`); status != 409 || !strings.Contains(shown(got), "not 2") {
		t.Errorf("%d %s", status, shown(got))
	}
	for body, says := range map[string]string{`{"held":0}`: "held: want 1 or more, got 0", `{"held":1,"timeout":"-1s"}`: "timeout -1s: want more than 0"} {
		if status, got := ask(t, control, "POST", "/faults/1/wait", body); status != 400 || !strings.Contains(shown(got), says) {
			t.Errorf("%s: %d %s", body, status, shown(got))
		}
	}
	if status, got := ask(t, control, "POST", "/faults/1/release", `{"count":-1}`); status != 400 {
		t.Errorf("%d %s", status, shown(got))
	}
	if status, got := ask(t, control, "POST", "/faults/1/release", ""); status != 200 || <-done != nil {
		t.Errorf("%d %s", status, shown(got))
	}
	if status, got := ask(t, control, "POST", "/quiescent", ""); status != 200 || shown(got) != `{"quiescent":true}` {
		t.Errorf("%d %s", status, shown(got))
	}
	if status, got := ask(t, control, "GET", "/faults/1", ""); status != 200 || got["action"] != "hold" {
		t.Errorf("%d %s", status, shown(got))
	}
	if status, _ := ask(t, control, "DELETE", "/faults/1", ""); status != 200 || len(f.Faults()) != 1 {
		t.Errorf("%d, %d faults", status, len(f.Faults()))
	}
	f.Clear()
}

func TestWhatBecameOfCallsIsToldOverHTTP(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	control := f.Control()
	if _, got := ask(t, control, "GET", "/calls/duplicates", ""); shown(got) != `{"calls":[]}` {
		t.Errorf("none: %s", shown(got))
	}
	ask(t, control, "POST", "/faults", `{"action":"rst","phase":"after-commit","count":1}`)
	conn := dial(t, f)
	for range 2 {
		_, _ = countGRPC(t, conn)
	}
	_, got := ask(t, control, "GET", "/calls/duplicates", "")
	if all := shown(got); !strings.Contains(all, `"duplicate_of":1`) || !strings.Contains(all, `"seq":2`) || strings.Contains(all, `"seq":1,`) {
		t.Errorf("duplicates: %s", all)
	}
	_, got = ask(t, control, "GET", "/coverage", "")
	if all := shown(got); !strings.Contains(all, `"text":"0 of 18 codes exercised, 1 of 13 methods"`) || !strings.Contains(all, `"methods":["/tally.v1.Tally/Count"]`) {
		t.Errorf("coverage: %s", all)
	}
	_, got = ask(t, control, "GET", "/fidelity", "")
	if all := shown(got); !strings.Contains(all, `{"fake":"off","production":"`) || !strings.Contains(all, `"what":"setting admin.addr"`) || !strings.Contains(all, `"what":"clock"`) {
		t.Errorf("fidelity: %s", all)
	}
}

func TestTheControlPlaneIsForThisMachineAlone(t *testing.T) {
	control := fake.Start(t, spec, fake.Options[config]{}).Control()
	for _, c := range []struct {
		host, from string
		status     int
	}{
		{"127.0.0.1:4000", "127.0.0.1:5000", 200}, {"localhost", "127.0.0.1:5000", 200}, {"LOCALHOST:1", "[::1]:5000", 200}, {"[::1]:4000", "[::1]:5000", 200}, {"[::1]", "127.9.9.9:5000", 200},
		{"evil.example", "127.0.0.1:5000", 403}, {"127.0.0.1.evil.example:4000", "127.0.0.1:5000", 403}, {"10.0.0.1:4000", "127.0.0.1:5000", 403},
		{"", "127.0.0.1:5000", 403}, {"localhost.:4000", "127.0.0.1:5000", 403},
		{"127.0.0.1:4000", "10.0.0.1:5000", 403}, {"127.0.0.1:4000", "@", 403},
	} {
		for _, path := range []string{"/clock", "/nowhere"} {
			r := httptest.NewRequest("GET", "http://127.0.0.1"+path, nil)
			r.Host, r.RemoteAddr = c.host, c.from
			w := httptest.NewRecorder()
			control.ServeHTTP(w, r)
			want := c.status
			if path == "/nowhere" && want == 200 {
				want = 404
			}
			if w.Code != want {
				t.Errorf("%s of host %q from %s: %d, want %d: %s", path, c.host, c.from, w.Code, want, w.Body)
			}
		}
	}
}

// operation is what the OpenAPI document says of one.
type operation struct {
	OperationID string
	Summary     string
	Parameters  []struct{ Name, In string }
	RequestBody *struct {
		Required bool
		Content  map[string]struct{ Schema schema }
	}
	Responses map[string]struct {
		Content map[string]struct{ Schema schema }
	}
}

// schema is the part of JSON Schema that the document uses.
type schema struct {
	Type                 string
	Enum                 []string
	Properties           map[string]schema
	Required             []string
	Items                *schema
	AdditionalProperties *bool
}

// agrees says how a value is not what a schema describes.
func (s schema) agrees(v any, at string) error {
	if s.Type == "" { // anything
		return nil
	}
	switch v := v.(type) {
	case map[string]any:
		if s.Type != "object" {
			return fmt.Errorf("%s is an object, said to be %q", at, s.Type)
		}
		if s.Properties == nil {
			return nil
		}
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				return fmt.Errorf("%s.%s is missing", at, name)
			}
		}
		for name, value := range v {
			p, ok := s.Properties[name]
			if !ok {
				return fmt.Errorf("%s.%s is not described", at, name)
			}
			if err := p.agrees(value, at+"."+name); err != nil {
				return err
			}
		}
	case []any:
		if s.Type != "array" || s.Items == nil {
			return fmt.Errorf("%s is an array, said to be %q", at, s.Type)
		}
		for i, value := range v {
			if err := s.Items.agrees(value, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case string:
		if s.Type != "string" || s.Enum != nil && !slices.Contains(s.Enum, v) {
			return fmt.Errorf("%s is %q, said to be %q of %v", at, v, s.Type, s.Enum)
		}
	case bool:
		if s.Type != "boolean" {
			return fmt.Errorf("%s is a boolean, said to be %q", at, s.Type)
		}
	case float64:
		if s.Type != "number" && s.Type != "integer" || s.Type == "integer" && v != float64(int64(v)) {
			return fmt.Errorf("%s is %v, said to be %q", at, v, s.Type)
		}
	default:
		return fmt.Errorf("%s is %v", at, v)
	}
	return nil
}

// TestTheOpenAPIDocumentIsWhatTheControlPlaneDoes holds the document against the list of endpoints and
// every kind of answer against its schema.
func TestTheOpenAPIDocumentIsWhatTheControlPlaneDoes(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	control := f.Control()
	_, raw := ask(t, control, "GET", "/openapi.json", "")
	var document struct {
		OpenAPI string
		Info    struct{ Title, Version string }
		Paths   map[string]map[string]operation
	}
	b, _ := json.Marshal(raw)
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&document); err != nil || document.OpenAPI != "3.1.0" || document.Info.Title == "" || document.Info.Version == "" {
		t.Fatalf("%v: %+v", err, document.Info)
	}
	described := map[string]operation{}
	ids := map[string]bool{}
	for path, methods := range document.Paths {
		for method, o := range methods {
			described[strings.ToUpper(method)+" "+path] = o
			if ids[o.OperationID] || o.OperationID == "" {
				t.Errorf("%s %s: operation id %q", method, path, o.OperationID)
			}
			ids[o.OperationID] = true
		}
	}
	_, index := ask(t, control, "GET", "/", "")
	endpoints := index["endpoints"].([]any)
	if len(endpoints) != len(described) {
		t.Errorf("%d operations are described, %d are there", len(described), len(endpoints))
	}
	for _, e := range endpoints {
		e := e.(map[string]any)
		o, ok := described[fmt.Sprint(e["method"], " ", e["path"])]
		body := o.RequestBody != nil
		if !ok || o.Summary != e["doc"] || body != (e["body"] != nil) || len(o.Parameters) != 1+strings.Count(fmt.Sprint(e["path"]), "{") {
			t.Errorf("%v %v is described as %+v", e["method"], e["path"], o)
		}
	}
	count(t, f)
	for _, c := range []struct{ operation, path, body string }{
		{"GET /", "", ""}, {"GET /openapi.json", "", ""},
		{"PUT /faults", "", `{"faults":[{"action":"hold","count":1,"route":"GET /panic"},{"spread":{"p50":"1ms","p90":"2ms","p99":"3ms","max":"4ms"},"seed":5,"probability":0.5,"after":1,"every":2}]}`},
		{"POST /faults", "", `{"status":503,"retry_after":"1s","latency":"1ms","phase":"after-commit","nth":7,"listener":"http","method":"GET","route":"GET /total","tenant":"a","header":"X-A: b"}`},
		{"POST /faults", "", `{"action":"slow","rate":100,"phase":"during-response","at":5,"count":1,"route":"GET /panic"}`},
		{"GET /faults", "", ""}, {"GET /faults/{id}", "/faults/1", ""}, {"POST /faults/{id}/release", "/faults/1/release", "{}"},
		{"POST /faults/{id}/wait", "/faults/1/wait", `{"held":1,"timeout":"1ms"}`},
		{"DELETE /faults/{id}", "/faults/1", ""}, {"DELETE /faults", "", ""}, {"GET /calls", "", ""}, {"GET /calls/duplicates", "", ""},
		{"POST /quiescent", "", `{"timeout":"10s"}`}, {"GET /coverage", "", ""}, {"GET /fidelity", "", ""}, {"GET /clock", "", ""},
		{"POST /clock/advance", "", `{"seconds":1}`}, {"POST /reset", "", ""},
		{"GET /events", "", ""}, {"POST /events", "", `{"events":[{"stream":"s","type":"t","id":"1","data":{"n":1},"ago":"1s"},{"stream":"s","type":"t","data_base64":"AA=="}]}`},
		{"PUT /states/{name}", "/states/s", ""}, {"GET /states/{name}", "/states/s", ""}, {"GET /states", "", ""}, {"POST /states/{name}/restore", "/states/s/restore", ""},
		{"POST /tenants", "", `{"name":"a","from":""}`}, {"POST /tenants", "", `{"name":"b","state":"s"}`}, {"GET /tenants", "", ""}, {"DELETE /tenants/{name}", "/tenants/a", ""},
		{"DELETE /states/{name}", "/states/s", ""},
	} {
		o, ok := described[c.operation]
		if !ok {
			t.Errorf("%s is not described", c.operation)
			continue
		}
		method, path, _ := strings.Cut(c.operation, " ")
		if c.path != "" {
			path = c.path
		}
		if c.body != "" {
			var body any
			if err := json.Unmarshal([]byte(c.body), &body); err != nil || o.RequestBody == nil {
				t.Fatalf("%s: %v, body %v", c.operation, err, o.RequestBody)
			}
			if err := o.RequestBody.Content["application/json"].Schema.agrees(body, "body"); err != nil {
				t.Errorf("%s: %v", c.operation, err)
			}
		}
		status, got := ask(t, control, method, path, c.body)
		answer, mediaType := o.Responses["200"], "application/json"
		if status != 200 {
			answer, mediaType = o.Responses["default"], "application/problem+json"
		}
		if err := answer.Content[mediaType].Schema.agrees(got, "answer"); err != nil || answer.Content == nil {
			t.Errorf("%s: %d: %v", c.operation, status, err)
		}
	}
}

func TestCoverageIsAddedUp(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	call(t, "GET", f.URL("http")+"/fail/1002")
	f.FailNext(1, fake.Code(1001))
	count(t, f)
	call(t, "GET", f.URL("http")+"/nowhere")
	if err := f.Reset(); err != nil {
		t.Fatal(err)
	}
	_, _ = countGRPC(t, dial(t, f))
	got := f.Coverage()
	if got.String() != "3 of 18 codes exercised, 3 of 13 methods" || !slices.Equal(got.Codes, []int{404, 1001, 1002}) || !slices.Contains(got.Methods, routeCount) || !slices.Contains(got.Uncalled, routeWatch) {
		t.Errorf("%v: %+v", got, got)
	}
	other := fake.Start(t, spec, fake.Options[config]{})
	call(t, "GET", other.URL("http")+"/panic")
	both := got.Merge(other.Coverage())
	if both.String() != "4 of 18 codes exercised, 4 of 13 methods" || !slices.IsSorted(both.Codes) {
		t.Errorf("%v: %+v", both, both)
	}
	if err := f.Stop(); err != nil || f.Coverage().String() != got.String() {
		t.Errorf("after the end: %v, %v", f.Coverage(), err)
	}
}

func TestTheFakeTellsInWhatItDiffers(t *testing.T) {
	told := func(o fake.Options[config]) map[string]fake.Difference {
		differences, err := fake.Start(t, spec, o).Fidelity()
		if err != nil {
			t.Fatal(err)
		}
		by := map[string]fake.Difference{}
		for _, d := range differences {
			by[d.What] = d
		}
		return by
	}
	plain := told(fake.Options[config]{})
	other := told(fake.Options[config]{RealTime: true, Rand: zeros{}, Configure: func(s *chassis.Settings, c *config) { c.Start, s.Drain.Timeout = 7, time.Second }})
	if d := other["setting start"]; d.Production != "0" || d.Fake != "7" {
		t.Errorf("%+v", d)
	}
	if d := other["setting drain.timeout"]; d.Fake != "1s" || d.Production == d.Fake {
		t.Errorf("%+v", d)
	}
	for _, what := range []string{"clock", "setting start", "randomness"} {
		_, a := plain[what]
		_, b := other[what]
		if a == b {
			t.Errorf("%q is told of both, or of none: %v, %v", what, plain, other)
		}
	}
	if plain["setting access_log.path"].Fake != "off" || plain["faults"].What == "" {
		t.Errorf("%v", plain)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestACallMayAskForAFaultOfItsOwn(t *testing.T) {
	f := fake.Start(t, spec, fake.Options[config]{})
	get := func(fault string) (answer, error) {
		req, _ := http.NewRequestWithContext(t.Context(), "POST", f.URL("http")+"/count/x", nil)
		req.Header.Set(fake.FaultHeader, fault)
		transport := &http.Transport{DisableKeepAlives: true}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return answer{}, err
		}
		body, err := readAll(resp)
		return answer{resp.StatusCode, resp.Header, strings.TrimSpace(body)}, err
	}
	for fault, want := range map[string]struct {
		status int
		says   string
		adds   int
	}{
		"code=1001":                               {409, `"code":1001`, 0},
		" code = 1002 ; phase = after-commit ;":   {503, `"code":1002`, 1},
		"status=429;retry-after=7s":               {429, `"retryable":true`, 0},
		"latency=5ms":                             {200, "", 1},
		"action=slow;rate=100000":                 {200, "", 1},
		"action=rst;phase=after-commit":           {0, "connection reset", 1},
		"action=fin;phase=during-response;at=5":   {0, "malformed HTTP", 1},
		"action=hold":                             {400, "a call has no hold of itself", 0},
		"phase=connect;action=rst":                {400, "no hand in how it connects", 0},
		"code=1003":                               {400, "there is no failure code 1003", 0},
		"phase=after-commit":                      {400, "a fault needs a failure, a latency or an action", 0},
		"code=1001;code=1002":                     {400, `\"code\" is given twice`, 0},
		"colour=red":                              {400, "want code, status, retry-after, latency", 0},
		"code=x":                                  {400, `\"code=x\": want a number, 0 or more`, 0},
		"code=-1":                                 {400, "want a number, 0 or more", 0},
		"status=503;retry-after=soon":             {400, "want a duration such as", 0},
		"latency=1;x":                             {400, "want a duration such as", 0},
		"code=1;status=2":                         {400, "a fault has a code or a status, not both", 0},
		"action=rst" + strings.Repeat(";", 1<<10): {400, "bytes, want 1024 at most", 0},
	} {
		before := total(t, f)
		got, err := get(fault)
		if got.status != want.status || err != nil && !strings.Contains(err.Error(), want.says) || err == nil && !strings.Contains(got.body, want.says) {
			t.Errorf("%.40s: %+v, %v; want %d %s", fault, got, err, want.status, want.says)
		}
		var a, b int
		fmt.Sscan(before, &a)
		fmt.Sscan(total(t, f), &b)
		if b-a != want.adds {
			t.Errorf("%.40s: the handler ran %d times, want %d", fault, b-a, want.adds)
		}
	}
	if len(f.Faults()) != 0 {
		t.Errorf("%d faults were installed", len(f.Faults()))
	}
}

// FuzzParseFault reads whatever may come in the header: what is taken makes a sentence, and nothing
// that a call must not do is.
func FuzzParseFault(f *testing.F) {
	for _, s := range []string{"code=1042;phase=after-commit", "action=rst;phase=during-response;at=100", "latency=5ms;action=slow;rate=1", "status=503;retry-after=1s", "=;=", "code", "action=hold", "at=9223372036854775808"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		rule, err := fake.ParseFault(s)
		if err != nil {
			if err.Error() == "" || rule.Failure != (fake.Failure{}) || rule.Action != 0 || rule.Latency != 0 {
				t.Errorf("%q: %v, %v", s, rule, err)
			}
			return
		}
		if rule.Phase == fake.Connect || rule.Action == fake.Hold {
			t.Errorf("%q: %v", s, rule)
		}
		if rule.String() == "" {
			t.Errorf("%q makes no sentence", s)
		}
	})
}
