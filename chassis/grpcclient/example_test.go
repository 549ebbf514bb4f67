package grpcclient_test

import (
	"fmt"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seed-754044b3/roadworthy/chassis/grpcclient"
)

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
