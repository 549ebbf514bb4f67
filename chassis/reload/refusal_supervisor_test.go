//go:build unix

package reload

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/reload/systemd"
	"github.com/seed-754044b3/roadworthy/internal/need"
)

// noted has s log to what it returns.
func noted(s *supervisor) *bytes.Buffer {
	var b bytes.Buffer
	s.log = slog.New(slog.NewTextHandler(&b, nil))
	return &b
}

func says(t *testing.T, log *bytes.Buffer, want string) {
	t.Helper()
	if !strings.Contains(log.String(), want) {
		t.Errorf("logged %q, want %q", log, want)
	}
	log.Reset()
}

// jammed is a socket whose path cannot be removed.
func jammed(t *testing.T) *socket {
	t.Helper()
	return &socket{socketName: socketName{"http", "unix", stuck(t, shortDir(t)+"/s")}, file: null(t)}
}

func TestAWorkerThatReadsNothingLosesItsChannelAndWhatWasForIt(t *testing.T) {
	s := patient(t)
	w, theirs := enlist(t, s, Active)
	ended := w.out
	w.out = nil // as of one that has ended
	sent, kept := null(t), null(t)
	told := 0
	then := func() { told++ }
	w.post(parcel{message: message{Kind: kindAdopt}, files: []*os.File{sent}, then: then})
	w.post(parcel{message: message{Kind: kindAnswer}, files: []*os.File{kept}, keep: true, then: then})
	w.out = ended
	if told != 2 || w.unsent != 0 {
		t.Errorf("told %d times, %d unsent", told, w.unsent)
	}
	if err := sent.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("what was for the worker stays open: %v", err)
	}
	must(t, kept.Close())
	if _, _, err := theirs.receive(); !errors.Is(err, io.EOF) {
		t.Errorf("its channel goes on: %v", err)
	}
}

func TestWhatIsHeardOfAWorkerThatIsGoneChangesNothing(t *testing.T) {
	s := patient(t)
	_, _ = enlist(t, s, Active)
	gone := &worker{number: 9, pid: os.Getpid()}
	f := null(t)
	s.received(gone, message{Kind: kindReady}, []*os.File{f})
	s.hungUp(gone)
	s.gone(gone, nil)
	s.proven(gone)
	s.books.ended = []Snapshot{{Worker: 1}}
	s.carried(gone, []byte("x"))
	if len(s.workers) != 1 || s.active != s.workers[0] || gone.hung || s.good != nil || s.books.carry != nil || len(s.books.ended) != 1 {
		t.Errorf("supervisor %+v", s)
	}
	if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("what it sent stays open: %v", err)
	}
}

func TestADrainingWorkerThatLostItsHeirGetsTheActiveOne(t *testing.T) {
	s := patient(t)
	a, atA := enlist(t, s, Draining)
	must(t, atA.send(message{Kind: kindHeir}))
	pump(t, s, func() bool { return a.heirless }) // there is none yet
	b, atB := enlist(t, s, Active)
	must(t, atA.send(message{Kind: kindHeir}))
	pump(t, s, func() bool {
		return len(s.events) == 0 && a.unsent+b.unsent == 0 && a.link != nil && waits(atA) && waits(atB)
	})
	_, to := hear(t, atB, kindAdopt)
	_, from := hear(t, atA, kindHeir)
	if len(to) != 1 || len(from) != 1 {
		t.Fatalf("files %v and %v", from, to)
	}
	_, err := from[0].Write([]byte("x"))
	must(t, err)
	if n, err := to[0].Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("they are not connected: %d, %v", n, err)
	}
}

