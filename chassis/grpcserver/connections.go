package grpcserver

import "github.com/seed-754044b3/roadworthy/chassis/kpi"

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
