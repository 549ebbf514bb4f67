package faketest

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/fake"
)

// Protocols of doors.
const (
	http1 = "HTTP/1"
	http2 = "HTTP/2"
	grpc2 = "gRPC"
)

// door is a way into a service that can be gone without knowing the service: a listener, one protocol that
// it speaks, and routes at which faults answer before a handler reads anything.
type door struct {
	listener string
	protocol string
	addr     string
	secure   bool
	routes   []string // patterns, or gRPC's full methods
	route    string   // the first of them that is not shadowed

	// What lookAround has found. The zero values are that there are none.
	quick  []string // routes whose handlers end soon when they are called with nothing
	ending string   // one of them, which succeeds if there is one that does
	size   int      // of the body, or messages, that it answered
}

func (d *door) String() string { return fmt.Sprintf("listener %q over %s", d.listener, d.protocol) }

// method is the HTTP method of calls to a route.
func (d *door) method(route string) string {
	if d.protocol == grpc2 {
		return "POST"
	}
	if method, _ := splitPattern(route); method != "" {
		return method
	}
	return "GET"
}

// shadowed reports whether calls of a route that names no method are those of another one, which does.
func (d *door) shadowed(route string) bool {
	method, path := splitPattern(route)
	return method == "" && slices.Contains(d.routes, "GET "+path)
}

// doorsOf are the doors of f, one for each listener and protocol that it speaks, in order.
func doorsOf(f *fake.Fake) ([]*door, error) {
	var doors []*door
	found := listenersOf(f.Description())
	for _, name := range slices.Sorted(maps.Keys(found)) {
		l := found[name]
		d := door{listener: name, addr: f.Addr(name), routes: l.Routes}
		d.route = d.routes[max(0, slices.IndexFunc(d.routes, func(route string) bool { return !d.shadowed(route) }))]
		var protocols []string
		switch l.Protocol {
		case "http", "https":
			d.secure = l.Protocol == "https"
			protocols = []string{http1}
			if l.HTTP2 {
				protocols = append(protocols, http2)
			}
		case "grpc", "grpcs":
			d.secure = l.Protocol == "grpcs"
			protocols = []string{grpc2}
		}
		for _, d.protocol = range protocols {
			doors = append(doors, new(d))
		}
	}
	if len(doors) == 0 {
		return nil, errors.New("the service has no route over HTTP or gRPC to call")
	}
	return doors, nil
}

// atDoors runs act at each door of a fake, with a client whose connections are kept.
func atDoors(f *fake.Fake, act func(*door, *client) error) error {
	doors, err := doorsOf(f)
	if err != nil {
		return err
	}
	for _, d := range doors {
		err := d.visit(func(c *client) error { return act(d, c) })
		if err != nil {
			return fmt.Errorf("%v: %w", d, err)
		}
	}
	return nil
}

// visit runs act with a client, whose first call comes by a new connection.
func (d *door) visit(act func(*client) error) error {
	c, err := d.open()
	if err != nil {
		return err
	}
	defer c.close()
	return act(c)
}

// listenersOf are the listeners that calls can be made to, with the routes that can be
// called without knowing the service.
func listenersOf(d chassis.Description) map[string]chassis.ListenerDescription {
	found := map[string]chassis.ListenerDescription{}
	for _, l := range d.Listeners {
		l.Routes = slices.DeleteFunc(slices.Clone(l.Routes), func(route string) bool {
			_, p := splitPattern(route)
			return !strings.HasPrefix(p, "/") || strings.HasPrefix(p, "/grpc.health.") || strings.HasPrefix(p, "/grpc.reflection.")
		})
		if len(l.Routes) > 0 {
			found[l.Name] = l
		}
	}
	return found
}

// splitPattern takes a pattern of http.ServeMux apart; the method may be empty.
func splitPattern(pattern string) (method, rest string) {
	method, rest, found := strings.Cut(pattern, " ")
	if !found {
		return "", pattern
	}
	return method, strings.TrimSpace(rest)
}

var wildcard = regexp.MustCompile(`\{[^}]*\}`)

// pathOf is a path that a pattern matches.
func pathOf(pattern string) string {
	return wildcard.ReplaceAllStringFunc(pattern, func(w string) string {
		if w == "{$}" {
			return ""
		}
		return "x"
	})
}
