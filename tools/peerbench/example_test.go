package peerbench_test

import (
	"fmt"

	"github.com/seed-754044b3/roadworthy/tools/peerbench"
)

// A peer is measured together with what it is compared with.
func ExampleSelect() {
	peers, err := peerbench.Select(peerbench.Peers("out/bin", peerbench.GRPC, false), []string{"ours"})
	fmt.Println(peerbench.Names(peers), err)
	_, err = peerbench.Select(peerbench.Peers("out/bin", peerbench.H2, false), []string{"kratos"})
	fmt.Println(err)
	// Output:
	// [bare bare, workers, heap floor ours] <nil>
	// no peer "kratos": want one of bare; bare, heap floor; ours; naive; chi+sentry+otel; nginx
}
