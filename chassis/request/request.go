// Package request is what is known of the request being served: its id, its place in a
// distributed trace, the route it took.
//
// The chassis puts an [Info] into the context of every request, HTTP and gRPC alike; a
// handler reads it with [From], and the chassis's clients send the id and the trace on to
// whom they call. The id is for people (it is returned to the caller and stands in every
// log line); the trace is for machines (W3C Trace Context, https://www.w3.org/TR/trace-context/).
package request

import "context"

// Info describes one request. Its fields are set before the handler runs and are read-only
// from then on, except Route, which the router sets before it calls the route's handler.
type Info struct {
	ID       string          // 1 to 64 characters of A–Z a–z 0–9 . _ -
	Trace    Trace           // this hop's span; zero when the request carries no trace
	Listener string          // the name of the listener it came in by
	Route    string          // the pattern or full method that matched, empty until then
	Draining <-chan struct{} // closed when the service begins to drain
}

// Key is what a context that carries an Info knows it by: Value(Key{}) is the *Info. [With] makes
// such a context; one that is made for a request anyway can carry its Info itself.
type Key struct{}

// With returns a context that carries info.
func With(ctx context.Context, info *Info) context.Context {
	return context.WithValue(ctx, Key{}, info)
}

// From returns the Info that ctx carries, and nil when it carries none.
func From(ctx context.Context) *Info {
	info, _ := ctx.Value(Key{}).(*Info)
	return info
}

// ID returns the id of the request that ctx belongs to, empty when it belongs to none.
func ID(ctx context.Context) string {
	if info := From(ctx); info != nil {
		return info.ID
	}
	return ""
}

// ValidID reports whether a caller's id may be taken over: 1 to 64 characters that need no
// escaping in a header, a log line or a URL.
func ValidID(id string) bool {
	if len(id) == 0 || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}
