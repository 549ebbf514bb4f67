//go:build unix

package reload

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/reload/systemd"
)

// worker is what the supervisor knows of a worker. It belongs to the supervisor's goroutine, but
// for the channel.
type worker struct {
	number   int
	pid      int
	process  *os.Process
	child    bool   // how it ends is known
	build    *build // what it was started from; nil when that is not known
	link     *channel
	out      chan parcel   // to be sent
	sent     chan struct{} // closed when everything of out has been sent, after out was closed
	phase    Phase
	started  time.Time
	since    time.Time // of the phase
	hello    hello
	failure  message  // why it will end, as far as known; Kind is not used
	crash    *excerpt // of what the runtime writes when it crashes; nil when that is not known
	heirless bool     // it asked for a successor when there was none
	snapshot *Snapshot
	timer    *time.Timer
	paused   bool // its channel stands still
}

// parcel is a message with what travels beside it, which is closed when it was sent.
type parcel struct {
	message
	files []*os.File
	keep  bool // the files are somebody else's
}

// outgoing is how many messages may wait for one worker. It gets a handful in its life; one that
// reads none of them is stuck.
const outgoing = 64

// Descriptors of a worker, behind the three that every process has.
const (
	linkFile  = 3 // its channel to the supervisor
	crashFile = 4 // where its runtime writes when it crashes
)

// workerVar carries a worker's number and run directory.
const workerVar = "CHASSIS_WORKER"

// spawn starts worker number.
func (s *supervisor) spawn(number int) (*worker, error) {
	path, b := s.binary, openBuild(s.binary)
	if s.rolled {
		path, b = s.good.path(), s.good.keep()
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	link, err := openChannel(ours)
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		link.close()
		return nil, err
	}
	defer w.Close()
	cmd := exec.Command(path)
	cmd.Args = s.Args
	cmd.Env = append(systemd.Clean(s.Environ), fmt.Sprintf("%s=%d:%t:%s", workerVar, number, s.active == nil, s.dir()))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.Stdin, s.Stdout, s.Stderr
	cmd.ExtraFiles = []*os.File{theirs, w}
	// A group of its own, or Ctrl-C would reach it too.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		link.close()
		_ = r.Close()
		b.close()
		return nil, fmt.Errorf("start %s: %w", s.binary, reasonOf(err))
	}
	wk := &worker{
		number: number, pid: cmd.Process.Pid, process: cmd.Process, child: true, build: b,
		crash: readExcerpt(r), started: time.Now(),
	}
	wk.enter(Starting)
	s.attach(wk, link)
	return wk, nil
}

// reasonOf is an error of os/exec without the path that it repeats.
func reasonOf(err error) error {
	if e, ok := err.(*os.PathError); ok {
		return e.Err
	}
	return err
}

// attach has the channel of a worker read and written.
func (s *supervisor) attach(w *worker, link *channel) {
	w.link = link
	w.out, w.sent = make(chan parcel, outgoing), make(chan struct{})
	go deliver(link, w.out, w.sent)
	go func() {
		for {
			m, files, err := link.receive()
			switch {
			case err == errPaused:
				s.post(func() { s.paused(w) })
				return
			case err != nil:
				s.post(func() { s.hungUp(w, link) })
				return
			}
			s.post(func() { s.received(w, m, files) })
		}
	}()
}

// deliver sends what out holds.
func deliver(link *channel, out <-chan parcel, sent chan<- struct{}) {
	defer close(sent)
	for p := range out {
		fds := make([]int, len(p.files))
		for i, f := range p.files {
			fds[i] = fdOf(f)
		}
		if err := link.send(p.message, fds...); err != nil {
			link.close() // the reader sees the end
		}
		if !p.keep {
			closeFiles(p.files)
		}
	}
}

// send tells the worker something, and closes files.
func (w *worker) send(m message, files ...*os.File) { w.post(parcel{m, files, false}) }

func (w *worker) post(p parcel) {
	select {
	case w.out <- p:
	default:
		// It reads nothing.
		w.link.close()
		if !p.keep {
			closeFiles(p.files)
		}
	}
}

// hungUp notes that a worker's channel has ended: because it is about to exit, or is not a child
// and has. One that does neither is out of control.
func (s *supervisor) hungUp(w *worker, link *channel) {
	if w.link != link {
		return
	}
	if !w.child {
		s.gone(w, nil)
		return
	}
	s.reap()
	if !slices.Contains(s.workers, w) {
		return
	}
	w.alarm(s, s.Timing.Grace, func() {
		s.log.Error("worker closed its channel and did not end: it is killed", "worker", w.number, "pid", w.pid)
		s.counts.Killed++
		w.kill()
	})
}

func (w *worker) enter(p Phase) { w.phase, w.since = p, time.Now() }

// alarm has f called after d in place of what was to be called before.
func (w *worker) alarm(s *supervisor, d time.Duration, f func()) {
	w.stopAlarm()
	var mine *time.Timer
	mine = time.AfterFunc(d, func() {
		s.post(func() {
			if w.timer == mine {
				f()
			}
		})
	})
	w.timer = mine
}

func (w *worker) stopAlarm() {
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
}

func (w *worker) kill() { _ = w.process.Kill() }

// release frees what the supervisor holds for a worker that has ended.
func (w *worker) release() {
	w.stopAlarm()
	_ = w.process.Release()
	close(w.out)
	w.link.close()
	w.build.close()
}

// outcome is how the start of a worker failed that has ended.
func (w *worker) outcome(e *exit) Outcome {
	o := Outcome{Time: time.Now(), Worker: w.number, PID: w.pid, Took: time.Since(w.started), Reason: w.failure.Reason, Error: w.failure.Error}
	if o.Error == "" {
		o.Reason, o.Error = ReasonCrash, "it ended before it was ready: "+w.cause(e)
	}
	return o
}

// cause says why a worker has died.
func (w *worker) cause(e *exit) string {
	how := e.String()
	if text := w.crash.text(); text != "" {
		how += ": " + text
	}
	return how
}

// excerpt keeps the beginning of what a runtime writes when it crashes.
type excerpt struct {
	done chan struct{}
	mu   sync.Mutex
	line string
}

func readExcerpt(r *os.File) *excerpt {
	e := &excerpt{done: make(chan struct{})}
	go func() {
		defer close(e.done)
		defer r.Close()
		lines := bufio.NewReaderSize(io.LimitReader(r, 64<<10), 1024)
		line, _ := lines.ReadString('\n')
		e.mu.Lock()
		e.line = strings.TrimSpace(line)
		e.mu.Unlock()
		_, _ = io.Copy(io.Discard, r)
	}()
	return e
}

// text is the first line; empty when nothing was written.
func (e *excerpt) text() string {
	if e == nil {
		return ""
	}
	select {
	case <-e.done: // the process is dead, so the pipe has an end
	case <-time.After(100 * time.Millisecond): // unless a child of its has kept it
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.line
}

// A worker's environment says workerVar=NUMBER:FIRST:DIRECTORY.
func parseWorkerVar(value string) (number int, alone bool, dir string, err error) {
	parts := strings.SplitN(value, ":", 3)
	if len(parts) == 3 {
		if number, err = strconv.Atoi(parts[0]); err == nil {
			alone, err = strconv.ParseBool(parts[1])
			return number, alone, parts[2], err
		}
	}
	return 0, false, "", fmt.Errorf("%s=%q: want number:bool:directory; a supervisor sets it", workerVar, value)
}
