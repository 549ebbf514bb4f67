package control_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/fake/internal/control"
)

// lamp is what the control plane of these tests governs.
type lamp struct{ lit bool }

type wish struct {
	Lit   bool             `json:"lit"`
	After control.Duration `json:"after"`
	Name  string           `json:"name,omitempty"`
	Watts float64          `json:"watts,omitempty"`
	Bulbs []struct {
		Socket int `json:"socket"`
	} `json:"bulbs,omitempty"`
}

const maxBody = 100

func endpoints() []control.Endpoint[*lamp] {
	return control.Shown([]control.Endpoint[*lamp]{
		{Method: "GET", Path: "/lamp/{$}", Doc: "tells", Out: wish{}, Do: func(l *lamp, _ *control.Request) (any, error) {
			return map[string]any{"lit": l.lit, "note": "<&>"}, nil
		}},
		{Method: "PUT", Path: "/lamp", Doc: "switches", In: wish{}, Do: func(l *lamp, r *control.Request) (any, error) {
			var w wish
			if err := r.Decode(&w); err != nil {
				return nil, err
			}
			l.lit = w.Lit
			return w, nil
		}},
		{Method: "POST", Path: "/toggle", Doc: "toggles", In: wish{}, Lax: true, Do: func(l *lamp, r *control.Request) (any, error) {
			w := wish{Lit: !l.lit}
			if err := r.DecodeSome(&w); err != nil {
				return nil, err
			}
			l.lit = w.Lit
			return w, nil
		}},
	})
}

var errBroken = errors.New("the lamp is broken")

func handler(l *lamp) http.Handler {
	return control.Handler(func(r *http.Request) (*lamp, error) {
		if r.Header.Get("X-Lamp") == "broken" {
			return nil, control.Refuse(http.StatusConflict, errBroken)
		}
		return l, nil
	}, endpoints(), maxBody)
}

// ask makes a request from this machine, changed by change.
func ask(h http.Handler, method, path, body string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host, r.RemoteAddr = "localhost:9090", "127.0.0.1:4711"
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestEndpointsAnswerInJSON(t *testing.T) {
	l := &lamp{}
	h := handler(l)
	for _, c := range []struct{ method, path, body, want string }{
		{"GET", "/lamp/", "", `{"lit":false,"note":"<&>"}`},
		{"PUT", "/lamp", `{"lit":true,"after":"1500ms"}`, `{"lit":true,"after":"1.5s"}`},
		{"POST", "/toggle", "", `{"lit":false,"after":"0s"}`},
		{"POST", "/toggle", `{"lit":true}`, `{"lit":true,"after":"0s"}`},
	} {
		w := ask(h, c.method, c.path, c.body, nil)
		if got := strings.TrimSpace(w.Body.String()); w.Code != http.StatusOK || got != c.want || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %d %v %s, want %s", c.method, c.path, w.Code, w.Header(), got, c.want)
		}
	}
	if !l.lit {
		t.Error("the lamp is not what was asked for")
	}
}

