package chassis

import (
	"fmt"
	"net/http"
	"runtime/trace"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	// flightFor is how much of the past the flight recorder keeps at least, while it fits into
	// flightBytes: a request that was slow is over before somebody asks why.
	flightFor   = 10 * time.Second
	flightBytes = 16 << 20
)

// recorder is the flight recorder: the execution trace of the last seconds
// (https://pkg.go.dev/runtime/trace#FlightRecorder). Tracing is said to take 1 to 2 % of the CPU
// (https://go.dev/blog/execution-traces-2024). Of a small request over HTTP/1 it takes 16 %, as most of
// that is system calls and switches of goroutines. So it runs only when it was asked for. A process has
// one at most.
type recorder struct {
	now atomic.Pointer[trace.FlightRecorder] // nil while nothing is recorded
	mu  sync.Mutex                           // held while it starts, stops or is dumped
}

func (r *recorder) start() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running() {
		return nil
	}
	recorder := trace.NewFlightRecorder(trace.FlightRecorderConfig{MinAge: flightFor, MaxBytes: flightBytes})
	if err := recorder.Start(); err != nil {
		return fmt.Errorf("start the flight recorder: %w (a process has one; another service in it may have started it)", err)
	}
	r.now.Store(recorder)
	return nil
}

func (r *recorder) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if recorder := r.now.Swap(nil); recorder != nil {
		recorder.Stop()
	}
}

func (r *recorder) running() bool { return r.now.Load() != nil }

// serveFlight answers a dump of the last seconds, for go tool trace. POST starts the recorder and
// DELETE stops it.
func (s *Service) serveFlight(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
		if err := s.flight.start(); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		s.log.Info("the flight recorder runs")
		w.WriteHeader(http.StatusNoContent)
		return
	case http.MethodDelete:
		s.flight.stop()
		s.log.Info("the flight recorder has stopped")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	s.flight.mu.Lock() // one dump at a time, and none that is stopped
	defer s.flight.mu.Unlock()
	recorder := s.flight.now.Load()
	if recorder == nil {
		http.Error(w, "the flight recorder does not run: start it with POST, or for good with admin.flight_recorder", http.StatusConflict)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", s.name+".trace"))
	if _, err := recorder.WriteTo(w); err != nil {
		s.log.Debug("the flight recorder's dump was not sent whole", zap.Error(err))
	}
}
