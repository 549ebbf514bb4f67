//go:build linux

package faults_test

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/internal/need"
)

// monotonic wants that no counter or histogram of the service has become less.
func monotonic(t *testing.T, before, after map[string]float64) {
	t.Helper()
	compared := 0
	for name, v := range before {
		metric, _, _ := strings.Cut(name, "{")
		// What the supervisor has counted, unlike what its workers have, dies with it.
		if strings.HasPrefix(metric, "reload") || strings.HasPrefix(metric, "worker") || strings.HasPrefix(metric, "go_") || strings.HasPrefix(metric, "process_") {
			continue
		}
		if !strings.HasSuffix(metric, "_total") && !strings.HasSuffix(metric, "_bucket") && !strings.HasSuffix(metric, "_count") {
			continue
		}
		compared++
		if after[name] < v {
			t.Errorf("%s went from %v to %v", name, v, after[name])
		}
	}
	if compared == 0 {
		t.Error("there is nothing to compare")
	}
}

// alone waits until all requests have gone to the new worker for a while: for a moment both accept.
func (d *daemon) alone() {
	d.t.Helper()
	since, now := time.Now(), d.active()
	d.until("the new worker alone accepts", func() bool {
		if pid, err := d.worker(); err != nil || pid != now {
			since = time.Now()
		}
		return time.Since(since) > calm
	})
}

// Row 16.
func TestTheDeathOfTheSupervisorIsNoOutage(t *testing.T) {
	t.Parallel()
	p := deploy(t)
	d := start(t, p.options("-drain.timeout=2m"))
	l := d.load(nil, traffic...)
	pause(calm)
	d.reload()
	d.settled()
	leaving, old := d.begin(), d.active()
	d.reload()
	d.alone()
	inside, staying := d.begin(), d.active()
	d.reload() // two drain when it happens: one ends before there is another supervisor
	d.alone()
	before := d.metrics()
	workers := d.status().Workers
	serves := d.active()

	kill(t, d.pid)
	<-d.exited
	pause(2 * calm)
	for _, w := range workers {
		if !alive(w.PID) {
			t.Errorf("worker %d, %s, died with its supervisor", w.Worker, w.Phase)
		}
	}
	if pid, err := d.worker(); err != nil || pid != serves {
		t.Errorf("process %d answers without a supervisor (%v), want %d", pid, err, serves)
	}
	if d.tryStatus() != nil {
		t.Error("somebody says he is the supervisor")
	}
	during := d.metrics()
	monotonic(t, before, during)
	if pid, err := leaving.finish(); err != nil || pid != old {
		t.Errorf("what was under way in a worker that drains: process %d, %v, want %d", pid, err, old)
	}
	d.until("the worker that drained has ended", func() bool { return !alive(old) })

	o := p.options()
	o.Dir = d.dir
	d = start(t, o)
	d.until("what it was started with serves", func() bool { now := d.active(); return now != 0 && now != serves })
	if c := d.status().Counts; c.Takeovers != 2 || c.Crashes != 0 {
		t.Errorf("counts %+v, want 2 takeovers", c)
	}
	monotonic(t, before, d.metrics())
	monotonic(t, during, d.metrics())
	if pid, err := inside.finish(); err != nil || pid != staying {
		t.Errorf("what was under way: process %d, %v, want %d", pid, err, staying)
	}
	d.reload()
	d.settled()
	monotonic(t, before, d.metrics())
	pause(calm)
	lossless(t, l)
	d.stop()
}

