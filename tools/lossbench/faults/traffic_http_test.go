//go:build linux

package faults_test

import (
	"testing"
	"time"
)

// Row 1.
func TestBusyKeepAliveConnectionsLoseNothing(t *testing.T) {
	t.Parallel()
	d := start(t, options{})
	l := d.load(nil, "h1")
	d.reloads(l, 4, 500*time.Millisecond)
	lossless(t, l)
	d.stop()
}
