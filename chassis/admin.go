package chassis

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis/kpi"
)

const adminName = "admin"

// checkTimeout bounds one readiness check: probes usually give up after a second.
const checkTimeout = time.Second

// admin is the listener for operators. It answers from before Setup until after the drain.
type admin struct {
	listener net.Listener
	server   *http.Server
	done     chan struct{}
}

// openAdmin binds the admin listener and answers on it.
func (i *Instance) openAdmin() error {
	s := i.service
	cfg := s.settings.Admin
	if s.world.Dry || cfg.Addr == "off" {
		return nil
	}
	l, err := s.world.bind(s.base, adminName, cfg.Addr)
	if err != nil {
		return err
	}
	a := &admin{
		listener: l,
		done:     make(chan struct{}),
		server: &http.Server{
			Handler:           s.adminHandler(cfg.Token.Reveal()),
			ReadHeaderTimeout: 5 * time.Second,
			IdleTimeout:       2 * time.Minute,
			MaxHeaderBytes:    32 << 10,
			ErrorLog:          log.New(debugWriter{s.log.Named(adminName)}, "", 0),
		},
	}
	i.admin = a
	go func() {
		defer close(a.done)
		if err := a.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.end(fmt.Errorf("admin listener on %s: %w", l.Addr(), err))
		}
	}()
	s.log.Info("listening", zap.String("listener", adminName), zap.String("protocol", "http"), zap.String("addr", l.Addr().String()))
	return nil
}

// closeAdmin ends the admin listener; profiles under way are cut.
func (i *Instance) closeAdmin() {
	if i.admin == nil {
		return
	}
	_ = i.admin.server.Close()
	<-i.admin.done
}

// adminHandler is everything the admin listener answers. Health checks need no token: probes
// have none to show.
func (s *Service) adminHandler(token string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, r *http.Request) { s.answerHealth(w, r, nil) })
	mux.HandleFunc("GET /startupz", func(w http.ResponseWriter, r *http.Request) {
		s.answerHealth(w, r, []result{s.checkStarted()})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		s.answerHealth(w, r, s.checkReady(r.Context()))
	})
	guarded := func(pattern string, h http.Handler) { mux.Handle(pattern, requireToken(token, h)) }
	guarded("GET /metrics", kpi.Handler(s.registry, func(err error) { s.log.Warn("metrics", zap.Error(err)) }))
	guarded("GET /status", http.HandlerFunc(s.serveStatus))
	guarded("GET /{$}", http.RedirectHandler("/status", http.StatusFound))
	guarded("/debug/pprof/", http.HandlerFunc(pprof.Index))
	guarded("/debug/pprof/cmdline", http.HandlerFunc(pprof.Cmdline))
	guarded("/debug/pprof/profile", http.HandlerFunc(pprof.Profile))
	guarded("/debug/pprof/symbol", http.HandlerFunc(pprof.Symbol))
	guarded("/debug/pprof/trace", http.HandlerFunc(pprof.Trace))
	return mux
}

func requireToken(token string, h http.Handler) http.Handler {
	if token == "" {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if subtle.ConstantTimeCompare([]byte(got), []byte(token)) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="admin"`)
			http.Error(w, "want the bearer token of admin.token", http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// result is the outcome of one check.
type result struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

func (s *Service) checkStarted() result {
	state := s.State()
	if state == StateNew || state == StateSetup {
		return result{Name: "startup", Error: "the service is in setup"}
	}
	return result{Name: "startup", OK: true}
}

// checkReady runs all conditions of readiness at the same time.
func (s *Service) checkReady(ctx context.Context) []result {
	state := s.State()
	results := []result{{Name: "state", OK: state == StateReady}}
	if state != StateReady {
		results[0].Error = "the service is " + state.String()
	}
	s.mu.Lock()
	checks := slices.Clone(s.checks)
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	outcomes := make(chan result, len(checks))
	for _, c := range checks {
		go func() {
			res := result{Name: c.name, OK: true}
			if err := run(ctx, c.run); err != nil {
				res = result{Name: c.name, Error: err.Error()}
			}
			outcomes <- res
		}()
	}
	late := map[string]bool{}
	for _, c := range checks {
		late[c.name] = true
	}
	for range checks {
		select {
		case res := <-outcomes:
			delete(late, res.Name)
			results = append(results, res)
		case <-ctx.Done():
			for name := range late {
				results = append(results, result{Name: name, Error: "no answer within " + checkTimeout.String()})
			}
			slices.SortFunc(results[1:], byName)
			return results
		}
	}
	slices.SortFunc(results[1:], byName)
	return results
}

func byName(a, b result) int { return strings.Compare(a.Name, b.Name) }

// ReadyError says why the service is not ready to serve, nil when it is.
func (s *Service) ReadyError(ctx context.Context) error {
	for _, r := range s.checkReady(ctx) {
		if !r.OK {
			return fmt.Errorf("%s: %s", r.Name, r.Error)
		}
	}
	return nil
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
