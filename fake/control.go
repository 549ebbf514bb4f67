package fake

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// maxControlBody bounds a request to the control plane.
const maxControlBody = 64 << 10

// maxAdvance bounds one step of the clock, in seconds: about a century.
const maxAdvance = 100 * 366 * 24 * 3600

// endpoint is one thing that the control plane does.
type endpoint struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Body   string `json:"body,omitempty"`
	Doc    string `json:"doc"`

	do func(f *Fake, body []byte) (any, error)
}

// endpoints are all there is, in the order in which they are shown.
func endpoints() []endpoint {
	return []endpoint{
		{"GET", "/{$}", "", "what this is and what it can do", (*Fake).controlIndex},
		{"GET", "/faults", "", "the faults that are installed and how many calls each has struck", (*Fake).controlFaults},
		{"POST", "/faults",
			`{"code":1042} or {"status":503}, {"latency":"150ms"}, or both; optional: "count":2 (calls; 0 is every one), "listener":"grpc", "method":"POST", "route":"/pkg.Service/Method" or "GET /path/{id}", "retry_after":"2s"`,
			"add a fault", (*Fake).controlFail},
		{"DELETE", "/faults", "", "remove all faults", (*Fake).controlClear},
		{"GET", "/calls", "", "the latest calls in the order of their arrival", (*Fake).controlCalls},
		{"GET", "/clock", "", "the time the service lives in", (*Fake).controlClock},
		{"POST", "/clock/advance", `{"seconds":30}`, "move that time forward; answered when every timer due has run", (*Fake).controlAdvance},
		{"POST", "/reset", "", "start anew, empty, at the same addresses, without faults", (*Fake).controlReset},
	}
}

// Control answers the fake's control plane: JSON over HTTP, whose GET / lists what there is.
// It is for suites outside this process. Serve it on loopback only, since whoever reaches it
// governs the fake; requests that a web page makes are refused. Errors are problem documents
// (RFC 9457). [Main] serves it on a listener of its own, which no fault touches.
func (f *Fake) Control() http.Handler {
	mux := http.NewServeMux()
	for _, e := range endpoints() {
		mux.HandleFunc(e.Method+" "+e.Path, func(w http.ResponseWriter, r *http.Request) {
			answer, err := e.serve(f, w, r)
			if err != nil {
				refuseControl(w, r, err)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			enc := json.NewEncoder(w)
			enc.SetEscapeHTML(false)
			_ = enc.Encode(answer) // a caller that left needs no answer
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuseControl(w, r, &refusal{http.StatusNotFound, fmt.Errorf("there is no %s %s here: GET / lists what there is", r.Method, r.URL.Path)})
	})
	return mux
}

// refusal is an error with its HTTP status; other errors are the caller's, 400.
type refusal struct {
	status int
	error
}

func refuseControl(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusBadRequest
	if refused, ok := errors.AsType[*refusal](err); ok {
		status = refused.status
	}
	failure.WriteProblem(w, r, failure.Problem{Title: http.StatusText(status), Status: status, Detail: err.Error()})
}

func (e endpoint) serve(f *Fake, w http.ResponseWriter, r *http.Request) (any, error) {
	if r.Header.Get("Origin") != "" {
		return nil, &refusal{http.StatusForbidden, errors.New("the control plane is not for web pages")}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxControlBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, &refusal{http.StatusRequestEntityTooLarge, fmt.Errorf("the body is larger than %d bytes", maxControlBody)}
	}
	if err != nil {
		return nil, fmt.Errorf("read the body: %w", err)
	}
	if e.Body == "" && len(body) > 0 {
		return nil, fmt.Errorf("%s %s takes no body", e.Method, r.URL.Path)
	}
	return e.do(f, body)
}

// decode reads one JSON object and nothing else.
func decode(body []byte, into any) error {
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		return fmt.Errorf("the body is not as wanted: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("the body goes on after its JSON object, at byte %d", dec.InputOffset())
	}
	return nil
}

// duration is a time.Duration as JSON text, such as "150ms".
type duration time.Duration

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("want a duration such as \"150ms\" or \"2s\", got %q", text)
	}
	*d = duration(parsed)
	return nil
}

