package fake

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/fake/internal/control"
)

const (
	// maxAdvance bounds one step of the clock, in seconds: about a century.
	maxAdvance = 100 * 366 * 24 * 3600
	// controlWait is how long a request waits for something that does not say, maxControlWait the
	// most that one may say.
	controlWait    = 5 * time.Second
	maxControlWait = time.Minute
)

// endpoints are all there is, in the order in which they are shown.
func endpoints() []endpoint {
	return []endpoint{
		at("GET", "/{$}", "", "what this is and what it can do", nil, indexDocument{}, false, (*Fake).controlIndex),
		at("GET", "/openapi.json", "", "all of it for machines, as OpenAPI 3.1", nil, map[string]any{}, false, (*Fake).controlOpenAPI),
		at("GET", "/faults", "", "the faults that are installed and how many calls each has struck", nil, faultsDocument{}, false, (*Fake).controlFaults),
		at("POST", "/faults",
			`{"code":1042} or {"status":503}, {"latency":"150ms"}, {"action":"rst"}; optional: "phase":"after-commit", "count":2 (calls; 0 is every one), "listener":"grpc", "method":"POST", "route":"/pkg.Service/Method" or "GET /path/{id}", "retry_after":"2s", …`,
			"add a fault", ruleDocument{}, faultDocument{}, false, (*Fake).controlFail),
		at("PUT", "/faults", `{"faults":[{"code":1042,"nth":3},{"action":"hold"}]}`,
			"put these faults in the place of all there are, in one moment", rulesDocument{}, faultsDocument{}, false, (*Fake).controlReplace),
		at("DELETE", "/faults", "", "remove all faults", nil, faultsDocument{}, false, (*Fake).controlClear),
		at("GET", "/faults/{id}", "", "one fault", nil, faultDocument{}, false, (*Fake).controlFault),
		at("DELETE", "/faults/{id}", "", "remove one fault; what it holds goes on", nil, faultDocument{}, false, (*Fake).controlRemove),
		at("POST", "/faults/{id}/wait", `{"held":2,"timeout":"5s"}`,
			"wait until a fault with action hold or half-open holds so many calls; 409 when it does not in time", waitDocument{}, faultDocument{}, false, (*Fake).controlWaitHeld),
		at("POST", "/faults/{id}/release", `{"count":1}`,
			"have calls go on that a fault holds, those first that it has held for the longest; count 0 is all", releaseDocument{}, faultDocument{}, true, (*Fake).controlRelease),
		at("GET", "/calls", "", "the latest calls in the order of their arrival, and what became of them", nil, callsDocument{}, false, (*Fake).controlCalls),
		at("GET", "/calls/duplicates", "", "those of them that repeat one which was done and whose answer was lost", nil, callsDocument{}, false, (*Fake).controlDuplicates),
		at("POST", "/quiescent", `{"timeout":"5s"}`,
			"wait until no call is under way and the service's queues are empty; 409 when that is not in time", timeoutDocument{}, quiescentDocument{}, true, (*Fake).controlQuiescent),
		at("GET", "/coverage", "", "which failure codes and methods clients have met since the fake was started", nil, coverageDocument{}, false, (*Fake).controlCoverage),
		at("GET", "/fidelity", "", "in what the fake differs from production", nil, fidelityDocument{}, false, (*Fake).controlFidelity),
		at("GET", "/clock", "", "the time the service lives in", nil, clockDocument{}, false, (*Fake).controlClock),
		at("POST", "/clock/advance", `{"seconds":30}`, "move that time forward; answered when every timer due has run", advanceDocument{}, clockDocument{}, false, (*Fake).controlAdvance),
		at("POST", "/reset", "", "start anew, empty, at the same addresses, without faults", nil, resetDocument{}, false, (*Fake).controlReset),
		at("GET", "/events", "", "what is in the service's journal, and the time, when it has nothing left to do", nil, eventsDocument{}, false, (*Fake).controlEvents),
		at("POST", "/events", `{"events":[{"stream":"game/1","type":"created","data":{"v":1},"ago":"30s"}]}`,
			"put events behind those, and start anew with them; \"data_base64\" is for data that is no JSON; 409 when the service has more left to do", givenDocument{}, eventsDocument{}, false, (*Fake).controlGiven),
		at("GET", "/states", "", "the states that are kept by name, for all tenants", nil, statesDocument{}, false, (*Fake).controlStates),
		at("PUT", "/states/{name}", "", "keep the state under a name: everything in the journal, and the time", nil, stateDocument{}, false, (*Fake).controlKeep),
		at("GET", "/states/{name}", "", "what is in a state", nil, eventsDocument{}, false, (*Fake).controlState),
		at("DELETE", "/states/{name}", "", "forget a state", nil, statesDocument{}, false, (*Fake).controlForget),
		at("POST", "/states/{name}/restore", "", "start anew in a state, at its time; faults and recorded calls stay", nil, stateDocument{}, false, (*Fake).controlRestore),
		at("GET", "/tenants", "", "the tenants", nil, tenantsDocument{}, false, (*Fake).controlTenants),
		at("POST", "/tenants", `{"name":"acme"}; optional: "from":"other" (a tenant; "" is the fake itself) or "state":"full-board"`,
			"make a tenant, empty or in the state of another or in one that is kept; calls and requests like these are of it by the header "+TenantHeader, tenantDocument{}, tenantDocument{}, false, (*Fake).controlTenant),
		at("DELETE", "/tenants/{name}", "", "remove a tenant", nil, tenantsDocument{}, false, (*Fake).controlDismiss),
	}
}

