// Package work is what every server of the bench does, and the same file in the module of the peers, which
// is outside the workspace and has nothing in common with this one but that.
package work

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

// Pool does so much at a time, as the connections of a database do. Whoever waits for a slot leaves when
// its context ends, as database/sql does; what has begun is finished, as it is there.
type Pool struct {
	slots chan struct{}
	mean  time.Duration
}

// New makes a pool of workers, whose work takes half of mean to one and a half of it.
func New(workers int, mean time.Duration) *Pool {
	return &Pool{make(chan struct{}, workers), mean}
}

// Do works once. The error is the context's, of whoever left before it had a slot.
func (p *Pool) Do(ctx context.Context) error {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	time.Sleep(p.mean/2 + rand.N(p.mean))
	<-p.slots
	return nil
}

// Path is what is asked for over HTTP, by GET.
const Path = "/work"

// Method is the full name of the gRPC method. It takes and answers google.protobuf.Empty.
const Method = "/overload.Work/Do"

// Tenant is the header, and the metadata, that says on whose behalf a request is.
const Tenant = "x-tenant"

// Register serves Method on r. The service is described by hand: generated code would be more than it is.
func Register(r grpc.ServiceRegistrar, do func(context.Context) error) {
	unary := func(ctx context.Context, in any) (any, error) { return in, do(ctx) }
	r.RegisterService(&grpc.ServiceDesc{
		ServiceName: "overload.Work",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Do", Handler: func(_ any, ctx context.Context, decode func(any) error, chain grpc.UnaryServerInterceptor) (any, error) {
			in := new(emptypb.Empty)
			if err := decode(in); err != nil {
				return nil, err
			}
			if chain == nil {
				return unary(ctx, in)
			}
			return chain(ctx, in, &grpc.UnaryServerInfo{FullMethod: Method}, unary)
		}}},
	}, nil)
}

// A State is what a server says of itself at the path /state of its debug address.
type State struct {
	PID        int
	Goroutines int
	Counts
}

// Counts are what a server has counted.
type Counts struct {
	Arrivals    uint64 // requests that came, those refused included
	Connections int    // open, on which they come
}

// Handler answers the state of the process. count is called for each answer.
func Handler(count func() Counts) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(State{os.Getpid(), runtime.NumGoroutine(), count()})
	})
}
