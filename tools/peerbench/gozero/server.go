package main

import (
	"encoding/json"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"strconv"

	"github.com/zeromicro/go-zero/core/conf"
	"github.com/zeromicro/go-zero/core/prometheus"
	"github.com/zeromicro/go-zero/rest"
	"github.com/zeromicro/go-zero/zrpc"
	"google.golang.org/grpc"

	"github.com/seed-754044b3/roadworthy/tools/peerbench/gozero/echo"
)

// busy is the share of the processor, in thousandths, from which go-zero sheds load. At its default of 900
// it answers 503 as soon as the one processor that it is measured on is full; 999 is the most it takes.
const busy = 999

// load fills a configuration of go-zero, whose defaults are only set when it is read from text. Its logs go
// to files of their own names beside path.
func load(config any, path string, fields map[string]any) {
	fields["Name"], fields["CpuThreshold"] = "bench", busy
	fields["Log"] = map[string]any{"Mode": "file", "Path": filepath.Dir(path), "Stat": true}
	text, err := json.Marshal(fields)
	must(err)
	must(conf.LoadFromJsonBytes(text, config))
	prometheus.Enable()
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func newHTTP(addr, path string) *rest.Server {
	host, digits, err := net.SplitHostPort(addr)
	must(err)
	port, err := strconv.Atoi(digits)
	must(err)
	var c rest.RestConf
	load(&c, path, map[string]any{"Host": host, "Port": port})
	s := rest.MustNewServer(c)
	s.AddRoute(rest.Route{Method: http.MethodGet, Path: "/hello", Handler: echo.Hello})
	return s
}

func newGRPC(addr, path string) *zrpc.RpcServer {
	var c zrpc.RpcServerConf
	load(&c, path, map[string]any{"ListenOn": addr})
	return zrpc.MustNewServer(c, func(g *grpc.Server) { echo.Register(g) })
}
