package wire_test

import (
	"context"
	"fmt"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/seed-754044b3/roadworthy/chassis/journal/scenario/wire"
)

// A call in this process, without a network; over one it is the same with another Caller.
func Example() {
	caller := wire.Local(&healthpb.Health_ServiceDesc, &clinic{local: true})

	answer, err := wire.Call(context.Background(), caller, check, &healthpb.HealthCheckRequest{Service: "ann"})
	fmt.Println(answer.(*healthpb.HealthCheckResponse).Status, wire.Failure(err))

	_, err = wire.Call(context.Background(), caller, check, &healthpb.HealthCheckRequest{Service: "missing"})
	fmt.Println(wire.Failure(err))
	// Output:
	// SERVING 0
	// 1001
}
