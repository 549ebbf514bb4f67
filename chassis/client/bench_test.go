package client_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-754044b3/roadworthy/chassis/client"
)

// BenchmarkDo is a GET over loopback by net/http's client and by ours, both keeping the connection.
func BenchmarkDo(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	defer srv.Close()
	s := &service{rand: zeros{}, registry: prometheus.NewRegistry()}
	games, err := client.New(s, "game", client.Config{URL: srv.URL})
	if err != nil {
		b.Fatal(err)
	}
	plain := &http.Client{Transport: &http.Transport{}}
	defer plain.CloseIdleConnections()
	for name, c := range map[string]doer{"net_http": plain, "ours": games} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r, err := http.NewRequestWithContext(b.Context(), "GET", srv.URL, nil)
				if err != nil {
					b.Fatal(err)
				}
				if a := do(c, r); a.status != 200 {
					b.Fatalf("%+v", a)
				}
			}
		})
	}
	if err := s.closes[0](b.Context()); err != nil {
		b.Error(err)
	}
}
