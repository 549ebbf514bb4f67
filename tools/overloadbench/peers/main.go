// Command peers serves the work of the bench by what people have instead of the chassis. -stack is bare
// (nothing bounds it), failsafe or gozero.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seed-754044b3/roadworthy/tools/overloadbench/peers/work"
)

func main() {
	stack := flag.String("stack", "bare", "what bounds the work: bare (nothing), failsafe, gozero, gozero-eager")
	protocol := flag.String("protocol", "http", "http or grpc")
	addr := flag.String("addr", "127.0.0.1:8080", "where to listen")
	debug := flag.String("debug", "127.0.0.1:8081", "where to serve /state")
	workers := flag.Int("workers", 4, "how much work can be done at a time")
	mean := flag.Duration("mean", 20*time.Millisecond, "how long work takes on average")
	flag.Parse()
	bound, err := bounds(*stack)
	if err != nil {
		log.Fatal(err)
	}
	var arrivals atomic.Uint64
	var open atomic.Int64
	pool := work.New(*workers, *mean)
	do := func(ctx context.Context) error {
		arrivals.Add(1)
		return bound(func() error { return pool.Do(ctx) })
	}
	go func() {
		mux := http.NewServeMux()
		mux.Handle("GET /state", work.Handler(func() work.Counts { return work.Counts{Arrivals: arrivals.Load(), Connections: int(open.Load())} }))
		log.Fatal(http.ListenAndServe(*debug, mux))
	}()
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(serve(*protocol, counting{l, &open}, do))
}

// counting is a listener that counts its connections until they are closed.
type counting struct {
	net.Listener
	open *atomic.Int64
}

func (l counting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.open.Add(1)
	return &counted{Conn: c, open: l.open}, nil
}

type counted struct {
	net.Conn
	open   *atomic.Int64
	closed atomic.Bool
}

func (c *counted) Close() error {
	if !c.closed.Swap(true) {
		c.open.Add(-1)
	}
	return c.Conn.Close()
}

func serve(protocol string, l net.Listener, do func(context.Context) error) error {
	if protocol == "grpc" {
		s := grpc.NewServer()
		work.Register(s, func(ctx context.Context) error {
			err := do(ctx)
			if errors.Is(err, errRefused) {
				return status.Error(codes.Unavailable, err.Error())
			}
			return err
		})
		return s.Serve(l)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+work.Path, func(w http.ResponseWriter, r *http.Request) {
		if err := do(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	return (&http.Server{Handler: mux}).Serve(l)
}
