package fake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/fake/internal/control"
)

type (
	eventDocument struct {
		Position uint64          `json:"position" doc:"its place in the journal"`
		Stream   string          `json:"stream"`
		Type     string          `json:"type"`
		ID       string          `json:"id"`
		Time     time.Time       `json:"time"`
		Data     json.RawMessage `json:"data,omitempty" doc:"the service's encoding, when it is JSON"`
		Binary   []byte          `json:"data_base64,omitempty" doc:"the service's encoding, when it is not"`
	}
	eventsDocument struct {
		Now    time.Time       `json:"now"`
		Events []eventDocument `json:"events"`
	}
	givenEventDocument struct {
		Stream string          `json:"stream" doc:"of the journal"`
		Type   string          `json:"type"`
		ID     string          `json:"id,omitempty" doc:"the journal makes one if it is left out"`
		Ago    duration        `json:"ago,omitzero" doc:"how long ago it happened"`
		Data   json.RawMessage `json:"data,omitempty" doc:"as the service encodes it, when that is JSON"`
		Binary []byte          `json:"data_base64,omitempty" doc:"as the service encodes it, when that is something else"`
	}
	givenDocument struct {
		Events []givenEventDocument `json:"events" doc:"in order"`
	}
	stateDocument struct {
		Name   string    `json:"name"`
		Now    time.Time `json:"now"`
		Events int       `json:"events" doc:"how many"`
	}
	statesDocument struct {
		States []stateDocument `json:"states"`
	}
	tenantDocument struct {
		Name  string  `json:"name"`
		From  *string `json:"from,omitempty" doc:"the tenant whose state it begins in; empty is the fake itself"`
		State string  `json:"state,omitempty" doc:"the kept state that it begins in"`
	}
	tenantsDocument struct {
		Tenants []string `json:"tenants"`
	}
)

func (s *State) document() eventsDocument {
	d := eventsDocument{s.Now.UTC(), []eventDocument{}}
	for _, e := range s.Events {
		event := eventDocument{Position: uint64(e.Position), Stream: e.Stream, Type: e.Type, ID: e.ID, Time: e.Time.UTC()}
		// What is JSON is shown as such if it comes out again byte by byte.
		var compact bytes.Buffer
		if err := json.Compact(&compact, e.Data); err == nil && bytes.Equal(compact.Bytes(), e.Data) {
			event.Data = e.Data
		} else {
			event.Binary = e.Data
		}
		d.Events = append(d.Events, event)
	}
	return d
}

// pasts are the events as Given takes them: those of one stream and time together.
func (d *givenDocument) pasts() ([]Past, error) {
	if len(d.Events) == 0 {
		return nil, errors.New("events: want a list of one at least")
	}
	var pasts []Past
	for i, e := range d.Events {
		if e.Data != nil && e.Binary != nil {
			return nil, fmt.Errorf("event %d: it has data or data_base64, not both", i+1)
		}
		event := journal.Event{ID: e.ID, Type: e.Type, Data: e.Binary}
		if e.Data != nil {
			var compact bytes.Buffer
			_ = json.Compact(&compact, e.Data) // the decoder has read it
			event.Data = compact.Bytes()
		}
		if n := len(pasts) - 1; n >= 0 && pasts[n].Stream == e.Stream && pasts[n].Ago == time.Duration(e.Ago) &&
			(pasts[n].Events[0].ID == "") == (e.ID == "") && len(pasts[n].Events) < journal.MaxEvents {
			pasts[n].Events = append(pasts[n].Events, event)
			continue
		}
		pasts = append(pasts, Past{e.Stream, time.Duration(e.Ago), []journal.Event{event}})
	}
	return pasts, nil
}

// settled is a context that ends when a request has waited long enough for the service.
func settled(a *asked) (context.Context, context.CancelFunc) {
	return context.WithTimeout(a.Context, controlWait)
}

// conflict is an error as the control plane answers it: of the state of things if the wait for them was
// in vain, else of what was asked.
func conflict(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return control.Refuse(http.StatusConflict, err)
	}
	return err
}

// snapshot is Snapshot for a request.
func (f *Fake) snapshot(a *asked) (*State, error) {
	ctx, cancel := settled(a)
	defer cancel()
	s, err := f.Snapshot(ctx)
	if err != nil {
		return nil, conflict(err)
	}
	return s, nil
}

