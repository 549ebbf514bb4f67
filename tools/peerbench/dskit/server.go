package main

import (
	"flag"
	stdlog "log"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/go-kit/log"
	"github.com/go-kit/log/level"
	dlog "github.com/grafana/dskit/log"
	"github.com/grafana/dskit/server"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-754044b3/roadworthy/tools/peerbench/dskit/echo"
)

// newServer is dskit's server. Left alone it has no access log: HTTP requests that succeed are logged at
// level debug, calls that succeed at no other. So with logged, requests are logged at level info and the file
// takes debug.
func newServer(http, grpc, path string, logged bool) *server.Server {
	var c server.Config
	fs := flag.NewFlagSet("dskit", flag.ExitOnError)
	c.RegisterFlags(fs) // sets the defaults
	must(fs.Parse([]string{"-log.level=info"}))
	c.HTTPListenAddress, c.HTTPListenPort = split(http)
	c.GRPCListenAddress, c.GRPCListenPort = split(grpc)
	c.MetricsNamespace = "bench"
	registry := prometheus.NewRegistry()
	c.Registerer, c.Gatherer = registry, registry
	c.LogRequestAtInfoLevel = logged
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	must(err)
	least := level.AllowInfo()
	if logged {
		least = level.AllowDebug()
	}
	c.Log = log.With(level.NewFilter(dlog.NewGoKitWithWriter("logfmt", file), least), "ts", log.DefaultTimestampUTC)
	s, err := server.New(c)
	must(err)
	route(s)
	return s
}

func route(s *server.Server) {
	s.HTTP.Path("/hello").Methods(http.MethodGet).HandlerFunc(echo.Hello)
	echo.Register(s.GRPC)
}

func split(addr string) (host string, port int) {
	host, digits, err := net.SplitHostPort(addr)
	must(err)
	port, err = strconv.Atoi(digits)
	must(err)
	return host, port
}

func must(err error) {
	if err != nil {
		stdlog.Fatal(err)
	}
}