func TestWhatIsWrongIsAProblemThatSaysWhat(t *testing.T) {
	for name, c := range map[string]struct {
		method, path, body string
		change             func(*http.Request)
		status             int
		detail             string
	}{
		"an unknown path":         {"GET", "/lamps", "", nil, 404, "there is no GET /lamps here: GET / lists what there is"},
		"a body where none goes":  {"GET", "/lamp/", "{}", nil, 400, "GET /lamp/ takes no body"},
		"a body that is too long": {"PUT", "/lamp", strings.Repeat(" ", maxBody+1), nil, 413, "the body is larger than 100 bytes"},
		"no body":                 {"PUT", "/lamp", "", nil, 400, "the body is not as wanted: it is empty"},
		"an unknown field":        {"PUT", "/lamp", `{"on":true}`, nil, 400, `the body is not as wanted: unknown field "on"`},
		"no JSON":                 {"PUT", "/lamp", `nope`, nil, 400, "the body is not as wanted: invalid character 'o' in literal null (expecting 'u')"},
		"half a document":         {"PUT", "/lamp", `{"lit":`, nil, 400, "the body is not as wanted: it ends in the middle of its JSON document"},
		"an array for an object":  {"PUT", "/lamp", `[]`, nil, 400, "the body is not as wanted: the document: want an object, got array"},
		"text for true":           {"PUT", "/lamp", `{"lit":"yes"}`, nil, 400, `the body is not as wanted: "lit": want true or false, got string`},
		"a number for text":       {"PUT", "/lamp", `{"name":7}`, nil, 400, `the body is not as wanted: "name": want a string, got number`},
		"a bare number of time":   {"PUT", "/lamp", `{"after":150}`, nil, 400, `the body is not as wanted: "after": want a string, got number`},
		"text for a number":       {"PUT", "/lamp", `{"watts":"60"}`, nil, 400, `the body is not as wanted: "watts": want a number, got string`},
		"a part of a whole":       {"PUT", "/lamp", `{"bulbs":[{"socket":1.5}]}`, nil, 400, `the body is not as wanted: "bulbs.socket": want a whole number, got number 1.5`},
		"one for an array":        {"PUT", "/lamp", `{"bulbs":true}`, nil, 400, `the body is not as wanted: "bulbs": want an array, got bool`},
		"two documents":           {"PUT", "/lamp", `{"lit":true} {}`, nil, 400, "the body goes on after its JSON document, at byte 14"},
		"a number for a duration": {"POST", "/toggle", `{"after":"soon"}`, nil, 400, `the body is not as wanted: want a duration such as "150ms" or "2s", got "soon"`},
		"a body that breaks off":  {"PUT", "/lamp", "", func(r *http.Request) { r.Body = broken{} }, 400, "read the body: it broke off"},
		"what is not found":       {"GET", "/lamp/", "", func(r *http.Request) { r.Header.Set("X-Lamp", "broken") }, 409, "the lamp is broken"},
		"a web page":              {"GET", "/lamp/", "", func(r *http.Request) { r.Header.Set("Origin", "http://localhost") }, 403, "the control plane is not for web pages"},
		"a web page elsewhere":    {"GET", "/", "", func(r *http.Request) { r.Header.Set("Origin", "null") }, 403, "the control plane is not for web pages"},
		"a foreign name":          {"GET", "/lamp/", "", func(r *http.Request) { r.Host = "lamp.example:80" }, 403, `and not "lamp.example:80"`},
		"another machine":         {"GET", "/lamp/", "", func(r *http.Request) { r.RemoteAddr = "192.0.2.1:80" }, 403, "the control plane is for this machine alone"},
	} {
		t.Run(name, func(t *testing.T) {
			l := &lamp{}
			w := ask(handler(l), c.method, c.path, c.body, c.change)
			var p struct {
				Status int
				Detail string
			}
			err := json.Unmarshal(w.Body.Bytes(), &p)
			if err != nil || w.Code != c.status || p.Status != c.status || !strings.HasSuffix(p.Detail, c.detail) || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("%d %v %s, %v; want %d %q", w.Code, w.Header(), w.Body, err, c.status, c.detail)
			}
			if l.lit {
				t.Error("it was done all the same")
			}
		})
	}
}

// broken is a body that cannot be read.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("it broke off") }
func (broken) Close() error             { return nil }

func TestEveryNameOfThisMachineMayAsk(t *testing.T) {
	for _, host := range []string{"localhost", "LOCALHOST:1", "127.0.0.1", "127.8.8.8:80", "[::1]:80", "[::1]", "[::ffff:127.0.0.1]:80"} {
		w := ask(handler(&lamp{}), "GET", "/lamp/", "", func(r *http.Request) { r.Host, r.RemoteAddr = host, "[::1]:80" })
		if w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", host, w.Code, w.Body)
		}
	}
}

func TestARefusalIsTheErrorItWasMadeOf(t *testing.T) {
	if err := control.Refuse(http.StatusConflict, errBroken); !errors.Is(err, errBroken) || err.Error() != errBroken.Error() {
		t.Errorf("%v", err)
	}
}

func TestPathsAreShownAsCallersWriteThem(t *testing.T) {
	shown := endpoints()
	if got, _ := json.Marshal(shown[0]); shown[0].Path != "/lamp/" || string(got) != `{"method":"GET","path":"/lamp/","doc":"tells"}` {
		t.Errorf("%s", got)
	}
}

func FuzzDuration(f *testing.F) {
	for _, s := range []string{"150ms", "2s", "-1h", "", "soon", "1e9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var d, again control.Duration
		if d.UnmarshalText([]byte(s)) != nil {
			return
		}
		text, err := d.MarshalText()
		if err != nil || again.UnmarshalText(text) != nil || again != d || time.Duration(d).String() != string(text) {
			t.Errorf("%q is %v, which is written as %q and read as %v, %v", s, time.Duration(d), text, time.Duration(again), err)
		}
	})
}
