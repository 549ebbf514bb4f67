package sentry_test

import (
	"context"
	"crypto/rand"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/failure/aggregate"
	"github.com/seed-754044b3/roadworthy/chassis/failure/sentry"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
	"github.com/seed-754044b3/roadworthy/fake/sentryfake"
)

// host is a service that does what it is asked at once.
type host struct {
	registry *prometheus.Registry
	kpis     *kpi.Set
	dry      bool
	ctx      context.Context
	sinks    map[string]aggregate.Sink
	end      func()
	done     chan error
	closers  []func(context.Context) error
}

func newHost(t *testing.T) *host {
	h := &host{registry: prometheus.NewPedanticRegistry(), sinks: map[string]aggregate.Sink{}, done: make(chan error, 1)}
	h.kpis = kpi.New(kpi.Options{Registerer: h.registry}).KPIs()
	h.ctx, h.end = context.WithCancel(context.Background())
	t.Cleanup(func() {
		h.end()
		for _, f := range h.closers {
			if err := <-h.done; err != nil {
				t.Errorf("Run: %v", err)
			}
			if err := f(context.Background()); err != nil {
				t.Errorf("close: %v", err)
			}
		}
	})
	return h
}

func (h *host) Name() string                                    { return "game" }
func (h *host) Clock() clock.Clock                              { return clock.Real() }
func (h *host) Rand() io.Reader                                 { return rand.Reader }
func (h *host) Dry() bool                                       { return h.dry }
func (h *host) Log(context.Context) *zap.Logger                 { return zap.NewNop() }
func (h *host) KPI() *kpi.Set                                   { return h.kpis }
func (h *host) Go(_ string, f func(ctx context.Context) error)  { go func() { h.done <- f(h.ctx) }() }
func (h *host) OnClose(_ string, f func(context.Context) error) { h.closers = append(h.closers, f) }
func (h *host) ReportFailures(name string, s aggregate.Sink)    { h.sinks[name] = s }

// metric is the value of one series, -1 when there is none.
func (h *host) metric(t *testing.T, name, label string) float64 {
	families, err := h.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() != name || label != "" && m.GetLabel()[0].GetValue() != label {
				continue
			}
			if m.GetCounter() != nil {
				return m.GetCounter().GetValue()
			}
			return m.GetGauge().GetValue()
		}
	}
	return -1
}

func TestAServiceUsesItByOneLine(t *testing.T) {
	t.Chdir(t.TempDir())
	f := sentryfake.Start(t, sentryfake.Options{})
	h := newHost(t)
	if err := sentry.Use(h, sentry.Config{DSN: config.NewSecret(f.DSN()), Proxy: config.NewSecret("direct")}); err != nil {
		t.Fatal(err)
	}
	if got := h.metric(t, "sentry_events_total", sentry.Refused); got != 0 {
		t.Errorf("refused events are %v from the start, want 0", got)
	}
	if err := h.sinks["sentry"].Take(t.Context(), report(1)); err != nil {
		t.Fatal(err)
	}
	if err := f.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if got := h.metric(t, "sentry_events_total", sentry.Taken); got != 1 {
		t.Errorf("taken events are %v", got)
	}
	for _, name := range []string{"sentry_spool_records", "sentry_spool_oldest_seconds"} {
		if h.metric(t, name, "") < 0 {
			t.Errorf("there is no %s", name)
		}
	}
	if _, err := os.Stat("game-sentry.spool"); err != nil {
		t.Error(err)
	}
}

func TestWithoutADSNNothingIsUsed(t *testing.T) {
	t.Chdir(t.TempDir())
	h := newHost(t)
	if err := sentry.Use(h, sentry.Config{}); err != nil || len(h.sinks)+len(h.closers) != 0 {
		t.Errorf("%v, %d sinks, %d to close", err, len(h.sinks), len(h.closers))
	}
}

func TestADryStartChecksTheConfigurationAndTouchesNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	h := newHost(t)
	h.dry = true
	if err := sentry.Use(h, sentry.Config{DSN: config.NewSecret("https://k3y@sentry.example/1")}); err != nil {
		t.Error(err)
	}
	err := sentry.Use(h, sentry.Config{DSN: config.NewSecret("https://k3y@sentry.example")})
	if err == nil || !strings.Contains(err.Error(), "project number") || strings.Contains(err.Error(), "k3y") {
		t.Errorf("the error is %v", err)
	}
	if entries, _ := os.ReadDir("."); len(entries) != 0 || len(h.sinks) != 0 {
		t.Errorf("it made %v", entries)
	}
}

func TestASpoolThatCannotBeOpenedEndsTheStart(t *testing.T) {
	err := sentry.Use(newHost(t), sentry.Config{DSN: config.NewSecret("https://k3y@sentry.example/1"), Spool: "/no/such/spool"})
	if err == nil || !strings.Contains(err.Error(), "sentry.spool") {
		t.Errorf("the error is %v", err)
	}
}
