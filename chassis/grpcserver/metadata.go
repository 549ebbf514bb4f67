package grpcserver

import (
	"context"
	"strings"

	"google.golang.org/grpc/metadata"
)

// Each look at one value by package metadata copies it, or compares the key with all others when it
// is not there: a tenth of what the chain takes. So the chain looks once, at grpc-go's own map.

// incomingKey is what contexts have the metadata of their call under, which only package metadata
// knows.
func incomingKey() any {
	var p probe
	metadata.ValueFromIncomingContext(&p, "")
	return p.key
}

// probe is a context that keeps the key it was asked for.
type probe struct {
	context.Context
	key any
}

// Value implements context.Context.
func (p *probe) Value(key any) any {
	p.key = key
	return nil
}

// metadata is what the caller sent, with keys in lower case. It is grpc-go's own.
func (c *chain) metadata(ctx context.Context) metadata.MD {
	if md, ok := ctx.Value(c.incoming).(metadata.MD); ok {
		return md
	}
	md, _ := metadata.FromIncomingContext(ctx) // if it is kept in another way one day
	return md
}

// first is the first value that the caller sent under key.
func (cl *call) first(key string) string {
	if v := cl.md[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// lookup is first for a key in whatever case. It is asked of every call that a fake answers, and allocates
// nothing for a key of common length.
func (cl *call) lookup(key string) string {
	var room [64]byte
	lower := append(room[:0], key...)
	for i, b := range lower {
		if 'A' <= b && b <= 'Z' {
			lower[i] = b + 'a' - 'A'
		}
	}
	if v := cl.md[string(lower)]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// received is what the caller sent as metadata, for the access log. It is the call itself, which
// spares an allocation.
type received call

// Values implements accesslog.Header.
func (r *received) Values(name string) []string {
	switch name { // what most formats ask for allocates nothing
	case "User-Agent":
		return r.md["user-agent"]
	case "Referer":
		return r.md["referer"]
	case "Host":
		return r.md[":authority"]
	}
	return r.md[strings.ToLower(name)]
}
