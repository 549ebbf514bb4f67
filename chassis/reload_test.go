package chassis_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/reload"
)

// live is a service that does what its motto says: "fail" and "exit" fail in Setup, "gate:ADDR"
// has Setup wait until a connection to ADDR is closed. With a token it holds what the directory of
// that name has one of.
func live(_ context.Context, s *chassis.Service, c gameConf) error {
	switch verb, addr, _ := strings.Cut(c.Motto, ":"); verb {
	case "fail":
		return errors.New("there is no such motto")
	case "exit":
		os.Exit(3)
	case "gate":
		gate, err := net.Dial("tcp", addr)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, gate)
		_ = gate.Close()
	}
	lease := &chassis.Lease{}
	if dir := c.Token.Reveal(); dir != "" {
		lease = s.Exclusive("one", only(dir).open, only(dir).close)
	}
	die := make(chan error, 1)
	s.Go("heart", func(ctx context.Context) error {
		select {
		case err := <-die:
			return err
		case <-ctx.Done():
			return nil
		}
	})
	r := chassis.NewRouter()
	r.Handle("GET /who", func(w http.ResponseWriter, _ *http.Request) error {
		_, err := fmt.Fprintf(w, "%d %s", os.Getpid(), c.Motto)
		return err
	})
	r.Handle("GET /holds", func(w http.ResponseWriter, _ *http.Request) error {
		_, err := fmt.Fprint(w, lease.Held())
		return err
	})
	r.Handle("POST /die", func(http.ResponseWriter, *http.Request) error {
		die <- errors.New("the heart stood still")
		return nil
	})
	r.Handle("GET /fail", func(http.ResponseWriter, *http.Request) error { return errStore.With("pid", failure.Safe(os.Getpid())) })
	r.Handle("GET /stay", func(w http.ResponseWriter, r *http.Request) error {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done() // whoever drains
		return nil
	}, chassis.Stream())
	r.Handle("GET /events", func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "data: %d\n\n", os.Getpid())
		_ = http.NewResponseController(w).Flush()
		select {
		case <-chassis.Draining(r.Context()):
			_, _ = io.WriteString(w, "event: reconnect\ndata:\n\n")
		case <-r.Context().Done():
		}
		return nil
	}, chassis.Stream())
	return s.HTTP("http", c.HTTP, r)
}

// only is a directory that holds what there is one of.
type only string

func (dir only) open(context.Context) error {
	f, err := os.OpenFile(filepath.Join(string(dir), "held"), os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), dir.note("open"))
}

func (dir only) close(context.Context) error {
	return errors.Join(dir.note("close"), os.Remove(filepath.Join(string(dir), "held")))
}

func (dir only) note(what string) error {
	f, err := os.OpenFile(filepath.Join(string(dir), "notes"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%s %d\n", what, os.Getpid())
	return errors.Join(err, f.Close())
}

// running is a daemon in processes of its own.
type running struct {
	*exec.Cmd
	t      *testing.T
	dir    string // its run directory
	stdin  io.WriteCloser
	log    buffer
	exited chan struct{}
}

// serving starts a daemon and waits until it is ready.
func serving(t *testing.T, daemon string, env []string, args ...string) *running {
	t.Helper()
	d := startDaemon(t, daemon, env, args...)
	eventually(t, func() bool {
		select {
		case <-d.exited:
			t.Fatalf("the daemon ended:\n%s", d.log.String())
		default:
		}
		return len(d.logged("ready")) > 0
	}, "the daemon is ready")
	return d
}

func startDaemon(t *testing.T, daemon string, env []string, args ...string) *running {
	t.Helper()
	d := &running{Cmd: exec.Command(os.Args[0], args...), t: t, dir: filepath.Join(runDir(t), "r"), exited: make(chan struct{})}
	d.Env = append(os.Environ(), daemonVariable+"="+daemon, "GAME_RUN_DIR="+d.dir, "GAME_LOG_FORMAT=json", "GAME_ACCESS_LOG_PATH=off", "GAME_DRAIN_MIN=50ms",
		"GORACE=atexit_sleep_ms=0") // with -race, every process would end a second later
	d.Env = append(d.Env, env...)
	d.Stderr, d.WaitDelay = &d.log, 5*time.Second
	var err error
	if d.stdin, err = d.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.exited)
		_ = d.Wait()
	}()
	t.Cleanup(func() {
		for range 120 {
			_ = d.Process.Signal(syscall.SIGTERM) // it may have ended
			select {
			case <-d.exited:
				return
			case <-time.After(500 * time.Millisecond): // a second signal counts
			}
		}
		_ = d.Process.Kill()
		<-d.exited
		t.Errorf("the daemon did not end:\n%s", d.log.String())
	})
	return d
}

