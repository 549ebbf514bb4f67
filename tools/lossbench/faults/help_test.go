//go:build linux

package faults_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/reload"
	"github.com/seed-754044b3/roadworthy/internal/port"
	"github.com/seed-754044b3/roadworthy/tools/lossbench"
	"github.com/seed-754044b3/roadworthy/tools/lossbench/target"
)

// role has the test binary be a daemon instead: lossd.
const role = "FAULTS_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		os.Exit(m.Run())
	case "lossd":
		chassis.Main(target.Spec)
	case "impatient":
		runImpatient()
	}
}

// patience bounds every wait: far more than anything takes on a machine that has other things to do.
const patience = 2 * time.Minute

// options say how a daemon is started. The zero value is lossd with its defaults and without an access log.
type options struct {
	Args []string // flags behind those that start adds, which they override
	Env  []string
	// Binary is the path of the program, a copy of the test binary for instance; "" is that itself.
	Binary string
	// Wrap is a command that runs the one behind it, such as unshare or prlimit. It must become the
	// daemon, or pid is not the supervisor's.
	Wrap []string
	TLS  bool // with a listener "https"
	Dir  string
}

// daemon is a lossd of one test.
type daemon struct {
	t                        *testing.T
	pid                      int    // of what was started: the supervisor
	dir                      string // short, of this daemon alone
	run                      string // run directory, in dir
	log                      string // file with its standard output and error
	http, https, grpc, admin string
	exited                   chan struct{}
	state                    *os.ProcessState // once exited is closed
}

// start starts a daemon and waits until it serves. What is left of it is killed when the test ends.
func start(t *testing.T, o options) *daemon {
	t.Helper()
	d := launch(t, o)
	d.until("a worker serves", func() bool {
		if d.gone() {
			t.Fatalf("the daemon has ended:\n%s", d.output())
		}
		return d.activeOf(d.tryStatus()) != 0
	})
	return d
}

// launch starts a daemon without waiting. With options.Dir it is another one in the place of the one that
// had that directory: same addresses, same run directory.
func launch(t *testing.T, o options) *daemon {
	t.Helper()
	dir := o.Dir
	if dir == "" {
		// Not t.TempDir: the paths of sockets must be short.
		var err error
		if dir, err = os.MkdirTemp("/tmp", "faults-"); err != nil {
			t.Fatal(err)
		}
		addrs, err := port.Addrs(4)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, "addrs"), strings.Join(addrs, "\n"))
		if _, _, err := lossbench.WriteCertificate(dir); err != nil {
			t.Fatal(err)
		}
	}
	addrs := strings.Split(readFile(t, filepath.Join(dir, "addrs")), "\n")
	d := &daemon{t: t, dir: dir, run: filepath.Join(dir, "run"), log: filepath.Join(dir, "log"),
		http: addrs[0], grpc: addrs[1], admin: addrs[2], exited: make(chan struct{})}
	args := []string{"-run-dir=" + d.run, "-http.addr=" + d.http, "-grpc.addr=" + d.grpc, "-admin.addr=" + d.admin,
		"-access_log.path=off", "-log.format=json"}
	if o.TLS {
		d.https = addrs[3]
		args = append(args, "-https.addr="+d.https, "-https.tls.cert="+filepath.Join(dir, "cert.pem"), "-https.tls.key="+filepath.Join(dir, "key.pem"))
	}
	binary := o.Binary
	if binary == "" {
		binary = os.Args[0]
	}
	command := slices.Concat(o.Wrap, []string{binary}, args, o.Args)
	log, err := os.OpenFile(d.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(command[0], command[1:]...)
	// The race detector would have each process sleep a second before it exits.
	cmd.Env = slices.Concat(os.Environ(), []string{role + "=lossd", "GORACE=atexit_sleep_ms=0"}, o.Env)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d.pid = cmd.Process.Pid
	go func() {
		_ = cmd.Wait() // the code is in the state
		d.state = cmd.ProcessState
		close(d.exited)
	}()
	t.Cleanup(d.remove)
	return d
}