// at makes an endpoint.
func at(method, path, body, doc string, in, out any, lax bool, do func(*Fake, *asked) (any, error)) endpoint {
	return endpoint{Method: method, Path: path, Body: body, Doc: doc, In: in, Out: out, Lax: lax, Do: do}
}

type (
	indexDocument struct {
		Service   string                        `json:"service"`
		Seed      uint64                        `json:"seed" doc:"repeats what chance decides in faults"`
		Listeners []chassis.ListenerDescription `json:"listeners"`
		Endpoints []endpoint                    `json:"endpoints"`
		Failures  []failure.Description         `json:"failures"`
	}
	rulesDocument struct {
		Faults []ruleDocument `json:"faults"`
	}
	faultsDocument struct {
		Faults []faultDocument `json:"faults"`
	}
	waitDocument struct {
		Held    int      `json:"held" doc:"how many"`
		Timeout duration `json:"timeout,omitzero" doc:"5s if it is left out, 1m at most"`
	}
	releaseDocument struct {
		Count int `json:"count,omitempty" doc:"how many; 0 is all"`
	}
	callsDocument struct {
		Calls []Call `json:"calls"`
	}
	timeoutDocument struct {
		Timeout duration `json:"timeout,omitzero" doc:"5s if it is left out, 1m at most"`
	}
	quiescentDocument struct {
		Quiescent bool `json:"quiescent"`
	}
	coverageDocument struct {
		Text string `json:"text" doc:"the coverage in a sentence"`
		Coverage
	}
	fidelityDocument struct {
		Differences []Difference `json:"differences"`
	}
	clockDocument struct {
		Now     time.Time `json:"now"`
		Virtual bool      `json:"virtual" doc:"it stands still until it is advanced"`
	}
	advanceDocument struct {
		Seconds *float64 `json:"seconds" doc:"how far, 0 or more"`
	}
	resetDocument struct {
		Reset bool `json:"reset"`
	}
)

func (f *Fake) controlIndex(*asked) (any, error) {
	d := f.Description()
	return indexDocument{f.name, f.seed, d.Listeners, control.Shown(endpoints()), d.Failures}, nil
}

func (f *Fake) controlOpenAPI(*asked) (any, error) { return openAPI(f.name), nil }

func (f *Fake) controlFaults(*asked) (any, error) { return documentsOf(f.Faults()), nil }

func documentsOf(faults []*Fault) faultsDocument {
	documents := []faultDocument{}
	for _, fault := range faults {
		documents = append(documents, documentOf(fault))
	}
	return faultsDocument{documents}
}

