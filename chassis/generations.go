package chassis

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/seed-754044b3/roadworthy/chassis/failure/aggregate"
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

// snapshot is what this process has counted, and its groups of failures.
func (s *Service) snapshot() ([]byte, error) {
	counted, err := kpi.Snapshot(s.registry)
	groups, groupsErr := aggregate.Encode(aggregate.Merge(s.aggregate.Groups())) // in the order in which they matter
	return join(counted, groups), errors.Join(err, groupsErr)
}

// carry merges what ended processes have counted. Groups of failures that are forgotten by now end here.
func (s *Service) carry(ended []reload.Snapshot) ([]byte, error) {
	counted, err := s.merger().Carry(generations(ended)...)
	merged, groupsErr := groupsOf(ended)
	groups, encodeErr := aggregate.Encode(aggregate.Recent(merged, s.world.Clock.Now()))
	return join(counted, groups), errors.Join(err, groupsErr, encodeErr)
}

func generations(snapshots []reload.Snapshot) []kpi.Generation {
	var gens []kpi.Generation
	for _, o := range snapshots {
		counted, _ := parts(o.Data)
		gens = append(gens, kpi.Generation{Worker: o.Worker, Living: o.Living, Data: counted})
	}
	return gens
}

// groupsOf are the groups of failures in snapshots; an error says which could not be read.
func groupsOf(snapshots []reload.Snapshot) ([]aggregate.Group, error) {
	var all [][]aggregate.Group
	var errs []error
	for _, o := range snapshots {
		_, data := parts(o.Data)
		groups, err := aggregate.Decode(data)
		if err != nil {
			errs = append(errs, fmt.Errorf("snapshot of worker %d: %w", o.Worker, err))
		}
		all = append(all, groups)
	}
	return aggregate.Merge(all...), errors.Join(errs...)
}

// snapshotMark begins a snapshot that has groups of failures behind its metrics, which alone never
// begin with a zero.
const snapshotMark = "\x00failures1"

// join makes one snapshot of its two parts; parts takes it apart.
func join(counted, groups []byte) []byte {
	joined := binary.AppendUvarint([]byte(snapshotMark), uint64(len(counted)))
	return append(append(joined, counted...), groups...)
}

// parts is what join was given. A worker of an older program sends metrics alone.
func parts(data []byte) (counted, groups []byte) {
	rest, ok := bytes.CutPrefix(data, []byte(snapshotMark))
	if !ok {
		return data, nil
	}
	size, n := binary.Uvarint(rest)
	if n <= 0 || size > uint64(len(rest)-n) {
		return rest, nil // cut off: the merger says so
	}
	rest = rest[n:]
	return rest[:size], rest[size:]
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
	merged, mergeErr := s.merger().Merge(append(generations(others), kpi.Generation{Worker: s.world.host.Worker(), Living: true, Data: metricsIn(own)})...)
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

// metricsIn is the metrics in a snapshot.
func metricsIn(snapshot []byte) []byte {
	counted, _ := parts(snapshot)
	return counted
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