// remove kills what is left of the daemon.
func (d *daemon) remove() {
	if d.t.Failed() {
		d.t.Logf("the daemon printed:\n%s", d.output())
	}
	// Twice: a supervisor that dies last may have started another worker meanwhile.
	for range 2 {
		for _, pid := range d.processes() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	<-d.exited
	_ = os.RemoveAll(d.dir)
}

// processes are those that have the run directory among their arguments: supervisor and workers, wherever
// they ended up.
func (d *daemon) processes() (pids []int) {
	names, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range names {
		text, _ := os.ReadFile(name) // it may have ended
		if slices.ContainsFunc(bytes.Split(text, []byte{0}), func(arg []byte) bool { return string(arg) == "-run-dir="+d.run }) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			pids = append(pids, pid)
		}
	}
	return pids
}

// output is what the daemon has printed.
func (d *daemon) output() string {
	text, _ := os.ReadFile(d.log)
	return string(text)
}

// gone reports whether the process that was started has ended.
func (d *daemon) gone() bool {
	select {
	case <-d.exited:
		return true
	default:
		return false
	}
}

// until polls for a condition.
func (d *daemon) until(what string, f func() bool) {
	d.t.Helper()
	for deadline := time.Now().Add(patience); !f(); pause(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			d.t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

// pause lets time go by: between two looks at something outside, or while traffic flows.
func pause(d time.Duration) { <-time.After(d) }

// signal sends a signal to the process that was started.
func (d *daemon) signal(s syscall.Signal) {
	d.t.Helper()
	if err := syscall.Kill(d.pid, s); err != nil {
		d.t.Fatalf("%v: %v", s, err)
	}
}

// ask has the supervisor do something through its run directory.
func (d *daemon) ask(c reload.Command) (*reload.Outcome, *reload.Status, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return reload.Ask(ctx, d.run, c)
}

// tryStatus is what the supervisor says; nil when none answers.
func (d *daemon) tryStatus() *reload.Status {
	_, status, _ := d.ask(reload.CommandStatus)
	return status
}

// status is what the supervisor says.
func (d *daemon) status() *reload.Status {
	d.t.Helper()
	_, status, err := d.ask(reload.CommandStatus)
	if err != nil {
		d.t.Fatal(err)
	}
	return status
}

// active is the process id of the worker that serves.
func (d *daemon) active() int {
	d.t.Helper()
	return d.activeOf(d.status())
}

func (d *daemon) activeOf(s *reload.Status) int {
	if s == nil {
		return 0
	}
	for _, w := range s.Workers {
		if w.Phase == reload.Active {
			return w.PID
		}
	}
	return 0
}

// reload sends SIGHUP and waits until another worker is the active one. It returns the time that took.
func (d *daemon) reload() time.Duration {
	d.t.Helper()
	before := d.active()
	begin := time.Now()
	d.signal(syscall.SIGHUP)
	d.until("another worker is active", func() bool {
		now := d.active()
		return now != 0 && now != before
	})
	return time.Since(begin)
}

// settled waits until one worker is all there is.
func (d *daemon) settled() {
	d.t.Helper()
	d.until("all old workers have ended", func() bool {
		s := d.status()
		return len(s.Workers) == 1 && d.activeOf(s) != 0
	})
}

// stop has the daemon drain and wants it to exit with 0.
func (d *daemon) stop() {
	d.t.Helper()
	d.signal(syscall.SIGTERM)
	d.ended(0)
}

// ended waits for the end of the process that was started and wants this exit code.
func (d *daemon) ended(code int) {
	d.t.Helper()
	d.until("the daemon ends", d.gone)
	if got := d.state.ExitCode(); got != code {
		d.t.Errorf("exit code %d (%v), want %d", got, d.state, code)
	}
}

// load has clients of these protocols ask the daemon, all that it has an address for if none is named.
// change, if not nil, has the last word about the options.
func (d *daemon) load(change func(*lossbench.Options), protocols ...string) *lossbench.Load {
	d.t.Helper()
	o := lossbench.Options{HTTP: d.http, HTTPS: d.https, GRPC: d.grpc, Protocols: protocols,
		Rate: lightRate, Delay: distance, Timeout: patience, Seed: 1}
	if change != nil {
		change(&o)
	}
	l, err := lossbench.Start(o)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { l.Stop() })
	return l
}

// What load asks for unless it is told otherwise.
const (
	lightRate = 500 // requests a second if all protocols were asked
	distance  = 2 * time.Millisecond
)

// calm is how long traffic flows before the first reload and after the last.
const calm = 300 * time.Millisecond

// reloadsVariable is the number of reloads for a long run.
const reloadsVariable = "FAULTS_RELOADS"

// reloadsOf is n, or what the environment says.
func reloadsOf(t *testing.T, n int) int {
	t.Helper()
	if text := os.Getenv(reloadsVariable); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 {
			t.Fatalf("%s: want a number of reloads, got %q", reloadsVariable, text)
		}
	}
	return n
}

