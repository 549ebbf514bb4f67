package fake

import (
	"errors"
	"time"

	"github.com/seed-754044b3/roadworthy/fake/internal/control"
)

// duration is a time.Duration as text, such as "150ms".
type duration = control.Duration

// ruleDocument is a Rule as JSON.
type ruleDocument struct {
	Code        int             `json:"code,omitempty" doc:"failure code that is answered, exactly as the service answers it"`
	Status      int             `json:"status,omitempty" doc:"HTTP status that is answered, 400 to 599, and over gRPC the code that belongs to it"`
	RetryAfter  *duration       `json:"retry_after,omitempty" doc:"tells callers to try again after this"`
	Latency     duration        `json:"latency,omitzero" doc:"how long calls wait, in real time, up to 1h"`
	Spread      *spreadDocument `json:"spread,omitempty" doc:"drawn for each call and added to the latency"`
	Action      Action          `json:"action,omitzero" doc:"what happens to the connection, or hold"`
	Rate        int64           `json:"rate,omitempty" doc:"bytes a second, of action slow"`
	Phase       Phase           `json:"phase,omitzero" doc:"when it strikes; before the handler if it is left out"`
	At          int64           `json:"at,omitempty" doc:"byte of the answer, of phase during-response"`
	Count       int             `json:"count,omitempty" doc:"how many calls are struck; 0 is every one"`
	Nth         int             `json:"nth,omitempty" doc:"only the nth call that is selected"`
	After       int             `json:"after,omitempty" doc:"how many calls are left out first"`
	Every       int             `json:"every,omitempty" doc:"every nth call of the rest"`
	Probability float64         `json:"probability,omitempty" doc:"share of calls that are struck by chance; 0 is always"`
	Seed        uint64          `json:"seed,omitempty" doc:"repeats what chance decides; the fake draws one if it is left out"`
	Listener    string          `json:"listener,omitempty" doc:"only calls, or connections, of this listener"`
	Method      string          `json:"method,omitempty" doc:"only calls with this HTTP method"`
	Route       string          `json:"route,omitempty" doc:"only calls of this route: /pkg.Service/Method or GET /path/{id}"`
	Tenant      string          `json:"tenant,omitempty" doc:"only calls on behalf of this tenant"`
	Header      string          `json:"header,omitempty" doc:"only calls with this header field or metadata, such as X-Client: 7"`
}

// spreadDocument is a Spread as JSON.
type spreadDocument struct {
	P50 duration `json:"p50,omitzero" doc:"half of the latencies are up to this"`
	P90 duration `json:"p90,omitzero" doc:"90 of 100"`
	P99 duration `json:"p99,omitzero" doc:"99 of 100"`
	Max duration `json:"max,omitzero" doc:"all"`
}

func (d *ruleDocument) rule() (Rule, error) {
	rule := Rule{
		Match: Match{Listener: d.Listener, Method: d.Method, Route: d.Route, Tenant: d.Tenant, Header: d.Header},
		Nth:   d.Nth, After: d.After, Every: d.Every, Count: d.Count, Probability: d.Probability, Seed: d.Seed,
		Phase: d.Phase, At: d.At, Latency: time.Duration(d.Latency), Action: d.Action, Rate: d.Rate,
	}
	if s := d.Spread; s != nil {
		rule.Spread = Spread{time.Duration(s.P50), time.Duration(s.P90), time.Duration(s.P99), time.Duration(s.Max)}
	}
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
	ID   int    `json:"id" doc:"its number, by which it is released and removed"`
	Hits int    `json:"hits" doc:"how many calls, or connections, it has struck"`
	Held int    `json:"held" doc:"how many it holds now"`
	Text string `json:"text" doc:"the rule in words"`
	ruleDocument
}

func documentOf(f *Fault) faultDocument {
	r := f.rule
	d := faultDocument{ID: f.id, Hits: f.Hits(), Held: f.Held(), Text: r.String(), ruleDocument: ruleDocument{
		Code: r.Failure.code, Status: r.Failure.status, Latency: duration(r.Latency),
		Action: r.Action, Rate: r.Rate, Phase: r.Phase, At: r.At,
		Count: r.Count, Nth: r.Nth, After: r.After, Every: r.Every, Probability: r.Probability, Seed: r.Seed,
		Listener: r.Listener, Method: r.Method, Route: r.Route, Tenant: r.Tenant, Header: r.Header,
	}}
	if s := r.Spread; s != (Spread{}) {
		d.Spread = &spreadDocument{duration(s.P50), duration(s.P90), duration(s.P99), duration(s.Max)}
	}
	if r.Failure.retry {
		d.RetryAfter = (*duration)(&r.Failure.after)
	}
	return d
}