// logged are the lines of the log with a message.
func (d *running) logged(message string) []map[string]any {
	var found []map[string]any
	for line := range strings.Lines(d.log.String()) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) == nil && fields["msg"] == message {
			found = append(found, fields)
		}
	}
	return found
}

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// addr is where a listener of the daemon listens.
func (d *running) addr(listener string) net.Addr {
	d.t.Helper()
	for _, line := range d.logged("listening") {
		if line["listener"] == listener {
			return address(line["addr"].(string))
		}
	}
	d.t.Fatalf("no listener %q in\n%s", listener, d.log.String())
	return nil
}

// command runs a command in this process.
func (d *running) command(args ...string) outcome {
	return runDaemon(d.t.Context(), game(nil), nil, append([]string{"-run-dir", d.dir}, args...)...)
}

// reload replaces the worker.
func (d *running) reload() {
	d.t.Helper()
	if got := d.command("reload"); got.code != 0 {
		d.t.Fatalf("reload: %+v\n%s", got, d.log.String())
	}
}

// ask sends one request over a connection of its own, with no second try.
func (d *running) ask(listener, path string) (int, string, error) {
	c, err := net.Dial("tcp", d.addr(listener).String())
	if err != nil {
		return 0, "", err
	}
	defer c.Close()
	return (&probe{c, bufio.NewReader(c)}).ask(path)
}

// must is the body of an answer that has to be good.
func (d *running) must(listener, path string) string {
	d.t.Helper()
	code, body, err := d.ask(listener, path)
	if code != 200 || err != nil {
		d.t.Fatalf("%s: %d %q, %v\n%s", path, code, body, err, d.log.String())
	}
	return body
}

// stay begins a request that is under way until its connection is closed.
func (d *running) stay() net.Conn {
	d.t.Helper()
	c := probing(d.t, d.addr("http"))
	if _, err := io.WriteString(c, "GET /stay HTTP/1.1\r\nHost: test\r\n\r\n"); err != nil {
		d.t.Fatal(err)
	}
	if _, err := http.ReadResponse(c.r, nil); err != nil {
		d.t.Fatal(err)
	}
	return c
}

// who is the process that serves, and its motto.
func (d *running) who() (pid int, motto string) {
	d.t.Helper()
	number, motto, _ := strings.Cut(d.must("http", "/who"), " ")
	pid, err := strconv.Atoi(number)
	if err != nil {
		d.t.Fatal(err)
	}
	return pid, motto
}

// status is what the supervisor knows.
func (d *running) status() *reload.Status {
	d.t.Helper()
	_, st, err := reload.Ask(d.t.Context(), d.dir, reload.CommandStatus)
	if err != nil {
		d.t.Fatal(err)
	}
	return st
}

// active is the process that is to serve.
func (d *running) active() int {
	d.t.Helper()
	for _, w := range d.status().Workers {
		if w.Phase == reload.Active {
			return w.PID
		}
	}
	d.t.Fatal("no worker is active")
	return 0
}

// one waits until all workers but one have ended.
func (d *running) one() {
	d.t.Helper()
	eventually(d.t, func() bool { return len(d.status().Workers) == 1 }, "one worker is left")
}

// wantExit waits for the end.
func (d *running) wantExit(code int) {
	d.t.Helper()
	receive(d.t, d.exited, "the end of the daemon")
	if got := d.ProcessState.ExitCode(); got != code {
		d.t.Errorf("exit code %d, want %d:\n%s", got, code, d.log.String())
	}
}

func rewrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestADaemonIsReloadedByItsCommand(t *testing.T) {
	t.Parallel()
	config := file(t, "game.yaml", "motto: one\n")
	d := serving(t, "live", nil, "-config", config)
	kept := probing(t, d.addr("http"))
	first, motto := d.who()
	if _, body, err := kept.ask("/who"); body != fmt.Sprintf("%d one", first) || motto != "one" || err != nil {
		t.Fatalf("answered %q and %q, %v", motto, body, err)
	}

	rewrite(t, config, "motto: two\n")
	// The one command that is run as people do.
	var stdout, stderr bytes.Buffer
	command := exec.Command(os.Args[0], "reload")
	command.Env, command.Stdout, command.Stderr = d.Env, &stdout, &stderr
	if err := command.Run(); err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	m := regexp.MustCompile(`^worker 2 is ready after [0-9.]+m?s, process (\d+)\n$`).FindStringSubmatch(stdout.String())
	d.one()
	second, motto := d.who()
	if m == nil || m[1] != strconv.Itoa(second) || motto != "two" || first == second || stderr.Len() > 0 {
		t.Errorf("the command printed %q and %q, then %d %q answered", stdout.String(), stderr.String(), second, motto)
	}
	if _, body, err := kept.ask("/who"); body != fmt.Sprintf("%d two", second) || err != nil {
		t.Errorf("on a connection from before, %q answered, %v", body, err)
	}

	for text, want := range map[string]string{
		"motto: [":    "gamed: reload: config: ",
		"motto: fail": "gamed: reload: setup: there is no such motto\n",
		"motto: exit": "gamed: reload: crash: it ended before it was ready: exit status 3\n",
	} {
		rewrite(t, config, text)
		if got := d.command("reload"); got.code != 1 || got.stdout != "" || !strings.HasPrefix(got.stderr, want) {
			t.Errorf("reload with %q: %+v", text, got)
		}
		if pid, motto := d.who(); pid != second || motto != "two" {
			t.Errorf("after a reload with %q, %d %s answers", text, pid, motto)
		}
	}
	metrics := series(t, d.must("admin", "/metrics"))
	for name, want := range map[string]float64{
		"reload_total": 1, "reload_failed_total{reason=config}": 1, "reload_failed_total{reason=setup}": 1, "reload_failed_total{reason=crash}": 1,
		"reload_failed_total{reason=timeout}": 0, "worker_crashes_total": 0, "workers{phase=active}": 1, "workers{phase=draining}": 0,
	} {
		if v, ok := metrics[name]; !ok || v != want {
			t.Errorf("%s: %v (there: %v), want %v", name, v, ok, want)
		}
	}
	type page struct {
		Processes struct {
			Answering int
			Known     reload.Status
		}
	}
	p := parse[page](t, d.must("admin", "/status?format=json")).Processes
	if p.Answering != 2 || p.Known.Supervisor != d.Process.Pid || p.Known.Last == nil || p.Known.Last.Error == "" {
		t.Errorf("the status page knows %+v", p)
	}

	st := d.status()
	if st.Supervisor != d.Process.Pid || len(st.Workers) != 1 || st.Workers[0].PID != second || st.Workers[0].Phase != reload.Active || st.Counts.Reloads != 1 {
		t.Errorf("status %+v", st)
	}
	if got := d.command("status"); got.code != 0 || !strings.Contains(got.stdout, fmt.Sprintf("process %d, since ", d.Process.Pid)) || !strings.Contains(got.stdout, "listener       http on 127.0.0.1:0\n") {
		t.Errorf("status: %+v", got)
	}
	if got := d.command("status", "-json"); got.code != 0 || parse[reload.Status](t, got.stdout).Supervisor != d.Process.Pid {
		t.Errorf("status -json: %+v", got)
	}
	if got := d.command("workers"); got.code != 0 || strings.Count(got.stdout, "\n") != 2 || !strings.Contains(got.stdout, strconv.Itoa(second)) {
		t.Errorf("workers: %+v", got)
	}
	if got := d.command("stop"); got != (outcome{}) {
		t.Errorf("stop: %+v", got)
	}
	d.wantExit(0)
	if got := d.command("stop"); got.code != 1 || !strings.Contains(got.stderr, "it is not running with run directory "+d.dir) {
		t.Errorf("stop of a daemon that has ended: %+v", got)
	}
}

