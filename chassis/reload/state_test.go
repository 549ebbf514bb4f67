//go:build unix

package reload

import (
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patient is a supervisor that kills nobody: the workers of these tests are this process.
func patient(t *testing.T) *supervisor {
	t.Helper()
	s := quiet(t)
	s.Timing.Grace = time.Hour
	t.Cleanup(func() {
		for _, w := range s.workers {
			w.stopAlarm()
			close(w.out)
			w.link.close()
		}
		s.stopRestart()
		close(s.quit)
	})
	return s
}

// enlist gives s a worker, and returns the worker's end of its channel.
func enlist(t *testing.T, s *supervisor, phase Phase) (*worker, *channel) {
	t.Helper()
	ours, theirs := channels(t)
	w := &worker{number: len(s.workers) + 1, pid: os.Getpid()}
	w.enter(phase)
	s.attach(w, ours)
	s.workers = append(s.workers, w)
	if phase == Active {
		s.active = w
	}
	return w, theirs
}

// pump acts on what is posted until ok.
func pump(t *testing.T, s *supervisor, ok func() bool) {
	t.Helper()
	late := time.After(time.Minute)
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for !ok() {
		select {
		case f := <-s.events:
			f()
		case <-look.C: // it may be elsewhere that something happens
		case <-late:
			t.Fatal("waited too long")
		}
	}
}

// heard has s act until the worker's end of a channel has a message, which it returns.
func heard(t *testing.T, s *supervisor, c *channel) message {
	t.Helper()
	var m message
	got := make(chan struct{})
	go func() {
		m, _, _ = c.receive()
		close(got)
	}()
	for {
		select {
		case f := <-s.events:
			f()
		case <-got:
			return m
		case <-time.After(time.Minute):
			t.Fatal("nothing was said")
		}
	}
}

func TestOneWhoGathersWaitsForTheLivingButNotForEver(t *testing.T) {
	s := patient(t)
	s.books.timeout = time.Hour
	a, atA := enlist(t, s, Draining)
	b, atB := enlist(t, s, Active)
	ask := message{Kind: kindGather, ID: 1, Snapshot: []byte("b")}
	must(t, atB.send(ask))
	if m := heard(t, s, atA); m.Kind != kindSnapshot {
		t.Errorf("asked %+v", m)
	}
	must(t, atA.send(message{Kind: kindSnapshot, Snapshot: []byte("a")}))
	if m := heard(t, s, atB); len(m.Snapshots) != 1 || string(m.Snapshots[0].Data) != "a" {
		t.Errorf("gathered %+v", m)
	}
	ask.ID, s.books.timeout = 2, time.Millisecond
	must(t, atB.send(ask)) // a says nothing now: what it said last counts
	if m := heard(t, s, atB); m.ID != 2 || len(m.Snapshots) != 1 {
		t.Errorf("gathered %+v", m)
	}
	must(t, atA.send(message{Kind: kindSnapshot, ID: 5, Snapshot: []byte("last")}))
	must(t, atA.send(message{Kind: kindSnapshot, Snapshot: []byte("stale")}))
	must(t, atA.send(message{Kind: "news"}))
	must(t, atA.send(message{Kind: kindListen, ID: 6}))
	must(t, atA.send(message{Kind: kindHello}))
	pump(t, s, func() bool { return a.unsent == 0 && a.final && b.unsent == 0 })
	s.deposit(a, []byte("stale"))
	if string(a.snapshot.Data) != "last" {
		t.Errorf("the last word was replaced by %q", a.snapshot.Data)
	}
}

func TestAWorkerThatIsBeingKilledCannotBecomeReady(t *testing.T) {
	s := patient(t)
	w, _ := enlist(t, s, Starting)
	s.starting, w.killed = w, true
	s.ready(w)
	if s.active != nil || s.starting != w {
		t.Errorf("active %v", s.active)
	}
}

func TestRestartsAfterCrashesComeLaterAndLater(t *testing.T) {
	s := patient(t)
	s.again(0)
	if s.restart != nil {
		t.Error("the first has to wait")
	}
	s.again(0)
	if s.restart == nil {
		t.Error("the second does not wait")
	}
	s.stopRestart()
	s.crashes = 0
	s.again(time.Hour) // a start that failed at once, after a reload was asked for
	if s.restart == nil {
		t.Error("nothing will ever be started")
	}
	s.starting = &worker{}
	s.again(0)
	if s.restart != nil {
		t.Error("two would be started")
	}
	s.starting = nil
	s.stopping = time.Now()
}

func TestAReplacementIsGivenUpWhenAWorkerKeepsItsChannel(t *testing.T) {
	s := patient(t)
	a, atA := enlist(t, s, Draining)
	b, atB := enlist(t, s, Active)
	_, err := atB.conn.Write([]byte{0, 0}) // the beginning of a message
	must(t, err)
	s.replacing = time.AfterFunc(time.Hour, func() {})
	a.link.pause()
	pump(t, s, func() bool { return a.paused })
	s.tryToReplace()
	if s.replacing == nil {
		t.Fatal("it was given up although nothing happened")
	}
	s.stay(errors.New("late"))
	s.stay(errors.New("later"))
	s.paused(b) // late
	must(t, atA.send(message{Kind: kindStatus, ID: 3}))
	if m := heard(t, s, atA); m.Status == nil {
		t.Errorf("a channel stands still for ever: %+v", m)
	}
	s.replacing = time.AfterFunc(time.Hour, func() {})
	s.queued = append(s.queued, new(func(Outcome)))
	s.pending, s.limits.Draining = true, 0
	s.tryToReplace()
	if s.replacing != nil || !s.upgrade {
		t.Error("who waits for a reload would not be told")
	}
}

func TestOfSeveralActiveWorkersTheNewestGoesOn(t *testing.T) {
	dir := shortDir(t)
	var links []*Link
	for _, number := range []int{3, 12} { // "worker-12" sorts before "worker-3"
		up, down := channels(t)
		l, err := newLink(number, false, dir, up)
		must(t, err)
		t.Cleanup(l.Close)
		must(t, down.send(message{Kind: kindCommit, Snapshots: []Snapshot{{Worker: number - 1}}}))
		<-l.commits
		links = append(links, l)
	}
	dead, err := net.Listen("unix", workerSocket(dir, 1))
	must(t, err)
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	must(t, dead.Close())
	rude, err := net.Listen("unix", workerSocket(dir, 40))
	must(t, err)
	defer rude.Close()
	go func() {
		c, err := rude.Accept()
		if err == nil {
			_ = newChannel(c.(*net.UnixConn)).send(message{Kind: kindReady})
		}
	}()
	must(t, leaveBehind(dir, 2, []byte("left")))
	must(t, os.WriteFile(dir+"/"+endedPrefix+"x", nil, 0o600))
	s := patient(t)
	s.Directory = dir
	must(t, s.openDirectory())
	defer s.closeDirectory()
	s.takeOver()
	if s.active == nil || s.active.number != 12 || s.number != 40 || s.counts.Takeovers != 2 || s.books.carry.Worker != 11 {
		t.Fatalf("active %+v, number %d, carry %+v", s.active, s.number, s.books.carry)
	}
	if len(s.books.ended) != 1 || string(s.books.ended[0].Data) != "left" {
		t.Errorf("left behind: %+v", s.books.ended)
	}
	pump(t, s, func() bool { return len(links[0].orders) == 1 })
	if _, err := os.Stat(workerSocket(dir, 1)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket of a dead worker is left: %v", err)
	}
}

func TestWhatAWorkerCountedWithoutASupervisorIsLeftForTheNext(t *testing.T) {
	dir := shortDir(t)
	l, down := linked(t, dir)
	down.close()
	<-l.gone
	must(t, l.Leave(within(t), []byte("12")))
	if left := collectLeft(dir); len(left) != 1 || left[0].Worker != 7 || string(left[0].Data) != "12" {
		t.Errorf("left %+v", left)
	}
	if left := collectLeft(dir); len(left) != 0 {
		t.Errorf("left twice: %+v", left)
	}
	must(t, leaveBehind("", 1, nil))
	if err := leaveBehind(dir+"/nowhere", 1, []byte("1")); err == nil {
		t.Error("left in a directory that is none")
	}
}

func TestMistakesOfWhoStartsAWorkerAreTold(t *testing.T) {
	for _, value := range []string{"", "x:true:/run", "1:x:/run", "1"} {
		t.Setenv(workerVar, value)
		if _, err := Connect(); err == nil {
			t.Errorf("%q: connected", value)
		}
	}
	up, _ := channels(t)
	if _, err := newLink(1, false, "/nowhere/at/all", up); err == nil {
		t.Error("it waits in a directory that is none")
	}
	r, w, err := os.Pipe()
	must(t, err)
	defer w.Close()
	if _, err := openChannel(r); err == nil {
		t.Error("a pipe is no channel")
	}
	l, _ := linked(t, "")
	l.bequeath(nil)
	null, err := os.Open(os.DevNull)
	must(t, err)
	l.bequeath(null)
	if err := l.take(message{Name: "http"}, nil, nil); !errors.Is(err, errTruncated) {
		t.Errorf("error %v", err)
	}
	null, err = os.Open(os.DevNull)
	must(t, err)
	if err := l.take(message{Name: "http"}, null, nil); err == nil {
		t.Error("a file is no connection")
	}
	l.Close()
	late, _ := channels(t)
	l.follow(late)
	if _, err := late.conn.Write([]byte{0}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a link that was closed has another supervisor: %v", err)
	}
}

func TestHowAProcessEndedIsSaidInWords(t *testing.T) {
	for _, test := range []struct {
		e    *exit
		said string
		code int
	}{
		{nil, "not known: it was not a child", 1},
		{&exit{syscall.WaitStatus(3 << 8)}, "exit status 3", 3},
		{&exit{syscall.WaitStatus(0)}, "exit status 0", 1},
		{&exit{syscall.WaitStatus(9)}, "signal: killed", 1},
		{&exit{syscall.WaitStatus(0x137f)}, "wait status 0x137f", 1},
	} {
		if test.e.String() != test.said || test.e.code() != test.code {
			t.Errorf("%q, %d, want %q, %d", test.e, test.e.code(), test.said, test.code)
		}
	}
}

func TestWhoSendsNoCommandIsTold(t *testing.T) {
	s := patient(t)
	s.Directory = shortDir(t)
	must(t, s.openDirectory())
	defer s.closeDirectory()
	c, err := net.Dial("unix", s.Directory+"/"+controlName)
	must(t, err)
	defer c.Close()
	_, err = io.WriteString(c, "status\n")
	must(t, err)
	answer, err := io.ReadAll(c)
	if err != nil || !strings.Contains(string(answer), "want one line of JSON") {
		t.Errorf("answer %q, %v", answer, err)
	}
	if n := numberOf("/run/x/" + workerPrefix + strconv.Itoa(31) + socketSuffix); n != 31 {
		t.Errorf("number %d", n)
	}
}
