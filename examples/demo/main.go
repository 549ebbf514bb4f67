// Command demo runs the game service and its web pages together, to be looked at: no
// configuration, one directory that keeps the games, addresses that it prints.
//
//	go run ./examples/demo
//
// It is also the shortest answer to how several services live in one process: each is started
// from its Spec with chassis.Start, and stopped in the reverse order. In production they are
// two daemons, gamed and arcaded.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		stop()
		<-signals
		os.Exit(1)
	}()
	os.Exit(Run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
