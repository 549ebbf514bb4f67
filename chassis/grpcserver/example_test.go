package grpcserver_test

import (
	"context"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/grpcclient"
	"github.com/seed-754044b3/roadworthy/chassis/grpcserver"
)

// A method returns a failure of the service's set; its caller reads it back.
func Example() {
	server := &echo{say: func(_ context.Context, text string) (string, error) {
		if text == "" {
			return "", errFull.With("column", failure.Safe(3))
		}
		return "you said " + text, nil
	}}
	spec := chassis.Spec[conf]{
		Name: "echo", Failures: codes,
		Setup: func(_ context.Context, s *chassis.Service, cfg conf) error {
			return grpcserver.Serve(s, "grpc", cfg.GRPC, func(r grpc.ServiceRegistrar) { server.register(r) })
		},
	}
	ctx := context.Background()
	i, err := chassis.Start(ctx, spec, nil, chassis.World{Stdout: io.Discard, Stderr: io.Discard})
	if err != nil {
		fmt.Println(err)
		return
	}
	conn, err := grpcclient.Dial(i.Service(), "echo", grpcclient.Config{Addr: i.Addr("grpc").String()})
	if err != nil {
		fmt.Println(err)
		return
	}
	var answer wrapperspb.StringValue
	err = conn.Invoke(ctx, "/test.Echo/Say", wrapperspb.String("hello"), &answer)
	fmt.Println(answer.GetValue(), err)
	err = conn.Invoke(ctx, "/test.Echo/Say", wrapperspb.String(""), &answer)
	f, ok := grpcclient.FailureOf(err)
	fmt.Println(ok, f.Set, f.Code, f.Status, f.Args["column"])
	fmt.Println(i.Stop(ctx))
	// Output:
	// you said hello <nil>
	// true test 1001 FailedPrecondition 3
	// <nil>
}
