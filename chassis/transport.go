package chassis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unsafe"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
	"github.com/seed-754044b3/roadworthy/chassis/drain"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
	"github.com/seed-754044b3/roadworthy/chassis/request"
	"github.com/seed-754044b3/roadworthy/internal/wary"
)

// What follows is for packages that speak a protocol, as grpcserver does: the steps that every
// request takes, whatever it came in by.

// Identify identifies a request that came in by listener at now. id is what the caller calls it,
// empty to make one; traceparent is its trace header, empty when it has none. An id that is made
// is written to made and shares its memory: nothing else may be written there afterwards.
func (s *Service) Identify(now time.Time, listener, id, traceparent string, made *[request.IDLen]byte) request.Info {
	if !request.ValidID(id) {
		s.ids.PutID(made, now)
		id = unsafe.String(&made[0], len(made))
	}
	trace, ok := request.ParseTrace(traceparent)
	if ok {
		trace = s.ids.Child(trace)
	} else {
		trace = s.ids.NewTrace()
	}
	return request.Info{ID: id, Trace: trace, Listener: listener, Draining: s.draining}
}

// Intercepts reports whether the world wants to be asked before a handler runs. A daemon's does not.
func (s *Service) Intercepts() bool { return s.world.Intercept != nil }

// Intercept asks the world whether call may be handled; an error is to be answered instead. The
// protocol calls call.After when the handler has ended. Call it only when [Service.Intercepts].
func (s *Service) Intercept(ctx context.Context, call *Call) error {
	return s.world.Intercept(ctx, call)
}

// Asked is what package request does not tell of a request that fails.
type Asked struct {
	Protocol string // "http", "grpc" or a service's own
	Method   string // the HTTP method; "POST" for gRPC
	User     string // who asked, if that is known; only a salted hash of it is kept
}

