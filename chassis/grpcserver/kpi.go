package grpcserver

import (
	"time"

	"google.golang.org/grpc/codes"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
)

// Connections says how many connections are open, for the metric of that name. grpc-go does not
// tell which of them have calls under way.
func (s *server) Connections() kpi.ConnStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gate == nil {
		return kpi.ConnStats{}
	}
	fresh := s.gate.Fresh()
	return kpi.ConnStats{New: fresh, Open: max(s.gate.Conns()-fresh, 0)}
}

// observed is what the metrics are told of a call. What nobody registered comes as a stream too,
// and is none.
func (cl *call) observed(code codes.Code, class failure.Class, stream bool, took time.Duration) kpi.Answer {
	return kpi.Answer{
		Code: kpi.GRPC(uint32(code)), Class: class, Took: took, Bytes: cl.bytes, Stream: stream && cl.Route != "",
		ID: cl.ID, Trace: cl.Trace.Sampled(), End: cl.start.Add(took),
	}
}
