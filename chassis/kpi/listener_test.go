package kpi_test

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	"github.com/seed-754044b3/roadworthy/chassis/kpi"
)

func ExampleListener() {
	registry := prometheus.NewRegistry()
	l := kpi.New(kpi.Options{Registerer: registry}).Listener("http")
	l.Connections(func() kpi.ConnStats { return kpi.ConnStats{Active: 3, Idle: 40} })
	l.RefuseConn(kpi.TooManyConns)
	l.RefuseRequest(kpi.HeaderTooLarge)

	out, err := testutil.GatherAndFormat(registry, expfmt.TypeTextPlain, "connections", "requests_refused_total")
	if err != nil {
		fmt.Println(err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "connections{") || strings.HasSuffix(line, " 1\n") {
			fmt.Fprint(os.Stdout, line)
		}
	}
	// Output:
	// connections{listener="http",state="active"} 3
	// connections{listener="http",state="hijacked"} 0
	// connections{listener="http",state="idle"} 40
	// connections{listener="http",state="new"} 0
	// connections{listener="http",state="open"} 0
	// requests_refused_total{listener="http",reason="header_too_large"} 1
}

// reasons maps the label reason of a metric to its value.
func reasons(t *testing.T, g prometheus.Gatherer, name string) map[string]float64 {
	t.Helper()
	counts := make(map[string]float64)
	for _, m := range family(t, g, name) {
		counts[label(m, "reason")] += m.GetCounter().GetValue()
	}
	return counts
}

func TestEveryRefusalHasItsReason(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := kpi.New(kpi.Options{Registerer: registry})
	l := m.Listener("http")
	if l != m.Listener("http") {
		t.Error("one name gives two listeners")
	}
	zero := map[string]float64{"limit": 0, "client_limit": 0, "tls_handshake": 0, "proxy_header": 0, "acl": 0, kpi.Other: 0}
	if got := reasons(t, registry, "connections_refused_total"); !reflect.DeepEqual(got, zero) {
		t.Errorf("before the first: %v, want %v", got, zero)
	}
	all := []kpi.Refusal{
		kpi.RefusedOther, kpi.TooManyConns, kpi.TooManyOfOne, kpi.BadHandshake, kpi.BadProxy, kpi.DeniedConn,
		kpi.Malformed, kpi.HeaderTooLarge, kpi.HeaderTimeout, kpi.NotImplemented, kpi.BadVersion, kpi.DeniedRequest, 99,
	}
	for _, r := range all {
		l.RefuseConn(r)
		l.RefuseRequest(r)
	}
	wantConns := map[string]float64{"limit": 1, "client_limit": 1, "tls_handshake": 1, "proxy_header": 1, "acl": 1, kpi.Other: 8}
	if got := reasons(t, registry, "connections_refused_total"); !reflect.DeepEqual(got, wantConns) {
		t.Errorf("connections: %v, want %v", got, wantConns)
	}
	wantRequests := map[string]float64{
		"malformed": 1, "header_too_large": 1, "header_timeout": 1, "not_implemented": 1, "version": 1, "acl": 1, kpi.Other: 7,
	}
	if got := reasons(t, registry, "requests_refused_total"); !reflect.DeepEqual(got, wantRequests) {
		t.Errorf("requests: %v, want %v", got, wantRequests)
	}
	stats := m.Listeners()
	if len(stats) != 1 || stats[0].Name != "http" || stats[0].Counted || stats[0].RefusedConns["limit"] != 1 ||
		stats[0].RefusedConns[kpi.Other] != 8 || stats[0].RefusedRequests["acl"] != 1 || len(stats[0].RefusedRequests) != 7 {
		t.Errorf("%+v", stats)
	}
	if got := kpi.Refusal(99).String(); got != kpi.Other {
		t.Errorf("a reason that does not exist is %q", got)
	}
	if n := testing.AllocsPerRun(100, func() { l.RefuseConn(kpi.BadProxy); l.RefuseRequest(kpi.Malformed) }); n != 0 {
		t.Errorf("%v allocations to count two refusals", n)
	}
}

func TestConnectionsAreAskedForAtEachScrape(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := kpi.New(kpi.Options{Registerer: registry})
	m.Listener("quiet")
	now := kpi.ConnStats{New: 1, Active: 2, Idle: 3, Hijacked: 4, Open: 5}
	m.Listener("http").Connections(func() kpi.ConnStats { return now })
	m.Listener("http").InFlight().Set(6)
	states := func() map[string]float64 {
		out := map[string]float64{}
		for _, m := range family(t, registry, "connections") {
			out[label(m, "listener")+" "+label(m, "state")] = m.GetGauge().GetValue()
		}
		return out
	}
	want := map[string]float64{"http new": 1, "http active": 2, "http idle": 3, "http hijacked": 4, "http open": 5}
	if got := states(); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	now.Active = 20
	if got := states()["http active"]; got != 20 {
		t.Errorf("%v active after a change", got)
	}
	stats := m.Listeners()
	if len(stats) != 2 || !stats[0].Counted || stats[0].Conns.Total() != 33 || stats[0].InFlight != 6 || stats[1].Counted {
		t.Errorf("%+v", stats)
	}
}

func TestListenersBeyondTheBoundAreCountedTogether(t *testing.T) {
	registry := prometheus.NewRegistry()
	m := kpi.New(kpi.Options{Registerer: registry})
	for i := range 70 {
		l := m.Listener(fmt.Sprint("l", i))
		l.RefuseConn(kpi.BadProxy)
		l.Connections(func() kpi.ConnStats { return kpi.ConnStats{Idle: 1} })
	}
	for _, s := range m.Listeners() {
		if s.Name == kpi.Other && (s.Conns.Idle != 6 || s.RefusedConns["proxy_header"] != 6) {
			t.Errorf("%+v", s)
		}
	}
	if n := len(m.Listeners()); n != 65 {
		t.Errorf("%d listeners", n)
	}
}