func TestASupervisorThatCannotBeginSaysWhy(t *testing.T) {
	t.Parallel()
	d := serving(t, "live", nil)
	ends := func(want string, env []string, args ...string) {
		t.Helper()
		other := startDaemon(t, "live", env, args...)
		other.wantExit(1)
		if got := other.log.String(); !strings.HasPrefix(got, "gamed: "+want) || strings.Count(got, "\n") != 1 {
			t.Errorf("it said %q, want %q", got, want)
		}
	}
	ends(fmt.Sprintf("run directory %s is in use by process %d", d.dir, d.Process.Pid), nil, "-run-dir", d.dir)
	ends("run directory ", nil, "-run-dir", "/tmp/"+strings.Repeat("x", 100))
	ends(`CHASSIS_WORKER="nonsense"`, []string{"CHASSIS_WORKER=nonsense"})
	if pid, _ := d.who(); pid == 0 {
		t.Error("the daemon does not answer")
	}
}

func TestInProcessNothingIsSupervised(t *testing.T) {
	t.Parallel()
	d := serving(t, "live", []string{"GAME_MOTTO=alone"}, "-inprocess", "-http.max_conns", "7")
	if pid, motto := d.who(); pid != d.Process.Pid || motto != "alone" {
		t.Errorf("%d %q answers", pid, motto)
	}
	if children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", d.Process.Pid)); runtime.GOOS == "linux" && (err != nil || len(children) > 0) {
		t.Errorf("children %q, %v", children, err)
	}
	if _, err := os.Stat(d.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("run directory: %v", err)
	}
	if got := d.command("reload"); got.code != 1 || !strings.Contains(got.stderr, "it is not running") {
		t.Errorf("reload: %+v", got)
	}
	if body := d.must("admin", "/status?format=json"); !strings.Contains(body, `{"key":"http.max_conns","value":"7"`) {
		t.Errorf("flags are not heeded: %s", body)
	}
	if err := d.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	d.wantExit(0)
}

func TestBothModesDrain(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"-inprocess"}} {
		t.Run(fmt.Sprint(args), func(t *testing.T) {
			d := serving(t, "slow", nil, args...)
			c := probing(t, d.addr("http"))
			if _, err := io.WriteString(c, "GET /slow HTTP/1.1\r\nHost: test\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(c.r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			eventually(t, func() bool { return len(d.logged("draining")) > 0 }, "the drain begins")
			if _, err := io.WriteString(d.stdin, "go on\n"); err != nil {
				t.Fatal(err)
			}
			if a := read(res); !strings.HasPrefix(a.body, "done, ") || a.err != nil {
				t.Errorf("the request under way got %q, %v", a.body, a.err)
			}
			_ = c.Close()
			d.wantExit(0)
		})
	}
}

func TestInProcessTheSecondSignalExitsAtOnce(t *testing.T) {
	t.Parallel()
	d := serving(t, "live", nil, "-inprocess")
	d.stay()
	if err := d.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return len(d.logged("draining")) > 0 }, "the drain begins")
	eventually(t, func() bool {
		_ = d.Process.Signal(syscall.SIGTERM) // counts from 100 ms after the first
		return strings.Contains(d.log.String(), "gamed: second signal: exiting without draining\n")
	}, "the second signal")
	d.wantExit(1)
}

// watch has several goroutines do something until the returned function is called, which waits
// for them.
func watch(n int, do func(stop <-chan struct{})) (end func()) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					do(stop)
				}
			}
		})
	}
	return func() { close(stop); wg.Wait() }
}

const whoRequests = "requests_total{code=200,listener=http,method=GET,route=GET /who}"

