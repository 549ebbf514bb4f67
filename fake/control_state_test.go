package fake_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/fake"
)

// askAs asks the control plane about a tenant.
func askAs(t *testing.T, f *fake.Fake, tenant, method, path, body string) (int, string) {
	t.Helper()
	r := local(httptest.NewRequest(method, "http://127.0.0.1"+path, strings.NewReader(body)))
	if tenant != "" {
		r.Header.Set(fake.TenantHeader, tenant)
	}
	w := httptest.NewRecorder()
	f.Control().ServeHTTP(w, r)
	return w.Code, strings.TrimSpace(w.Body.String())
}

func TestTenantsAreGovernedOverHTTP(t *testing.T) {
	f := startLedger(t)
	for _, c := range []struct {
		tenant, method, path, body string
		status                     int
		says                       string
	}{
		{"", "GET", "/tenants", "", 200, `{"tenants":[]}`},
		{"", "POST", "/tenants", `{"name":"b"}`, 200, `{"name":"b"}`},
		{"", "POST", "/tenants", `{"name":"b"}`, 409, `there is a tenant \"b\" already`},
		{"", "POST", "/tenants", `{"name":"no good"}`, 400, "want 1 to 100 letters"},
		{"", "POST", "/tenants", `{}`, 400, "want 1 to 100 letters"},
		{"", "POST", "/tenants", `{"name":"c","from":"nobody"}`, 404, `there is no tenant \"nobody\"`},
		{"", "POST", "/tenants", `{"name":"c","state":"none"}`, 404, `there is no state \"none\"`},
		{"", "POST", "/tenants", `{"name":"c","state":"none","from":"b"}`, 400, "not in both"},
		{"nobody", "GET", "/faults", "", 404, `there is no tenant \"nobody\"`},
		{"b", "POST", "/faults", `{"status":503,"count":1}`, 200, `"status":503`},
		{"b", "POST", "/faults", `{"action":"rst","phase":"connect"}`, 400, "connections are not of one tenant"},
		{"", "GET", "/faults", "", 200, `{"faults":[]}`},
		{"b", "POST", "/clock/advance", `{"seconds":60}`, 200, `"now":"2030-01-01T00:01:00Z"`},
		{"", "GET", "/clock", "", 200, `"now":"2030-01-01T00:00:00Z"`},
		{"b", "POST", "/reset", "", 200, `{"reset":true}`},
		{"b", "GET", "/faults", "", 200, `{"faults":[]}`},
		{"b", "POST", "/tenants", `{"name":"a","from":"b"}`, 200, `{"name":"a","from":"b"}`},
		{"b", "GET", "/tenants", "", 200, `{"tenants":["a","b"]}`},
		{"a", "GET", "/clock", "", 200, `"now":"2030-01-01T00:01:00Z"`},
		{"a", "DELETE", "/tenants/a", "", 200, `{"tenants":["b"]}`},
		{"", "DELETE", "/tenants/a", "", 404, `there is no tenant \"a\"`},
	} {
		if status, got := askAs(t, f, c.tenant, c.method, c.path, c.body); status != c.status || !strings.Contains(got, c.says) {
			t.Errorf("%q: %s %s %s: %d %s, want %d %s", c.tenant, c.method, c.path, c.body, status, got, c.status, c.says)
		}
	}
}

