//go:build linux

package faults_test

import (
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/lossbench"
)

// Row 6.
func TestUnaryCallsLoseNothing(t *testing.T) {
	t.Parallel()
	d := start(t, options{})
	l := d.load(func(o *lossbench.Options) { o.Rate, o.HealthAddr = 3*lightRate, d.grpc }, "grpc", "health")
	d.reloads(l, 4, often)
	lossless(t, l)
	d.stop()
}

// Row 7. A stream that is opened again more often than there were reloads, and a message that is not
// acknowledged, are failures to the client.
func TestStreamsLoseNoMessageAndMoveOnceAReload(t *testing.T) {
	t.Parallel()
	d := start(t, options{})
	l := d.load(func(o *lossbench.Options) { o.Rate = 3 * lightRate }, "grpc-bidi")
	n := d.reloads(l, 4, often)
	movedOnce(t, lossless(t, l), n)
	d.stop()
}

// streams is how many each streaming protocol has at 3*lightRate.
const streams = 4

// movedOnce wants that the streams were opened again because of reloads, and not more than once for each.
func movedOnce(t *testing.T, results []lossbench.Result, reloads int) {
	t.Helper()
	for _, r := range results {
		if r.Reopens < streams || r.Reopens > int64(streams*reloads) {
			t.Errorf("%s: %d reopens of %d streams in %d reloads, want 1 to %d each", r.Protocol, r.Reopens, streams, reloads, reloads)
		}
	}
}
