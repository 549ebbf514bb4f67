//go:build unix

package reload_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/reload"
	"github.com/seed-754044b3/roadworthy/internal/need"
)

// spawn runs the supervisor in a process of its own, which wrap may change.
func (d *daemon) spawn(wrap func(*exec.Cmd)) *exec.Cmd {
	d.t.Helper()
	cmd := exec.Command(d.program)
	cmd.Env = append(os.Environ(), superviseVar+"="+d.dir)
	cmd.Stdout, cmd.Stderr = d.log, d.log
	cmd.WaitDelay = time.Second // workers outlive it and keep the pipes
	if wrap != nil {
		wrap(cmd)
	}
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
		d.ended <- cmd.ProcessState.ExitCode()
	}()
	d.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
		if d.t.Failed() {
			d.t.Log(d.log.String())
		}
	})
	d.up()
	return cmd
}

func TestASupervisorTakesOverTheWorkersOfOneThatWasKilled(t *testing.T) {
	d := prepare(t, plan{Fault: "deaf", Drain: 5 * time.Second})
	first := d.spawn(nil)
	d.ask("add")
	d.write(plan{})
	d.reload()
	for range 3 {
		d.ask("add")
	}
	d.until("the figures of worker 1 are heard", func() bool { return d.ask("sum") == "4" })
	_ = first.Process.Kill()
	if code := d.wait(); code != -1 {
		t.Fatalf("code %d", code)
	}
	if n, _ := d.worker(); n != 2 {
		t.Errorf("worker %d serves without a supervisor, want 2", n)
	}
	if got := d.ask("books"); !strings.Contains(got, "there is no supervisor") {
		t.Errorf("gathered %q", got)
	}
	d.run()
	d.until("it has taken over and reloaded", func() bool {
		_, st, err := d.command(reload.CommandStatus)
		return err == nil && st.Counts.Takeovers == 2 && st.Counts.Reloads == 1
	})
	d.until("worker 3 serves alone", func() bool { n, _ := d.worker(); return n == 3 }) // the one before may accept a last one
	d.until("all who were taken over are gone", func() bool { return len(d.status().Workers) == 1 })
	d.stop()
}

func TestTheCountsOfEndedWorkersOutliveTheSupervisor(t *testing.T) {
	d := prepare(t, plan{})
	first := d.spawn(nil)
	for range 3 {
		d.ask("add")
		d.reload()
		d.until("it is carried", func() bool { return d.ask("books") == "1 <nil>" && len(d.status().Workers) == 1 })
	}
	_ = first.Process.Kill()
	d.wait()
	d.run()
	d.until("it has taken over", func() bool { n, _ := d.worker(); return n == 5 })
	d.until("the worker before is gone", func() bool { return len(d.status().Workers) == 1 })
	if got := d.ask("sum"); got != "3" {
		t.Errorf("sum %s, want 3", got)
	}
	d.stop()
}

func TestAnUpgradeKeepsProcessWorkersAndRunDirectory(t *testing.T) {
	d := prepare(t, plan{})
	cmd := d.spawn(nil)
	d.ask("add")
	_ = cmd.Process.Signal(syscall.SIGUSR2)
	d.until("it was upgraded and has reloaded", func() bool {
		_, st, err := d.command(reload.CommandStatus)
		return err == nil && st.Counts.Upgrades == 1 && st.Last.Worker == 2 && len(st.Workers) == 1
	})
	if st := d.status(); st.Supervisor != cmd.Process.Pid || st.Directory != d.dir {
		t.Errorf("status %+v", st)
	}
	if got := d.ask("sum"); got != "1" {
		t.Errorf("sum %s, want 1", got)
	}
	d.stop()
}

// storm asks for reloads, one after the other, until calm is called.
func storm(cmd *exec.Cmd) (calm func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				_ = cmd.Process.Signal(syscall.SIGHUP)
			case <-end:
				return
			}
		}
	}()
	return func() { close(end); <-ended }
}