func (f *Fake) controlFail(a *asked) (any, error) {
	var document ruleDocument
	if err := a.Decode(&document); err != nil {
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

func (f *Fake) controlReplace(a *asked) (any, error) {
	var document rulesDocument
	if err := a.Decode(&document); err != nil {
		return nil, err
	}
	if document.Faults == nil {
		return nil, errors.New("faults: want a list, which may be empty")
	}
	rules := make([]Rule, len(document.Faults))
	for i := range document.Faults {
		rule, err := document.Faults[i].rule()
		if err != nil {
			return nil, fmt.Errorf("fault %d: %w", i+1, err)
		}
		rules[i] = rule
	}
	added, err := f.Replace(rules...)
	if err != nil {
		return nil, err
	}
	return documentsOf(added), nil
}

func (f *Fake) controlClear(a *asked) (any, error) {
	f.Clear()
	return f.controlFaults(a)
}

// fault is the one that a path names.
func (f *Fake) fault(a *asked) (*Fault, error) {
	id, err := strconv.Atoi(a.PathValue("id"))
	if fault := f.faults.find(id); fault != nil && err == nil {
		return fault, nil
	}
	return nil, control.Refuse(http.StatusNotFound, fmt.Errorf("there is no fault %.20q: GET /faults lists those that are installed", a.PathValue("id")))
}

func (f *Fake) controlFault(a *asked) (any, error) {
	fault, err := f.fault(a)
	if err != nil {
		return nil, err
	}
	return documentOf(fault), nil
}

func (f *Fake) controlRemove(a *asked) (any, error) {
	fault, err := f.fault(a)
	if err != nil {
		return nil, err
	}
	fault.Remove()
	return documentOf(fault), nil
}

// timeLimit is ctx with the time-out that a request asks for.
func timeLimit(ctx context.Context, d duration) (context.Context, context.CancelFunc, error) {
	limit := time.Duration(d)
	if limit == 0 {
		limit = controlWait
	}
	if limit < 0 || limit > maxControlWait {
		return nil, nil, fmt.Errorf("timeout %v: want more than 0 and %v at most", limit, maxControlWait)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	return ctx, cancel, nil
}

func (f *Fake) controlWaitHeld(a *asked) (any, error) {
	var wanted waitDocument
	if err := a.Decode(&wanted); err != nil {
		return nil, err
	}
	fault, err := f.fault(a)
	if err != nil {
		return nil, err
	}
	if wanted.Held < 1 {
		return nil, fmt.Errorf("held: want 1 or more, got %d", wanted.Held)
	}
	ctx, cancel, err := timeLimit(a.Context, wanted.Timeout)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if err := fault.WaitHeld(ctx, wanted.Held); err != nil {
		return nil, control.Refuse(http.StatusConflict, err)
	}
	return documentOf(fault), nil
}

func (f *Fake) controlRelease(a *asked) (any, error) {
	var wanted releaseDocument
	if err := a.DecodeSome(&wanted); err != nil {
		return nil, err
	}
	fault, err := f.fault(a)
	if err != nil {
		return nil, err
	}
	switch {
	case wanted.Count < 0:
		return nil, fmt.Errorf("count: want 1 or more, or 0 for all, got %d", wanted.Count)
	case wanted.Count == 0:
		fault.Release()
	default:
		fault.ReleaseNext(wanted.Count)
	}
	return documentOf(fault), nil
}

func (f *Fake) controlCalls(*asked) (any, error) { return callsDocument{f.Calls()}, nil }

func (f *Fake) controlDuplicates(*asked) (any, error) { return callsDocument{f.Duplicates()}, nil }

func (f *Fake) controlQuiescent(a *asked) (any, error) {
	var wanted timeoutDocument
	if err := a.DecodeSome(&wanted); err != nil {
		return nil, err
	}
	ctx, cancel, err := timeLimit(a.Context, wanted.Timeout)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if err := f.WaitQuiescent(ctx); err != nil {
		return nil, control.Refuse(http.StatusConflict, err)
	}
	return quiescentDocument{true}, nil
}

func (f *Fake) controlCoverage(*asked) (any, error) {
	c := f.Coverage()
	return coverageDocument{c.String(), c}, nil
}

func (f *Fake) controlFidelity(*asked) (any, error) {
	differences, err := f.Fidelity()
	if err != nil {
		return nil, control.Refuse(http.StatusInternalServerError, err)
	}
	return fidelityDocument{differences}, nil
}

func (f *Fake) controlClock(*asked) (any, error) {
	return clockDocument{f.clock.Now().UTC(), f.virtual != nil}, nil
}

func (f *Fake) controlAdvance(a *asked) (any, error) {
	var wanted advanceDocument
	if err := a.Decode(&wanted); err != nil {
		return nil, err
	}
	if wanted.Seconds == nil || *wanted.Seconds < 0 || *wanted.Seconds > maxAdvance {
		return nil, fmt.Errorf("seconds: want a number from 0 to %d", maxAdvance)
	}
	if f.virtual == nil {
		return nil, control.Refuse(http.StatusConflict, errRealTime)
	}
	f.virtual.Advance(time.Duration(math.Round(*wanted.Seconds * float64(time.Second))))
	return f.controlClock(a)
}

func (f *Fake) controlReset(*asked) (any, error) {
	if err := f.Reset(); err != nil {
		return nil, control.Refuse(http.StatusInternalServerError, err)
	}
	return resetDocument{true}, nil
}
