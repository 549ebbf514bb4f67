// Command house checks what keeps the repository in order, and with -w puts it in order. Run it in
// the repository without arguments to see what it checks.
package main

import (
	"context"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, ".", os.Args[1:], os.Stderr)
	stop()
	os.Exit(code)
}
