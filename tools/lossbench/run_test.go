package lossbench_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/internal/port"
	"github.com/seed-754044b3/roadworthy/tools/lossbench"
)

// quick is a bench around a command that serves /work at addr.
func quick(t *testing.T, command func(addr string) []string) lossbench.Bench {
	t.Helper()
	addrs, err := port.Addrs(1)
	if err != nil {
		t.Fatal(err)
	}
	output, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = output.Close()
		if text, err := os.ReadFile(output.Name()); err == nil && t.Failed() {
			t.Logf("the command printed:\n%s", text)
		}
	})
	return lossbench.Bench{
		Command: command(addrs[0]), Reloads: 3, Interval: 50 * time.Millisecond, Warmup: 100 * time.Millisecond,
		Probe: "http://" + addrs[0] + "/work?ms=0", Output: output,
		Load: lossbench.Options{HTTP: addrs[0], Protocols: []string{"h1", "h1-fresh"}, Delay: 5 * time.Millisecond},
	}
}

func run(t *testing.T, b lossbench.Bench) *lossbench.Report {
	t.Helper()
	r, err := lossbench.Run(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestStoppingAndStartingLosesRequestsAndIsSeenTo(t *testing.T) {
	t.Parallel()
	b := quick(t, func(addr string) []string {
		return as("lossd", "-http.addr="+addr, "-grpc.addr=127.0.0.1:0", "-access_log.path=off")
	})
	b.Mode = lossbench.Restart
	r := run(t, b)
	if r.Reloads.Done != 3 || r.Reloads.Ready.Count != 3 || r.Reloads.Drain.Count != 3 || r.Reloads.Unfinished != 0 || r.Reloads.Failure != "" {
		t.Errorf("reloads %+v", r.Reloads)
	}
	if r.Failed() == 0 || r.Results[0].Causes["dial: refused"] == 0 {
		t.Errorf("%d of %d failed %v", r.Failed(), r.Requests(), r.Results[0].Causes)
	}
	if err := r.Clean(); err == nil || !strings.Contains(err.Error(), "requests failed") {
		t.Errorf("Clean: %v", err)
	}
}

func TestAParentThatStaysIsReloadedByASignal(t *testing.T) {
	t.Parallel()
	b := quick(t, func(addr string) []string { return as("parent", addr) })
	b.CheckLeaks = true
	r := run(t, b)
	if r.Mode != lossbench.Signal || r.Reloads.Done != 3 || r.Reloads.Ready.Count != 3 || r.Reloads.Drain.Count != 3 {
		t.Errorf("mode %s, reloads %+v", r.Mode, r.Reloads)
	}
	if r.Leaks == nil || r.Leaks.Found() || r.Leaks.FilesBefore < 4 {
		t.Errorf("leaks %+v", r.Leaks)
	}
	if in := r.Results[0].Reload.Count; in == 0 {
		t.Error("no answer was counted as given in a reload")
	}
}

func TestWhatAParentLeavesBehindIsFound(t *testing.T) {
	t.Parallel()
	b := quick(t, func(addr string) []string { return as("leaky", addr) })
	b.CheckLeaks = true
	b.Load.Protocols, b.Load.Rate = []string{"h1-fresh"}, 100
	r := run(t, b)
	if l := r.Leaks; l == nil || l.FilesAfter-l.FilesBefore < 3 || l.ZombiesAfter-l.ZombiesBefore != 3 {
		t.Errorf("leaks %+v, want 3 files and 3 zombies", l)
	}
	if r.Reloads.Drain.Count != 3 {
		t.Errorf("drains %+v: a process that has ended is gone, reaped or not", r.Reloads.Drain)
	}
	if err := r.Clean(); err == nil {
		t.Error("a leak is called clean")
	}
}

func TestAProcessThatReplacesItselfIsFollowedByItsFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pid")
	b := quick(t, func(addr string) []string { return as("flip", addr, file) })
	b.Mode, b.PIDFile = lossbench.PIDFile, file
	r := run(t, b)
	if r.Reloads.Done != 3 || r.Reloads.Drain.Count != 3 || r.Reloads.Refused < 1 {
		t.Errorf("reloads %+v, want 3 done and a signal refused", r.Reloads)
	}
	pid, err := lossbench.ReadPID(file)
	if err != nil || !lossbench.Ended(pid) {
		t.Errorf("process %d, %v, still runs", pid, err)
	}
}

func TestAWorkerWithAFaultMustNotTakeOver(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "fault")
	b := quick(t, func(addr string) []string {
		return append([]string{"/usr/bin/env", faultFile + "=" + file}, as("parent", addr)...)
	})
	b.Fault, b.FaultFile, b.Interval = "panic", file, 200*time.Millisecond
	r := run(t, b)
	if r.Reloads.Done != 3 || r.Reloads.Ready.Count != 1 || r.Reloads.Drain.Count != 1 {
		t.Errorf("reloads %+v, want the last to have a new worker", r.Reloads)
	}
	b = quick(t, func(addr string) []string { return as("parent", addr) })
	b.Fault, b.FaultFile, b.Interval = "panic", file, within
	if r := run(t, b); r.Reloads.Done != 0 || !strings.Contains(r.Reloads.Failure, "though it has the fault panic") {
		t.Errorf("a worker that does not heed the fault: reloads %+v", r.Reloads)
	}
}

