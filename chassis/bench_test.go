package chassis_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis"
)

// sink is a ResponseWriter that throws answers away.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkHTTP shows what the chain costs a small request, without a connection: bare is
// net/http's mux alone.
func BenchmarkHTTP(b *testing.B) {
	hello := []byte("hello")
	write := func(w http.ResponseWriter, _ *http.Request) error {
		_, err := w.Write(hello)
		return err
	}
	quiet := func(w *chassis.World) { w.Log, w.Stdout = zap.NewNop(), io.Discard }
	off := func(s *chassis.Settings) { s.AccessLog.Path = "off" }
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/games/{id}", func(w http.ResponseWriter, r *http.Request) { _ = write(w, r) })
	router := func(h chassis.Handler, opts ...chassis.RouteOption) http.Handler {
		r := chassis.NewRouter()
		r.Handle("GET /v1/games/{id}", h, opts...)
		return r
	}
	for _, c := range []struct {
		name string
		o    options
		h    http.Handler
	}{
		{"chain", options{world: quiet}, router(write)},
		{"without the access log", options{world: quiet, settings: off}, router(write)},
		{"without a deadline", options{world: quiet}, router(write, chassis.Timeout(-1))},
		{"with a bare context", options{world: quiet, http: chassis.HTTPConfig{BareContext: true}}, router(write)},
		{"adopted", options{world: quiet}, mux},
		{"failure", options{world: quiet}, router(fails(errFull.New()))},
	} {
		b.Run(c.name, func(b *testing.B) {
			h := start(b, c.o, serve(c.h))
			run(b, connected(h), chassis.ListenerHandler(h.s, "http"), "/v1/games/17")
		})
	}
	b.Run("bare", func(b *testing.B) { run(b, b.Context(), mux, "/v1/games/17") })
}

// connected is the context of a connection to h.
func connected(h *host) context.Context {
	return chassis.ConnContext(context.Background(), h.s, "http", &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1234})
}

func run(b *testing.B, ctx context.Context, h http.Handler, path string) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req := httptest.NewRequestWithContext(ctx, "GET", path, nil)
	req.Header.Set("User-Agent", "curl/8.5")
	w := &sink{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		h.ServeHTTP(w, req)
	}
}
