package chassis

import (
	"context"
	"errors"
	"fmt"
	"os"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
	"github.com/seed-754044b3/roadworthy/chassis/request"
)

// What follows is for packages that speak a protocol, as grpcserver does: the steps that every
// request takes, whatever it came in by.

// NewRequest identifies a request that came in by listener. id is what the caller calls it,
// empty to make one; traceparent is its trace header, empty when it has none.
func (s *Service) NewRequest(listener, id, traceparent string) request.Info {
	if !request.ValidID(id) {
		id = request.NewID(s.world.Clock.Now(), s.world.Rand)
	}
	trace, ok := request.ParseTrace(traceparent)
	if ok {
		trace = trace.Child(s.world.Rand)
	} else {
		trace = request.NewTrace(s.world.Rand)
	}
	return request.Info{ID: id, Trace: trace, Listener: listener, Draining: s.draining}
}

// Intercept asks the world whether call may be handled; an error is to be answered instead.
func (s *Service) Intercept(ctx context.Context, call Call) error {
	if s.world.Intercept == nil {
		return nil
	}
	return s.world.Intercept(ctx, call)
}

// Fail counts and logs a failure that is about to be answered, and returns what to answer: the
// failure and the id by which its log line is found. Service and Dependency failures are
// logged as errors, with their cause; the others at info level.
func (s *Service) Fail(ctx context.Context, err error) (*failure.Error, string) {
	f := failure.From(rejection(err))
	id := failure.NewID(s.world.Rand)
	s.failures.Add(f.Code())
	code := f.Code()
	log := s.Log(ctx).Info
	if class := code.Class(); class == failure.Service || class == failure.Dependency {
		log = s.Log(ctx).Error
	}
	fields := []zap.Field{
		zap.Int("code", code.Number()), zap.String("class", code.Class().String()),
		zap.String("error_id", id), zap.Error(f),
	}
	if info := request.From(ctx); info != nil && info.Route != "" {
		fields = append(fields, zap.String("route", info.Route))
	}
	if stack := f.Stack(); stack != "" {
		fields = append(fields, zap.String("stack", stack))
	}
	log("request failed", fields...)
	return f, id
}

// rejection gives a queue's rejection the chassis's failure code for its reason.
func rejection(err error) error {
	var r *queue.Rejected
	var f *failure.Error
	if !errors.As(err, &r) || errors.As(err, &f) {
		return err
	}
	var code *failure.Code
	switch r.Reason {
	case queue.Draining:
		code = failure.Draining
	case queue.Expired:
		code = failure.DeadlineExceeded
	case queue.Cancelled:
		code = failure.CallerLeft
	default:
		code = failure.Overloaded
	}
	f = code.Wrap(err)
	if r.RetryAfter > 0 && code.Retryable() {
		f = f.After(r.RetryAfter)
	}
	return f
}

// Metrics is where finished requests are observed.
func (s *Service) Metrics() *kpi.Metrics { return s.metrics }

// LogAccess writes one line to the access log, if there is one. It may block while the log's
// buffers are full.
func (s *Service) LogAccess(rec *accesslog.Record) {
	if s.access != nil {
		s.access.Log(rec)
	}
}

// openAccessLog opens what access_log.path names.
func (s *Service) openAccessLog() error {
	path := s.settings.AccessLog.Path
	if s.world.Dry || path == "off" {
		return nil
	}
	if path == "-" {
		s.access = accesslog.NewWriter(s.world.Stdout, accesslog.Options{})
		return nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("access_log.path: open the access log: %w", err)
	}
	s.access = accesslog.NewWriter(f, accesslog.Options{})
	s.accessFile = f
	return nil
}

// closeAccessLog flushes the access log; its lines are complete when requests are.
func (s *Service) closeAccessLog(ctx context.Context) error {
	if s.access == nil {
		return nil
	}
	err := s.access.Close(ctx)
	if s.accessFile != nil {
		err = errors.Join(err, s.accessFile.Close())
	}
	if err != nil {
		return fmt.Errorf("close the access log: %w", err)
	}
	return nil
}

// registerMetrics puts what the chassis knows into the registry.
func (s *Service) registerMetrics() {
	kpi.RegisterBuild(s.registry, s.name, Version(), goVersion())
	kpi.RegisterRuntime(s.registry)
	kpi.RegisterQueues(s.registry, s.queueStats)
	kpi.RegisterFailures(s.registry, func() []kpi.FailureCount {
		counts := s.failures.Counts()
		out := make([]kpi.FailureCount, len(counts))
		for i, c := range counts {
			out[i] = kpi.FailureCount{Code: c.Code.Number(), Class: c.Code.Class().String(), Count: c.N}
		}
		return out
	})
	if s.access != nil {
		kpi.RegisterAccessLog(s.registry, func() kpi.LogStats {
			st := s.access.Stats()
			return kpi.LogStats{Lines: st.Lines, Dropped: st.Dropped, Bytes: st.Bytes, Errors: st.Errors, Failing: st.Failing}
		})
	}
}

// queueStats is what the metrics say of the queues.
func (s *Service) queueStats() []kpi.QueueStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []kpi.QueueStats
	for _, q := range s.queues {
		st := q.Stats()
		out = append(out, kpi.QueueStats{
			Name: st.Name, Depth: st.Depth, Capacity: st.Capacity, InFlight: st.InFlight, OldestAge: st.OldestAge,
			Admitted: st.Admitted, Rejected: st.Rejected, Waited: st.Waited, WaitTotal: st.WaitTotal,
		})
	}
	return out
}
