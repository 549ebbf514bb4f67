// Command tableflip-peer answers what lossd answers and replaces itself with
// github.com/cloudflare/tableflip, for lossbench to compare; see README.md.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/cloudflare/tableflip"
)

// config is the flags. Addresses, certificate and pid file are as lossbench gives them.
type config struct {
	http, https, grpc, cert, key, pidFile string
	drain                                 string
	timeout, idle                         time.Duration
}

func main() {
	var c config
	flag.StringVar(&c.http, "http.addr", "127.0.0.1:8080", "`address` for HTTP/1.1 and h2c")
	flag.StringVar(&c.https, "https.addr", "", "`address` for HTTPS; none without a certificate")
	flag.StringVar(&c.cert, "https.tls.cert", "", "`file` with the certificate")
	flag.StringVar(&c.key, "https.tls.key", "", "`file` with its key")
	flag.StringVar(&c.grpc, "grpc.addr", "127.0.0.1:9090", "`address` for gRPC")
	flag.StringVar(&c.pidFile, "pid-file", "", "`file` for the id of the process that serves")
	flag.StringVar(&c.drain, "drain", "readme", "how the old process lets go: readme (Shutdown and GracefulStop) or careful")
	flag.DurationVar(&c.timeout, "drain-timeout", 2500*time.Millisecond, "how long it may take")
	flag.DurationVar(&c.idle, "idle", 3*time.Second, "with -drain careful: how long an idle connection is kept")
	flag.Parse()
	if err := run(c); err != nil {
		fmt.Fprintln(os.Stderr, "tableflip-peer:", err)
		os.Exit(1)
	}
}

// run serves until the successor has taken over or SIGTERM arrives, and drains.
func run(c config) error {
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	if c.drain != "readme" && c.drain != "careful" {
		return fmt.Errorf("-drain: want readme or careful, got %q", c.drain)
	}
	upg, err := tableflip.New(tableflip.Options{PIDFile: c.pidFile})
	if err != nil {
		return err
	}
	defer upg.Stop()
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM, os.Interrupt)
	go func() {
		for s := range signals {
			if s != syscall.SIGHUP {
				upg.Stop()
				return
			}
			if err := upg.Upgrade(); err != nil {
				log.Println("upgrade:", err) // while the predecessor drains, for one
			}
		}
	}()
	s := newServer(c)
	listen := func(addr string) (l net.Listener) {
		if err == nil {
			l, err = upg.Listen("tcp", addr)
		}
		return l
	}
	http, grpc := listen(c.http), listen(c.grpc)
	var https net.Listener
	if c.cert != "" {
		https = listen(c.https)
	}
	if err != nil {
		return err
	}
	ended := make(chan error, 3)
	s.serve(http, https, grpc, ended)
	if err := upg.Ready(); err != nil {
		return err
	}
	log.Println("serving, process", os.Getpid())
	defer log.Println("gone, process", os.Getpid())
	select {
	case <-upg.Exit():
		log.Println("draining, process", os.Getpid())
	case err := <-ended:
		return errors.Join(errors.New("a listener has died"), err)
	}
	if c.drain == "careful" {
		return s.drainCarefully()
	}
	return s.drainAsShown()
}
