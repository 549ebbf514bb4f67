package overloadbench_test

import (
	"fmt"

	"github.com/seed-754044b3/roadworthy/tools/overloadbench"
)

// A result says itself what it misses.
func ExampleResult_Check() {
	r := overloadbench.Result{
		Server: "ours", Gated: true, Protocol: overloadbench.GRPC, Client: overloadbench.None, Load: 5,
		Goodput: 0.87, Recovery: 0.99,
	}
	fmt.Println(r.Check())
	// Output: ours over grpc, client none, load 5: goodput is 0.870, want 0.9
}
