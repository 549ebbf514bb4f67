//go:build unix

package reload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// The supervisor replaces itself in place by the binary of its active worker: execve keeps the
// process, its children and its descriptors, and a file that outlives it carries the rest.

const (
	stateVar = "CHASSIS_SUPERVISOR" // descriptor of the state
	checkVar = "CHASSIS_CHECK"      // set when a binary is asked whether it can supervise
)

// state is what a supervisor knows, for the one that takes its place. Descriptors are numbers; 0
// is none.
type state struct {
	Directory string        `json:"directory"`
	Locks     string        `json:"locks"`
	Started   time.Time     `json:"started"`
	Number    int           `json:"number"`
	Sockets   []socketState `json:"sockets"`
	Inherited []socketState `json:"inherited"`
	Workers   []workerState `json:"workers"`
	Limits    Limits        `json:"limits"`
	Carry     *Snapshot     `json:"carry"`
	Ended     []Snapshot    `json:"ended"`
	Last      *Outcome      `json:"last"`
	Counts    Counts        `json:"counts"`
	Lock      int           `json:"lock"`
	Control   int           `json:"control"`
	Good      int           `json:"good"`
}

type socketState struct {
	socketName
	FD      int    `json:"fd"`
	Foreign bool   `json:"foreign"`
	Kept    bool   `json:"kept"`
	Stored  string `json:"stored"` // how the service manager calls it; empty when that has no copy
}

type workerState struct {
	Number   int       `json:"number"`
	PID      int       `json:"pid"`
	Child    bool      `json:"child"`
	Link     int       `json:"link"`
	Phase    Phase     `json:"phase"`
	Started  time.Time `json:"started"`
	Since    time.Time `json:"since"`
	Hello    hello     `json:"hello"`
	Final    bool      `json:"final"`
	Heirless bool      `json:"heirless"`
	Snapshot *Snapshot `json:"snapshot"`
	Build    int       `json:"build"`
}

// upgradeSelf replaces the supervisor by the binary at its path, once a worker of that binary
// serves.
func (s *supervisor) upgradeSelf() {
	s.attempts = 0
	s.upgrade = true
	s.next()
}

// maxAttempts is how often a replacement is tried that workers do not allow.
const maxAttempts = 3

// replaceTimeout is how long channels may take to stand still.
const replaceTimeout = 2 * time.Second

// pauseToReplace has all channels stop between two messages; tryToReplace follows when they have.
// Nothing is started meanwhile.
func (s *supervisor) pauseToReplace() {
	if err := s.check(); err != nil {
		s.log.Error("the supervisor stays as it is: the new binary cannot take its place", "error", err)
		return
	}
	for _, w := range s.workers {
		w.link.pause()
	}
	s.attempts++
	var mine *time.Timer
	mine = time.AfterFunc(replaceTimeout, func() {
		s.post(func() {
			if s.replacing == mine {
				s.upgrade = s.attempts < maxAttempts // later, when it may be less busy
				s.stay(errors.New("a worker does not let go of its channel"))
			}
		})
	})
	s.replacing = mine
}

// Check answers a supervisor that wants to know whether this binary can take its place.
func Check(w io.Writer) { fmt.Fprintln(w, checkAnswer()) }

func checkAnswer() string { return "supervisor protocol " + strconv.Itoa(protocol) }

// checkTimeout is how long a binary may take to say whether it can supervise: far longer than it takes
// to start on a busy machine. Nothing else is done meanwhile.
const checkTimeout = 5 * time.Second

// check asks the binary whether it can supervise.
func (s *supervisor) check() error {
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.binary)
	cmd.Args = s.Args
	cmd.Env = append(slices.Clone(s.Environ), checkVar+"=1")
	cmd.WaitDelay = time.Second // should a child of it keep the pipe
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", s.binary, err)
	}
	// A newer protocol knows this one; an older one does not know what it was not told.
	var offered int
	if _, err := fmt.Sscanf(string(out), "supervisor protocol %d", &offered); err != nil || offered < protocol {
		return fmt.Errorf("%s: asked for %q it said %.80q", s.binary, checkAnswer(), out)
	}
	return nil
}

// paused notes that a worker's channel stands still.
func (s *supervisor) paused(w *worker) {
	if s.replacing == nil { // given up meanwhile
		go s.listenTo(w, w.link)
		return
	}
	w.paused = true
}

