//go:build linux

package faults_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/reload"
	"github.com/seed-754044b3/roadworthy/tools/lossbench"
	"github.com/seed-754044b3/roadworthy/tools/lossbench/target"
)

// traffic is what asks while something happens to processes: of each way to hold a connection one. It leaves
// out HTTP/2 with bodies, of which net/http's client loses one now and then by itself: it closes the body of a
// request for which it chose the connection just before it read the GOAWAY, and does not send it.
var traffic = []string{"h1", "h1-idle", "h1-fresh", "h2c-get", "grpc"}

// impatient has the daemon's supervisor take a binary for good after goodAfter. Its workers are as any.
const impatient = role + "=impatient"

// goodAfter is longer than what dies at once takes for that.
const goodAfter = 800 * time.Millisecond

func runImpatient() {
	if reload.RoleOf(os.Getenv) != reload.RoleNone {
		chassis.Main(target.Spec)
	}
	dir := ""
	for _, arg := range os.Args {
		if value, found := strings.CutPrefix(arg, "-run-dir="); found {
			dir = value
		}
	}
	code, err := reload.Supervise(reload.Options{
		Program: "lossd", Args: os.Args, Environ: os.Environ(), Directory: dir, Named: true, Listen: net.Listen,
		Log: slog.New(slog.NewJSONHandler(os.Stderr, nil)), Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Timing: reload.Timing{Good: goodAfter, Backoff: 50 * time.Millisecond},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// deployment is what a daemon is started from, and can be replaced while it runs.
type deployment struct {
	t              *testing.T
	binary, config string // paths
	versions       int
}

// deploy puts a binary and a configuration in place.
func deploy(t *testing.T) *deployment {
	t.Helper()
	dir := t.TempDir()
	p := &deployment{t: t, binary: filepath.Join(dir, "lossd"), config: filepath.Join(dir, "lossd.yaml")}
	p.install(os.Args[0])
	p.configure("")
	return p
}

// options are for a daemon of this deployment.
func (p *deployment) options(args ...string) options {
	return options{Binary: p.binary, Args: append([]string{"-config=" + p.config}, args...)}
}

// configure replaces the configuration.
func (p *deployment) configure(yaml string) {
	p.t.Helper()
	writeFile(p.t, p.config, yaml)
}

// prepare makes a copy of a file that can be executed. Another process writes it: a file that this one had
// open for writing while it forks would be busy for the kernel.
func (p *deployment) prepare(source string) (path string) {
	p.t.Helper()
	p.versions++
	path = p.binary + "." + strconv.Itoa(p.versions)
	if out, err := exec.Command("install", "-m", "755", source, path).CombinedOutput(); err != nil {
		p.t.Fatalf("%v: %s", err, out)
	}
	return path
}

// script makes a program that runs these lines of sh and then the test binary.
func (p *deployment) script(lines string) (path string) {
	p.t.Helper()
	source := filepath.Join(p.t.TempDir(), "script")
	writeFile(p.t, source, "#!/bin/sh\n"+lines+"\nexec '"+os.Args[0]+"' \"$@\"\n")
	return p.prepare(source)
}

// replace puts a program made by prepare or script in the place of the binary.
func (p *deployment) replace(path string) {
	p.t.Helper()
	if err := os.Rename(path, p.binary); err != nil {
		p.t.Fatal(err)
	}
}

func (p *deployment) install(source string) { p.t.Helper(); p.replace(p.prepare(source)) }

// command runs one of the commands that ask a daemon, and returns what it printed.
func (d *daemon) command(name string) (output string, code int) {
	d.t.Helper()
	c := exec.Command(os.Args[0], "-run-dir="+d.run, name)
	c.Env = append(os.Environ(), role+"=lossd", "GORACE=atexit_sleep_ms=0")
	out, err := c.CombinedOutput()
	if c.ProcessState == nil {
		d.t.Fatal(err)
	}
	return string(out), c.ProcessState.ExitCode()
}

// failedReload has the daemon reload, wants that to fail for the reason, and the worker before to go on.
func (d *daemon) failedReload(reason reload.Reason, text string) {
	d.t.Helper()
	before := d.active()
	o, _, err := d.ask(reload.CommandReload)
	if err != nil {
		d.t.Fatal(err)
	}
	if o.Reason != reason || !strings.Contains(o.Error, text) {
		d.t.Errorf("reload: %s: %q, want %s: %q", o.Reason, o.Error, reason, text)
	}
	s := d.status()
	if d.activeOf(s) != before || len(s.Workers) != 1 {
		d.t.Errorf("workers %+v, want process %d alone", s.Workers, before)
	}
	if pid, err := d.worker(); err != nil || pid != before {
		d.t.Errorf("process %d answers (%v), want %d", pid, err, before)
	}
}

// goodReload has the daemon reload and wants that to succeed.
func (d *daemon) goodReload() *reload.Outcome {
	d.t.Helper()
	o, _, err := d.ask(reload.CommandReload)
	if err != nil {
		d.t.Fatal(err)
	}
	if o.Error != "" {
		d.t.Fatalf("reload: %s: %s", o.Reason, o.Error)
	}
	return o
}

// request is one whose handler runs and waits for the rest of its body.
type request struct {
	net.Conn
	reader *bufio.Reader
}

// begin makes a request and returns when its handler runs: reading the body, it has had the client told to go on.
func (d *daemon) begin() *request {
	d.t.Helper()
	conn, err := net.Dial("tcp", d.http)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	r := &request{conn, bufio.NewReader(conn)}
	if _, err := fmt.Fprintf(conn, "POST /work?ms=0 HTTP/1.1\r\nHost: %s\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n", d.http); err != nil {
		d.t.Fatal(err)
	}
	line, err := r.reader.ReadString('\n')
	if err == nil && line != "HTTP/1.1 100 Continue\r\n" {
		err = fmt.Errorf("answer %q", line)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	_, _ = r.reader.Discard(len("\r\n"))
	return r
}

// finish sends the rest and returns the process that answered.
func (r *request) finish() (pid int, err error) {
	defer r.Close()
	if _, err := io.WriteString(r, "x"); err != nil {
		return 0, err
	}
	return readPID(r.reader)
}

// readPID reads an answer of /work.
func readPID(r *bufio.Reader) (pid int, err error) {
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err
	}
	var n int
	if _, err := fmt.Sscan(string(body), &pid, &n); err != nil || res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: %q", res.Status, body)
	}
	return pid, nil
}

// phases are the processes of the workers in each phase.
func phases(s *reload.Status) map[reload.Phase][]int {
	found := map[reload.Phase][]int{}
	if s != nil {
		for _, w := range s.Workers {
			found[w.Phase] = append(found[w.Phase], w.PID)
		}
	}
	return found
}

// clientsOf is how many requests the clients of a protocol have under way at a time, at lightRate.
var clientsOf = map[string]int64{"h1": 5, "h1-idle": 50, "h1-fresh": 2, "h2c-get": 4, "grpc": 3}

// lostInside stops the load and wants that of each client no more was lost than the request which was inside
// a worker when that died, for each of so many deaths, and that nobody was refused. A gRPC client may lose one
// more: it writes the next call to its connection before it has noticed that this has ended.
func lostInside(t *testing.T, l *lossbench.Load, deaths int64) {
	t.Helper()
	for _, r := range l.Stop() {
		most := deaths * clientsOf[r.Protocol]
		if r.Protocol == "grpc" {
			most *= 2
		}
		if r.Requests == 0 || r.Failed > most {
			t.Errorf("%s: %d of %d requests failed, want at most %d: %v", r.Protocol, r.Failed, r.Requests, most, r.Causes)
		}
		for cause := range r.Causes {
			if strings.Contains(cause, "refused") || strings.Contains(cause, "timeout") {
				t.Errorf("%s: %v", r.Protocol, r.Causes)
			}
		}
		t.Logf("%s: %d of %d requests failed: %v", r.Protocol, r.Failed, r.Requests, r.Causes)
	}
}

// kill ends a process of the daemon without a word.
func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("kill process %d: %v", pid, err)
	}
}

// alive reports whether a process has not ended.
func alive(pid int) bool {
	state, _ := stat(pid)
	return state != 0 && state != 'Z' && state != 'X'
}

// stat is the state and the parent of a process, 0 when there is none (proc_pid_stat(5)).
func stat(pid int) (state byte, parent int) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0
	}
	// The name in parentheses may itself hold any character.
	_, err = fmt.Sscanf(string(text[bytes.LastIndexByte(text, ')')+1:]), " %c %d", &state, &parent)
	if err != nil {
		return 0, 0
	}
	return state, parent
}

// children are the processes that pid has started or adopted and not reaped.
func children(pid int) (found []int) {
	names, _ := filepath.Glob("/proc/[0-9]*")
	for _, name := range names {
		child, _ := strconv.Atoi(filepath.Base(name))
		if _, parent := stat(child); parent == pid {
			found = append(found, child)
		}
	}
	return found
}

// openFiles counts the descriptors of a process.
func openFiles(t *testing.T, pid int) int {
	t.Helper()
	names, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}
