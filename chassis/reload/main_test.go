//go:build unix

package reload_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/reload"
)

// The test binary is also the daemon: as a worker it is a small line server, as a supervisor it is
// one in a process of its own.
const (
	planVar      = "RELOAD_TEST_PLAN"      // file with the plan of workers, read at each start
	superviseVar = "RELOAD_TEST_SUPERVISE" // run directory: be a supervisor
	badCheckVar  = "RELOAD_TEST_BADCHECK"  // file: while it exists, the self-check fails
)

func TestMain(m *testing.M) {
	switch role := reload.RoleOf(os.Getenv); {
	case role == reload.RoleCheck:
		if _, err := os.Stat(os.Getenv(badCheckVar)); err == nil {
			os.Exit(4)
		}
		reload.Check(os.Stdout)
	case role == reload.RoleWorker:
		os.Exit(work())
	case role == reload.RoleSupervisor:
		os.Exit(exitWith(reload.Resume(options("", os.Args[0], os.Stderr))))
	case os.Getenv(superviseVar) != "":
		os.Exit(exitWith(reload.Supervise(options(os.Getenv(superviseVar), os.Args[0], os.Stderr))))
	default:
		for fd := 3; fd < 1024; fd++ {
			syscall.CloseOnExec(fd) // what the shell has left open is not the supervisor's
		}
		os.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector has workers take a second to exit
		os.Exit(m.Run())
	}
}

func exitWith(code int, err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return code
}

func options(dir, program string, log io.Writer) reload.Options {
	return reload.Options{
		Program: "testd", Args: []string{program}, Environ: reload.Clean(os.Environ()), Directory: dir, Named: true,
		Listen: net.Listen, Log: slog.New(slog.NewTextHandler(log, nil)), Stderr: os.Stderr,
		Timing: reload.Timing{Grace: 500 * time.Millisecond, Good: 50 * time.Millisecond, Backoff: 20 * time.Millisecond, MaxBackoff: 100 * time.Millisecond},
	}
}

// plan is how workers behave.
type plan struct {
	Network string        `json:"network"`
	Address string        `json:"address"`
	More    []string      `json:"more"`   // addresses of further listeners
	Fault   string        `json:"fault"`  // see work
	Faulty  string        `json:"faulty"` // program that has the fault; every one when empty
	Start   time.Duration `json:"start"`
	Drain   time.Duration `json:"drain"`
	Stop    time.Duration `json:"stop"`
	Many    int           `json:"many"`   // workers that may drain at a time
	Linger  time.Duration `json:"linger"` // how long a drain takes
}

// lines is the service of a worker.
type lines struct {
	link  *reload.Link
	mu    sync.Mutex
	count int
	conns map[net.Conn]bool
	fault string
	away  bool // connections are handed over when they are idle
}

func work() int {
	link, err := reload.Connect()
	if err != nil {
		return exitWith(1, err)
	}
	var p plan
	data, err := os.ReadFile(os.Getenv(planVar))
	if err := errors.Join(err, json.Unmarshal(data, &p)); err != nil {
		return exitWith(1, err)
	}
	if self, _ := os.Executable(); p.Faulty != "" && !strings.HasPrefix(self, p.Faulty) {
		p.Fault = ""
	}
	switch p.Fault {
	case "panic":
		panic("no table of this name")
	case "exit":
		return 7
	case "config":
		_ = link.Failed(reload.ReasonConfig, errors.New("key http.adr: unknown"))
		return 2
	case "setup":
		_ = link.Failed(reload.ReasonSetup, errors.New("no database"))
		return 3
	case "closed":
		link.Close()
		select {}
	}
	s := &lines{link: link, fault: p.Fault, conns: map[net.Conn]bool{}}
	told := make(chan os.Signal, 1)
	if p.Fault == "polite" {
		signal.Notify(told, syscall.SIGTERM)
	}
	if p.Fault != "rude" {
		if err := link.Hello("v1", reload.Limits{Start: p.Start, Drain: p.Drain, Stop: p.Stop, Draining: p.Many}, reload.Counter{Snapshot: s.snapshot, Carry: carry}, s.adopt); err != nil {
			return exitWith(1, err)
		}
	}
	ctx := context.Background()
	var listeners []net.Listener
	for i, address := range append([]string{p.Address}, p.More...) {
		l, err := link.Listen(ctx, "l"+strconv.Itoa(i), p.Network, address)
		if err != nil {
			_ = link.Failed(reload.ReasonSetup, err)
			return 1
		}
		listeners = append(listeners, l)
	}
	if p.Fault == "hang" {
		select {}
	}
	if err := link.Ready(ctx); err != nil {
		return 1
	}
	for _, l := range listeners {
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go s.serve(c)
			}
		}()
	}
	stop := false // there will be no successor
	switch p.Fault {
	case "crash":
		panic("a table went away")
	case "failing":
		_ = link.Failed(reload.ReasonCrash, errors.New("the disk is full"))
	case "deaf":
		<-link.Orders()
		for _, l := range listeners {
			_ = l.Close()
		}
		select {}
	default:
		select {
		case o := <-link.Orders():
			if stop = o.Stop; stop {
				_ = link.Release(ctx)
			}
		case <-link.Hurry():
		case <-told:
			_ = link.Failed(reload.ReasonStopping, errors.New("a signal told it to stop"))
		}
	}
	for _, l := range listeners {
		_ = l.Close()
	}
	select {
	case <-link.Hurry():
		return 1
	case <-time.After(p.Linger):
	}
	if !stop {
		s.leave()
	}
	last, _ := s.snapshot()
	return exitWith(0, link.Leave(ctx, last))
}

