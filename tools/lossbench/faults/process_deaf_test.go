//go:build linux

package faults_test

import (
	"io"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/reload"
)

// beginDeaf makes a request whose handler goes on for an hour whatever becomes of its caller, and returns when
// it runs. The daemon must have the fault "deaf".
func (d *daemon) beginDeaf() *http.Response {
	d.t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + d.http + "/deaf")
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = res.Body.Close() })
	if res.StatusCode != http.StatusOK {
		d.t.Fatalf("/deaf: %s", res.Status)
	}
	return res
}

// Row 25.
func TestAHandlerThatHeedsNothingDelaysNoReload(t *testing.T) {
	t.Parallel()
	const timeout = 5 * time.Second // so that all others can leave, on a busy machine too
	d := start(t, options{Args: []string{"-fault=deaf", "-drain.timeout=" + timeout.String(), "-reload.max_draining=2"}})
	l := d.load(nil, traffic...)
	pause(calm)
	inside := d.beginDeaf()
	old := d.active()
	begin := time.Now()
	d.reload()
	d.goodReload()
	t.Logf("two reloads took %v", time.Since(begin))
	d.until("the worker with the handler has ended", func() bool { return !alive(old) })
	took := time.Since(begin)
	t.Logf("the worker ended after %v", took)
	if took < timeout {
		t.Errorf("the worker ended after %v, want the time to drain, %v", took, timeout)
	}
	if _, err := io.Copy(io.Discard, inside.Body); err == nil {
		t.Error("the answer was finished")
	}
	d.settled()
	if c := d.status().Counts; c.Reloads != 2 || c.Killed != 0 {
		t.Errorf("counts %+v, want 2 reloads and nobody killed", c)
	}
	if n := sum(d.metrics(), "drain_cut_total"); n != 1 {
		t.Errorf("%v connections were cut, want 1", n)
	}
	pause(calm)
	lossless(t, l)
	d.stop()
}

// Row 25, of a worker that does not even notice that its time is over.
func TestAWorkerThatStandsStillIsKilled(t *testing.T) {
	t.Parallel()
	d := start(t, options{Args: []string{"-fault=deaf", "-drain.timeout=5s", "-reload.max_draining=1"}})
	l := d.load(nil, traffic...)
	pause(calm)
	d.beginDeaf()
	old := d.active()
	d.reload()
	d.until("only what heeds nothing is left", func() bool { return len(phases(d.status())[reload.Draining]) == 1 })
	pause(4 * calm) // what can leave has left, on a busy machine too
	if err := syscall.Kill(old, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	d.goodReload() // waits for its place
	t.Logf("the reload waited %v", time.Since(begin))
	if alive(old) {
		t.Error("two workers drain, with a bound of one")
	}
	d.settled()
	if c := d.status().Counts; c.Reloads != 2 || c.Killed != 1 {
		t.Errorf("counts %+v, want 2 reloads and one killed", c)
	}
	lostInside(t, l, 1)
	d.stop()
}
