package chassis

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// Divert has requests answered by other instances of a service than the one whose sockets they come in
// by, so that many of them share those. A network fake keeps its tenants apart by it.
type Divert struct {
	// Header is the field of the HTTP header, or of gRPC's metadata, whose first value names who
	// answers, as package net/http writes names. Requests without it are answered by the instance itself.
	Header string
	// To finds the instance of that name, whose World has a Guest. It may wait until there is one, or ctx
	// ends. An error is answered.
	To func(ctx context.Context, name string) (*Instance, error)
}

// DivertBy is the field by which requests are diverted, empty when none are. See [World].Divert.
func (s *Service) DivertBy() string {
	if s.world.Divert == nil {
		return ""
	}
	return s.world.Divert.Header
}

// Guest reports whether the service has no sockets of its own. See [World].Guest.
func (s *Service) Guest() bool { return s.world.Guest != nil }

// OpenJournal implements journal.Opener.
func (s *Service) OpenJournal(ctx context.Context, e journal.Engine, r journal.Request) (journal.Journal, error) {
	if s.world.OpenJournal == nil {
		return e.Open(ctx, r)
	}
	return s.world.OpenJournal(ctx, e, r)
}

// Visit is a request while another instance answers it. Whoever speaks its protocol calls Leave when
// that has been done.
type Visit struct {
	Context context.Context // ends when the instance that answers cuts it off, too
	Server  Server          // of the same listener, in that instance
	host    *Service
	cancel  context.CancelFunc
	unhook  func() bool
}

// Visit finds who answers a request to the listener called listener. ctx is the request's. When the
// error is not nil, it is to be answered.
func (s *Service) Visit(ctx context.Context, name, listener string) (*Visit, error) {
	var ended *Instance
	for {
		to, err := s.world.Divert.To(ctx, name)
		if err == nil && to == ended {
			err = failure.Draining.New() // and nothing has taken its place
		}
		if err != nil {
			return nil, err
		}
		if v := to.service.visit(ctx, listener); v != nil {
			return v, nil
		}
		// It is about to end, and another may take its place.
		select {
		case <-to.done:
			ended = to
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// visit begins a visit, unless the service drains already; nil then.
func (s *Service) visit(ctx context.Context, listener string) *Visit {
	if !s.visits.begin() {
		return nil
	}
	v := &Visit{host: s, Server: s.server(listener)}
	v.Context, v.cancel = context.WithCancel(ctx)
	v.unhook = context.AfterFunc(s.visits.ctx, v.cancel)
	return v
}

// server is what serves the listener called name.
func (s *Service) server(name string) Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listeners {
		if l.name == name {
			return l.server
		}
	}
	return nil
}

// Leave ends the visit and reports whether it was cut off because the instance ends.
func (v *Visit) Leave() (cut bool) {
	cut = !v.unhook()
	v.cancel()
	v.host.visits.end()
	return cut
}

// visits are the requests that a guest answers.
type visits struct {
	ctx    context.Context // ends when they are cut off
	cancel context.CancelFunc

	mu    sync.Mutex
	n     int
	over  bool          // none begins any more
	empty chan struct{} // closed when none is left, after that
}

// begin counts one more, unless none is to begin any more.
func (v *visits) begin() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over {
		return false
	}
	v.n++
	return true
}

func (v *visits) end() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.n--; v.over && v.n == 0 {
		close(v.empty)
	}
}

// refuse has none begin any more, and returns how many are left.
func (v *visits) refuse() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over = true; v.n == 0 {
		close(v.empty)
	}
	return v.n
}

// drain waits until the last one has ended, and cuts them off when ctx ends.
func (v *visits) drain(ctx context.Context) error {
	defer v.cancel()
	if v.refuse() == 0 {
		return nil
	}
	return await(ctx, closeGrace, func(ctx context.Context) error {
		select {
		case <-v.empty:
			return nil
		case <-ctx.Done():
		}
		v.cancel()
		<-v.empty
		return ctx.Err()
	})
}

// divert has another instance answer a request.
func (e *endpoint) divert(w http.ResponseWriter, r *http.Request, name string) {
	v, err := e.service.Visit(r.Context(), name, e.name)
	if err != nil {
		failure.WriteProblem(w, r, failure.From(err).Problem("")) // no failure of the service, whose counts stay as they are
		return
	}
	over := make(chan struct{})
	unwatch := context.AfterFunc(v.Context, func() {
		defer close(over)
		if r.Context().Err() == nil {
			// The handler may wait for its caller, be it for the body or for room for the answer.
			past, rc := time.Unix(1, 0), http.NewResponseController(w)
			_, _ = rc.SetReadDeadline(past), rc.SetWriteDeadline(past)
		}
	})
	defer func() {
		if !unwatch() {
			<-over // the next request may come on the connection
		}
		if v.Leave() {
			panic(http.ErrAbortHandler) // as a server that is closed does to its connections
		}
	}()
	if to, ok := v.Server.(*endpoint); ok { // it is, since both run the same Setup
		to.ServeHTTP(w, r.WithContext(v.Context))
	}
}
