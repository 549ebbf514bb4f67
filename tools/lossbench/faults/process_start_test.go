//go:build linux

package faults_test

import (
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/reload"
)

// Row 9.
func TestANewWorkerThatPanicsLeavesTheOldOneInPlace(t *testing.T) {
	t.Parallel()
	p := deploy(t)
	d := start(t, p.options())
	l := d.load(nil, traffic...)
	pause(calm)
	for range 2 {
		p.configure("fault: panic\n")
		d.failedReload(reload.ReasonSetup, "fault: panic in Setup")
		p.configure("fault: crash\n")
		d.failedReload(reload.ReasonCrash, "fault: panic beside Setup")
		// Or a program that is something else altogether.
		p.configure("")
		p.replace(p.script("exit 3"))
		d.failedReload(reload.ReasonCrash, "it ended before it was ready: exit status 3")
		p.install(os.Args[0])
	}
	if n := d.status().Counts.Failed; n[reload.ReasonSetup] != 2 || n[reload.ReasonCrash] != 4 {
		t.Errorf("failed reloads %v", n)
	}
	if n := sum(d.metrics(), "reload_failed_total"); n != 6 {
		t.Errorf("%v failed reloads on /metrics, want 6", n)
	}
	d.goodReload()
	d.settled()
	pause(calm)
	lossless(t, l)
	d.stop()
}

// Row 10.
func TestANewWorkerThatIsNeverReadyIsKilled(t *testing.T) {
	t.Parallel()
	p := deploy(t)
	d := start(t, p.options())
	l := d.load(nil, traffic...)
	pause(calm)
	for range 2 {
		p.configure("fault: hang\nreload: {start_timeout: 400ms}\n")
		d.failedReload(reload.ReasonTimeout, "it was not ready within 400ms")
		if left := children(d.pid); len(left) != 1 {
			t.Errorf("children %v of the supervisor, want one", left)
		}
	}
	p.configure("")
	d.goodReload()
	d.settled()
	lossless(t, l)
	d.stop()
}

// Row 11.
func TestABinaryOrConfigurationThatIsNoGoodLeavesTheOldWorkerInPlace(t *testing.T) {
	t.Parallel()
	p := deploy(t)
	d := start(t, p.options())
	l := d.load(nil, traffic...)
	pause(calm)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	https := "https: {tls: {cert: " + filepath.Join(d.dir, "cert.pem") + ", key: " + filepath.Join(d.dir, "key.pem") + "}, addr: "
	good := func() {
		p.install(os.Args[0])
		p.configure("")
		d.goodReload()
		d.settled()
	}
	for _, c := range []struct {
		name   string
		spoil  func()
		reason reload.Reason
		text   string
	}{
		{"missing", func() {
			if err := os.Remove(p.binary); err != nil {
				t.Fatal(err)
			}
		}, reload.ReasonExec, p.binary + ": no such file or directory"},
		{"not executable", func() {
			if err := os.Chmod(p.binary, 0o644); err != nil {
				t.Fatal(err)
			}
		}, reload.ReasonExec, p.binary + ": permission denied"},
		{"of another architecture", func() { p.replace(p.foreign()) }, reload.ReasonExec, p.binary + ": exec format error"},
		{"empty", func() { p.install(os.DevNull) }, reload.ReasonExec, p.binary + ": exec format error"},
		{"configured wrongly", func() { p.configure("htttp: {addr: x}\n") }, reload.ReasonConfig, p.config + ":1:1: "},
		{"configured not at all", func() {
			if err := os.Remove(p.config); err != nil {
				t.Fatal(err)
			}
		}, reload.ReasonConfig, p.config},
		{"bound to an address that is taken", func() { p.configure(https + taken.Addr().String() + "}") }, reload.ReasonSetup, "address already in use"},
		{"bound to one address twice", func() { p.configure(https + d.http + "}") }, reload.ReasonSetup, "address already in use"},
	} {
		before := d.status().Counts
		c.spoil()
		d.failedReload(c.reason, c.text)
		// The way that systemd and people take.
		if out, code := d.command("reload"); code != 1 {
			t.Errorf("%s: reload exits with %d: %s", c.name, code, out)
		}
		if n := d.status().Counts; n.Failed[c.reason] != before.Failed[c.reason]+2 || n.Reloads != before.Reloads {
			t.Errorf("%s: counts %+v after %+v", c.name, n, before)
		}
		good()
	}
	pause(calm)
	lossless(t, l)
	d.stop()
}

// foreign is a program for a processor that this machine has not got.
func (p *deployment) foreign() (path string) {
	p.t.Helper()
	text := []byte(readFile(p.t, os.Args[0])[:4096])
	const machine = 18 // offset in the header, as elf(5) has it
	binary.NativeEndian.PutUint16(text[machine:], 0x9026)
	source := filepath.Join(p.t.TempDir(), "alpha")
	writeFile(p.t, source, string(text))
	return p.prepare(source)
}
