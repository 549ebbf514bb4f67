package sentryfake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

const (
	maxControlBody = 1 << 20 // bytes; a script of [MaxSteps] has less
	waitLimit      = 30 * time.Second
)

// endpoint is one thing that the control plane does.
type endpoint struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	Body   string `json:"body,omitempty"`
	Doc    string `json:"doc"`

	do func(f *Fake, r *http.Request, body []byte) (any, error)
}

// endpoints are all there is, in the order in which they are shown.
func endpoints() []endpoint {
	return []endpoint{
		{"GET", "/{$}", "", "what this is and what it can do", (*Fake).controlIndex},
		{"GET", "/events", "", "the accepted events in order, as they were sent; ?wait=2 answers when there are two, or with 504 after 30 s", (*Fake).controlEvents},
		{"GET", "/items", "", "what was accepted and is no event, its payload in base64", (*Fake).controlItems},
		{"GET", "/problems", "", "mistakes in what clients sent; a test should want none", (*Fake).controlProblems},
		{"GET", "/stats", "", "the counts since the start or reset", (*Fake).controlStats},
		{"GET", "/faults", "", "what is left of the script, and how often each step has struck", (*Fake).controlFaults},
		{"POST", "/faults",
			`[{"kind":"status","status":429,"retry_after":"60s","count":1},{"kind":"down","for":"10s"}]; kinds: down, slow (with "delay"), hang, status (optional "rate_limits", "taken":true), tls, truncate, lose, cut; "count" (requests) and "for" are how long a step lasts, without both until it is cleared`,
			"add steps to the script", (*Fake).controlScript},
		{"DELETE", "/faults", "", "end the script", (*Fake).controlClear},
		{"POST", "/reset", "", "forget everything and end the script; the address stays", (*Fake).controlReset},
	}
}

// Control answers the fake's control plane: JSON over HTTP, whose GET / lists what there is. It is for
// suites outside this process. Serve it on loopback only, since whoever reaches it governs the fake;
// requests that a web page makes are refused. Errors are problem documents (RFC 9457). [Main] serves
// it on a listener of its own, which no fault touches.
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

// refuseControl answers an error; one that is no refusal is the caller's mistake.
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
	return e.do(f, r, body)
}

func (f *Fake) controlIndex(*http.Request, []byte) (any, error) {
	shown := endpoints()
	for i := range shown {
		shown[i].Path = strings.TrimSuffix(shown[i].Path, "{$}")
	}
	return map[string]any{"service": service, "dsn": f.DSN(), "endpoints": shown}, nil
}

// eventDocument is an Event as JSON.
type eventDocument struct {
	ID       string          `json:"id"`
	Received time.Time       `json:"received"`
	Sent     int             `json:"sent"`
	Event    json.RawMessage `json:"event"` // as it was first sent
}

func (f *Fake) controlEvents(r *http.Request, _ []byte) (any, error) {
	if wait := r.URL.Query().Get("wait"); wait != "" {
		n, err := strconv.ParseUint(wait, 10, 31)
		if err != nil {
			return nil, fmt.Errorf("wait: want a number of events, got %.20q", wait)
		}
		ctx, cancel := context.WithTimeout(r.Context(), waitLimit)
		defer cancel()
		if err := f.Wait(ctx, int(n)); err != nil {
			return nil, &refusal{http.StatusGatewayTimeout, err}
		}
	}
	documents := []eventDocument{}
	for _, e := range f.Events() {
		documents = append(documents, eventDocument{e.ID, e.Received.UTC(), e.Sent, e.JSON})
	}
	return map[string]any{"events": documents}, nil
}

// itemDocument is an Item as JSON.
type itemDocument struct {
	Type        string `json:"type"`
	Filename    string `json:"filename,omitempty"`
	ContentType string `json:"content_type,omitempty"`
	ItemCount   int    `json:"item_count,omitempty"`
	Payload     []byte `json:"payload"`
}

func (f *Fake) controlItems(*http.Request, []byte) (any, error) {
	documents := []itemDocument{}
	for _, i := range f.Items() {
		documents = append(documents, itemDocument(i))
	}
	return map[string]any{"items": documents}, nil
}

func (f *Fake) controlProblems(*http.Request, []byte) (any, error) {
	return map[string]any{"problems": append([]string{}, f.Problems()...)}, nil
}

func (f *Fake) controlStats(*http.Request, []byte) (any, error) {
	s := f.Stats()
	return map[string]int{
		"requests": s.Requests, "events": s.Events, "duplicates": s.Duplicates, "items": s.Items,
		"rate_limited": s.RateLimited, "early": s.Early, "faults": s.Faults, "problems": s.Problems,
	}, nil
}

// duration is a time.Duration as JSON text, such as "150ms".
type duration time.Duration

// MarshalText implements encoding.TextMarshaler and never fails.
func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("want a duration such as \"150ms\" or \"2s\", got %.40q", text)
	}
	*d = duration(parsed)
	return nil
}

// faultDocument is a Fault as JSON for people, with durations in words.
type faultDocument struct {
	Kind       Kind     `json:"kind"`
	Count      int      `json:"count,omitempty"`
	For        duration `json:"for,omitzero"`
	Delay      duration `json:"delay,omitzero"`
	Status     int      `json:"status,omitempty"`
	RetryAfter duration `json:"retry_after,omitzero"`
	RateLimits string   `json:"rate_limits,omitempty"`
	Taken      bool     `json:"taken,omitempty"`
}

func (f *Fake) controlScript(r *http.Request, body []byte) (any, error) {
	var documents []faultDocument
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&documents); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("it is empty")
		}
		return nil, fmt.Errorf("the body is not an array of faults: %w", err)
	}
	if len(documents) == 0 {
		return nil, errors.New("the body has no fault: want an array of one at least")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("the body goes on after its array of faults, at byte %d", dec.InputOffset())
	}
	faults := make([]Fault, len(documents))
	for i, d := range documents {
		faults[i] = Fault{
			Kind: d.Kind, Count: d.Count, For: time.Duration(d.For), Delay: time.Duration(d.Delay),
			Status: d.Status, RetryAfter: time.Duration(d.RetryAfter), RateLimits: d.RateLimits, Taken: d.Taken,
		}
	}
	if err := f.Install(faults...); err != nil {
		return nil, err
	}
	return f.controlFaults(r, nil)
}

func (f *Fake) controlFaults(*http.Request, []byte) (any, error) {
	type stepDocument struct {
		faultDocument
		Hits int `json:"hits"`
	}
	documents := []stepDocument{}
	for _, s := range f.script.left(f.options.Clock.Now()) {
		documents = append(documents, stepDocument{faultDocument{
			s.Kind, s.Count, duration(s.For), duration(s.Delay), s.Status, duration(s.RetryAfter), s.RateLimits, s.Taken,
		}, s.hits})
	}
	return map[string]any{"faults": documents}, nil
}

func (f *Fake) controlClear(r *http.Request, _ []byte) (any, error) {
	f.Clear()
	return f.controlFaults(r, nil)
}

func (f *Fake) controlReset(*http.Request, []byte) (any, error) {
	f.Reset()
	return map[string]any{"reset": true}, nil
}
