package fake

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-754044b3/roadworthy/chassis"
)

// Match selects calls: those that agree with every field that is not empty. The zero Match
// selects all calls but those of gRPC's health and reflection services, which only their own
// Route selects, so that a prober does not use up a fault that was meant for a call.
type Match struct {
	Listener string // the listener's name
	Method   string // the HTTP method; "POST" for gRPC
	// Route is gRPC's full method, "/game.v1.GameService/DropDisc", or the pattern of an HTTP
	// route as it was registered, "POST /v1/games/{game_id}/drop".
	Route string
	// Tenant is on whose behalf a call is, as the service's own Tenant option says.
	Tenant string
	// Header is a field of the HTTP header, or of gRPC's metadata, with its value, "X-Client: 7".
	// Names agree whatever their case, values exactly; of several values the first counts.
	Header string
}

// On selects the calls of a route; see [Match].
func On(route string) Match { return Match{Route: route} }

// OnListener selects the calls that come in by the listener called name.
func OnListener(name string) Match { return Match{Listener: name} }

// OnMethod selects the calls with an HTTP method.
func OnMethod(method string) Match { return Match{Method: method} }

// OnTenant selects the calls on behalf of a tenant.
func OnTenant(tenant string) Match { return Match{Tenant: tenant} }

// OnHeader selects the calls with a header field, or gRPC metadata, of that value.
func OnHeader(name, value string) Match { return Match{Header: name + ": " + value} }

// part is a field of a Match.
type part struct {
	name, plural string
	value        func(*Match) *string
}

func parts() []part {
	return []part{
		{"listener", "listeners", func(m *Match) *string { return &m.Listener }},
		{"method", "methods", func(m *Match) *string { return &m.Method }},
		{"route", "routes", func(m *Match) *string { return &m.Route }},
		{"tenant", "tenants", func(m *Match) *string { return &m.Tenant }},
		{"header", "values to select by", func(m *Match) *string { return &m.Header }},
	}
}

// String is the match in words.
func (m Match) String() string {
	var words []string
	for _, p := range parts() {
		if v := *p.value(&m); v != "" {
			words = append(words, p.name+" "+strconv.Quote(v))
		}
	}
	return strings.Join(words, ", ")
}

func (m *Match) selects(call *chassis.Call) bool {
	if m.Route == "" && aside(call.Route) {
		return false
	}
	if m.Header != "" {
		name, value, _ := strings.Cut(m.Header, ":")
		if call.Header == nil || call.Header(strings.TrimSpace(name)) != strings.TrimSpace(value) {
			return false
		}
	}
	return agree(m.Listener, call.Listener) && agree(m.Method, call.Method) && agree(m.Route, call.Route) && agree(m.Tenant, call.Tenant)
}

func agree(wanted, got string) bool { return wanted == "" || wanted == got }

// aside reports whether a route belongs to gRPC itself rather than to the service.
func aside(route string) bool {
	return strings.HasPrefix(route, "/grpc.health.") || strings.HasPrefix(route, "/grpc.reflection.")
}

// merge makes one Match of several that must all hold.
func merge(on []Match) (Match, error) {
	var all Match
	for _, m := range on {
		for _, p := range parts() {
			into, from := p.value(&all), *p.value(&m)
			if from == "" || *into == from {
				continue
			}
			if *into != "" {
				return Match{}, fmt.Errorf("no call has two %s, %q and %q: install two faults", p.plural, *into, from)
			}
			*into = from
		}
	}
	return all, nil
}

// check refuses a match that no call of the service can agree with.
func (m *Match) check(d chassis.Description) error {
	var names, routes []string
	for _, l := range d.Listeners {
		names = append(names, l.Name)
		if agree(m.Listener, l.Name) {
			routes = append(routes, l.Routes...)
		}
	}
	if m.Listener != "" && !slices.Contains(names, m.Listener) {
		return fmt.Errorf("there is no listener %q: the service has %s", m.Listener, list(names))
	}
	if m.Route != "" && !aside(m.Route) && !slices.Contains(routes, m.Route) {
		return fmt.Errorf("there is no route %q: the service has %s", m.Route, list(routes))
	}
	if m.Method != strings.ToUpper(m.Method) {
		return fmt.Errorf("methods are written in capitals, got %q", m.Method)
	}
	if method, _, found := strings.Cut(m.Route, " "); found && m.Method != "" && m.Method != method {
		return fmt.Errorf("route %q has no calls with method %s", m.Route, m.Method)
	}
	if name, _, found := strings.Cut(m.Header, ":"); m.Header != "" && (!found || strings.TrimSpace(name) == "") {
		return fmt.Errorf("header %q: want a name and a value, such as \"X-Client: 7\"", m.Header)
	}
	return nil
}

// list shows names in an error message.
func list(names []string) string {
	slices.Sort(names)
	names = slices.Compact(names)
	const most = 40
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return cmp.Or(strings.Join(names, ", "), "none")
}
