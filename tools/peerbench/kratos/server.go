package main

import (
	"context"
	stdlog "log"
	"net/http"

	"github.com/go-kratos/kratos/v2/log"
	"github.com/go-kratos/kratos/v2/middleware"
	"github.com/go-kratos/kratos/v2/middleware/logging"
	"github.com/go-kratos/kratos/v2/middleware/metrics"
	"github.com/go-kratos/kratos/v2/middleware/ratelimit"
	"github.com/go-kratos/kratos/v2/middleware/recovery"
	kgrpc "github.com/go-kratos/kratos/v2/transport/grpc"
	khttp "github.com/go-kratos/kratos/v2/transport/http"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"gopkg.in/natefinch/lumberjack.v2"

	"github.com/seed-754044b3/roadworthy/tools/peerbench/kratos/echo"
)

// chain is kratos's own middleware: recovery, metrics, one line a request, and its limiter, which rejects
// when the processor is busy.
func chain(path string) []middleware.Middleware {
	exporter, err := prometheus.New()
	must(err)
	meter := metric.NewMeterProvider(metric.WithReader(exporter),
		metric.WithView(metrics.DefaultSecondsHistogramView(metrics.DefaultServerSecondsHistogramName))).Meter("bench")
	requests, err := metrics.DefaultRequestsCounter(meter, metrics.DefaultServerRequestsCounterName)
	must(err)
	seconds, err := metrics.DefaultSecondsHistogram(meter, metrics.DefaultServerSecondsHistogramName)
	must(err)
	logger := log.With(log.NewStdLogger(&lumberjack.Logger{Filename: path, MaxSize: 500, MaxBackups: 1}),
		"ts", log.DefaultTimestamp, "service", "bench")
	return []middleware.Middleware{
		recovery.Recovery(), metrics.Server(metrics.WithRequests(requests), metrics.WithSeconds(seconds)),
		logging.Server(logger), ratelimit.Server(),
	}
}

func must(err error) {
	if err != nil {
		stdlog.Fatal(err)
	}
}

func newHTTP(addr, path string) *khttp.Server {
	body := []byte(echo.Body)
	s := khttp.NewServer(khttp.Address(addr), khttp.Middleware(chain(path)...))
	s.Route("/").GET("/hello", func(ctx khttp.Context) error {
		h := ctx.Middleware(func(context.Context, any) (any, error) { return nil, nil })
		if _, err := h(ctx, nil); err != nil {
			return err
		}
		return ctx.Blob(http.StatusOK, "application/json", body)
	})
	return s
}

func newGRPC(addr, path string) *kgrpc.Server {
	s := kgrpc.NewServer(kgrpc.Address(addr), kgrpc.Middleware(chain(path)...))
	echo.Register(s)
	return s
}