// tryToReplace replaces this process once all channels stand still and nothing has happened that
// nobody has acted on: what this process knows and has not written down is lost.
func (s *supervisor) tryToReplace() {
	if s.replacing == nil {
		return
	}
	if len(s.queued) > 0 || s.active == nil || !s.stopping.IsZero() {
		s.upgrade = true // afterwards
		s.stay(errors.New("something else has happened meanwhile"))
		return
	}
	// One whose channel has ended is about to be gone.
	if slices.ContainsFunc(s.workers, func(w *worker) bool { return !w.paused || w.hung }) {
		return
	}
	for _, g := range s.books.gathers {
		g.missing = nil
	}
	s.answerGathers()
	if slices.ContainsFunc(s.workers, func(w *worker) bool { return w.unsent > 0 }) || !s.idle() {
		return // the loop comes by again
	}
	err := s.replace()
	if errors.Is(err, net.ErrClosed) { // of a worker that has just died
		s.upgrade = s.attempts < maxAttempts
	}
	s.stay(err)
}

// idle reports whether nothing waits to be acted on.
func (s *supervisor) idle() bool {
	return len(s.events) == 0 && len(s.signals) == 0 && len(s.children) == 0
}

// stay has everything go on that was paused.
func (s *supervisor) stay(why error) {
	if s.replacing == nil {
		return
	}
	s.log.Error("the supervisor stays as it is", "error", why)
	s.replacing.Stop()
	s.replacing = nil
	for _, w := range s.workers {
		w.link.resume()
		if w.paused {
			w.paused = false
			go s.listenTo(w, w.link)
		}
	}
	s.next()
}

// errBusy says that a signal came in the last moment.
var errBusy = errors.New("a signal came meanwhile")

// replace executes the binary in place of this process. It returns only when that failed.
func (s *supervisor) replace() error {
	k := &keeper{}
	defer k.close()
	st, err := s.state(k)
	if err != nil {
		return err
	}
	f, err := stateFile(st)
	if err != nil {
		return err
	}
	defer f.Close()
	env := append(slices.Clone(s.Environ), fmt.Sprintf("%s=%d", stateVar, k.keep(f)))
	if k.err != nil {
		return k.err
	}
	s.log.Info("replacing the supervisor in place", "binary", s.binary)
	// Until the new program listens to signals, their default would end the process. What is
	// ignored is lost; the reload that follows makes up for a SIGHUP. Once its runtime runs, a
	// SIGTERM ends it all the same: Go unblocks that, and keeps only SIGHUP and SIGINT ignored.
	signal.Ignore(syscall.SIGHUP, syscall.SIGTERM, os.Interrupt, syscall.SIGUSR2)
	defer s.listenForSignals()
	if len(s.signals) > 0 {
		s.upgrade = true // once it was acted on
		return errBusy
	}
	// Seconds may have passed since it was looked at, and its worker is what has proven it.
	if s.active == nil || !s.active.build.current() {
		s.upgrade = s.attempts < maxAttempts // by what is there now, once a worker of that serves
		return fmt.Errorf("%s: it was replaced meanwhile", s.binary)
	}
	return fmt.Errorf("execute %s: %w", s.binary, syscall.Exec(s.binary, s.Args, env))
}