func TestCountersAreExactOverReloadsAndDeaths(t *testing.T) {
	t.Parallel()
	d := serving(t, "live", nil)
	sent := 0
	counted := func() float64 { return series(t, d.must("admin", "/metrics"))[whoRequests] }
	exact := func(when string) {
		t.Helper()
		for range 25 {
			d.who()
			sent++
		}
		// A request is counted once it was answered.
		eventually(t, func() bool { return counted() == float64(sent) }, "%s, %d requests are counted", when, sent)
	}
	exact("before")

	// Somebody scrapes all the time, over one connection.
	scrapes, highest := 0, map[string]float64{}
	scraper := probing(t, d.addr("admin"))
	end := watch(1, func(stop <-chan struct{}) {
		code, body, err := scraper.ask("/metrics")
		if code != 200 || err != nil {
			t.Errorf("scrape %d: %d, %v", scrapes, code, err)
			<-stop
			return
		}
		scrapes++
		got := series(t, body)
		for name, before := range highest {
			if now, ok := got[name]; ok && now < before || !ok && name == whoRequests {
				t.Errorf("scrape %d: %s was %v and is %v", scrapes, name, before, now)
			}
		}
		for name, now := range got {
			if base, _, _ := strings.Cut(name, "{"); strings.HasSuffix(base, "_total") && !strings.HasPrefix(base, "go_") && !strings.HasPrefix(base, "process_") {
				highest[name] = max(highest[name], now)
			}
		}
	})

	// Worker 1 has a request under way, which keeps it draining until it is killed.
	first, _ := d.who()
	sent++
	d.stay()
	d.reload()
	exact("with a worker draining")
	if got := series(t, d.must("admin", "/metrics")); got["go_goroutines{worker=1}"] <= 0 || got["go_goroutines{worker=2}"] <= 0 || got["workers{phase=draining}"] != 1 {
		t.Errorf("with a worker draining: goroutines %v and %v, draining %v", got["go_goroutines{worker=1}"], got["go_goroutines{worker=2}"], got["workers{phase=draining}"])
	}
	kill(t, first)
	d.one()
	exact("with a worker killed while it drained")
	d.reload()
	exact("after another reload")
	d.one()
	active, _ := d.who()
	sent++
	end() // of scrapes at the same time, the older may be what is known of a worker that is killed
	exact("before the active worker is killed")
	kill(t, active)
	eventually(t, func() bool {
		st := d.status()
		return len(st.Workers) == 1 && st.Workers[0].Worker == 4 && st.Workers[0].Phase == reload.Active
	}, "another worker serves")
	exact("with the active worker killed")
	got := series(t, d.must("admin", "/metrics"))
	for name, want := range map[string]float64{"reload_total": 2, "worker_crashes_total": 1, "worker_killed_total": 0} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if _, ok := got["go_goroutines{worker=1}"]; ok || got["go_goroutines{worker=4}"] <= 0 {
		t.Errorf("goroutines of worker 1 are shown: %v, of worker 4: %v", ok, got["go_goroutines{worker=4}"])
	}
	if scrapes == 0 {
		t.Error("nobody scraped")
	}
}

func kill(t *testing.T, pid int) {
	t.Helper()
	p, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
}

func TestProbesNoticeNothingOfAReload(t *testing.T) {
	t.Parallel()
	gate, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer gate.Close()
	config := file(t, "game.yaml", "motto: one\n")
	d := serving(t, "live", nil, "-config", config)
	var asked atomic.Int64
	kept := probing(t, d.addr("admin"))
	stopKept := watch(1, func(stop <-chan struct{}) {
		if code, body, err := kept.ask("/readyz"); code != 200 || err != nil {
			t.Errorf("on a connection from before: %d %q, %v", code, body, err)
			<-stop
		}
		asked.Add(1)
	})
	stopFresh := watch(2, func(stop <-chan struct{}) {
		for _, path := range []string{"/readyz", "/startupz"} {
			if code, body, err := d.ask("admin", path); code != 200 || err != nil {
				t.Errorf("%s on a new connection: %d %q, %v", path, code, body, err)
				<-stop
				return
			}
			asked.Add(1)
		}
	})
	more := func(when string) {
		t.Helper()
		want := asked.Load() + 60
		eventually(t, func() bool { return t.Failed() || asked.Load() > want }, "probes are answered %s", when)
	}
	more("before")
	rewrite(t, config, "motto: gate:"+gate.Addr().String()+"\n")
	reloaded := make(chan outcome, 1)
	go func() { reloaded <- d.command("reload") }()
	slow, err := gate.Accept()
	if err != nil {
		t.Fatal(err)
	}
	more("while the new worker is in Setup")
	_ = slow.Close()
	if got := receive(t, reloaded, "the reload"); got.code != 0 {
		t.Errorf("reload: %+v", got)
	}
	more("after the reload")
	d.one()
	more("by the new worker alone")
	stopKept()
	stopFresh()

	stay := d.stay()
	if err := d.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return len(d.logged("draining")) > 0 }, "the drain begins")
	if code, body, err := kept.ask("/readyz"); code != 503 || !strings.Contains(body, "the service is draining") || err != nil {
		t.Errorf("while the service stops: %d %q, %v", code, body, err)
	}
	_ = stay.Close()
	d.wantExit(0)
}

