package chassis

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
	"github.com/seed-754044b3/roadworthy/chassis/reload"
)

// Description is what a service is made of, as -describe prints it: what generators of alerts,
// dashboards and documentation read.
type Description struct {
	Service   string                `json:"service"`
	Version   string                `json:"version"`
	Go        string                `json:"go"`
	Listeners []ListenerDescription `json:"listeners"`
	Queues    []QueueDescription    `json:"queues"`
	Metrics   []MetricDescription   `json:"metrics"`
	Failures  []failure.Description `json:"failures"`
	Config    []ConfigDescription   `json:"config"`
}

// DescribeConfig lists the keys of spec's configuration as [Service.Description] does, with the defaults of a
// daemon that nobody configures. The error is that a field cannot be configured.
func DescribeConfig[C any](spec Spec[C]) ([]ConfigDescription, error) {
	var settings Settings
	set, err := newConfig(&spec, &settings, &spec.Defaults)
	if err != nil {
		return nil, err
	}
	return describeConfig(set), nil
}

func describeConfig(set *config.Set) []ConfigDescription {
	described := []ConfigDescription{}
	for _, f := range set.Fields() {
		described = append(described, ConfigDescription{f.Key, f.Env, f.Type, f.Default, f.Doc})
	}
	return described
}

// ListenerDescription is one listener.
type ListenerDescription struct {
	Name     string   `json:"name"`
	Protocol string   `json:"protocol"`
	Addr     string   `json:"addr"` // as configured; as bound once it is
	Routes   []string `json:"routes"`
	// HTTP2 reports whether callers may speak HTTP/2 there, as those of gRPC do. It is false of a
	// protocol of the service's own.
	HTTP2 bool `json:"-"`
}

// QueueDescription is one bounded queue.
type QueueDescription struct {
	Name     string `json:"name"`
	Workers  int    `json:"workers"`
	Capacity int    `json:"capacity"`
}

// MetricDescription is one metric family.
type MetricDescription struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Help string `json:"help"`
	// Labels and Objective are those of a KPI that the service has declared, see [Service.KPI].
	Labels    []string       `json:"labels,omitempty"`
	Objective *kpi.Objective `json:"objective,omitempty"`
}

// ConfigDescription is one key of the configuration.
type ConfigDescription struct {
	Key     string `json:"key"`
	Env     string `json:"env"`
	Type    string `json:"type"`
	Default string `json:"default"`
	Doc     string `json:"doc"`
}

// Description is what the service is made of now. Of the service's own metrics it lists those
// that have a series already; of the chassis's, all.
func (s *Service) Description() (Description, error) {
	d := Description{
		Service: s.name, Version: Version(), Go: goVersion(),
		Listeners: []ListenerDescription{}, Queues: []QueueDescription{},
		Failures: []failure.Description{},
	}
	s.mu.Lock()
	listeners, queues, describers := s.listeners, s.queues, s.describers
	s.mu.Unlock()
	for _, l := range listeners {
		ld := ListenerDescription{Name: l.name, Protocol: l.protocol, Addr: l.config}
		if l.Listener != nil {
			ld.Addr = l.Listener.Addr().String()
		}
		if speaks, ok := l.server.(interface{ HTTP2() bool }); ok {
			ld.HTTP2 = speaks.HTTP2()
		}
		if l.routes != nil {
			ld.Routes = l.routes()
		}
		ld.Routes = append([]string{}, ld.Routes...) // never null in JSON
		d.Listeners = append(d.Listeners, ld)
	}
	for _, q := range queues {
		st := q.Stats()
		d.Queues = append(d.Queues, QueueDescription{st.Name, st.Workers, st.Capacity})
	}
	var err error
	if d.Metrics, err = metricsOf(s.registry, specimens()); err != nil {
		return d, fmt.Errorf("gather the metrics: %w", err)
	}
	d.Metrics = withMeasures(d.Metrics, s.KPI().Measures())
	for _, set := range s.sets {
		d.Failures = append(d.Failures, set.Describe()...)
	}
	if s.config != nil {
		d.Config = describeConfig(s.config)
	}
	for _, f := range describers {
		f(&d)
	}
	return d, nil
}

