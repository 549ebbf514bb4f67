//go:build unix

package reload

import (
	"bufio"
	"errors"
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
	out      chan parcel // to be sent; nil once it has ended
	unsent   int         // how many of them have not been
	phase    Phase
	started  time.Time
	since    time.Time // of the phase
	hello    hello
	failure  message  // why it will end, as far as known; Kind is not used
	crash    *excerpt // of what the runtime writes when it crashes; nil when that is not known
	heirless bool     // it asked for a successor when there was none
	snapshot *Snapshot
	timer    *time.Timer
	final    bool  // snapshot is its last one
	paused   bool  // its channel stands still
	hung     bool  // its channel has ended
	killed   bool  // whatever it says now, it will end
	exit     *exit // how it has ended; nil before, and for one that is not a child
}

// parcel is a message with what travels beside it, which is closed when it was sent.
type parcel struct {
	message
	files []*os.File
	keep  bool   // the files are somebody else's
	then  func() // called when it was sent, or could not be; may be nil
}

// outgoing is how many messages may wait for one worker. It gets a handful in its life; one that
// reads none of them is stuck.
const outgoing = 64

// Descriptors of a worker, behind the three that every process has.
const (
	linkFile  = 3 // its channel to the supervisor
	crashFile = 4 // where its runtime writes when it crashes
)

const (
	workerVar = "CHASSIS_WORKER" // carries a worker's number and run directory
	locksVar  = "CHASSIS_LOCKS"  // carries the directory of its locks, where there is no run directory
)

// spawn starts worker number.
func (s *supervisor) spawn(number int) (*worker, error) {
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
	var path string
	var b *build
	if s.rolled {
		path, b = s.good.path(), s.good.keep()
	} else {
		path, b = s.binary, openBuild(s.binary)
	}
	cmd := exec.Command(path)
	cmd.Args = s.Args
	cmd.Env = append(systemd.Clean(s.Environ), fmt.Sprintf("%s=%d:%t:%s", workerVar, number, s.active == nil, s.dir()), locksVar+"="+s.locks)
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
	w.link, w.out = link, make(chan parcel, outgoing)
	go s.deliver(w, link, w.out)
	go s.listenTo(w, link)
}

// listenTo reads the channel of a worker.
func (s *supervisor) listenTo(w *worker, link *channel) {
	for {
		m, files, err := link.receive()
		switch {
		case err == errPaused:
			s.post(func() { s.paused(w) })
			return
		case err != nil:
			s.post(func() { s.hungUp(w) })
			return
		}
		s.post(func() { s.received(w, m, files) })
	}
}

// deliver sends what out holds.
func (s *supervisor) deliver(w *worker, link *channel, out <-chan parcel) {
	for p := range out {
		fds := make([]int, len(p.files))
		for i, f := range p.files {
			fds[i] = fdOf(f)
		}
		err := link.send(p.message, fds...)
		if err != nil && !errors.Is(err, errTooLong) {
			link.close() // the reader sees the end
		}
		if !p.keep {
			closeFiles(p.files)
		}
		s.post(func() {
			w.unsent--
			if errors.Is(err, errTooLong) {
				s.log.Error("a worker cannot be told something", "worker", w.number, "error", err)
			}
			if p.then != nil {
				p.then()
			}
		})
	}
}

// send tells the worker something, and closes files.
func (w *worker) send(m message, files ...*os.File) { w.post(parcel{message: m, files: files}) }

func (w *worker) post(p parcel) {
	select {
	case w.out <- p:
		w.unsent++
	default:
		// It reads nothing, or has ended.
		w.link.close()
		if !p.keep {
			closeFiles(p.files)
		}
		if p.then != nil {
			p.then()
		}
	}
}

// hungUp notes that a worker's channel has ended: because it is about to exit, or has. One that
// does not is out of control.
func (s *supervisor) hungUp(w *worker) {
	if !slices.Contains(s.workers, w) {
		return
	}
	w.hung = true
	if !w.child {
		p := w.process
		w.process = nil
		time.AfterFunc(s.Timing.Grace, func() { _ = errors.Join(p.Kill(), p.Release()) })
		s.gone(w, nil)
		return
	}
	if w.exit != nil {
		s.gone(w, w.exit)
		return
	}
	s.reap()
	if !slices.Contains(s.workers, w) {
		return
	}
	w.alarm(s, s.Timing.Grace, func() {
		s.log.Error("worker closed its channel and did not end: it is killed", "worker", w.number, "pid", w.pid)
		w.fails(ReasonCrash, "it closed its channel to the supervisor and did not end")
		s.counts.Killed++
		w.kill()
	})
}

// lastWords is how long after its end what a worker has said last is waited for. It is there
// already, unless a child of the worker has the channel open.
const lastWords = time.Second

// exited notes how a child has ended. It is gone once everything it has said was heard: why it has
// ended, for one.
func (s *supervisor) exited(w *worker, e *exit) {
	w.exit = e
	if w.hung {
		s.gone(w, e)
		return
	}
	w.alarm(s, lastWords, func() { s.gone(w, e) })
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

// kill ends a worker. Whatever it still says is too late.
func (w *worker) kill() {
	w.killed = true
	if w.exit == nil {
		_ = w.process.Kill()
	}
}

// abandon has a worker give up its start, and kills it when it has not within d.
func (w *worker) abandon(s *supervisor, d time.Duration) {
	w.killed = true // whatever it still says is too late
	if w.exit == nil {
		_ = w.process.Signal(syscall.SIGTERM)
	}
	w.alarm(s, d, w.kill)
}

// fails notes why a worker will end, unless that is known.
func (w *worker) fails(r Reason, why string) {
	if w.failure.Error == "" {
		w.failure = message{Reason: r, Error: why}
	}
}

// limits are the bounds that a worker has told, and the usual ones where it has not.
func (w *worker) limits() Limits {
	l := w.hello.Limits
	if l.Start <= 0 {
		l.Start = defaultLimits.Start
	}
	if l.Drain <= 0 {
		l.Drain = defaultLimits.Drain
	}
	l.Stop = max(l.Stop, l.Drain)
	if l.Draining <= 0 {
		l.Draining = defaultLimits.Draining
	}
	return l
}

// release frees what the supervisor holds for a worker that has ended.
func (w *worker) release() {
	w.stopAlarm()
	if w.process != nil {
		_ = w.process.Release()
	}
	close(w.out)
	w.out = nil
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