// waits reports whether c has something to read.
func waits(c *channel) bool {
	raw, err := c.conn.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	_ = raw.Control(func(fd uintptr) {
		n, _, _ = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	return n > 0
}

func TestListenersAreReleasedOnlyWhenTheServiceStops(t *testing.T) {
	s := patient(t)
	log := noted(s)
	s.sockets.current = []*socket{jammed(t)}
	s.release()
	if len(s.sockets.current) != 1 {
		t.Error("a worker has closed the listeners of the service")
	}
	s.stopping = time.Now()
	s.release()
	if says(t, log, "closing sockets"); len(s.sockets.current) != 0 {
		t.Error("listeners stay open")
	}
}

func TestAPathThatCannotBeRemovedIsLoggedAndStopsNothing(t *testing.T) {
	s := patient(t)
	log := noted(s)
	w, _ := enlist(t, s, Starting)
	_, _ = enlist(t, s, Draining)
	w.hello = hello{Protocol: protocol + 1, Limits: Limits{Draining: 1}}
	s.starting, s.upgrade = w, true
	s.sockets.current = []*socket{jammed(t)}
	s.ready(w)
	if !strings.Contains(log.String(), "replaced once more") {
		t.Errorf("logged %q", log)
	}
	if says(t, log, "closing sockets that are not used any more"); s.active != w || !s.upgrade {
		t.Errorf("active %v, upgrade %v: a worker of a newer protocol asks for one", s.active, s.upgrade)
	}
	next, _ := enlist(t, s, Starting)
	s.starting, s.upgrade = next, false
	sock := jammed(t)
	s.sockets.next = []opening{{sock.socketName, sock}}
	s.gone(next, &exit{syscall.WaitStatus(1 << 8)})
	if says(t, log, "closing sockets of a worker that was not ready"); s.starting != nil || s.last.Reason != ReasonCrash || s.active != w {
		t.Errorf("starting %v, last %+v", s.starting, s.last)
	}
	last := quiet(t)
	log = noted(last)
	last.sockets.current, last.failed = []*socket{jammed(t)}, true
	if code := last.finish(); code != 1 {
		t.Errorf("code %d", code)
	}
	says(t, log, "closing sockets")
}

func TestAReloadIsRefusedWhileTheServiceStops(t *testing.T) {
	s := patient(t)
	s.stopping = time.Now()
	var o Outcome
	done := func(how Outcome) { o = how }
	s.reload(&done)
	if o.Reason != ReasonStopping || o.Error != "the service stops" {
		t.Errorf("outcome %+v", o)
	}
}

func TestWorkersAreHurriedOnce(t *testing.T) {
	s := patient(t)
	w, theirs := enlist(t, s, Draining)
	s.hurry()
	first := w.timer
	s.failed = true // for another reason, too
	s.hurry()
	if w.timer != first || s.exitCode() != 1 {
		t.Error("a third signal gives a worker another second")
	}
	hear(t, theirs, kindHurry)
}

func TestAServiceManagerThatIsGoneIsDoneWithout(t *testing.T) {
	s := patient(t)
	log := noted(s)
	s.log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	s.notify, err = systemd.FromEnv(getenv([]string{"NOTIFY_SOCKET=" + shortDir(t) + "/gone"}))
	must(t, err)
	if !s.notify.Enabled() {
		t.Skip("there is no service manager on this system")
	}
	s.tell(s.notify.Stopping("draining"))
	says(t, log, "telling the service manager")
	s.sockets.current = []*socket{{socketName: socketName{"http", "tcp", "127.0.0.1:1"}, file: null(t)}}
	s.store()
	if says(t, log, "does not keep a socket"); len(s.stored) != 0 {
		t.Errorf("stored %v", s.stored)
	}
}

func TestAWorkerThatSomebodyElseHasCollectedIsGone(t *testing.T) {
	s := patient(t)
	ended, _ := enlist(t, s, Draining)
	ended.child, ended.exit = true, &exit{} // what it said last is still waited for
	s.stopping = time.Now()                 // nothing is started in its place
	lost, _ := enlist(t, s, Draining)
	lost.child = true // this process, which is no child of its own
	s.reap()
	if len(s.workers) != 1 || s.workers[0] != ended {
		t.Errorf("workers %v", s.workers)
	}
}

func TestWhoGathersIsAnsweredBeforeTheSupervisorIsReplaced(t *testing.T) {
	s := patient(t)
	a, _ := enlist(t, s, Draining)
	b, atB := enlist(t, s, Active)
	a.paused, b.paused = true, true
	late := time.AfterFunc(time.Hour, func() {})
	s.replacing = late
	s.books.gathers = []*gathering{{by: b, id: 8, missing: []*worker{a}, timer: late}}
	s.tryToReplace()
	if s.replacing == nil || b.unsent != 1 {
		t.Fatalf("replacing %v, %d unsent", s.replacing, b.unsent)
	}
	if m, _ := hear(t, atB, kindAnswer); m.ID != 8 {
		t.Errorf("heard %+v", m)
	}
	s.replacing = nil
}

func TestAProgramThatAnswersSomethingElseCannotSupervise(t *testing.T) {
	s := quiet(t)
	echo := need.Program(t, "echo", "coreutils")
	for _, answer := range []string{"hello", "supervisor protocol 0"} {
		s.binary, s.Args = echo, []string{"echo", answer}
		refused(t, answer, s.check(), "it said \""+answer)
	}
	s.Args[1] = checkAnswer()
	must(t, s.check())
}

func TestAReplacementThatCannotKeepItsDescriptorsIsGivenUp(t *testing.T) {
	before := opened(t)
	s := quiet(t)
	defer s.stopSignals()
	for n, want := range []string{"memfd_create", "dup"} {
		withFew(t, n, func() { refused(t, want, s.replace(), "too many open files") })
	}
	s.signals <- syscall.SIGTERM
	if err := s.replace(); err != errBusy || !s.upgrade {
		t.Errorf("error %v, upgrade %v", err, s.upgrade)
	}
	closed := null(t)
	must(t, closed.Close())
	s.sockets.current = []*socket{{socketName: socketName{"http", "tcp", ":1"}, file: closed}}
	refused(t, "a socket that was closed", s.replace(), "use of closed file")
	k := &keeper{}
	if fd := k.keep((*os.File)(nil)); fd != 0 || !errors.Is(k.err, os.ErrInvalid) {
		t.Errorf("descriptor %d, %v", fd, k.err)
	}
	readable := null(t)
	if _, err := fill(readable, []byte("x")); err == nil {
		t.Error("written to what can only be read")
	}
	if err := readable.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("it stays open: %v", err)
	}
	if now := opened(t); now > before {
		t.Errorf("%d descriptors are open, before %d", now, before)
	}
}

// kept is the descriptor of a file that holds st, as the supervisor before leaves it.
func kept(t *testing.T, st state) string {
	t.Helper()
	data, err := json.Marshal(st)
	must(t, err)
	f, err := stateFile(data)
	must(t, err)
	return strconv.Itoa(inherited(t, f))
}

func TestWhatTheSupervisorBeforeHasLeftMustMakeSense(t *testing.T) {
	dir, err := os.Open(os.TempDir())
	must(t, err)
	refused(t, "a directory", quiet(t).restore(strconv.Itoa(inherited(t, dir))), "is a directory")
	lock := state{Lock: inherited(t, null(t)), Control: inherited(t, null(t))}
	s := quiet(t)
	if err := s.restore(kept(t, lock)); err == nil {
		t.Error("a file is taken for the control socket")
	}
	must(t, s.lock.Close())
	file := state{Workers: []workerState{{Number: 4, PID: os.Getpid(), Link: inherited(t, null(t))}}}
	refused(t, "a file in place of a channel", quiet(t).restore(kept(t, file)), "worker 4: ")

	sock, err := bind(net.Listen, socketName{"http", "tcp", "127.0.0.1:0"})
	must(t, err)
	s = quiet(t, "NOTIFY_SOCKET="+shortDir(t)+"/gone")
	must(t, s.restore(kept(t, state{Sockets: []socketState{{socketName: sock.socketName, FD: inherited(t, sock.file), Stored: sock.keptName()}}})))
	s.counts.Failed[ReasonExec]++ // although it was left without any
	if len(s.sockets.current) != 1 || s.stored[sock.keptName()] != s.sockets.current[0] {
		t.Errorf("current %v, stored %v", s.sockets.current, s.stored)
	}
	must(t, s.sockets.close(true))
}

func TestAReplacedSupervisorIsAsPatientAsTheOneBefore(t *testing.T) {
	child := exec.Command("sleep", "60")
	must(t, child.Start())
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	defer func() { _ = child.Process.Kill() }()
	s := patient(t)
	s.Timing.Good, s.Timing.Grace = time.Millisecond, time.Millisecond
	s.crashes = 2
	st := state{}
	for i, phase := range []Phase{Draining, Active} {
		ours, theirs, err := socketPair()
		must(t, err)
		defer theirs.Close()
		st.Workers = append(st.Workers, workerState{
			Number: i + 1, PID: child.Process.Pid, Link: inherited(t, ours), Phase: phase, Since: time.Now().Add(-time.Hour),
		})
	}
	must(t, s.restore(kept(t, st)))
	s.workers[0].child, s.workers[1].child = true, true
	pump(t, s, func() bool { return s.counts.Killed == 1 && s.crashes == 0 })
	if err := <-ended; err == nil || err.Error() != "signal: killed" {
		t.Errorf("the worker that should have drained long ago: %v", err)
	}
}

func TestATakeoverClosesWhatAWorkerDoesNotName(t *testing.T) {
	dir := shortDir(t)
	refused(t, "nobody there", quiet(t).takeOverAt(dir+"/nobody"), "no such file")
	l, err := net.Listen("unix", workerSocket(dir, 3))
	must(t, err)
	defer l.Close()
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	talks := make(chan *channel, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		link := newChannel(c.(*net.UnixConn))
		_ = link.send(message{Kind: kindHello, PID: os.Getpid(), Hello: &hello{Worker: 3, Phase: Active}}, fdOf(w))
		_ = w.Close()
		talks <- link
	}()
	s := patient(t)
	must(t, s.takeOverAt(workerSocket(dir, 3)))
	link := <-talks
	defer link.close()
	if s.active == nil || s.active.number != 3 || len(s.sockets.current) != 0 {
		t.Errorf("active %+v, sockets %v", s.active, s.sockets.current)
	}
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a descriptor that nobody named stays open: %v", err)
	}
}
