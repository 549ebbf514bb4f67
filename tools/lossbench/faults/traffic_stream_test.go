//go:build linux

package faults_test

import (
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/lossbench"
)

// Row 8. What ends without a word is a failure to the client.
func TestEventStreamsAndWebsocketsAreToldToReconnect(t *testing.T) {
	t.Parallel()
	d := start(t, options{})
	l := d.load(func(o *lossbench.Options) { o.Rate = 3 * lightRate }, "sse", "ws")
	n := d.reloads(l, 4, often)
	movedOnce(t, lossless(t, l), n)
	d.stop()
}