func TestStateIsGovernedOverHTTP(t *testing.T) {
	f := startLedger(t)
	f.Tenant("a")
	for _, c := range []struct {
		tenant, method, path, body string
		status                     int
		says                       string
	}{
		{"", "GET", "/events", "", 200, `{"now":"2030-01-01T00:00:00Z","events":[]}`},
		{"", "POST", "/events", `{"events":[{"stream":"sums","type":"added","id":"one","data":1,"ago":"1m"},{"stream":"sums","type":"added","data_base64":"KzIw"}]}`, 200,
			`{"now":"2030-01-01T00:00:00Z","events":[{"position":1,"stream":"sums","type":"added","id":"one","time":"2029-12-31T23:59:00Z","data":1},{"position":2,`},
		{"", "GET", "/events", "", 200, `"data_base64":"KzIw"}]}`},
		{"", "POST", "/events", `{"events":[]}`, 400, "events: want a list of one at least"},
		{"", "POST", "/events", `{"events":[{"stream":"sums","type":"lost","data":1}]}`, 400, `no events of type \"lost\"`},
		{"", "POST", "/events", `{"events":[{"stream":"sums","type":"added","data":"x"}]}`, 400, `parsing`},
		{"", "POST", "/events", `{"events":[{"stream":"sums","type":"added","data":1,"data_base64":"AA=="}]}`, 400, "event 1: it has data or data_base64, not both"},
		{"", "POST", "/events", `{"events":[{"stream":"sums","type":"added","data":1,"ago":"-1s"}]}`, 400, "want 0 or more"},
		{"", "POST", "/events", `{"events":[{"stream":"sums","type":"burnt","data":1}]}`, 400, "it goes on as it was: ledger: position 3: the ledger is burnt"},
		{"", "PUT", "/states/two", "", 200, `{"name":"two","now":"2030-01-01T00:00:00Z","events":2}`},
		{"", "PUT", "/states/no%20good", "", 400, "want 1 to 100 letters"},
		{"a", "GET", "/states", "", 200, `{"states":[{"name":"two","now":"2030-01-01T00:00:00Z","events":2}]}`},
		{"a", "GET", "/states/two", "", 200, `"id":"one"`},
		{"a", "POST", "/states/two/restore", "", 200, `{"name":"two"`},
		{"a", "POST", "/states/none/restore", "", 404, `there is no state \"none\"`},
		{"a", "GET", "/events", "", 200, `"id":"one"`},
		{"", "POST", "/tenants", `{"name":"b","state":"two"}`, 200, `"state":"two"`},
		{"b", "GET", "/events", "", 200, `"id":"one"`},
		{"", "DELETE", "/states/two", "", 200, `{"states":[]}`},
		{"", "DELETE", "/states/two", "", 404, `there is no state \"two\"`},
		{"", "GET", "/states/two", "", 404, `there is no state \"two\"`},
	} {
		if status, got := askAs(t, f, c.tenant, c.method, c.path, c.body); status != c.status || !strings.Contains(got, c.says) {
			t.Errorf("%q: %s %s %s: %d %s, want %d %s", c.tenant, c.method, c.path, c.body, status, got, c.status, c.says)
		}
	}
	for _, tenant := range []string{"", "a", "b"} {
		if got := of(t, f, tenant, "GET", "/total"); !strings.HasPrefix(got.body, "21; 2 ") {
			t.Errorf("%q: %+v", tenant, got)
		}
	}
	for i := range fake.MaxStates + 1 {
		status, got := askAs(t, f, "", "PUT", fmt.Sprint("/states/s", i), "")
		if i < fake.MaxStates && status != 200 || i == fake.MaxStates && (status != 400 || !strings.Contains(got, "101 states would be more than 100")) {
			t.Errorf("state %d: %d %s", i+1, status, got)
		}
	}
}

// FuzzEvents puts whatever may come into a journal: what is taken can be read, and given again.
func FuzzEvents(f *testing.F) {
	for _, seed := range []string{
		`{"events":[{"stream":"sums","type":"added","data":1}]}`, `{"events":[{"stream":"s","type":"added","data_base64":"MQ==","ago":"1h"}]}`,
		`{"events":[{"stream":"sums","type":"added","id":"a","data":1},{"stream":"sums","type":"added","id":"a","data":1}]}`, `{"events":null}`, `{"events":[{}]}`, "\x00",
	} {
		f.Add(seed)
	}
	ledger, err := fake.New(f.Context(), ledgerSpec, fake.Options[ledgerConfig]{Begin: newYear})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := ledger.Stop(); err != nil {
			f.Error(err)
		}
	})
	f.Fuzz(func(t *testing.T, body string) {
		if err := ledger.Reset(); err != nil {
			t.Fatal(err)
		}
		status, got := askAs(t, ledger, "", "POST", "/events", body)
		if status != 200 {
			if !strings.Contains(got, `"detail":"`) {
				t.Errorf("%d without a word: %s", status, got)
			}
			return
		}
		var taken struct {
			Events []map[string]any `json:"events"`
			Now    time.Time        `json:"now"`
		}
		if err := json.Unmarshal([]byte(got), &taken); err != nil || len(taken.Events) == 0 {
			t.Fatalf("%s: %v", got, err)
		}
	})
}
