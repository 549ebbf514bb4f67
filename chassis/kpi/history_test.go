package kpi_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
)

func ExampleHistory() {
	now := clock.NewVirtual(time.Unix(1_700_000_000, 0))
	m := kpi.New(kpi.Options{Registerer: prometheus.NewRegistry(), Clock: now})
	games := m.Route("http", "/v1/games", "GET")
	for range 3 {
		games.Observe(200, time.Millisecond, 0)
		games.Observe(503, 40*time.Millisecond, 0)
		now.Advance(kpi.SampleEvery)
	}
	for _, s := range m.History().Samples() {
		fmt.Println(s.End.Sub(s.Begin), s.Requests, "requests,", s.Service, "errors")
	}
	// Output:
	// 5s 2 requests, 1 errors
	// 5s 2 requests, 1 errors
	// 5s 2 requests, 1 errors
}

func TestASampleTellsOfItsSpanAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := kpi.New(kpi.Options{Registerer: prometheus.NewRegistry()})
		a, b, watch := m.Route("http", "/a", "GET"), m.Route("grpc", "/b", "POST"), m.Route("http", "/watch", "GET")
		if s := m.History().Samples(); len(s) != 0 {
			t.Errorf("samples before the first request: %+v", s)
		}
		for range 100 {
			a.Observe(200, 10*time.Second, 0)
		}
		time.Sleep(kpi.SampleEvery + 1)
		a.Observe(404, 2*time.Millisecond, 0)
		b.ObserveGRPC(13, 2*time.Millisecond, 0) // internal
		b.ObserveGRPC(0, 2*time.Millisecond, 0)
		a.Observe(504, 2*time.Millisecond, 0)
		watch.ObserveAnswer(kpi.Answer{Code: kpi.HTTP(200), Took: time.Hour, Stream: true})
		time.Sleep(kpi.SampleEvery)
		a.Observe(200, time.Second, 0)
		time.Sleep(2 * time.Second)
		s := m.History().Samples()
		if len(s) != 3 {
			t.Fatalf("%d samples: %+v", len(s), s)
		}
		if s[0].Requests != 100 || s[0].P50.Round(time.Second) != 10*time.Second {
			t.Errorf("first: %+v", s[0])
		}
		if s[1].Requests != 5 || s[1].Caller != 1 || s[1].Service != 1 || s[1].Dependency != 1 || s[1].End.Sub(s[1].Begin) != kpi.SampleEvery {
			t.Errorf("second: %+v", s[1])
		}
		if p := s[1].P99; p < 1800*time.Microsecond || p > 2200*time.Microsecond {
			t.Errorf("p99 of the second is %v: it knows of others, or of a stream", p)
		}
		if s[2].Requests != 1 || s[2].End.Sub(s[2].Begin).Round(time.Millisecond) != 2*time.Second {
			t.Errorf("under way: %+v", s[2])
		}
	})
}

func TestTheHistoryCostsNothingWhileNothingIsAsked(t *testing.T) {
	now := clock.NewVirtual(time.Unix(1_700_000_000, 0))
	m := kpi.New(kpi.Options{Registerer: prometheus.NewRegistry(), Clock: now})
	r := m.Route("http", "/", "GET")
	r.Observe(200, 0, 0)
	now.Advance(3 * kpi.SampleEvery)
	if n := now.Pending(); n != 0 {
		t.Errorf("%d timers", n)
	}
	if s := m.History().Samples(); len(s) != 1 || s[0].End.Sub(s[0].Begin) != kpi.SampleEvery {
		t.Errorf("%+v", s)
	}
	r.Observe(200, 0, 0)
	r.Observe(200, 0, 0)
	now.Advance(kpi.SampleEvery)
	s := m.History().Samples()
	if len(s) != 2 || s[1].Requests != 2 || s[1].Begin.Sub(s[0].Begin) != 3*kpi.SampleEvery {
		t.Errorf("%+v", s)
	}
	now.Advance(kpi.HistoryFor)
	if s := m.History().Samples(); len(s) != 0 {
		t.Errorf("%d samples after ten minutes", len(s))
	}
}

func TestTheHistoryIsBounded(t *testing.T) {
	now := clock.NewVirtual(time.Unix(1_700_000_000, 0))
	m := kpi.New(kpi.Options{Registerer: prometheus.NewRegistry(), Clock: now})
	r := m.Route("http", "/", "GET")
	for range 300 {
		r.Observe(200, time.Millisecond, 0)
		now.Advance(kpi.SampleEvery)
	}
	s := m.History().Samples()
	if len(s) != 120 || now.Now().Sub(s[0].Begin) != kpi.HistoryFor {
		t.Errorf("%d samples, the first from %v", len(s), s[0].Begin)
	}
}

func TestTheSlowestRequestsAreListed(t *testing.T) {
	now := clock.NewVirtual(time.Unix(1_700_000_000, 0))
	m := kpi.New(kpi.Options{Registerer: prometheus.NewRegistry(), Clock: now})
	r := m.Route("http", "/a", "GET")
	answer := func(id string, took time.Duration, stream bool) {
		r.ObserveAnswer(kpi.Answer{Code: kpi.HTTP(503), Took: took, ID: id, Stream: stream})
	}
	answer("fast", time.Millisecond, false)
	answer("stream", time.Hour, true)
	if got := m.Slowest().List(); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	for i := range 30 {
		answer(fmt.Sprint(i), time.Duration(i+2)*time.Millisecond, false)
	}
	got := m.Slowest().List()
	want := kpi.Slow{ID: "29", Listener: "http", Route: "/a", Method: "GET", Code: "503", Took: 31 * time.Millisecond, End: now.Now()}
	if len(got) != 20 || got[0] != want || got[19].ID != "10" {
		t.Errorf("%d: %+v", len(got), got)
	}
	if m.Slowest().Beats(12*time.Millisecond) || !m.Slowest().Beats(13*time.Millisecond) {
		t.Error("the threshold is not the fastest of the list")
	}
	m.Slowest().Add(kpi.Slow{Took: 5 * time.Millisecond, End: now.Now()}) // others were faster to come
	if got := m.Slowest().List(); len(got) != 20 || got[19].ID != "10" {
		t.Errorf("%d: %+v", len(got), got)
	}
	// The list ages while requests come that are too fast for it.
	for range 130 {
		answer("fast", 2*time.Millisecond, false)
		now.Advance(kpi.SampleEvery)
	}
	if got := m.Slowest().List(); len(got) == 0 || got[0].ID != "fast" {
		t.Errorf("after ten minutes: %+v", got)
	}
	now.Advance(11 * time.Minute)
	if got := m.Slowest().List(); len(got) != 0 || !m.Slowest().Beats(2*time.Millisecond) {
		t.Errorf("after ten minutes without any: %+v", got)
	}
}