func TestASupervisorOutlivesAStormOfReloadsAndUpgrades(t *testing.T) {
	d := prepare(t, plan{})
	cmd := d.spawn(nil)
	for n := uint64(4); n <= 20; n += 4 {
		calm := storm(cmd)
		for range 4 {
			_ = cmd.Process.Signal(syscall.SIGUSR2)
		}
		d.until("it was reloaded in the storm", func() bool { _, st, err := d.command(reload.CommandStatus); return err == nil && st.Last != nil })
		calm() // one that never ends has no moment in which nothing waits
		d.until(fmt.Sprintf("upgrade %d", n), func() bool {
			_, st, err := d.command(reload.CommandStatus)
			if err == nil && st.Counts.Upgrades < n {
				_ = cmd.Process.Signal(syscall.SIGUSR2)
			}
			return err == nil && st.Counts.Upgrades >= n
		})
	}
	number, _ := d.worker()
	if o := d.reload(); o.Error != "" || o.Worker <= number {
		t.Errorf("outcome %+v after worker %d", o, number)
	}
	d.stop()
}

func TestABinaryThatCannotSuperviseIsNotUpgradedTo(t *testing.T) {
	d := start(t, plan{})
	bad := strings.TrimSuffix(d.plan, "plan") + "bad"
	if err := os.WriteFile(bad, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	signalSelf(t, syscall.SIGUSR2)
	d.until("it is refused", func() bool { return strings.Contains(d.log.String(), "the new binary cannot take its place") })
	if o := d.reload(); o.Error != "" {
		t.Errorf("outcome %+v", o)
	}
}

func TestAnUpgradeThatCannotBeExecutedLeavesEverythingAsItWas(t *testing.T) {
	d := prepare(t, plan{})
	d.program = d.plan + "-testd"
	// The script passes the check, and cannot be executed after it.
	script := "#!/bin/sh\nif [ -n \"$CHASSIS_CHECK\" ]; then chmod -x \"$0\"; fi\nexec " + os.Args[0] + "\n"
	if err := os.WriteFile(d.program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	d.run()
	d.up()
	t.Cleanup(d.stop)
	c := d.dial()
	defer c.Close()
	signalSelf(t, syscall.SIGUSR2)
	d.until("it has failed", func() bool { return strings.Contains(d.log.String(), "the supervisor stays as it is") })
	if !strings.Contains(d.log.String(), "permission denied") {
		t.Errorf("log %s", d.log)
	}
	if err := os.Chmod(d.program, 0o700); err != nil {
		t.Fatal(err)
	}
	signalSelf(t, syscall.SIGHUP)
	d.until("it reloads all the same", func() bool { return strings.HasPrefix(c.ask("who"), "2 ") })
	if n := d.status().Counts.Upgrades; n != 0 {
		t.Errorf("%d upgrades", n)
	}
}

func TestABinaryThatIsDeployedDuringAnUpgradeIsProvenFirst(t *testing.T) {
	d := prepare(t, plan{})
	d.program = d.plan + "-testd"
	// While the first is checked, one that is good for nothing takes its place.
	for path, script := range map[string]string{
		d.program:           "if [ -n \"$CHASSIS_CHECK\" ]; then mv \"$0.next\" \"$0\"; fi\nexec " + os.Args[0] + "\n",
		d.program + ".next": "exit 9\n",
	} {
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	cmd := d.spawn(func(cmd *exec.Cmd) { cmd.Path = os.Args[0] }) // which the script would not pass its own name on to
	_ = cmd.Process.Signal(syscall.SIGUSR2)
	d.until("the upgrade is over", func() bool {
		select {
		case code := <-d.ended:
			t.Fatalf("the supervisor has become a program that ends with %d", code)
		default:
		}
		_, st, err := d.command(reload.CommandStatus)
		return err == nil && st.Counts.Failed[reload.ReasonCrash] == 1 // of the worker that was to prove it
	})
	if st := d.status(); st.Counts.Upgrades != 0 || st.Supervisor != cmd.Process.Pid {
		t.Errorf("status %+v", st)
	}
	if n, _ := d.worker(); n != 1 {
		t.Errorf("worker %d serves, want 1", n)
	}
	if !strings.Contains(d.log.String(), "it was replaced meanwhile") {
		t.Errorf("log %s", d.log)
	}
	d.stop()
}

func TestConnectionsGoToTheNextWhenTheirHeirIsKilledBeforeItTookThem(t *testing.T) {
	d := start(t, plan{})
	var clients []*client
	for range 20 {
		c := d.dial()
		defer c.Close()
		if c.ask("who") == "" {
			t.Fatal("no answer")
		}
		clients = append(clients, c)
	}
	d.write(plan{Fault: "greedy"})
	d.reload()
	d.write(plan{})
	heir := d.status().Last.PID
	if err := syscall.Kill(heir, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for i, c := range clients {
		d.until("the next worker answers", func() bool {
			got := c.ask("who")
			if got == "" || strings.HasPrefix(got, "2 ") {
				t.Fatalf("client %d: answer %q", i, got)
			}
			return strings.HasPrefix(got, "3 ")
		})
	}
	d.until("the first worker is gone", func() bool { return len(d.status().Workers) == 1 })
}

func TestASocketOfTheServiceManagerIsUsedAndLeftBehind(t *testing.T) {
	d := prepare(t, plan{})
	l, err := net.Listen("unix", d.socket())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d.spawn(func(cmd *exec.Cmd) {
		cmd.Args = []string{"sh", "-c", `LISTEN_PID=$$ exec "$0"`, d.program}
		cmd.Path, err = exec.LookPath("sh")
		cmd.ExtraFiles = []*os.File{f}
		cmd.Env = append(cmd.Env, "LISTEN_FDS=1", "LISTEN_FDNAMES=l0")
	})
	d.reload()
	d.stop()
	if _, err := os.Stat(d.socket()); err != nil {
		t.Errorf("the service manager's socket was removed: %v", err)
	}
}

func TestASocketThatWasKeptAtAnAddressOfBeforeIsNotUsed(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("sockets are kept by systemd only")
	}
	d := prepare(t, plan{})
	before := d.socket() + "-before"
	l, err := net.Listen("unix", before)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	f, err := l.(*net.UnixListener).File()
	if err := errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
	d.spawn(func(cmd *exec.Cmd) {
		cmd.Args = []string{"sh", "-c", `LISTEN_PID=$$ exec "$0"`, d.program}
		cmd.Path, err = exec.LookPath("sh")
		cmd.ExtraFiles = []*os.File{f}
		cmd.Env = append(cmd.Env, "LISTEN_FDS=1", "LISTEN_FDNAMES=kept l0 unix "+url.QueryEscape(before))
	})
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if n, _ := d.worker(); n != 1 {
		t.Errorf("worker %d answers where the configuration says", n)
	}
	if _, err := net.Dial("unix", before); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the address of before is still there: %v", err)
	}
	d.stop()
	if _, err := os.Stat(d.socket()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestAsTheFirstProcessOfItsNamespaceItCollectsOrphans(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("PID namespaces are Linux's")
	}
	unshare := need.Program(t, "unshare", "util-linux")
	if out, err := exec.Command(unshare, "-pf", "--mount-proc", "true").CombinedOutput(); err != nil {
		need.Missing(t, "no PID namespace can be made: %v: %s", err, out)
	}
	d := prepare(t, plan{})
	d.spawn(func(cmd *exec.Cmd) {
		cmd.Args = append([]string{unshare, "-pf", "--mount-proc", "--kill-child"}, cmd.Args...)
		cmd.Path = unshare
	})
	if got := d.ask("status"); got != "1" {
		t.Fatalf("the supervisor is process %s, want 1", got)
	}
	pid, _, _ := strings.Cut(d.ask("orphan"), "<")
	d.until("the orphan is collected", func() bool { return d.ask("alive "+pid) == "no" })
	if o := d.reload(); o.Error != "" {
		t.Errorf("outcome %+v", o)
	}
	d.stop()
}

func TestARunDirectoryMustBeItsOwn(t *testing.T) {
	parent := t.TempDir()
	open, file := parent+"/open", parent+"/file"
	if err := errors.Join(os.Mkdir(open, 0o700), os.Chmod(open, 0o777|os.ModeSticky), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		open:                                    "others may write in it",
		file:                                    "it is not a directory",
		file + "/below":                         "not a directory",
		parent + "/" + strings.Repeat("x", 100): "at most 100 are possible",
	} {
		code, err := reload.Supervise(options(dir, os.Args[0], &journal{}))
		if code != 1 || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %d, %v, want %q", dir, code, err, want)
		}
	}
	// systemd makes a symbolic link of it where DynamicUser= is set.
	link := briefly(t) + "/link"
	if err := os.Symlink(briefly(t), link); err != nil {
		t.Fatal(err)
	}
	linked := prepare(t, plan{})
	linked.run(func(o *reload.Options) { o.Directory, o.Named = link, true })
	linked.up()
	if _, st, err := reload.Ask(context.Background(), link, reload.CommandStatus); err != nil || st.Directory != link {
		t.Errorf("by a link: %+v, %v", st, err)
	}
	signalSelf(t, syscall.SIGTERM)
	if code := linked.wait(); code != 0 {
		t.Errorf("by a link: code %d", code)
	}
	if left, err := os.ReadDir(link); err != nil || len(left) != 1 { // the lock
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// undirected runs a daemon whose run directory nobody has named, and cannot be used.
func undirected(t *testing.T, p plan) *daemon {
	t.Helper()
	open := briefly(t)
	if err := os.Chmod(open, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	d := prepare(t, p)
	d.run(func(o *reload.Options) { o.Directory, o.Named = open, false })
	d.up()
	return d
}

func TestWithoutARunDirectoryALockIsAmongTheWorkersOfOneSupervisor(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	d := undirected(t, plan{Fault: "deaf", Drain: time.Hour})
	_, holder := d.worker()
	if !strings.Contains(d.log.String(), "without a run directory") {
		t.Errorf("log %s", d.log)
	}
	if got := d.ask("lock"); got != "locked" {
		t.Errorf("lock: %s", got)
	}
	d.write(plan{})
	signalSelf(t, syscall.SIGHUP)
	d.until("the next one serves", func() bool { n, _ := d.worker(); return n == 2 })
	if got := d.ask("try"); got == "free" {
		t.Error("two workers hold one lock")
	}
	if err := syscall.Kill(holder, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	d.until("its lock is free", func() bool { return d.ask("try") == "free" })
	d.until("its end is known, which during a stop would be a failure", func() bool { return strings.Contains(d.log.String(), "worker has ended") })
	signalSelf(t, syscall.SIGTERM)
	if code := d.wait(); code != 0 {
		t.Errorf("code %d", code)
	}
	if left, err := filepath.Glob(temporary + "/locks-*"); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestAWorkerThatHasNowhereToLockIsTold(t *testing.T) {
	t.Setenv("TMPDIR", "/nowhere/at/all")
	d := undirected(t, plan{})
	if got := d.ask("lock"); !strings.Contains(got, "neither a run directory nor a temporary one") {
		t.Errorf("lock: %s", got)
	}
	signalSelf(t, syscall.SIGTERM)
	if code := d.wait(); code != 0 || !strings.Contains(d.log.String(), "workers can lock nothing") {
		t.Errorf("code %d, log %s", code, d.log)
	}
}

func TestTheRunDirectoryNobodyNamesIsWhereTheSystemWantsIt(t *testing.T) {
	for _, test := range []struct{ runtime, xdg, want string }{
		{"/run/a:/run/b", "/run/user/1", "/run/a"},
		{"", "/run/user/1", "/run/user/1/testd"},
	} {
		got := reload.Directory("testd", func(name string) string {
			return map[string]string{"RUNTIME_DIRECTORY": test.runtime, "XDG_RUNTIME_DIR": test.xdg}[name]
		})
		if got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
	if got := reload.Directory("testd", func(string) string { return "" }); !strings.Contains(got, "testd") {
		t.Errorf("got %s", got)
	}
}

// briefly makes a directory whose path is short enough for sockets.
func briefly(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "rl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
