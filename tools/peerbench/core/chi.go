package main

import (
	"log"
	"net/http"

	"github.com/getsentry/sentry-go"
	sentryhttp "github.com/getsentry/sentry-go/http"
	"github.com/go-chi/chi/v5"
	chimw "github.com/go-chi/chi/v5/middleware"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"
	"gopkg.in/natefinch/lumberjack.v2"

	"github.com/seed-754044b3/roadworthy/tools/peerbench/core/echo"
)

// chiStack is chi with its logger, recoverer and request id, Sentry for panics, and OpenTelemetry with one
// trace in a hundred sampled. Nobody answers at Sentry's address: nothing is sent, since nothing fails.
func chiStack(path string) http.Handler {
	if err := sentry.Init(sentry.ClientOptions{Dsn: "http://public@127.0.0.1:9/1"}); err != nil {
		log.Fatal(err)
	}
	traces := trace.NewTracerProvider(trace.WithSampler(trace.ParentBased(trace.TraceIDRatioBased(0.01))))
	meters := metric.NewMeterProvider(metric.WithReader(metric.NewManualReader()))
	r := chi.NewRouter()
	r.Use(chimw.RequestID, chimw.RealIP)
	r.Use(chimw.RequestLogger(&chimw.DefaultLogFormatter{Logger: log.New(file(path), "", log.LstdFlags), NoColor: true}))
	r.Use(chimw.Recoverer)
	r.Use(sentryhttp.New(sentryhttp.Options{Repanic: true}).Handle)
	r.Use(func(next http.Handler) http.Handler {
		return otelhttp.NewHandler(next, "hello", otelhttp.WithTracerProvider(traces), otelhttp.WithMeterProvider(meters))
	})
	r.Get("/hello", echo.Hello)
	return r
}

func file(path string) *lumberjack.Logger {
	return &lumberjack.Logger{Filename: path, MaxSize: 500, MaxBackups: 1}
}
