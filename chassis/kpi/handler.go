package kpi

import (
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes bounds how many scrapes are answered at once; more get 503. Two Prometheus
// servers and a curious operator are three.
const maxScrapes = 8

// Handler answers scrapes of g in the format that the scraper asks for: the text format of
// Prometheus; OpenMetrics, which has exemplars; or protobuf, which has native histograms as well
// and is what Prometheus asks for when it is to take those. When some metrics cannot be
// collected the others are served all the same, and report, unless it is nil, is told why; it
// must be safe for concurrent use.
func Handler(g prometheus.Gatherer, report func(error)) http.Handler {
	opts := promhttp.HandlerOpts{
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
		EnableOpenMetrics:   true,
	}
	if report != nil {
		opts.ErrorLog = reporter(report)
	}
	return promhttp.HandlerFor(g, opts)
}

// reporter is a promhttp.Logger.
type reporter func(error)

// Println passes on the error; promhttp puts a text before it.
func (r reporter) Println(v ...any) {
	for _, x := range v {
		if err, ok := x.(error); ok {
			r(fmt.Errorf("serve metrics: %w", err))
		}
	}
}
