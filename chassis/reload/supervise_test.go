//go:build unix

package reload_test

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/reload"
)

func TestAReloadReplacesTheWorkerAndKeepsConnections(t *testing.T) {
	d := start(t, plan{})
	c := d.dial()
	defer c.Close()
	before := c.ask("who")
	o := d.reload()
	if o.Error != "" || o.Worker != 2 {
		t.Fatalf("outcome %+v", o)
	}
	d.until("the connection is handed over", func() bool {
		now := c.ask("who")
		return now != before && strings.HasPrefix(now, "2 ")
	})
	if st := d.status(); st.Counts.Reloads != 1 || st.Last.Worker != 2 || st.Directory != d.dir {
		t.Errorf("status %+v", st)
	}
}

func TestAReloadThatFailsSaysWhyAndTheWorkerBeforeGoesOn(t *testing.T) {
	for _, test := range []struct {
		plan   plan
		reason reload.Reason
		text   string
	}{
		{plan{Fault: "panic"}, reload.ReasonCrash, "no table of this name"},
		{plan{Fault: "exit"}, reload.ReasonCrash, "exit status 7"},
		{plan{Fault: "config"}, reload.ReasonConfig, "key http.adr: unknown"},
		{plan{Fault: "setup"}, reload.ReasonSetup, "no database"},
		{plan{Fault: "hang", Start: 300 * time.Millisecond}, reload.ReasonTimeout, "it was not ready within 300ms"},
		{plan{Fault: "closed"}, reload.ReasonCrash, "closed its channel"},
		{plan{Address: "/nowhere/at/all"}, reload.ReasonSetup, "no such file"},
	} {
		t.Run(test.plan.Fault+string(test.reason), func(t *testing.T) {
			d := start(t, plan{})
			d.write(test.plan)
			o := d.reload()
			if o.Reason != test.reason || !strings.Contains(o.Error, test.text) {
				t.Errorf("outcome %+v, want %s with %q", o, test.reason, test.text)
			}
			if n, _ := d.worker(); n != 1 {
				t.Errorf("worker %d serves, want 1", n)
			}
			if st := d.status(); st.Counts.Failed[test.reason] != 1 {
				t.Errorf("counts %+v", st.Counts)
			}
		})
	}
}

