package arcade_test

import (
	"context"
	"fmt"
	"os"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/examples/arcade"
)

// The arcade is a service like any other: chassis.Main(arcade.Spec) is its whole main function.
// Here it says what it thinks of a configuration, and with which failures it answers its pages.
func Example() {
	chassis.Run(context.Background(), arcade.Spec, []string{"-check", "-game.addr", "games.internal:9090"}, nil, os.Stdout, os.Stderr)
	full, _ := arcade.Spec.Failures.Lookup(2023)
	fmt.Println(full.HTTPStatus(), full.Message())
	// Output:
	// configuration ok
	// 409 the column is full
}
