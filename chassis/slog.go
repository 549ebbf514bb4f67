package chassis

import (
	"context"
	"encoding/hex"
	"log/slog"
	"math"

	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"

	"github.com/seed-754044b3/roadworthy/chassis/request"
)

// Log is the application log. With the context of a request, lines carry its request_id and
// trace_id.
func (s *Service) Log(ctx context.Context) *zap.Logger {
	id, trace := identity(ctx)
	if id == "" {
		return s.log
	}
	fields := []zap.Field{zap.String("request_id", id)}
	if trace != "" {
		fields = append(fields, zap.String("trace_id", trace))
	}
	return s.log.With(fields...)
}

// identity is the request id and the trace id of the request that ctx belongs to, empty when
// there is none.
func identity(ctx context.Context) (id, trace string) {
	info := request.From(ctx)
	if info == nil {
		return "", ""
	}
	if !info.Trace.IsZero() {
		trace = hex.EncodeToString(info.Trace.TraceID[:])
	}
	return info.ID, trace
}

// Slog is the application log for code that speaks log/slog; its lines go the same way. As with
// [Service.Log], lines carry request_id and trace_id when ctx is that of a request; otherwise
// those lines do that are logged with such a context, as InfoContext does.
func (s *Service) Slog(ctx context.Context) *slog.Logger {
	var h slog.Handler = zapslog.NewHandler(s.Log(ctx).Core(), zapslog.WithName(s.log.Name()),
		zapslog.AddStacktraceAt(slog.Level(math.MaxInt))) // never, as zap's own lines have none
	if id, _ := identity(ctx); id == "" {
		h = requestHandler{h}
	}
	return slog.New(h)
}

// requestHandler adds to each line which request it was logged for.
type requestHandler struct{ slog.Handler }

func (h requestHandler) Handle(ctx context.Context, r slog.Record) error {
	if id, trace := identity(ctx); id != "" {
		r = r.Clone()
		r.AddAttrs(slog.String("request_id", id))
		if trace != "" {
			r.AddAttrs(slog.String("trace_id", trace))
		}
	}
	return h.Handler.Handle(ctx, r)
}

func (h requestHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestHandler{h.Handler.WithAttrs(attrs)}
}

func (h requestHandler) WithGroup(name string) slog.Handler {
	return requestHandler{h.Handler.WithGroup(name)}
}