func TestStreamsMoveOnceAReload(t *testing.T) {
	t.Parallel()
	d := serving(t, "live", []string{"GAME_HTTP_H2C=true"})
	for name, protocol := range map[string]func(*http.Protocols){
		"HTTP/1": func(p *http.Protocols) { p.SetHTTP1(true) },
		"h2c":    func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) },
	} {
		t.Run(name, func(t *testing.T) {
			var p http.Protocols
			protocol(&p)
			transport := &http.Transport{Protocols: &p}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport}
			open := func() (int, *http.Response) {
				res, err := client.Get("http://" + d.addr("http").String() + "/events")
				if err != nil {
					t.Fatal(err)
				}
				var pid int
				if _, err := fmt.Fscanf(res.Body, "data: %d\n\n", &pid); err != nil {
					t.Fatal(err)
				}
				return pid, res
			}
			for range 3 {
				before, res := open()
				d.reload()
				after := d.active()
				// Each stream ends with a word and without an error. That of HTTP/1 may be reopened on
				// the connection that it had, before that moves; one of HTTP/2 is never, however
				// soon it is opened.
				reopened := 0
				for pid := before; pid != after; reopened++ {
					if a := read(res); a.body != "event: reconnect\ndata:\n\n" || a.err != nil {
						t.Fatalf("the stream ended with %q, %v", a.body, a.err)
					}
					pid, res = open()
				}
				if reopened != 1 && name == "h2c" || reopened > 100 {
					t.Errorf("%d streams were opened until worker %d of %d answered", reopened, after, before)
				}
				_ = res.Body.Close()
			}
		})
	}
}

func TestAServiceThatFailsFromInsideIsReplacedWithoutRefusingAnybody(t *testing.T) {
	t.Parallel()
	d := serving(t, "live", nil)
	first, _ := d.who()
	kept := probing(t, d.addr("http"))
	var answered atomic.Int64
	ask := func(ask func() (int, string, error)) func(<-chan struct{}) {
		return func(stop <-chan struct{}) {
			if code, body, err := ask(); code != 200 || err != nil {
				t.Errorf("answered %d %q, %v", code, body, err)
				<-stop
			}
			answered.Add(1)
		}
	}
	stopKept := watch(1, ask(func() (int, string, error) { return kept.ask("/who") }))
	stopFresh := watch(3, ask(func() (int, string, error) { return d.ask("http", "/who") }))
	eventually(t, func() bool { return answered.Load() > 50 }, "requests are answered")
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Post("http://"+d.addr("http").String()+"/die", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if a := read(res); a.StatusCode != 200 {
		t.Errorf("%d %q", a.StatusCode, a.body)
	}
	eventually(t, func() bool {
		st := d.status()
		return len(st.Workers) == 1 && st.Workers[0].Phase == reload.Active && st.Workers[0].Worker == 2
	}, "another worker serves alone")
	more := answered.Load() + 50
	eventually(t, func() bool { return t.Failed() || answered.Load() > more }, "requests are answered")
	stopKept()
	stopFresh()
	if pid, _ := d.who(); pid == first {
		t.Error("the worker that failed answers")
	}
	if lines := d.logged("the service ends"); len(lines) != 1 || lines[0]["error"] != `background work "heart": the heart stood still` {
		t.Errorf("logged %v", lines)
	}
	if got := series(t, d.must("admin", "/metrics")); got["worker_crashes_total"] != 1 || got["reload_failed_total{reason=crash}"] != 0 {
		t.Errorf("crashes %v, reloads that failed by a crash %v", got["worker_crashes_total"], got["reload_failed_total{reason=crash}"])
	}
}

func TestNeverDoTwoWorkersHoldWhatIsExclusive(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := serving(t, "live", []string{"GAME_TOKEN=" + dir})
	holds := func() {
		eventually(t, func() bool { return d.must("http", "/holds") == "true" }, "the worker holds it")
	}
	var want strings.Builder
	for i := range 6 {
		if i > 0 {
			d.reload()
			d.one()
		}
		holds()
		pid, _ := d.who()
		fmt.Fprintf(&want, "open %d\nclose %[1]d\n", pid)
	}
	if err := d.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	d.wantExit(0)
	if got := readFile(t, filepath.Join(dir, "notes")); got != want.String() {
		t.Errorf("got\n%swant\n%s", got, want.String())
	}
}
