package spool_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/spool"
)

var _ spool.Host = (*chassis.Service)(nil)

func TestTheHostShowsTheSpoolAndClosesIt(t *testing.T) {
	s := open(t, file(t), spool.Config{})
	h := &host{registry: prometheus.NewRegistry()}
	must(t, s.Attach(h, "reports"))
	if err := s.Attach(h, "reports"); err == nil {
		t.Error("a name was taken twice")
	}
	put(t, s, "a", "b")
	must(t, s.Ack(t.Context(), lease(t, s, 1, time.Minute)...))
	show := func() string {
		out, err := testutil.GatherAndFormat(h.registry, expfmt.TypeTextPlain, "spool_records", "spool_put_total", "spool_acked_total", "spool_dropped_total")
		must(t, err)
		return string(out)
	}
	got := show()
	for _, line := range []string{
		`spool_records{spool="reports"} 1`, `spool_put_total{spool="reports"} 2`, `spool_acked_total{spool="reports"} 1`,
		`spool_dropped_total{reason="discarded",spool="reports"} 0`,
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("no line %s in\n%s", line, got)
		}
	}
	if len(h.closes) != 1 {
		t.Fatalf("%d functions to close, want 1", len(h.closes))
	}
	must(t, h.closes[0](t.Context()))
	if err := s.Put(t.Context(), spool.Record{ID: "x"}); !errors.Is(err, spool.ErrClosed) {
		t.Errorf("after the host has closed it: %v", err)
	}
	if show() != got {
		t.Error("the last figures are not shown any more")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.closes[0](ended); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
