package chassis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis/acl"
	"github.com/seed-754044b3/roadworthy/chassis/drain"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
)

const adminName = "admin"

// adminConns bounds the connections of the admin listener: probes, scrapers and a few people.
const adminConns = 256

// admin is the listener for operators. It answers from before Setup until after the drain, but
// in a worker that replaces another one: there the other one answers until this one is ready, and
// this one from then on.
type admin struct {
	service  *Service
	listener net.Listener
	server   *drain.Server
	once     sync.Once
	done     chan struct{}
}

// openAdmin binds the admin listener and answers on it.
func (s *Service) openAdmin() error {
	cfg := s.settings.Admin
	if cfg.Addr == "off" {
		return nil
	}
	guard, err := acl.New(cfg.ACL)
	if err != nil {
		return fmt.Errorf("listener %q: %w", adminName, err)
	}
	if s.world.Dry {
		return nil
	}
	l, err := s.world.bind(s.base, adminName, cfg.Addr)
	if err != nil {
		return fmt.Errorf("listener %q: %w", adminName, err)
	}
	if cfg.FlightRecorder {
		if err := s.flight.start(); err != nil {
			s.log.Warn("nothing is recorded", zap.Error(err))
		}
	}
	door := &door{s, guard, s.metrics.Listener(adminName), cfg.Token, told{}}
	a := &admin{service: s, listener: l, done: make(chan struct{})}
	a.server = drain.New(&http.Server{
		Handler:           door.requireAccess(s.adminHandler(door.requireToken)),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          log.New(debugWriter{s.log.Named(adminName)}, "", 0),
	}, drain.Options{Entry: s.Entry(adminName, guard, drain.Entry{MaxConns: adminConns, WriteTimeout: 30 * time.Second})})
	s.mu.Lock()
	s.admin = a
	s.mu.Unlock()
	if s.world.host == nil || s.world.host.Alone() {
		a.begin()
	}
	return nil
}

// begin answers what comes, unless it does already.
func (a *admin) begin() {
	a.once.Do(func() {
		go func() {
			defer close(a.done)
			if err := a.server.Serve(a.listener); err != nil {
				a.service.end(fmt.Errorf("admin listener on %s: %w", a.listener.Addr(), err))
			}
		}()
	})
}

// HeadsUp implements warner.
func (a *admin) HeadsUp(ctx context.Context) { a.server.HeadsUp(ctx) }

func (a *admin) drain(ctx context.Context) error {
	return a.server.Drain(ctx, a.service.leave(adminName))
}

// adopt implements adopter.
func (a *admin) adopt(c net.Conn, note []byte, taken func() error) error {
	return a.server.Adopt(c, note, taken)
}

// closeAdmin ends the admin listener; profiles under way are cut.
func (s *Service) closeAdmin() {
	if s.admin == nil {
		return
	}
	s.admin.once.Do(func() { close(s.admin.done) }) // it never began
	_ = errors.Join(s.admin.server.Close(), s.admin.listener.Close())
	<-s.admin.done
	s.flight.stop()
}

// adminHandler is everything the admin listener answers. Health checks need no token: probes
// have none to show.
func (s *Service) adminHandler(requireToken func(http.Handler) http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, r *http.Request) { s.answerHealth(w, r, nil) })
	mux.HandleFunc("GET /startupz", func(w http.ResponseWriter, r *http.Request) {
		s.answerHealth(w, r, []result{s.checkStarted()})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		s.answerHealth(w, r, s.checkReady(r.Context()))
	})
	guarded := func(pattern string, h http.Handler) { mux.Handle(pattern, requireToken(h)) }
	guarded("GET /metrics", kpi.Handler(s.gatherer(), func(err error) { s.log.Warn("metrics", zap.Error(err)) }))
	guarded("GET /status", http.HandlerFunc(s.serveStatus))
	guarded("GET /errors", http.HandlerFunc(s.serveErrors))
	guarded("POST /errors/pin", http.NewCrossOriginProtection().Handler(http.HandlerFunc(s.servePin)))
	guarded("GET /errors/today", http.HandlerFunc(s.serveToday))
	guarded("POST /errors/today", http.NewCrossOriginProtection().Handler(http.HandlerFunc(s.serveToday)))
	guarded("GET /{$}", http.RedirectHandler("/status", http.StatusFound))
	guarded("/debug/pprof/", http.HandlerFunc(pprof.Index))
	guarded("/debug/pprof/cmdline", http.HandlerFunc(pprof.Cmdline))
	guarded("/debug/pprof/profile", http.HandlerFunc(pprof.Profile))
	guarded("/debug/pprof/symbol", http.HandlerFunc(pprof.Symbol))
	guarded("/debug/pprof/trace", http.HandlerFunc(pprof.Trace))
	for _, method := range []string{"GET", "POST", "DELETE"} {
		guarded(method+" /debug/flightrecorder", http.HandlerFunc(s.serveFlight))
	}
	return mux
}

// answerHealth answers 200 or 503; ?verbose adds the single results as JSON.
func (s *Service) answerHealth(w http.ResponseWriter, r *http.Request, results []result) {
	status, word := http.StatusOK, "ok"
	var failed []string
	for _, res := range results {
		if !res.OK {
			status, word = http.StatusServiceUnavailable, "not ok"
			failed = append(failed, res.Name+": "+res.Error)
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	if r.URL.Query().Has("verbose") {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"status": word, "checks": append([]result{}, results...)})
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintln(w, strings.Join(append([]string{word}, failed...), "\n"))
}
