package kpi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-754044b3/roadworthy/chassis/kpi"
	"github.com/seed-754044b3/roadworthy/internal/need"
	"github.com/seed-754044b3/roadworthy/internal/port"
)

// A real Prometheus scrapes the handler of merged metrics, once for native histograms and once for
// classic ones, and is asked what it has understood.
func TestPrometheusUnderstandsBothHistograms(t *testing.T) {
	program := need.Program(t, "prometheus", "prometheus")
	for name, c := range map[string]struct {
		flags []string
		query map[string]string
	}{
		"native": {[]string{"--enable-feature=native-histograms"}, map[string]string{
			"histogram_count(request_duration_seconds)":                       "300",
			"histogram_quantile(0.5, request_duration_seconds) > bool 0.0028": "1",
			"histogram_quantile(0.5, request_duration_seconds) < bool 0.0034": "1",
			`request_errors_total{class="dependency"}`:                        "100",
		}},
		"classic": {nil, map[string]string{
			"request_duration_seconds_count":              "300",
			`request_duration_seconds_bucket{le="0.005"}`: "300",
			`request_duration_seconds_bucket{le="0.001"}`: "0",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var gens []kpi.Generation
			for worker := range 3 {
				registry := prometheus.NewRegistry()
				r := kpi.New(kpi.Options{Registerer: registry}).Route("http", "/", "GET")
				for range 100 {
					r.ObserveAnswer(kpi.Answer{Code: kpi.HTTP([]int{200, 502, 200}[worker]), Took: 3 * time.Millisecond, Trace: [16]byte{1}})
				}
				gens = append(gens, kpi.Generation{Worker: worker + 1, Living: worker == 2, Data: snapshot(t, registry)})
			}
			families, err := kpi.NewMerger(nil).Merge(gens...)
			if err != nil {
				t.Fatal(err)
			}
			target := httptest.NewServer(kpi.Handler(gathered(families...), func(err error) { t.Error(err) }))
			defer target.Close()
			address := runPrometheus(t, program, target.Listener.Addr().String(), c.flags)
			for query, want := range c.query {
				var got string
				for deadline := time.Now().Add(time.Minute); got != want && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
					got = ask(address, query)
				}
				if got != want {
					t.Errorf("%s is %q, want %s", query, got, want)
				}
			}
		})
	}
}

// runPrometheus starts a Prometheus that scrapes target every second, and returns its address.
func runPrometheus(t *testing.T, program, target string, flags []string) string {
	t.Helper()
	addrs, err := port.Addrs(1)
	if err != nil {
		t.Fatal(err)
	}
	address := addrs[0]
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	text := fmt.Sprintf("scrape_configs:\n- job_name: a\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  static_configs:\n  - targets: [%q]\n", target)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append(flags, "--config.file="+config, "--storage.tsdb.path="+dir, "--web.listen-address="+address)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	return address
}

// ask is the first value that a query gives, empty when there is none yet.
func ask(address, query string) string {
	res, err := http.Get("http://" + address + "/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || len(answer.Data.Result) == 0 {
		return ""
	}
	return fmt.Sprint(answer.Data.Result[0].Value[1])
}