func TestAReloadThatDoesNotHappenIsReported(t *testing.T) {
	t.Parallel()
	// Without a signal handler a hang-up ends it.
	b := quick(t, func(addr string) []string { return as("deaf", addr) })
	b.ReadyTimeout = 5 * time.Second
	b.Load.Protocols = []string{"h1-fresh"}
	r := run(t, b)
	if r.Reloads.Done != 0 || !strings.Contains(r.Reloads.Failure, "reload 1: no new worker answers within 5s") {
		t.Errorf("reloads %+v", r.Reloads)
	}
	if err := r.Clean(); err == nil || !strings.Contains(err.Error(), "0 of 3 reloads done: reload 1: no new worker") {
		t.Errorf("Clean: %v", err)
	}
}

func TestAProcessThatEndsIsReported(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*lossbench.Bench){
		"before it answers":                func(b *lossbench.Bench) {},
		"when nobody would tell by asking": func(b *lossbench.Bench) { b.Probe = "" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := quick(t, func(string) []string { return []string{"true"} })
			change(&b)
			if r, err := lossbench.Run(t.Context(), b); err == nil || !strings.Contains(err.Error(), "true has ended") {
				t.Errorf("%v, %v", r, err)
			}
		})
	}
	b := quick(t, func(string) []string { return []string{"/nowhere/lossd"} })
	if _, err := lossbench.Run(t.Context(), b); err == nil || !strings.Contains(err.Error(), "start /nowhere/lossd") {
		t.Errorf("a command that is not there: %v", err)
	}
	b = quick(t, func(string) []string { return []string{"sleep", "60"} })
	b.ReadyTimeout = 50 * time.Millisecond
	if _, err := lossbench.Run(t.Context(), b); err == nil || !strings.Contains(err.Error(), "nobody answers") {
		t.Errorf("a command that does not serve: %v", err)
	}
}

func TestAProcessThatDoesNotEndIsKilled(t *testing.T) {
	t.Parallel()
	b := quick(t, func(addr string) []string {
		return []string{"sh", "-c", "trap '' TERM; while :; do sleep 0.01; done"}
	})
	b.Probe, b.Reloads, b.DrainTimeout, b.Load.Protocols = "", 0, 100*time.Millisecond, []string{"h1-fresh"}
	b.Warmup = 3 * time.Second // to be there
	r, err := lossbench.Run(t.Context(), b)
	if err == nil || !strings.Contains(err.Error(), "was killed") || r == nil {
		t.Errorf("%v, %v", r, err)
	}
}

