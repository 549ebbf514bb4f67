// Command measure prints, as Markdown, the figures of docs/benchmarks.md that are taken from
// outside a process. Run it in the repository on a quiet machine, after one "go build work".
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}