func (s *lines) snapshot() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return []byte(strconv.Itoa(s.count)), nil
}

func carry(ended []reload.Snapshot) ([]byte, error) { return []byte(strconv.Itoa(sum(ended))), nil }

func sum(snapshots []reload.Snapshot) int {
	total := 0
	for _, o := range snapshots {
		n, _ := strconv.Atoi(string(o.Data))
		total += n
	}
	return total
}

func (s *lines) adopt(_ string, c net.Conn, _ []byte, taken func() error) error {
	if s.fault == "greedy" {
		select {}
	}
	if err := taken(); err != nil {
		return err
	}
	go s.serve(c)
	return nil
}

// leave hands connections over until nobody has taken them or none is left.
func (s *lines) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = true
	for c := range s.conns {
		_ = c.SetReadDeadline(time.Unix(1, 0))
	}
	for patience := time.Now().Add(20 * time.Second); len(s.conns) > 0 && time.Now().Before(patience); {
		s.mu.Unlock()
		time.Sleep(time.Millisecond)
		s.mu.Lock()
	}
}

// serve answers lines.
func (s *lines) serve(c net.Conn) {
	s.mu.Lock()
	s.conns[c] = true
	if s.away {
		_ = c.SetReadDeadline(time.Unix(1, 0))
	}
	s.mu.Unlock()
	defer func() {
		_ = c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if errors.Is(err, os.ErrDeadlineExceeded) {
			_ = c.SetReadDeadline(time.Time{})
			for s.link.Give("l0", c.(syscall.Conn), nil) != nil { // until there is a successor
				time.Sleep(time.Millisecond)
			}
			return
		}
		if err != nil {
			return
		}
		fmt.Fprintln(c, s.say(strings.TrimSpace(line)))
	}
}

func (s *lines) say(line string) string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	switch line {
	case "who":
		return fmt.Sprintf("%d %d %t", s.link.Worker(), os.Getpid(), s.link.Alone())
	case "add":
		s.mu.Lock()
		s.count++
		s.mu.Unlock()
		return "added"
	case "sum":
		own, _ := s.snapshot()
		others, _, err := s.link.Gather(ctx, func() []byte { return own })
		if err != nil {
			return err.Error()
		}
		return strconv.Itoa(sum(append(others, reload.Snapshot{Data: own})))
	case "books":
		own, _ := s.snapshot()
		others, _, err := s.link.Gather(ctx, func() []byte { return own })
		return fmt.Sprint(len(others), err)
	case "status":
		st, err := s.link.Status(ctx)
		if err != nil {
			return err.Error()
		}
		return strconv.Itoa(st.Supervisor)
	case "fds":
		out, err := exec.Command("ls", "/proc/self/fd").Output()
		return fmt.Sprint(strings.Fields(string(out)), err)
	case "lock":
		if _, err := s.link.Lock(ctx, "journal"); err != nil {
			return err.Error()
		}
		return "locked"
	case "try": // whether the lock can be had now
		soon, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		release, err := s.link.Lock(soon, "journal")
		if err != nil {
			return err.Error()
		}
		release()
		return "free"
	case "orphan": // a process whose parent is gone: PID 1 gets it
		out, err := exec.Command("sh", "-c", "sleep 0.05 & echo $!").Output()
		return fmt.Sprint(strings.TrimSpace(string(out)), err)
	}
	if pid, ok := strings.CutPrefix(line, "alive "); ok {
		if _, err := os.Stat("/proc/" + pid); err != nil {
			return "no"
		}
		return "yes"
	}
	return "what?"
}