// specimens holds one series of each metric that a registry does not show before its first use.
func specimens() *prometheus.Registry {
	r := prometheus.NewRegistry()
	m := kpi.New(kpi.Options{Registerer: r})
	m.Listener("").Connections(func() kpi.ConnStats { return kpi.ConnStats{} })
	m.Route("", "", http.MethodGet).Observe(http.StatusOK, 0, 0)
	kpi.RegisterQueues(r, func() []kpi.QueueStats {
		none := map[string]uint64{"": 0}
		return []kpi.QueueStats{{Classes: []kpi.QueueClass{{Rejected: none, WouldReject: none}}}}
	})
	kpi.RegisterAccessLog(r, func() kpi.LogStats { return kpi.LogStats{} })
	kpi.RegisterReload(r, func() kpi.ReloadStats {
		return reloadStats(&reload.Status{
			Last: &reload.Outcome{Time: time.Unix(0, 0)}, Counts: reload.Counts{Failed: map[reload.Reason]uint64{reload.ReasonExec: 0}},
		})
	})
	kpi.RegisterDrain(r, func() []kpi.DrainStats { return []kpi.DrainStats{{Cut: map[string]uint64{"": 0}}} })
	kpi.RegisterCertificates(r, func() []kpi.CertificateStats { return []kpi.CertificateStats{{}} })
	return r
}

// metricsOf describes the metrics of all registries, by name, each once.
func metricsOf(registries ...*prometheus.Registry) ([]MetricDescription, error) {
	byName := map[string]MetricDescription{}
	var errs []error
	for _, r := range registries {
		families, err := r.Gather()
		errs = append(errs, err)
		for _, f := range families {
			byName[f.GetName()] = MetricDescription{Name: f.GetName(), Type: strings.ToLower(f.GetType().String()), Help: f.GetHelp()}
		}
	}
	metrics := make([]MetricDescription, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		metrics = append(metrics, byName[name])
	}
	return metrics, errors.Join(errs...)
}

// withMeasures adds what the service's own KPIs say of themselves, also those that have no series
// yet because their labels have no values.
func withMeasures(metrics []MetricDescription, measures []kpi.Measure) []MetricDescription {
	for _, m := range measures {
		d := MetricDescription{m.Name, m.Type, m.Help, m.Labels, m.Objective}
		i, found := slices.BinarySearchFunc(metrics, m.Name, func(d MetricDescription, name string) int { return strings.Compare(d.Name, name) })
		if found {
			metrics[i] = d
		} else {
			metrics = slices.Insert(metrics, i, d)
		}
	}
	return metrics
}

// Version is the version of the main module that the running binary was built from, "(devel)"
// for a build from a working tree without version control.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "(unknown)"
	}
	return versionOf(info)
}

func versionOf(info *debug.BuildInfo) string {
	switch version := info.Main.Version; version {
	case "", "(devel)":
		return cmp.Or(revisionOf(info), "(devel)")
	default:
		return version
	}
}

// revision is the commit that the running binary was built from, with -dirty behind it when files
// had been changed; empty when version control was not asked.
func revision() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return revisionOf(info)
	}
	return ""
}

func revisionOf(info *debug.BuildInfo) string {
	var revision, dirty string
	for _, kv := range info.Settings {
		switch {
		case kv.Key == "vcs.revision":
			revision = kv.Value[:min(12, len(kv.Value))]
		case kv.Key == "vcs.modified" && kv.Value == "true":
			dirty = "-dirty"
		}
	}
	if revision == "" {
		return ""
	}
	return revision + dirty
}

func goVersion() string { return runtime.Version() }