// ruleDocument is a Rule as JSON.
type ruleDocument struct {
	Code       int       `json:"code,omitempty"`
	Status     int       `json:"status,omitempty"`
	RetryAfter *duration `json:"retry_after,omitempty"`
	Latency    duration  `json:"latency,omitzero"`
	Count      int       `json:"count,omitempty"`
	Listener   string    `json:"listener,omitempty"`
	Method     string    `json:"method,omitempty"`
	Route      string    `json:"route,omitempty"`
}

func (d ruleDocument) rule() (Rule, error) {
	rule := Rule{Match: Match{d.Listener, d.Method, d.Route}, Count: d.Count, Latency: time.Duration(d.Latency)}
	switch {
	case d.Code != 0 && d.Status != 0:
		return rule, errors.New("a fault has a code or a status, not both")
	case d.Code != 0:
		rule.Failure = Code(d.Code)
	case d.Status != 0:
		rule.Failure = HTTPStatus(d.Status)
	case d.RetryAfter != nil:
		return rule, errors.New("retry_after belongs to a code or a status")
	}
	if d.RetryAfter != nil {
		rule.Failure = rule.Failure.After(time.Duration(*d.RetryAfter))
	}
	return rule, nil
}

// faultDocument is a Fault as JSON.
type faultDocument struct {
	ruleDocument
	Hits int `json:"hits"`
}

func documentOf(f *Fault) faultDocument {
	r := f.rule
	d := faultDocument{Hits: f.Hits(), ruleDocument: ruleDocument{
		Code: r.Failure.code, Status: r.Failure.status, Latency: duration(r.Latency),
		Count: r.Count, Listener: r.Listener, Method: r.Method, Route: r.Route,
	}}
	if r.Failure.retry {
		d.RetryAfter = (*duration)(&r.Failure.after)
	}
	return d
}

func (f *Fake) controlIndex([]byte) (any, error) {
	shown := endpoints()
	for i := range shown {
		shown[i].Path = strings.TrimSuffix(shown[i].Path, "{$}")
	}
	d := f.Description()
	return map[string]any{"service": f.name, "listeners": d.Listeners, "endpoints": shown, "failures": d.Failures}, nil
}

func (f *Fake) controlFaults([]byte) (any, error) {
	documents := []faultDocument{}
	for _, fault := range f.Faults() {
		documents = append(documents, documentOf(fault))
	}
	return map[string]any{"faults": documents}, nil
}

func (f *Fake) controlFail(body []byte) (any, error) {
	var document ruleDocument
	if err := decode(body, &document); err != nil {
		return nil, err
	}
	rule, err := document.rule()
	if err != nil {
		return nil, err
	}
	added, err := f.Install(rule)
	if err != nil {
		return nil, err
	}
	return documentOf(added[0]), nil
}

func (f *Fake) controlClear([]byte) (any, error) {
	f.Clear()
	return f.controlFaults(nil)
}

func (f *Fake) controlCalls([]byte) (any, error) {
	return map[string]any{"calls": f.Calls()}, nil
}

func (f *Fake) controlClock([]byte) (any, error) {
	return map[string]any{"now": f.clock.Now().UTC(), "virtual": f.virtual != nil}, nil
}

func (f *Fake) controlAdvance(body []byte) (any, error) {
	var wanted struct {
		Seconds *float64 `json:"seconds"`
	}
	if err := decode(body, &wanted); err != nil {
		return nil, err
	}
	if wanted.Seconds == nil || *wanted.Seconds < 0 || *wanted.Seconds > maxAdvance {
		return nil, fmt.Errorf("seconds: want a number from 0 to %d", maxAdvance)
	}
	if f.virtual == nil {
		return nil, &refusal{http.StatusConflict, errRealTime}
	}
	f.virtual.Advance(time.Duration(math.Round(*wanted.Seconds * float64(time.Second))))
	return f.controlClock(nil)
}

func (f *Fake) controlReset([]byte) (any, error) {
	if err := f.Reset(); err != nil {
		return nil, &refusal{http.StatusInternalServerError, err}
	}
	return map[string]any{"reset": true}, nil
}