// daemon is a running supervisor.
type daemon struct {
	t       *testing.T
	dir     string
	plan    string // its file
	program string
	log     *journal
	ended   chan int
	err     error
}

// journal collects what is logged.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// prepare makes what a daemon needs. Paths of sockets are short.
func prepare(t *testing.T, p plan) *daemon {
	t.Helper()
	dir := briefly(t)
	d := &daemon{t: t, dir: dir + "/run", plan: dir + "/plan", program: os.Args[0], log: &journal{}, ended: make(chan int, 1)}
	t.Setenv(planVar, d.plan)
	t.Setenv(badCheckVar, dir+"/bad")
	d.write(p)
	return d
}

func (d *daemon) write(p plan) {
	if p.Network == "" {
		p.Network = "unix"
	}
	if p.Address == "" {
		p.Address = d.socket()
	}
	data, err := json.Marshal(p)
	if err == nil {
		err = errors.Join(os.WriteFile(d.plan+".new", data, 0o600), os.Rename(d.plan+".new", d.plan))
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *daemon) socket() string { return strings.TrimSuffix(d.plan, "plan") + "sock" }

// run runs the supervisor in this process.
func (d *daemon) run(change ...func(*reload.Options)) {
	o := options(d.dir, d.program, d.log)
	for _, f := range change {
		f(&o)
	}
	go func() {
		code, err := reload.Supervise(o)
		d.err = err
		d.ended <- code
	}()
	d.t.Cleanup(func() {
		if d.t.Failed() {
			d.t.Log(d.log.String())
		}
	})
}

// start is run for a daemon that is to be up when it returns, and stopped at the end of the test.
func start(t *testing.T, p plan) *daemon {
	t.Helper()
	d := prepare(t, p)
	d.run()
	d.up()
	t.Cleanup(d.stop)
	return d
}

func (d *daemon) up() {
	d.t.Helper()
	d.until("it serves", func() bool { return d.ask("who") != "" })
}

// until waits for a condition.
func (d *daemon) until(what string, ok func() bool) {
	d.t.Helper()
	for end := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			d.t.Fatalf("waited too long until %s\n%s", what, d.log)
		}
	}
}

// stop stops the daemon and checks that it ended cleanly.
func (d *daemon) stop() {
	_, _, err := d.command(reload.CommandStop)
	if errors.Is(err, reload.ErrNotRunning) {
		return
	}
	if code := d.wait(); code != 0 || err != nil {
		d.t.Errorf("stopped with %d, %v", code, err)
	}
}

func (d *daemon) wait() int {
	d.t.Helper()
	select {
	case code := <-d.ended:
		return code
	case <-time.After(2 * time.Minute):
		d.t.Fatalf("it did not end\n%s", d.log)
		return -1
	}
}

func (d *daemon) command(c reload.Command) (*reload.Outcome, *reload.Status, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return reload.Ask(ctx, d.dir, c)
}

// reload reloads and returns how it went.
func (d *daemon) reload() *reload.Outcome {
	d.t.Helper()
	o, _, err := d.command(reload.CommandReload)
	if err != nil {
		d.t.Fatalf("reload: %v\n%s", err, d.log)
	}
	return o
}

func (d *daemon) status() *reload.Status {
	d.t.Helper()
	_, s, err := d.command(reload.CommandStatus)
	if err != nil {
		d.t.Fatalf("status: %v\n%s", err, d.log)
	}
	return s
}

// client is a connection to a worker.
type client struct {
	net.Conn
	r *bufio.Reader
}

func (d *daemon) dial() *client {
	c, err := net.Dial("unix", d.socket())
	if err != nil {
		return nil
	}
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	return &client{c, bufio.NewReader(c)}
}

func (c *client) ask(line string) string {
	if c == nil {
		return ""
	}
	fmt.Fprintln(c, line)
	answer, _ := c.r.ReadString('\n')
	return strings.TrimSpace(answer)
}

// ask asks over a new connection; empty when nobody answers.
func (d *daemon) ask(line string) string {
	c := d.dial()
	if c == nil {
		return ""
	}
	defer c.Close()
	return c.ask(line)
}

// worker is the number and the process of the worker that answers.
func (d *daemon) worker() (number, pid int) {
	d.t.Helper()
	d.until("a worker answers", func() bool {
		n, _ := fmt.Sscanf(d.ask("who"), "%d %d", &number, &pid)
		return n == 2
	})
	return number, pid
}

func signalSelf(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), s); err != nil {
		t.Fatal(err)
	}
}