// reloads replaces the worker n times under load, or as often as the environment says, once every interval,
// and lets the last old one end. It returns how often that was.
func (d *daemon) reloads(l *lossbench.Load, n int, interval time.Duration) int {
	d.t.Helper()
	n = reloadsOf(d.t, n)
	pause(calm)
	for range n {
		next := time.After(interval)
		l.BeginReload()
		d.reload()
		l.EndReload()
		<-next
	}
	d.settled()
	pause(calm)
	return n
}

// lossless stops the load and wants that something was asked and that nothing failed.
func lossless(t *testing.T, l *lossbench.Load) []lossbench.Result {
	t.Helper()
	results := l.Stop()
	for _, r := range results {
		if r.Failed > 0 || r.Requests == 0 {
			t.Errorf("%s: %d of %d requests failed: %v", r.Protocol, r.Failed, r.Requests, r.Causes)
		}
		t.Logf("%s: %d requests, %d connections, %d reopens, p99 of %d in reloads %v ms", r.Protocol, r.Requests, r.Connections, r.Reopens, r.Reload.Count, r.Reload.P99)
	}
	return results
}

// page is what the admin listener answers; status 0 when nobody does.
func (d *daemon) page(path string) (status int, text string) { return get("http://" + d.admin + path) }

// get asks on a connection of its own; status 0 when nobody answers.
func get(url string) (status int, text string) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(body)
}

// metrics are the samples of /metrics, by name with labels as they stand there.
func (d *daemon) metrics() map[string]float64 {
	d.t.Helper()
	status, text := d.page("/metrics")
	if status != http.StatusOK {
		d.t.Fatalf("/metrics: %d %s", status, text)
	}
	return samplesOf(d.t, text)
}

func samplesOf(t *testing.T, text string) map[string]float64 {
	t.Helper()
	samples := map[string]float64{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		i := strings.LastIndexByte(line, ' ')
		if i < 0 || line[0] == '#' {
			continue
		}
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			t.Errorf("/metrics: %q", line)
		}
		samples[line[:i]] = v
	}
	return samples
}

// sum adds up the samples of a metric with all these labels, such as `listener="http"`.
func sum(samples map[string]float64, metric string, labels ...string) (total float64) {
	for name, v := range samples {
		base, rest, _ := strings.Cut(name, "{")
		if base == metric && !slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(rest, l) }) {
			total += v
		}
	}
	return total
}

// worker is the process that answers a request on a new connection.
func (d *daemon) worker() (pid int, err error) {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + d.http + "/work?ms=0")
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = fmt.Fscan(res.Body, &pid)
	return pid, err
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