// Row 17.
func TestTheFirstProcessOfAContainerReloadsReapsAndStops(t *testing.T) {
	t.Parallel()
	container := []string{"unshare", "--pid", "--fork", "--mount-proc", "--kill-child"}
	if out, err := exec.Command(container[0], append(container[1:], "true")...).CombinedOutput(); err != nil {
		need.Missing(t, "no PID namespace can be made, which takes root: %v: %s", err, out)
	}
	p := deploy(t)
	o := p.options("-drain.min=100ms", "-drain.timeout=30s")
	o.Wrap = container
	d := start(t, o)
	if s := d.status(); s.Supervisor != 1 {
		t.Fatalf("the supervisor is process %d, want 1", s.Supervisor)
	}
	first := children(d.pid)
	if len(first) != 1 {
		t.Fatalf("children %v of unshare, want the supervisor", first)
	}
	supervisor := first[0] // as it is called out here
	l := d.load(nil, traffic...)
	pause(calm)
	for range 3 {
		before := d.active()
		if status, text := get("http://" + d.http + "/orphan"); status != 200 {
			t.Errorf("/orphan: %d %s", status, text)
		}
		d.until("the orphan is the supervisor's", func() bool { return len(named(children(supervisor), "sleep")) > 0 })
		if err := syscall.Kill(supervisor, syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		d.until("another worker is active", func() bool { now := d.active(); return now != 0 && now != before })
	}
	kill(t, d.outside(supervisor))
	d.until("the killed worker is replaced", func() bool { s := d.status(); return s.Counts.Crashes == 1 && d.activeOf(s) != 0 })
	d.settled()
	d.until("all orphans are reaped", func() bool { return len(children(supervisor)) == 1 })
	pause(calm)
	lostInside(t, l, 1)
	l = d.load(nil, traffic...)
	d.goodReload()
	d.settled()
	lossless(t, l)
	begin := time.Now()
	if err := syscall.Kill(supervisor, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	d.ended(0) // unshare hands the code on
	t.Logf("ended %v after the signal", time.Since(begin))
}

// outside is the process id, outside of its namespace, of the worker that serves: the youngest.
func (d *daemon) outside(supervisor int) (pid int) {
	d.t.Helper()
	d.settled()
	for _, child := range children(supervisor) {
		pid = max(pid, child)
	}
	return pid
}

// named picks the processes that run this program.
func named(pids []int, program string) (found []int) {
	for _, pid := range pids {
		if name, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm"); strings.TrimSpace(string(name)) == program {
			found = append(found, pid)
		}
	}
	return found
}

// upgrade sends SIGUSR2 and waits until the supervisor has replaced itself and reloaded.
func (d *daemon) upgrade() {
	d.t.Helper()
	c := d.status().Counts
	d.signal(syscall.SIGUSR2)
	d.until("the supervisor is replaced and has reloaded", func() bool {
		s := d.tryStatus()
		return s != nil && s.Counts.Upgrades == c.Upgrades+1 && s.Counts.Reloads >= c.Reloads+1 && d.activeOf(s) != 0
	})
}

// Row 18.
func TestTheSupervisorReplacesItselfWhileAWorkerDrains(t *testing.T) {
	t.Parallel()
	p := deploy(t)
	d := start(t, p.options())
	l := d.load(nil, traffic...)
	pause(calm)
	inside := d.begin()
	old := d.active()
	d.reload()
	before := d.metrics()
	p.install(os.Args[0]) // another file, which is another build
	d.upgrade()
	if !alive(old) {
		t.Error("the worker that drained has ended")
	}
	if exe, err := os.Readlink("/proc/" + strconv.Itoa(d.pid) + "/exe"); err != nil || exe != p.binary {
		t.Errorf("the supervisor runs %s (%v), want %s", exe, err, p.binary)
	}
	if pid, err := inside.finish(); err != nil || pid != old {
		t.Errorf("what was under way: process %d, %v, want %d", pid, err, old)
	}
	d.settled()
	monotonic(t, before, d.metrics())
	d.upgrade()
	d.settled()
	files := openFiles(t, d.pid)
	for range 2 {
		d.upgrade()
		d.settled()
	}
	// One more may be that of a command which was just answered.
	d.until("the supervisor has no more files open than before", func() bool { return openFiles(t, d.pid) <= files })
	pause(calm)
	lossless(t, l)
	d.stop()
}

// Row 18.
func TestASupervisorThatCannotBeReplacedGoesOn(t *testing.T) {
	t.Parallel()
	p := deploy(t)
	d := start(t, p.options())
	l := d.load(nil, traffic...)
	pause(calm)
	for _, c := range []struct{ name, script, says string }{
		{"the new binary is no good", "exit 3", "reload failed"},
		{"it cannot supervise", `[ -z "$CHASSIS_CHECK" ] || exit 3`, "the new binary cannot take its place"},
		{"it vanishes before it is executed", `[ -z "$CHASSIS_CHECK" ] || rm "$0"`, "no such file or directory"},
	} {
		p.replace(p.script(c.script))
		if c.script != "exit 3" {
			d.goodReload()
			d.settled()
		}
		from := len(d.output())
		d.signal(syscall.SIGUSR2)
		d.until(c.name, func() bool { return strings.Contains(d.output()[from:], c.says) })
		p.install(os.Args[0])
		// Signals are heard as before.
		d.reload()
		d.settled()
	}
	if c := d.status().Counts; c.Upgrades != 0 {
		t.Errorf("counts %+v, want no upgrade", c)
	}
	d.upgrade()
	d.settled()
	pause(calm)
	lossless(t, l)
	d.stop()
}

// upgradesVar says how many upgrades the tests do that count on luck; 100 are a thorough test.
const upgradesVar = "FAULTS_UPGRADES"

func upgrades(t *testing.T, standard int) int {
	t.Helper()
	text := os.Getenv(upgradesVar)
	if text == "" {
		return standard
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: want a number", upgradesVar, text)
	}
	return n
}

// Row 18.
func TestHangupsDoNotDisturbUpgrades(t *testing.T) {
	t.Parallel()
	p := deploy(t)
	d := start(t, p.options())
	l := d.load(nil, traffic...)
	pause(calm)
	n := upgrades(t, 5)
	for i := range n {
		before := d.status().Counts
		for h := range 20 {
			d.signal(syscall.SIGHUP)
			if h == i%20 {
				d.signal(syscall.SIGUSR2)
			}
			pause(3 * time.Millisecond)
		}
		d.until("one more upgrade is done", func() bool {
			s := d.tryStatus()
			return s != nil && s.Counts.Upgrades == before.Upgrades+1 && s.Counts.Reloads > before.Reloads
		})
	}
	before := d.status().Counts
	d.goodReload()
	d.settled()
	pause(calm)
	t.Logf("counts before the last reload: %+v", before)
	lossless(t, l)
	d.stop()
}

// Row 18. A SIGTERM in the few milliseconds in which nobody listens is lost, or ends the supervisor alone, as the
// package doc of reload says. In the one case the next is heard, in the other a supervisor that is started again.
func TestAStopDuringAnUpgradeIsHeardOrCanBeRepeated(t *testing.T) {
	t.Parallel()
	p := deploy(t)
	n, lost, killed := upgrades(t, 4), 0, 0
	o := p.options("-drain.min=-1s")
	for i := range n {
		d := start(t, o)
		d.signal(syscall.SIGUSR2)
		pause(time.Duration(i) * 7 % 40 * time.Millisecond)
		d.signal(syscall.SIGTERM)
		quiet := time.Now()
		d.until("the daemon ends", func() bool {
			if time.Since(quiet) > 10*time.Second && !strings.Contains(d.output(), `"msg":"stopping"`) {
				lost, quiet = lost+1, time.Now()
				d.signal(syscall.SIGTERM)
			}
			return d.gone()
		})
		if status := d.state.Sys().(syscall.WaitStatus); status.Signaled() && status.Signal() == syscall.SIGTERM {
			killed++
			if _, err := d.worker(); err != nil {
				t.Errorf("no worker goes on: %v", err)
			}
			again := o
			again.Dir = d.dir
			d = start(t, again)
			d.stop()
		} else {
			d.ended(0)
		}
		// A worker that was taken over is nobody's child: it may end a moment later.
		d.until("no process is left", func() bool { return len(d.processes()) == 0 })
	}
	t.Logf("of %d signals, %d were lost and %d ended the supervisor alone", n, lost, killed)
}
