package grpcclient_test

import (
	"context"
	"fmt"
	"net"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-754044b3/roadworthy/chassis/grpcclient"
)

// A move has an id by which the service recognises it, so it may be sent twice: the service refuses the
// first attempt, and nobody notices.
func ExampleIdempotent() {
	calls := 0
	srv := callee(func(ss grpc.ServerStream) error {
		if calls++; calls == 1 {
			return status.Error(codes.Unavailable, "a moment please")
		}
		return ss.SendMsg(wrapperspb.String("red dropped into column 3"))
	})
	defer srv.Stop()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	go func() { _ = srv.Serve(l) }()

	s := &service{} // in a service: the *chassis.Service that Setup is handed
	conn, err := grpcclient.Dial(s, "game", grpcclient.Config{Addr: l.Addr().String()})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	var said wrapperspb.StringValue
	err = conn.Invoke(context.Background(), "/game.v1.GameService/DropDisc", wrapperspb.String("move-17"), &said, grpcclient.Idempotent())
	fmt.Println(said.Value, err, "after", calls, "attempts")
	// Output:
	// red dropped into column 3 <nil> after 2 attempts
}

// What a service on the chassis says of a call that failed is read from the call's error.
func ExampleFailureOf() {
	answer, _ := status.New(codes.FailedPrecondition, "column is full (column=3)").WithDetails(&errdetails.ErrorInfo{
		Reason: "GAME_1042", Domain: "game",
		Metadata: map[string]string{"code": "1042", "class": "caller", "id": "4T7ZK0Q9M2XB", "retryable": "false", "column": "3"},
	})
	f, ok := grpcclient.FailureOf(fmt.Errorf("drop a disc: %w", answer.Err()))
	fmt.Println(ok, f.Set, f.Code, f.Class, f.Args["column"], f.ID)
	_, ok = grpcclient.FailureOf(status.Error(codes.Unavailable, "connection refused"))
	fmt.Println(ok)
	// Output:
	// true game 1042 caller 3 4T7ZK0Q9M2XB
	// false
}
