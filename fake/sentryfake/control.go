package sentryfake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/seed-754044b3/roadworthy/fake/internal/control"
)

const (
	maxControlBody = 1 << 20 // bytes; a script of [MaxSteps] has less
	waitLimit      = 30 * time.Second
)

// endpoints are all there is, in the order in which they are shown.
func endpoints() []control.Endpoint[*Fake] {
	return []control.Endpoint[*Fake]{
		{Method: "GET", Path: "/{$}", Doc: "what this is and what it can do", Do: (*Fake).controlIndex},
		{Method: "GET", Path: "/events", Doc: "the accepted events in order, as they were sent; ?wait=2 answers when there are two, or with 504 after 30 s", Do: (*Fake).controlEvents},
		{Method: "GET", Path: "/items", Doc: "what was accepted and is no event, its payload in base64", Do: (*Fake).controlItems},
		{Method: "GET", Path: "/problems", Doc: "mistakes in what clients sent; a test should want none", Do: (*Fake).controlProblems},
		{Method: "GET", Path: "/stats", Doc: "the counts since the start or reset", Do: (*Fake).controlStats},
		{Method: "GET", Path: "/faults", Doc: "what is left of the script, and how often each step has struck", Do: (*Fake).controlFaults},
		{Method: "POST", Path: "/faults", In: []faultDocument{},
			Body: `[{"kind":"status","status":429,"retry_after":"60s","count":1},{"kind":"down","for":"10s"}]; kinds: down, slow (with "delay"), hang, status (optional "rate_limits", "taken":true), tls, truncate, lose, cut; "count" (requests) and "for" are how long a step lasts, without both until it is cleared`,
			Doc:  "add steps to the script", Do: (*Fake).controlScript},
		{Method: "DELETE", Path: "/faults", Doc: "end the script", Do: (*Fake).controlClear},
		{Method: "POST", Path: "/reset", Doc: "forget everything and end the script; the address stays", Do: (*Fake).controlReset},
	}
}

// Control answers the fake's control plane: JSON over HTTP, whose GET / lists what there is. It is for
// suites outside this process. Serve it on loopback only, since whoever reaches it governs the fake;
// requests that a web page makes are refused. Errors are problem documents (RFC 9457). [Main] serves
// it on a listener of its own, which no fault touches.
func (f *Fake) Control() http.Handler {
	return control.Handler(func(*http.Request) (*Fake, error) { return f, nil }, endpoints(), maxControlBody)
}

func (f *Fake) controlIndex(*control.Request) (any, error) {
	return map[string]any{"service": service, "dsn": f.DSN(), "endpoints": control.Shown(endpoints())}, nil
}

// eventDocument is an Event as JSON.
type eventDocument struct {
	ID       string          `json:"id"`
	Received time.Time       `json:"received"`
	Sent     int             `json:"sent"`
	Event    json.RawMessage `json:"event"` // as it was first sent
}

func (f *Fake) controlEvents(r *control.Request) (any, error) {
	if wait := r.URL.Query().Get("wait"); wait != "" {
		n, err := strconv.ParseUint(wait, 10, 31)
		if err != nil {
			return nil, fmt.Errorf("wait: want a number of events, got %.20q", wait)
		}
		ctx, cancel := context.WithTimeout(r.Context, waitLimit)
		defer cancel()
		if err := f.Wait(ctx, int(n)); err != nil {
			return nil, control.Refuse(http.StatusGatewayTimeout, err)
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

func (f *Fake) controlItems(*control.Request) (any, error) {
	documents := []itemDocument{}
	for _, i := range f.Items() {
		documents = append(documents, itemDocument(i))
	}
	return map[string]any{"items": documents}, nil
}

func (f *Fake) controlProblems(*control.Request) (any, error) {
	return map[string]any{"problems": append([]string{}, f.Problems()...)}, nil
}

func (f *Fake) controlStats(*control.Request) (any, error) {
	s := f.Stats()
	return map[string]int{
		"requests": s.Requests, "events": s.Events, "duplicates": s.Duplicates, "items": s.Items,
		"rate_limited": s.RateLimited, "early": s.Early, "faults": s.Faults, "problems": s.Problems,
	}, nil
}

// duration is a time.Duration as JSON text, such as "150ms".
type duration = control.Duration

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

func (f *Fake) controlScript(r *control.Request) (any, error) {
	var documents []faultDocument
	if err := r.Decode(&documents); err != nil {
		return nil, err
	}
	if len(documents) == 0 {
		return nil, errors.New("the body has no fault: want an array of one at least")
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
	return f.controlFaults(r)
}

func (f *Fake) controlFaults(*control.Request) (any, error) {
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

func (f *Fake) controlClear(r *control.Request) (any, error) {
	f.Clear()
	return f.controlFaults(r)
}

func (f *Fake) controlReset(*control.Request) (any, error) {
	f.Reset()
	return map[string]any{"reset": true}, nil
}
