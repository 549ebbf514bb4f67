package fake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sync"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// TenantHeader is the field of an HTTP header, or of gRPC's metadata, that names the tenant of the fake
// which answers a call. Calls without it are the fake's own. Only fakes heed it.
//
// A tenant is a further instance of the service behind the same addresses, with its own state, clock,
// faults and recording: tests that share a fake, and its connections, do not meet. It is a [Fake] of
// which each method is about the tenant alone; its listeners are the fake's. What a fault does to a
// connection, all calls on it feel, whosever they are. Access rules, limits and queues are the tenant's;
// bounds of connections, interceptors that a service gives to gRPC, and listeners with a protocol of the
// service's own are the fake's.
const TenantHeader = "X-Fake-Tenant"

// MaxTenants is how many tenants a fake has at a time.
const MaxTenants = 2000

var tenantName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

var (
	errTenantConnect = errors.New("connections are not of one tenant: install a fault of phase connect in the fake itself")
	errSubtenant     = errors.New("a tenant has no tenants of its own")
)

// A TenantExistsError says that a tenant cannot be made because there is one of that name.
type TenantExistsError struct {
	Tenant string // the name
}

// Error says which it is.
func (e *TenantExistsError) Error() string {
	return fmt.Sprintf("there is a tenant %q already: remove it first, or choose another name", e.Tenant)
}

// Tenant is the tenant of that name, made empty if there is none. A name has 1 to 100 letters, digits,
// dots, hyphens and underscores, and begins with a letter or a digit. A mistake ends the test, as does a
// service that does not start. A fault that was installed in the tenant and never struck fails the test.
func (f *Fake) Tenant(name string) *Fake {
	f.helper()
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	t, _, err := f.addTenant(ctx, name, nil)
	if err != nil {
		f.refuse(err)
		return nil
	}
	return t
}

// NewTenant makes a tenant, in a state if it is not nil, at the time of that state; else empty, at the
// time of f. ctx bounds the start-up. The error is a [*TenantExistsError] when there is one of that name, says that there are
// [MaxTenants], what is wrong with the name, or is the service's own.
func (f *Fake) NewTenant(ctx context.Context, name string, in *State) (*Fake, error) {
	t, made, err := f.addTenant(ctx, name, in)
	if err == nil && !made {
		err = &TenantExistsError{name}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	return t, nil
}

// Tenants are the names of all tenants, in order. The slice is the caller's own.
func (f *Fake) Tenants() []string { return f.tenants.names() }

func (f *Fake) addTenant(ctx context.Context, name string, in *State) (t *Fake, made bool, err error) {
	switch {
	case f.parent != nil:
		return nil, false, errSubtenant
	case !tenantName.MatchString(name):
		return nil, false, fmt.Errorf("tenant %.120q: want 1 to 100 letters, digits, dots, hyphens and underscores, a letter or a digit first", name)
	}
	t = f.newTenant(name)
	t.mu.Lock() // until it is there; whoever finds it sooner waits
	defer t.mu.Unlock()
	if other, err := f.claim(ctx, t); other != nil || err != nil {
		return other, false, err
	}
	if in != nil {
		t.set(in.Now)
	}
	if err := t.begin(ctx, in); err != nil {
		t.fall(err)
		return nil, false, fmt.Errorf("tenant %q: %w", name, err)
	}
	return t, true, nil
}

// claim adds t to the tenants, unless there is another one of that name. One that still begins, and may
// fail, or is about to end is waited for.
func (f *Fake) claim(ctx context.Context, t *Fake) (other *Fake, err error) {
	for {
		other, err := f.tenants.add(t)
		if other == nil || err != nil {
			return nil, err
		}
		if err := other.mu.within(ctx); err != nil {
			return nil, fmt.Errorf("tenant %q: %w", t.tenant, err)
		}
		over := other.stopped // then the name is free again
		other.mu.Unlock()
		if !over {
			return other, nil
		}
	}
}

// newTenant is a tenant without a life.
func (f *Fake) newTenant(name string) *Fake {
	t := &Fake{
		name: f.name, tenant: name, parent: f, seed: f.seed, config: f.config, sets: f.sets, tb: f.tb,
		clock: f.clock, ports: f.ports, start: f.start, world: f.world, event: f.event, mu: newTurn(), done: make(chan struct{}),
	}
	if f.virtual != nil {
		t.virtual = clock.NewVirtual(f.virtual.Now())
		t.clock = t.virtual
	}
	t.visits.New = t.newVisit
	t.faults.seeds = newDice(t.seed)
	t.calls.prints = f.calls.prints
	return t
}

// answering is who answers the calls that name a tenant.
func (f *Fake) answering(ctx context.Context, name string) (*chassis.Instance, error) {
	if t := f.tenants.find(name); t != nil {
		if err := t.mu.within(ctx); err != nil { // waits while it begins anew
			return nil, err
		}
		defer t.mu.Unlock()
		if t.life != nil {
			return t.life.instance, nil
		}
	}
	return nil, failure.Malformed.With("header", failure.Safe(TenantHeader)).With("reason", failure.Safe(noTenant(name)))
}

func noTenant(name string) error {
	return fmt.Errorf("there is no tenant %.100q: it was not made, or was removed", name)
}

// stopTenants ends all tenants; none is made any more.
func (f *Fake) stopTenants() error {
	var errs []error
	for _, t := range f.tenants.close() {
		errs = append(errs, t.Stop())
	}
	return errors.Join(errs...)
}

// tenants are those of a fake.
type tenants struct {
	mu     sync.Mutex
	byName map[string]*Fake // at most MaxTenants
	gone   Coverage         // of those that were removed
	closed bool
}

// add adds t, unless there is another one of that name.
func (ts *tenants) add(t *Fake) (other *Fake, err error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if other := ts.byName[t.tenant]; other != nil {
		return other, nil
	}
	switch {
	case ts.closed:
		return nil, errStopped
	case len(ts.byName) >= MaxTenants:
		return nil, fmt.Errorf("%d tenants would be more than %d: remove those that are not needed any more", len(ts.byName)+1, MaxTenants)
	case ts.byName == nil:
		ts.byName = map[string]*Fake{}
	}
	ts.byName[t.tenant] = t
	return nil, nil
}

// remove frees the name of a tenant that has ended. t.mu is held.
func (ts *tenants) remove(t *Fake) {
	met := t.met(t.past)
	ts.mu.Lock()
	defer ts.mu.Unlock()
	delete(ts.byName, t.tenant)
	ts.gone = ts.gone.Merge(met)
}

func (ts *tenants) find(name string) *Fake {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return ts.byName[name]
}

func (ts *tenants) names() []string {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return append([]string{}, sortedNames(ts.byName)...) // never null in JSON
}

func (ts *tenants) all() []*Fake {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return slices.Collect(maps.Values(ts.byName))
}

func (ts *tenants) close() []*Fake {
	ts.mu.Lock()
	ts.closed = true
	ts.mu.Unlock()
	return ts.all()
}

// coverage adds what tenants have met.
func (ts *tenants) coverage(c Coverage) Coverage {
	for _, t := range ts.all() {
		c = c.Merge(t.Coverage())
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return c.Merge(ts.gone)
}
