package chassis

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/seed-754044b3/roadworthy/chassis/kpi"
	"github.com/seed-754044b3/roadworthy/chassis/reload"
)

// MergeGauge says what a scrape shows of a gauge of the service's own while several of its
// processes live, as they do during a reload: the sum, the maximum, or, if nothing is said, the
// figure of the newest that has it. Counters and histograms are always summed, over processes that
// have ended as well. name is that of the metric. It belongs into Setup.
func (s *Service) MergeGauge(name string, rule kpi.Rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gauges[name] = rule
}

func (s *Service) merger() *kpi.Merger {
	s.mu.Lock()
	defer s.mu.Unlock()
	rules := s.KPI().Rules()
	maps.Copy(rules, s.gauges)
	return kpi.NewMerger(rules)
}

// snapshot is what this process has counted.
func (s *Service) snapshot() ([]byte, error) { return kpi.Snapshot(s.registry) }

// carry merges what ended processes have counted.
func (s *Service) carry(ended []reload.Snapshot) ([]byte, error) {
	return s.merger().Carry(generations(ended)...)
}

func generations(snapshots []reload.Snapshot) []kpi.Generation {
	var gens []kpi.Generation
	for _, o := range snapshots {
		gens = append(gens, kpi.Generation{Worker: o.Worker, Living: o.Living, Data: o.Data})
	}
	return gens
}

// gatherer is what /metrics shows.
func (s *Service) gatherer() prometheus.Gatherer {
	if s.world.host == nil {
		return s.registry
	}
	return prometheus.GathererFunc(s.gatherAll)
}

// gatherAll merges what all processes of the service have counted, whichever of them is asked:
// what a scrape has shown never becomes less.
func (s *Service) gatherAll() ([]*dto.MetricFamily, error) {
	ctx, cancel := context.WithTimeout(context.Background(), hostTimeout)
	defer cancel()
	var own []byte
	var ownErr error
	others, status, err := s.world.host.Gather(ctx, func() []byte {
		own, ownErr = s.snapshot()
		return own
	})
	merged, mergeErr := s.merger().Merge(append(generations(others), kpi.Generation{Worker: s.world.host.Worker(), Living: true, Data: own})...)
	if status == nil {
		return merged, errors.Join(ownErr, err, mergeErr)
	}
	registry := prometheus.NewRegistry()
	kpi.RegisterReload(registry, func() kpi.ReloadStats { return reloadStats(status) })
	ofSupervisor, gatherErr := registry.Gather()
	merged = append(merged, ofSupervisor...)
	slices.SortFunc(merged, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return merged, errors.Join(ownErr, err, mergeErr, gatherErr)
}

func reloadStats(status *reload.Status) kpi.ReloadStats {
	c := status.Counts
	stats := kpi.ReloadStats{
		Reloads: c.Reloads, Failed: map[string]uint64{}, Crashes: c.Crashes, Killed: c.Killed,
		Rollbacks: c.Rollbacks, Upgrades: c.Upgrades, Takeovers: c.Takeovers,
		Workers: map[string]int{string(reload.Starting): 0, string(reload.Active): 0, string(reload.Draining): 0},
	}
	for reason, n := range c.Failed {
		stats.Failed[string(reason)] = n
	}
	for _, w := range status.Workers {
		stats.Workers[string(w.Phase)]++
	}
	if status.Last != nil {
		stats.Last = status.Last.Time
	}
	return stats
}

// drainStats is what the metrics say of connections that left.
func (s *Service) drainStats() []kpi.DrainStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []kpi.DrainStats
	for _, l := range s.listeners {
		switch server := l.server.(type) {
		case *endpoint:
			st := server.server.Stats()
			out = append(out, kpi.DrainStats{Listener: l.name, Given: st.Given, Adopted: st.Adopted, Cut: st.Cut})
		case interface{ Cut() map[string]uint64 }:
			out = append(out, kpi.DrainStats{Listener: l.name, Cut: server.Cut()})
		}
	}
	return out
}