// install copies this program to where a test may replace it.
func install(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(os.Args[0])
	if err == nil {
		err = errors.Join(os.WriteFile(path+".new", data, 0o755), os.Rename(path+".new", path))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestABinaryThatCannotBeExecutedFailsTheReload(t *testing.T) {
	d := prepare(t, plan{})
	d.program = d.plan + "-testd"
	install(t, d.program)
	d.run()
	d.up()
	t.Cleanup(d.stop)
	for name, make := range map[string]func() error{
		"no such file":      func() error { return os.Remove(d.program) },
		"permission denied": func() error { return os.WriteFile(d.program, []byte("\x7fELF"), 0o644) },
		"exec format error": func() error { return os.Chmod(d.program, 0o755) },
	} {
		_ = os.Remove(d.program)
		if name == "exec format error" {
			if err := os.WriteFile(d.program, []byte("\x7fELF of another machine"), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if name == "no such file" {
			install(t, d.program)
		}
		if err := make(); err != nil {
			t.Fatal(err)
		}
		if o := d.reload(); o.Reason != reload.ReasonExec || !strings.Contains(o.Error, name) {
			t.Errorf("outcome %+v, want %s", o, name)
		}
	}
	if n, _ := d.worker(); n != 1 {
		t.Errorf("worker %d serves, want 1", n)
	}
}

func TestAFirstStartThatFailsEndsWithTheCodeOfTheWorker(t *testing.T) {
	for fault, code := range map[string]int{"config": 2, "setup": 3, "exit": 7, "panic": 2} {
		d := prepare(t, plan{Fault: fault})
		d.run()
		if got := d.wait(); got != code || d.err != nil {
			t.Errorf("%s: code %d, error %v, want %d", fault, got, d.err, code)
		}
		said := strings.Contains(d.log.String(), "the service did not start")
		if own := fault == "config" || fault == "setup"; said == own {
			t.Errorf("%s: log %q", fault, d.log)
		}
	}
}

func TestReloadsThatComeDuringAReloadBecomeOne(t *testing.T) {
	d := start(t, plan{Many: 2, Linger: 50 * time.Millisecond})
	outcomes := make(chan *reload.Outcome, 30)
	for range 30 {
		go func() {
			o, _, err := d.command(reload.CommandReload)
			if err != nil {
				t.Error(err)
			}
			outcomes <- o
		}()
	}
	most := 0
	for range 30 {
		o := <-outcomes
		if o == nil || o.Error != "" {
			t.Errorf("outcome %+v", o)
		}
		draining := 0
		for _, w := range d.status().Workers {
			if w.Phase == reload.Draining {
				draining++
			}
		}
		most = max(most, draining)
	}
	if most > 2 {
		t.Errorf("%d workers were draining at a time, want at most 2", most)
	}
	if n := d.status().Counts.Reloads; n >= 30 {
		t.Errorf("30 requests made %d reloads", n)
	}
	// The one that counts starts after the last request.
	asked := time.Now()
	if o := d.reload(); o.Time.Add(-o.Took).Before(asked) {
		t.Errorf("the worker was started %v before it was asked for", asked.Sub(o.Time.Add(-o.Took)))
	}
}

func TestAWorkerThatIsKilledIsReplacedAtOnce(t *testing.T) {
	d := start(t, plan{})
	_, pid := d.worker()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	c := d.dial() // waits in the queue of the listener
	defer c.Close()
	if got := c.ask("who"); !strings.HasPrefix(got, "2 ") || !strings.HasSuffix(got, "true") {
		t.Errorf("answer %q, want of worker 2, which was alone", got)
	}
	if st := d.status(); st.Counts.Crashes != 1 {
		t.Errorf("counts %+v", st.Counts)
	}
}

func TestAWorkerThatSaysItEndsIsReplacedAndHandsOver(t *testing.T) {
	d := start(t, plan{Fault: "none"})
	d.write(plan{Fault: "failing", Linger: 30 * time.Millisecond})
	d.reload()
	d.write(plan{})
	d.until("a worker that stays serves", func() bool { st := d.status(); return len(st.Workers) == 1 && st.Workers[0].Phase == reload.Active })
	if st := d.status(); st.Counts.Crashes == 0 || !strings.Contains(d.log.String(), "the disk is full") {
		t.Errorf("counts %+v", st.Counts)
	}
}

func TestAfterThreeCrashesTheBinaryBeforeServes(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("a replaced file can be executed on Linux only")
	}
	d := prepare(t, plan{})
	d.program = d.plan + "-testd"
	install(t, d.program)
	const good = 2 * time.Second // a busy machine takes its time to see that a worker has died
	d.run(func(o *reload.Options) { o.Timing.Good = good })
	d.up()
	t.Cleanup(d.stop)
	d.until("the binary is one to roll back to", func() bool {
		return time.Since(d.status().Workers[0].Since) > 2*good
	})
	install(t, d.program)
	d.write(plan{Fault: "crash", Faulty: d.program})
	// The old one executes as "… (deleted)" or by its descriptor: only the new one has this path.
	d.until("it was rolled back", func() bool { d.nudge(); return d.status().Counts.Rollbacks == 1 })
	d.write(plan{})
	d.up()
	if o := d.reload(); o.Error != "" {
		t.Errorf("after a rollback: %+v", o)
	}
}

// nudge reloads once.
func (d *daemon) nudge() {
	if !strings.Contains(d.log.String(), "reload asked for") {
		d.reload()
	}
}

func TestAWorkerThatDoesNotDrainIsKilled(t *testing.T) {
	d := start(t, plan{Fault: "deaf", Drain: 50 * time.Millisecond})
	d.write(plan{})
	d.reload()
	d.until("it is killed", func() bool { return d.status().Counts.Killed == 1 })
	d.until("it is gone", func() bool { return len(d.status().Workers) == 1 })
}

func TestAWorkerWithoutAWordHasTheUsualLimits(t *testing.T) {
	d := start(t, plan{Fault: "rude"})
	d.write(plan{})
	if o := d.reload(); o.Error != "" {
		t.Errorf("outcome %+v", o)
	}
}

func TestSIGTERMDuringAStartEndsCleanly(t *testing.T) {
	d := start(t, plan{})
	d.write(plan{Fault: "hang", Start: time.Minute})
	outcome := make(chan *reload.Outcome, 1)
	queued := make(chan *reload.Outcome, 1)
	for _, to := range []chan *reload.Outcome{outcome, queued} {
		go func() { o, _, _ := d.command(reload.CommandReload); to <- o }()
	}
	d.until("both have asked", func() bool { return strings.Count(d.log.String(), "reload asked for") == 2 })
	signalSelf(t, syscall.SIGTERM)
	if code := d.wait(); code != 0 {
		t.Errorf("code %d", code)
	}
	for _, from := range []chan *reload.Outcome{outcome, queued} {
		if o := <-from; o == nil || o.Reason != reload.ReasonStopping {
			t.Errorf("outcome %+v", o)
		}
	}
	if _, err := os.Stat(d.socket()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestASecondSIGTERMEndsAtOnce(t *testing.T) {
	d := start(t, plan{Fault: "deaf", Drain: time.Minute})
	signalSelf(t, syscall.SIGTERM)
	d.until("it stops", func() bool { return strings.Contains(d.log.String(), "msg=stopping") })
	first := time.Now()
	signalSelf(t, syscall.SIGTERM) // the same signal, repeated
	d.until("a signal is another one", func() bool { return time.Since(first) > 150*time.Millisecond })
	signalSelf(t, syscall.SIGTERM)
	began := time.Now()
	if code := d.wait(); code != 1 {
		t.Errorf("code %d, want 1", code)
	}
	if took := time.Since(began); took > 40*time.Second {
		t.Errorf("took %v", took)
	}
}

func TestTheCountsAddUpOverGenerationsAndKills(t *testing.T) {
	d := start(t, plan{})
	want := 0
	for round := range 8 {
		for range 5 {
			if d.ask("add") == "added" {
				want++
			}
		}
		if got := d.ask("sum"); got != strconv.Itoa(want) {
			t.Fatalf("round %d: sum %s, want %d", round, got, want)
		}
		if round%3 == 2 {
			n, pid := d.worker()
			_ = syscall.Kill(pid, syscall.SIGKILL) // what it said last, counts
			d.until("the next one serves", func() bool { now, _ := d.worker(); return now > n })
		} else {
			d.reload()
		}
		d.until("the one before is gone", func() bool { return len(d.status().Workers) == 1 })
	}
	if got := d.ask("sum"); got != strconv.Itoa(want) {
		t.Errorf("sum %s, want %d", got, want)
	}
}

func TestFiftyReloadsLeaveNothingBehind(t *testing.T) {
	d := start(t, plan{})
	d.reload()
	d.until("the first is gone, and the binary one to roll back to", func() bool {
		w := d.status().Workers
		return len(w) == 1 && time.Since(w[0].Since) > 200*time.Millisecond // four times Timing.Good
	})
	d.reload() // the binary to roll back to is no longer open in common with the worker's
	d.until("the second is gone", func() bool { return len(d.status().Workers) == 1 })
	count := func() (int, int) {
		files, _ := os.ReadDir("/proc/self/fd")
		return len(files), runtime.NumGoroutine()
	}
	fds, goroutines := count()
	for range 50 {
		if o := d.reload(); o.Error != "" {
			t.Fatalf("outcome %+v", o)
		}
	}
	defer func() {
		if t.Failed() {
			f, g := count()
			stacks := make([]byte, 1<<16)
			t.Logf("descriptors %d, before %d; goroutines %d, before %d\n%s", f, fds, g, goroutines, stacks[:runtime.Stack(stacks, true)])
		}
	}()
	d.until("as much is open as before", func() bool { f, g := count(); return f <= fds && g <= goroutines })
}

func TestAGrandchildSeesNothingOfTheSupervisor(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	d := start(t, plan{})
	d.reload()
	if got := d.ask("fds"); got != "[0 1 2 3] <nil>" { // 3 is the directory that ls reads
		t.Errorf("descriptors %s", got)
	}
}

func TestASecondSupervisorIsRefused(t *testing.T) {
	d := start(t, plan{})
	_, err := reload.Supervise(options(d.dir, os.Args[0], &journal{}))
	var used *reload.InUseError
	if !errors.As(err, &used) || used.PID != strconv.Itoa(os.Getpid()) || !strings.Contains(err.Error(), "is in use by process "+used.PID) {
		t.Errorf("error %v", err)
	}
}

func TestCommandsWithoutASupervisorSayThatNoneRuns(t *testing.T) {
	_, _, err := reload.Ask(context.Background(), t.TempDir(), reload.CommandStatus)
	if !errors.Is(err, reload.ErrNotRunning) {
		t.Errorf("error %v", err)
	}
	d := start(t, plan{})
	if _, _, err := d.command("dance"); err == nil || err.Error() != `unknown command "dance"` {
		t.Errorf("error %v", err)
	}
	ended, cancel := context.WithCancel(context.Background())
	d.write(plan{Fault: "hang", Start: time.Minute})
	go func() {
		d.until("it starts", func() bool { return len(d.status().Workers) == 2 })
		cancel()
	}()
	if _, _, err := reload.Ask(ended, d.dir, reload.CommandReload); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestListenersAreKeptChangedAndRemoved(t *testing.T) {
	d := prepare(t, plan{})
	a, b := d.socket()+"a", d.socket()+"b"
	d.write(plan{More: []string{a}})
	d.run()
	d.up()
	t.Cleanup(d.stop)
	before, err := os.Stat(d.socket())
	if err != nil {
		t.Fatal(err)
	}
	d.write(plan{More: []string{b}})
	d.reload()
	after, err := os.Stat(d.socket())
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the socket was made anew: %v", err)
	}
	if _, err := os.Stat(a); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old address is still there: %v", err)
	}
	d.write(plan{More: []string{b, b}})
	if o := d.reload(); o.Reason != reload.ReasonSetup || !strings.Contains(o.Error, "address already in use") {
		t.Errorf("an address for two listeners: %+v", o)
	}
	if _, err := os.Stat(b); err != nil {
		t.Errorf("a failed reload removed a socket in use: %v", err)
	}
}

func TestTheServiceManagerIsToldWhatBecomesOfTheService(t *testing.T) {
	d := prepare(t, plan{})
	path := d.socket() + "-notify"
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	// It reads all the time: a socket that is full has the supervisor wait, and then say less.
	heard := make(chan string, 10_000)
	go func() {
		defer close(heard)
		for b := make([]byte, 4096); ; {
			n, _, err := manager.ReadFrom(b)
			if err != nil {
				return
			}
			heard <- string(b[:n])
		}
	}()
	told := func(what string) {
		t.Helper()
		for late := time.After(time.Minute); ; {
			select {
			case got, ok := <-heard:
				if !ok {
					t.Fatalf("nobody said %q", what)
				}
				if strings.Contains(got, what) {
					return
				}
			case <-late:
				t.Fatalf("nobody said %q", what)
			}
		}
	}
	d.run(func(o *reload.Options) {
		o.Environ = append(o.Environ, "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=100000")
	})
	told("READY=1")
	told("WATCHDOG=1")
	d.reload()
	told("RELOADING=1")
	told("READY=1")
	d.write(plan{Fault: "setup"})
	d.reload()
	told("reload failed: no database")
	go d.stop()
	told("STOPPING=1")
	d.until("it has ended", func() bool { _, _, err := d.command(reload.CommandStatus); return errors.Is(err, reload.ErrNotRunning) })
}

func TestAServiceThatCrashesAgainAndAgainCanBeStoppedAndMended(t *testing.T) {
	d := prepare(t, plan{})
	d.run()
	d.up()
	t.Cleanup(d.stop)
	d.write(plan{Fault: "exit"})
	_, pid := d.worker()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	d.until("starts have failed", func() bool { return d.status().Counts.Failed[reload.ReasonCrash] >= 3 })
	d.write(plan{})
	if o := d.reload(); o.Error != "" {
		t.Logf("the one on its way failed: %+v", o)
	}
	d.up()
}

func TestAStopIsGivenTheTimeThatItsWorkerAskedFor(t *testing.T) {
	l := reload.Limits{Drain: time.Second, Stop: time.Minute}
	d := start(t, plan{Fault: "deaf", Drain: l.Drain, Stop: l.Stop})
	signalSelf(t, syscall.SIGTERM)
	d.until("it stops", func() bool { return strings.Contains(d.log.String(), "msg=stopping") })
	began := time.Now()
	d.until("more than a drain has passed", func() bool { return time.Since(began) > 2*l.Drain })
	if st := d.status(); st.Counts.Killed != 0 || len(st.Workers) != 1 {
		t.Errorf("a worker that goes on accepting before it drains was killed: %+v", st)
	}
	signalSelf(t, syscall.SIGTERM)
	if code := d.wait(); code != 1 {
		t.Errorf("code %d", code)
	}
}

func TestAWorkerThatIsToldToEndIsReplacedAtOnceHoweverOften(t *testing.T) {
	d := prepare(t, plan{Fault: "polite"})
	d.run(func(o *reload.Options) { o.Timing.Backoff, o.Timing.MaxBackoff = time.Hour, time.Hour }) // for crashes
	d.up()
	t.Cleanup(d.stop)
	tell := func() (worker int) {
		t.Helper()
		worker, pid := d.worker()
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		return worker
	}
	for range 4 {
		before := tell()
		d.until("the next one serves", func() bool { now, _ := d.worker(); return now > before })
	}
	if c := d.status().Counts; c.Crashes != 0 || c.Rollbacks != 0 {
		t.Errorf("counts %+v: somebody's will is no crash", c)
	}
	// What the next start fails of does not end the daemon, which has served.
	d.write(plan{Fault: "setup"})
	tell()
	d.until("it has failed", func() bool { return d.status().Counts.Failed[reload.ReasonSetup] == 1 })
	d.write(plan{})
	if o := d.reload(); o.Error != "" {
		t.Errorf("outcome %+v", o)
	}
}

func TestManyWhoWaitForAReloadKeepNobodyFromAskingForSomethingElse(t *testing.T) {
	d := start(t, plan{})
	d.write(plan{Fault: "hang", Start: time.Minute})
	patience, leave := context.WithCancel(context.Background())
	defer leave()
	const most = 32
	left := make(chan error, most)
	for range most {
		go func() {
			_, _, err := reload.Ask(patience, d.dir, reload.CommandReload)
			left <- err
		}()
	}
	d.until("all have asked", func() bool { return strings.Count(d.log.String(), "reload asked for") == most })
	if _, _, err := d.command(reload.CommandReload); err == nil || !strings.Contains(err.Error(), "busy: 32 clients wait for") {
		t.Errorf("one more: error %v", err)
	}
	if st := d.status(); len(st.Workers) != 2 {
		t.Errorf("status %+v", st)
	}
	leave()
	for range most {
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("who has left: error %v", err)
		}
	}
	outcome := make(chan *reload.Outcome, 1)
	go func() {
		o, _, err := d.command(reload.CommandReload)
		for err != nil && strings.Contains(err.Error(), "busy") { // until their places are free
			o, _, err = d.command(reload.CommandReload)
		}
		outcome <- o
	}()
	d.until("another one waits", func() bool { return strings.Count(d.log.String(), "reload asked for") == most+1 })
	d.stop()
	if o := <-outcome; o == nil || o.Reason != reload.ReasonStopping {
		t.Errorf("outcome %+v", o)
	}
}
