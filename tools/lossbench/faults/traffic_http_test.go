//go:build linux

package faults_test

import (
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/tools/lossbench"
)

// often is the time between two reloads of traffic that loses nothing.
const often = 400 * time.Millisecond

// Rows 1 to 4.
func TestHTTPLosesNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		protocols []string
	}{
		{"on busy keep-alive connections", []string{"h1"}},
		{"on connections used again at random", []string{"h1-idle"}},
		{"on a connection for each request", []string{"h1-fresh"}},
		{"on HTTP/2, with bodies that cannot be sent again", []string{"h2c-post", "h2c-get"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := start(t, options{})
			l := d.load(func(o *lossbench.Options) { o.Rate, o.Idle = 3*lightRate, 2*often }, c.protocols...)
			d.reloads(l, 4, often)
			lossless(t, l)
			d.stop()
		})
	}
}

// Row 5. TLS cannot be handed to another process: what is idle is closed after drain.min.
func TestTLSLosesNothingOfClientsThatAreIdleForLessThanDrainMin(t *testing.T) {
	t.Parallel()
	d := start(t, options{TLS: true, Args: []string{"-drain.min=3s", "-reload.max_draining=10"}})
	l := d.load(func(o *lossbench.Options) { o.Rate, o.Idle = 2*lightRate, 500*time.Millisecond }, "tls-h1", "tls-h1-idle", "tls-h2", "tls-h2-idle")
	d.reloads(l, 3, often)
	lossless(t, l)
	d.stop()
}

// Row 5. Nobody can say that a client which is idle for longer loses nothing, but by far the most see in time
// that the connection was closed. HTTP/2 has GOAWAY and loses nothing whatever drain.min is.
func TestTLSLosesLittleOfClientsThatAreIdleForLonger(t *testing.T) {
	t.Parallel()
	d := start(t, options{TLS: true, Args: []string{"-drain.min=100ms", "-reload.max_draining=10"}})
	l := d.load(func(o *lossbench.Options) { o.Rate, o.Idle = 4*lightRate, time.Second }, "tls-h1-idle", "tls-h2-idle")
	d.reloads(l, 4, often)
	for _, r := range l.Stop() {
		t.Logf("%s: %d of %d requests failed, %d closes seen in time: %v", r.Protocol, r.Failed, r.Requests, r.SeenClose, r.Causes)
		switch {
		case r.Requests == 0:
			t.Errorf("%s: no requests", r.Protocol)
		case r.Protocol == "tls-h2-idle" && r.Failed > 0:
			t.Errorf("%s: %d of %d requests failed: %v", r.Protocol, r.Failed, r.Requests, r.Causes)
		case 4*r.Failed > r.Requests:
			t.Errorf("%s: %d of %d requests failed, which is not little: %v", r.Protocol, r.Failed, r.Requests, r.Causes)
		}
	}
	d.stop()
}
