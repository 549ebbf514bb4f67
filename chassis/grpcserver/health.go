package grpcserver

import (
	"context"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/seed-754044b3/roadworthy/chassis"
)

// healthPeriod is how soon those who watch hear that a readiness check fails.
const healthPeriod = time.Second

const (
	serving    = healthpb.HealthCheckResponse_SERVING
	notServing = healthpb.HealthCheckResponse_NOT_SERVING
)

// healthServer is grpc.health.v1.Health. The whole server, called "", and each of its services
// have one status, the readiness of the chassis's service. The server that comes with grpc-go
// has to be told a status, and lets those who watch hold up a drain.
type healthServer struct {
	healthpb.UnimplementedHealthServer
	service *chassis.Service
	names   []string // "" and the services

	mu       sync.Mutex
	watchers int
	status   healthpb.HealthCheckResponse_ServingStatus // as those who watch know it
	changed  chan struct{}                              // closed when status changes
	ended    bool                                       // those who watch are to leave
	final    bool                                       // status stays NOT_SERVING
}

func newHealth(svc *chassis.Service, names []string) *healthServer {
	h := &healthServer{service: svc, names: append([]string{""}, names...), status: notServing, changed: make(chan struct{})}
	svc.OnState(func(state chassis.State) {
		switch {
		case state != chassis.StateDraining:
		case svc.Replaced():
			h.end()
		default:
			h.refuse()
		}
	})
	svc.Go("grpc health", h.follow)
	return h
}

// follow keeps those who watch in step.
func (h *healthServer) follow(ctx context.Context) error {
	tick := time.NewTicker(healthPeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if h.watched() {
			h.report(h.now(ctx))
		}
	}
}

func (h *healthServer) watched() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.watchers > 0
}

func (h *healthServer) watching(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watchers += n
}

// report changes the status that those who watch know.
func (h *healthServer) report(s healthpb.HealthCheckResponse_ServingStatus) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.final || s == h.status {
		return
	}
	h.status = s
	h.wake()
}

// refuse says NOT_SERVING for good.
func (h *healthServer) refuse() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status, h.final, h.ended = notServing, true, true
	h.wake()
}

// end has those who watch leave when streams are to end, with the status that they know: nothing
// has become of the service.
func (h *healthServer) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	h.wake()
}

// wake has those who watch look again. h.mu is held.
func (h *healthServer) wake() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// now is the status at this moment.
func (h *healthServer) now(ctx context.Context) healthpb.HealthCheckResponse_ServingStatus {
	if h.service.ReadyError(ctx) != nil {
		return notServing
	}
	return serving
}

// Check implements healthpb.HealthServer.
func (h *healthServer) Check(ctx context.Context, req *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if !slices.Contains(h.names, req.GetService()) {
		return nil, status.Error(codes.NotFound, "unknown service")
	}
	return &healthpb.HealthCheckResponse{Status: h.now(ctx)}, nil
}

// List implements healthpb.HealthServer.
func (h *healthServer) List(ctx context.Context, _ *healthpb.HealthListRequest) (*healthpb.HealthListResponse, error) {
	now := h.now(ctx)
	list := &healthpb.HealthListResponse{Statuses: map[string]*healthpb.HealthCheckResponse{}}
	for _, name := range h.names {
		list.Statuses[name] = &healthpb.HealthCheckResponse{Status: now}
	}
	return list, nil
}

// Watch implements healthpb.HealthServer. It ends when the service drains, having told so, or
// when the client is gone, which is the usual end and no failure.
func (h *healthServer) Watch(req *healthpb.HealthCheckRequest, ss grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	ctx := ss.Context()
	known := slices.Contains(h.names, req.GetService())
	h.watching(1)
	defer h.watching(-1)
	if now := h.now(ctx); ctx.Err() == nil { // else it tells of this caller, not of the service
		h.report(now)
	}
	told := healthpb.HealthCheckResponse_UNKNOWN
	for {
		h.mu.Lock()
		current, changed, ended := h.status, h.changed, h.ended
		h.mu.Unlock()
		if !known {
			current = healthpb.HealthCheckResponse_SERVICE_UNKNOWN
		}
		if current != told {
			told = current
			if err := ss.Send(&healthpb.HealthCheckResponse{Status: current}); err != nil {
				return err
			}
		}
		draining := h.service.Draining()
		if !ended {
			draining = nil // first the news, then the end
		}
		select {
		case <-changed:
		case <-draining:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}