func (f *Fake) controlEvents(a *asked) (any, error) {
	s, err := f.snapshot(a)
	if err != nil {
		return nil, err
	}
	return s.document(), nil
}

func (f *Fake) controlGiven(a *asked) (any, error) {
	var given givenDocument
	if err := a.Decode(&given); err != nil {
		return nil, err
	}
	pasts, err := given.pasts()
	if err != nil {
		return nil, err
	}
	ctx, cancel := settled(a)
	defer cancel()
	if err := f.Given(ctx, pasts...); err != nil {
		return nil, conflict(err)
	}
	return f.controlEvents(a)
}

func (f *Fake) controlStates(*asked) (any, error) {
	kept := f.root().states.all()
	d := statesDocument{[]stateDocument{}}
	for _, name := range sortedNames(kept) {
		d.States = append(d.States, kept[name].named(name))
	}
	return d, nil
}

func (s *State) named(name string) stateDocument {
	return stateDocument{name, s.Now.UTC(), len(s.Events)}
}

// stateOf is the state that a path, or a body, names.
func (f *Fake) stateOf(name string) (*State, error) {
	s := f.root().states.get(name)
	if s == nil {
		return nil, control.Refuse(http.StatusNotFound, fmt.Errorf("there is no state %.100q: GET /states lists those that are kept", name))
	}
	return s, nil
}

func (f *Fake) controlKeep(a *asked) (any, error) {
	name := a.PathValue("name")
	if !tenantName.MatchString(name) {
		return nil, fmt.Errorf("state %.120q: want 1 to 100 letters, digits, dots, hyphens and underscores, a letter or a digit first", name)
	}
	s, err := f.snapshot(a)
	if err != nil {
		return nil, err
	}
	if err := f.root().states.put(name, s); err != nil {
		return nil, err
	}
	return s.named(name), nil
}

func (f *Fake) controlState(a *asked) (any, error) {
	s, err := f.stateOf(a.PathValue("name"))
	if err != nil {
		return nil, err
	}
	return s.document(), nil
}

func (f *Fake) controlForget(a *asked) (any, error) {
	name := a.PathValue("name")
	if _, err := f.stateOf(name); err != nil {
		return nil, err
	}
	f.root().states.remove(name)
	return f.controlStates(a)
}

func (f *Fake) controlRestore(a *asked) (any, error) {
	name := a.PathValue("name")
	s, err := f.stateOf(name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := settled(a)
	defer cancel()
	if err := f.Restore(ctx, s); err != nil {
		return nil, conflict(err)
	}
	return s.named(name), nil
}

func (f *Fake) controlTenants(*asked) (any, error) {
	return tenantsDocument{f.root().Tenants()}, nil
}

func (f *Fake) controlTenant(a *asked) (any, error) {
	var wanted tenantDocument
	if err := a.Decode(&wanted); err != nil {
		return nil, err
	}
	var in *State
	var err error
	switch {
	case wanted.From != nil && wanted.State != "":
		return nil, errors.New("a tenant begins in the state of another or in one that is kept, not in both")
	case wanted.State != "":
		in, err = f.stateOf(wanted.State)
	case wanted.From != nil:
		from := f.root()
		if *wanted.From != "" {
			from = from.tenants.find(*wanted.From)
		}
		if from == nil {
			return nil, control.Refuse(http.StatusNotFound, noTenant(*wanted.From))
		}
		in, err = from.snapshot(a)
	}
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(a.Context, startLimit)
	defer cancel()
	if _, err := f.root().NewTenant(ctx, wanted.Name, in); err != nil {
		if _, exists := errors.AsType[*TenantExistsError](err); exists {
			err = control.Refuse(http.StatusConflict, err)
		}
		return nil, err
	}
	return wanted, nil
}

func (f *Fake) controlDismiss(a *asked) (any, error) {
	name := a.PathValue("name")
	t := f.root().tenants.find(name)
	if t == nil {
		return nil, control.Refuse(http.StatusNotFound, noTenant(name))
	}
	if err := t.Stop(); err != nil {
		return nil, control.Refuse(http.StatusInternalServerError, err)
	}
	return f.controlTenants(a)
}