// Fail counts and logs a failure that is about to be answered, and returns what to answer: the
// failure and the id by which its log line is found. Service and Dependency failures are
// logged as errors, with their cause; the others at info level, but for callers who
// left: at debug level.
//
// ctx is the request's own context. When it was cancelled, an error that wraps context.Canceled
// is [failure.CallerLeft], whatever code it has: nobody waits for the answer, and nothing of
// the service is wrong. When it was not, such an error without a code is unclassified.
func (s *Service) Fail(ctx context.Context, err error, asked Asked) (*failure.Error, string) {
	f := classify(ctx, err, s.ids.Float64)
	id := failure.NewID(s.world.Rand)
	code := f.Code()
	s.failures.Add(code)
	s.aggregate.Add(occurrence(ctx, f, id, s.world.Clock.Now(), asked))
	log := s.Log(ctx)
	write := log.Info
	switch class := code.Class(); {
	case class == failure.Service, class == failure.Dependency:
		write = log.Error
	case code == failure.CallerLeft:
		write = log.Debug // nobody was answered, and leaving is what watchers do
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
	write("request failed", fields...)
	return f, id
}

// AtFault reports whether err, which [Service.Fail] would be told, is of class Service or Dependency: it is
// what counts as failed work of a queue. A caller's mistakes, and nil, are not.
func (s *Service) AtFault(ctx context.Context, err error) bool {
	if err == nil {
		return false
	}
	class := classify(ctx, err, func() float64 { return 0 }).Code().Class()
	return class == failure.Service || class == failure.Dependency
}

// classify is failure.From with what the chassis knows beyond package failure: the request's
// context, and queues. It asks err, which is anybody's, only what may panic: [Service.Fail] is called behind the
// recover that answers panics, or where there is none.
func classify(ctx context.Context, err error, spread func() float64) *failure.Error {
	if err == nil {
		err = errors.New("a failure without an error")
	}
	coded, hasCode := wary.As[failure.Failer](err)
	if p, ok := wary.As[*queue.PanicError](err); ok {
		within := false
		if hasCode {
			_, within = wary.As[*queue.PanicError](coded)
		}
		if !within {
			return failure.Recovered(p.Value, p.Stack)
		}
	}
	f := failure.From(err)
	switch cancelled := wary.Is(err, context.Canceled); {
	case cancelled && f.Stack() == "" && errors.Is(ctx.Err(), context.Canceled):
		return failure.CallerLeft.Wrap(err)
	case hasCode:
		return f
	case cancelled:
		return failure.Unclassified.Wrap(err)
	}
	if r, ok := wary.As[*queue.Rejected](err); ok {
		return rejected(r, err, spread())
	}
	return f
}

// rejected gives a queue's rejection, which err tells of, the failure code for its reason.
// spread, from 0 to 1, is how much later than it could be one is told to come again: all who are told
// the same come back at the same moment.
func rejected(r *queue.Rejected, err error, spread float64) *failure.Error {
	switch r.Reason {
	case queue.Draining:
		return failure.Draining.Wrap(err)
	case queue.Expired:
		return failure.DeadlineExceeded.Wrap(err)
	}
	code := failure.Overloaded
	if r.Reason == queue.TenantQuota || r.Reason == queue.ClientShare {
		code = failure.RateLimited
	}
	f := code.Wrap(err)
	if r.RetryAfter > 0 {
		f = f.After(r.RetryAfter + time.Duration(float64(r.RetryAfter)*spread))
	}
	return f
}

// Metrics is where finished requests are observed.
func (s *Service) Metrics() *kpi.Metrics { return s.metrics }

// LogAccess writes one line to the access log, if there is one. It may block while the log's
// buffers are full.
func (s *Service) LogAccess(rec *accesslog.Record) {
	if s.access == nil {
		return
	}
	path := rec.URI
	if i := strings.IndexByte(path, '?'); i >= 0 {
		path = path[:i]
	}
	for _, excluded := range s.logs.excluded { // a few, most of other lengths: a map takes longer
		if path == excluded {
			return
		}
	}
	s.access.Log(rec)
}

// LogStart is LogAccess for a stream that begins. It writes only where access_log.streams asks for it.
func (s *Service) LogStart(rec *accesslog.Record) {
	if s.logs.starts {
		s.LogAccess(rec)
	}
}

// logSent is LogAccess when the answer to the request of ctx is written, with what that moved. False
// says that nobody knows, and that there is no line.
func (s *Service) logSent(ctx context.Context, rec accesslog.Record) bool {
	return drain.WhenSent(ctx, func(t drain.Traffic) {
		rec.BytesIn, rec.BytesOut = t.In, t.Out
		s.LogAccess(&rec)
	})
}

// accessParts is what the settings of the access log ask of those who fill in records.
type accessParts struct {
	excluded []string // paths without lines
	local    bool     // Record.Local is shown
	reuse    bool     // Record.Reused is shown
	traffic  bool     // Record.BytesIn or Record.BytesOut is shown
	starts   bool     // streams have a line at their start
}

// openAccessLog opens what access_log.path names.
func (s *Service) openAccessLog() error {
	cfg := &s.settings.AccessLog
	if s.world.Dry || cfg.Path == "off" {
		return nil
	}
	options, err := cfg.options(s.world.Rand)
	if err != nil {
		return fmt.Errorf("access_log.%w", err)
	}
	s.logs = accessParts{excluded: cfg.Exclude, local: options.Format.Uses("Ap"), reuse: options.Format.Uses("k"), traffic: options.Format.Uses("IOS"), starts: cfg.Streams == "start"}
	if cfg.Path == "-" {
		s.access = accesslog.NewWriter(s.world.Stdout, options)
		return nil
	}
	f, err := s.openLogFile("access", cfg.Path)
	if err != nil {
		return fmt.Errorf("access_log.path: open the access log: %w", err)
	}
	s.access = accesslog.NewWriter(f, options)
	s.accessFile = f
	return nil
}

// closeAccessLog writes what the access log holds; its lines are complete when requests are.
// A disk that hangs holds it up for a second after the end of ctx at most.
func (s *Service) closeAccessLog(ctx context.Context) error {
	if s.access == nil {
		return nil
	}
	err := await(ctx, closeGrace, func(context.Context) error { return s.access.Close(context.Background()) })
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
	if s.Guest() {
		return // its host shows them
	}
	kpi.RegisterBuild(s.registry, s.name, Version(), revision(), goVersion())
	kpi.RegisterRuntime(s.registry)
	kpi.RegisterQueues(s.registry, s.queueStats)
	kpi.RegisterFailures(s.registry, s.failureCounts)
	kpi.RegisterDrain(s.registry, s.drainStats)
	kpi.RegisterCertificates(s.registry, s.certificateStats)
	if s.logFiles.dir != "" {
		kpi.RegisterLogFiles(s.registry, s.logFileStats)
	}
	if s.access != nil {
		kpi.RegisterAccessLog(s.registry, func() kpi.LogStats {
			st, _ := s.logStats()
			return st
		})
	}
}

// logStats is what is known of the access log, false when there is none.
func (s *Service) logStats() (kpi.LogStats, bool) {
	if s.access == nil {
		return kpi.LogStats{}, false
	}
	st := s.access.Stats()
	return kpi.LogStats{Lines: st.Lines, Dropped: st.Dropped, Bytes: st.Bytes, Errors: st.Errors, Failing: st.Failing, Buffered: st.Buffered}, true
}

// failureCounts is what the metrics say of the failures.
func (s *Service) failureCounts() []kpi.FailureCount {
	counts := s.failures.Counts()
	out := make([]kpi.FailureCount, len(counts))
	for i, c := range counts {
		out[i] = kpi.FailureCount{Code: c.Code.Number(), Class: c.Code.Class().String(), Count: c.N}
	}
	return out
}

// queueStats is what the metrics say of the queues.
func (s *Service) queueStats() []kpi.QueueStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []kpi.QueueStats
	for _, q := range s.queues {
		st := q.Stats()
		k := kpi.QueueStats{
			Name: st.Name, Depth: st.Depth, Capacity: st.Capacity, InFlight: st.InFlight, OldestAge: st.OldestAge,
			NewestFirst: st.NewestFirst, Tenants: st.Tenants, Admitted: st.Admitted, Service: kpi.QueueHistogram(st.Service),
		}
		for _, c := range st.Classes {
			class := kpi.QueueClass{Class: c.Class.String(), Wait: kpi.QueueHistogram(c.Wait), Rejected: c.Rejected}
			if st.Dark {
				class.WouldReject = c.WouldReject
			}
			k.Classes = append(k.Classes, class)
		}
		out = append(out, k)
	}
	return out
}