// fill writes b to f.
func fill(f *os.File, b []byte) (*os.File, error) {
	if _, err := f.WriteAt(b, 0); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// keeper makes copies of descriptors that outlive execve.
type keeper struct {
	fds []int
	err error
}

func (k *keeper) keep(c syscall.Conn) int {
	raw, err := c.SyscallConn()
	if err != nil {
		k.err = errors.Join(k.err, err)
		return 0
	}
	copied := 0
	err = raw.Control(func(fd uintptr) {
		var err error
		if copied, err = syscall.Dup(int(fd)); err != nil { // without close-on-exec
			k.err = errors.Join(k.err, os.NewSyscallError("dup", err))
			return
		}
		k.fds = append(k.fds, copied)
	})
	k.err = errors.Join(k.err, err)
	return copied
}

func (k *keeper) close() {
	for _, fd := range k.fds {
		_ = syscall.Close(fd)
	}
}

// state collects what the next supervisor needs to know.
func (s *supervisor) state(k *keeper) ([]byte, error) {
	st := state{
		Directory: s.Directory, Locks: s.locks, Started: s.started, Number: s.number, Limits: s.limits, Carry: s.books.carry, Ended: s.books.ended,
		Last: s.last, Counts: s.counts,
	}
	st.Counts.Upgrades++
	for _, list := range []struct {
		from []*socket
		to   *[]socketState
	}{{s.sockets.current, &st.Sockets}, {s.sockets.inherited, &st.Inherited}} {
		for _, sock := range list.from {
			as := socketState{socketName: sock.socketName, FD: k.keep(sock.file), Foreign: sock.foreign, Kept: sock.kept}
			for name, stored := range s.stored {
				if stored == sock {
					as.Stored = name
				}
			}
			*list.to = append(*list.to, as)
		}
	}
	for _, w := range s.workers {
		ws := workerState{
			Number: w.number, PID: w.pid, Child: w.child, Link: k.keep(w.link.conn), Phase: w.phase,
			Started: w.started, Since: w.since, Hello: w.hello, Heirless: w.heirless, Snapshot: w.snapshot, Final: w.final,
		}
		if w.build != nil {
			ws.Build = k.keep(w.build.file)
		}
		st.Workers = append(st.Workers, ws)
	}
	if s.good != nil {
		st.Good = k.keep(s.good.file)
	}
	if s.lock != nil {
		st.Lock, st.Control = k.keep(s.lock), k.keep(s.control)
	}
	if k.err != nil {
		return nil, k.err
	}
	return json.Marshal(st)
}

// Resume runs a supervisor that has just taken its own place: see [Supervise].
func Resume(o Options) (int, error) {
	s, err := newSupervisor(o)
	if err != nil {
		return 1, err
	}
	s.listenForSignals()
	defer s.stopSignals()
	if err := s.restore(os.Getenv(stateVar)); err != nil {
		return 1, fmt.Errorf("cannot go on as the supervisor that was: %w", err)
	}
	s.log.Info("the supervisor was replaced in place", "workers", len(s.workers))
	s.reload(nil) // a SIGHUP may have been lost
	return s.run(), nil
}

// restore reads what the supervisor before has left at descriptor fd.
func (s *supervisor) restore(fd string) error {
	n, err := strconv.Atoi(fd)
	if err != nil {
		return fmt.Errorf("%s=%q: want a descriptor; a supervisor sets it", stateVar, fd)
	}
	f := take(n)
	defer f.Close()
	data, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<30))
	if err != nil {
		return err
	}
	var st state
	if err := json.Unmarshal(data, &st); err != nil {
		return err
	}
	s.started, s.number, s.limits, s.last, s.counts = st.Started, st.Number, st.Limits, st.Last, st.Counts
	s.Directory, s.locks, s.books.carry, s.books.ended = st.Directory, st.Locks, st.Carry, st.Ended
	s.served = true // or there would have been no upgrade
	if st.Good != 0 {
		s.good = restoreBuild(s.binary, take(st.Good))
	}
	if s.counts.Failed == nil {
		s.counts.Failed = map[Reason]uint64{}
	}
	for _, list := range []struct {
		from []socketState
		to   *[]*socket
	}{{st.Sockets, &s.sockets.current}, {st.Inherited, &s.sockets.inherited}} {
		for _, as := range list.from {
			sock := &socket{socketName: as.socketName, file: take(as.FD), foreign: as.Foreign, kept: as.Kept}
			*list.to = append(*list.to, sock)
			if as.Stored != "" {
				s.stored[as.Stored] = sock
			}
		}
	}
	if st.Lock != 0 {
		s.lock = take(st.Lock)
		if err := s.restoreControl(take(st.Control)); err != nil {
			return err
		}
	}
	for _, ws := range st.Workers {
		if err := s.restoreWorker(ws); err != nil {
			return fmt.Errorf("worker %d: %w", ws.Number, err)
		}
	}
	return nil
}

func (s *supervisor) restoreControl(f *os.File) error {
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return err
	}
	s.control = l.(*net.UnixListener)
	go s.serveControl(s.control)
	return nil
}

func (s *supervisor) restoreWorker(ws workerState) error {
	process, err := os.FindProcess(ws.PID)
	if err != nil {
		return err
	}
	link, err := openChannel(take(ws.Link))
	if err != nil {
		return err
	}
	w := &worker{
		number: ws.Number, pid: ws.PID, process: process, child: ws.Child, phase: ws.Phase, started: ws.Started,
		since: ws.Since, hello: ws.Hello, heirless: ws.Heirless, snapshot: ws.Snapshot, final: ws.Final,
	}
	if ws.Build != 0 {
		w.build = restoreBuild(s.binary, take(ws.Build))
	}
	s.workers = append(s.workers, w)
	s.attach(w, link)
	if w.phase == Active {
		s.active = w
		w.alarm(s, s.Timing.Good, func() { s.proven(w) })
	} else {
		w.alarm(s, time.Until(w.since.Add(w.limits().Drain+s.Timing.Grace)), func() { s.overdue(w) })
	}
	return nil
}

// take makes a file of a descriptor that has come through execve.
func take(fd int) *os.File {
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "kept")
}