func TestReloadsWithoutAProbeAreOnlyPaced(t *testing.T) {
	t.Parallel()
	b := quick(t, func(addr string) []string { return as("parent", addr) })
	b.Probe, b.Warmup = "", 5*time.Second // to be there
	r := run(t, b)
	if r.Reloads.Done != 3 || r.Reloads.Ready.Count != 0 || r.Reloads.Drain.Count != 0 {
		t.Errorf("reloads %+v", r.Reloads)
	}
}

func TestARunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	b := quick(t, func(addr string) []string { return as("parent", addr) })
	b.Reloads, b.Interval = 1000, 300*time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
	defer cancel()
	r, err := lossbench.Run(ctx, b)
	if err != nil {
		t.Fatal(err)
	}
	if r.Reloads.Done >= 1000 || !strings.Contains(r.Reloads.Failure, "deadline") {
		t.Errorf("reloads %+v", r.Reloads)
	}
}

func TestBenchesThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	command := []string{"true"}
	for want, b := range map[string]lossbench.Bench{
		"no command":                    {},
		"unknown mode \"reboot\"":       {Command: command, Mode: "reboot"},
		"belongs to the mode tableflip": {Command: command, PIDFile: "pid"},
		"needs a URL to probe":          {Command: command, Mode: lossbench.PIDFile, PIDFile: "pid"},
		"leaks can be looked for":       {Command: command, Mode: lossbench.Restart, CheckLeaks: true},
		"a fault needs the mode":        {Command: command, Mode: lossbench.Restart, Fault: "panic", FaultFile: "fault", Probe: "http://127.0.0.1:1/"},
		"want panic, error or hang":     {Command: command, Fault: "die", FaultFile: "fault", Probe: "http://127.0.0.1:1/"},
		"reloads: want 0 or more":       {Command: command, Reloads: -1},
		"a time is negative":            {Command: command, Interval: -1},
	} {
		if _, err := lossbench.Run(t.Context(), b); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", b, err, want)
		}
	}
	b := quick(t, func(addr string) []string { return as("parent", addr) })
	b.Load.Protocols = []string{"h3"}
	if _, err := lossbench.Run(t.Context(), b); err == nil || !strings.Contains(err.Error(), "unknown protocol") {
		t.Errorf("options of the load that make no sense: %v", err)
	}
}

func TestAFileWithoutAProcessIDIsRefused(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pid")
	if pid, err := lossbench.ReadPID(file); pid != 0 || err != nil {
		t.Errorf("no file: %d, %v", pid, err)
	}
	for _, text := range []string{"", "x", "1", "-5"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if pid, err := lossbench.ReadPID(file); err == nil {
			t.Errorf("%q: %d", text, pid)
		}
	}
	if _, err := lossbench.ReadPID(filepath.Dir(file)); err == nil {
		t.Error("a folder is read")
	}
	// A process that the command has not started is left alone.
	b := quick(t, func(addr string) []string { return as("parent", addr) })
	if err := os.WriteFile(file, []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		t.Fatal(err)
	}
	b.Mode, b.PIDFile, b.ReadyTimeout = lossbench.PIDFile, file, 5*time.Second
	if r := run(t, b); r.Reloads.Done != 0 || !strings.Contains(r.Reloads.Failure, "names no process that") {
		t.Errorf("reloads %+v", r.Reloads)
	}
}

func TestChildrenAreFound(t *testing.T) {
	t.Parallel()
	c := exec.Command("sleep", "60")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	all, err := lossbench.Children(os.Getpid())
	if err != nil || !slices.Contains(all, c.Process.Pid) {
		t.Errorf("children %v, %v, want %d among them", all, err, c.Process.Pid)
	}
	if lossbench.Ended(c.Process.Pid) {
		t.Error("it has ended")
	}
	_ = c.Process.Kill()
	eventually(t, "its end is seen before it is reaped", func() bool { return lossbench.Ended(c.Process.Pid) })
	_ = c.Wait()
	if !lossbench.Ended(c.Process.Pid) {
		t.Error("it is back")
	}
}
