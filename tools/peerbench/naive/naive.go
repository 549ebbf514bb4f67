// Package naive is a stack as one assembles it by hand from the parts that are known best: access log by
// gorilla/handlers into lumberjack, request id by google/uuid, metrics by promhttp, an address list, a
// semaphore, and recovery. It is what the chain of the chassis is measured against, so it does not change,
// and the versions of its parts are pinned in go.mod.
package naive

import (
	"context"
	"log"
	"net/http"
	"net/netip"

	"github.com/google/uuid"
	"github.com/gorilla/handlers"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"gopkg.in/natefinch/lumberjack.v2"
)

// concurrent is how many requests are answered at a time.
const concurrent = 1024

// New is the stack around h, with its access log in the file called path, or without one when path is
// empty. Close the log when the last request has been answered.
func New(h http.Handler, path string) (stack http.Handler, closeLog func() error) {
	h = recovering(h)
	h = limited(h)
	h = allowed(h)
	h = measured(h)
	h = identified(h)
	if path == "" {
		return h, func() error { return nil }
	}
	file := &lumberjack.Logger{Filename: path, MaxSize: 500, MaxBackups: 1}
	return handlers.CombinedLoggingHandler(file, h), file.Close
}

func recovering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				log.Println("panic", v)
				w.WriteHeader(http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

func limited(next http.Handler) http.Handler {
	slots := make(chan struct{}, concurrent)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
		default:
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return
		}
		defer func() { <-slots }()
		next.ServeHTTP(w, r)
	})
}

func allowed(next http.Handler) http.Handler {
	var nets []netip.Prefix
	for _, p := range []string{"10.0.0.0/8", "192.168.0.0/16", "::1/128", "192.0.2.0/24", "127.0.0.0/8"} {
		nets = append(nets, netip.MustParsePrefix(p))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
			for _, n := range nets {
				if n.Contains(peer.Addr()) {
					next.ServeHTTP(w, r)
					return
				}
			}
		}
		http.Error(w, "forbidden", http.StatusForbidden)
	})
}

func measured(next http.Handler) http.Handler {
	labels := []string{"code", "method"}
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_request_duration_seconds"}, labels)
	total := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total"}, labels)
	inFlight := prometheus.NewGauge(prometheus.GaugeOpts{Name: "http_requests_in_flight"})
	prometheus.NewRegistry().MustRegister(seconds, total, inFlight)
	return promhttp.InstrumentHandlerInFlight(inFlight,
		promhttp.InstrumentHandlerDuration(seconds, promhttp.InstrumentHandlerCounter(total, next)))
}

type idKey struct{}

func identified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Request-Id")
		if id == "" {
			id = uuid.NewString()
		}
		w.Header().Set("X-Request-Id", id)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), idKey{}, id)))
	})
}
