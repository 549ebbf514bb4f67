package logfile

import (
	"os"
	"testing"
)

// Held reports whether a segment is being written.
var Held = held

// Damaged reports whether an error says that a compressed file is not whole.
var Damaged = damaged

// LockDir locks a directory as a process does that moves a link in it, until free is called.
func LockDir(t *testing.T, dir string) (free func()) {
	t.Helper()
	d, err := os.Open(dir)
	if err == nil {
		err = lock(d)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = d.Close() }
}

// BreakManifest has every write to the manifest fail, as on a disk that has gone, and returns what
// has them succeed again.
func (c *Collector) BreakManifest() (mend func()) {
	c.work.Lock()
	defer c.work.Unlock()
	good := c.manifest.file
	readOnly, err := os.Open(good.Name())
	if err != nil {
		panic(err)
	}
	c.manifest.file = readOnly
	return func() {
		c.work.Lock()
		defer c.work.Unlock()
		_ = readOnly.Close()
		c.manifest.file = good
	}
}
