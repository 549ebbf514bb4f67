//go:build unix

package reload

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
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
)

// channels returns both ends of a channel.
func channels(t *testing.T) (a, b *channel) {
	t.Helper()
	f, g, err := socketPair()
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []struct {
		to **channel
		of *os.File
	}{{&a, f}, {&b, g}} {
		if *end.to, err = openChannel(end.of); err != nil {
			t.Fatal(err)
		}
		t.Cleanup((*end.to).close)
	}
	return a, b
}

// linked returns a worker's link and the supervisor's end of it.
func linked(t *testing.T, dir string) (*Link, *channel) {
	t.Helper()
	up, down := channels(t)
	l, err := newLink(7, false, dir, up)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l, down
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// hear is the next message on c, which is to be of kind k.
func hear(t *testing.T, c *channel, k kind) (message, []*os.File) {
	t.Helper()
	m, files, err := c.receive()
	if err != nil || m.Kind != k {
		t.Fatalf("heard %q, %v, want %q", m.Kind, err, k)
	}
	t.Cleanup(func() { closeFiles(files) })
	return m, files
}

func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "rl")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestAWorkerThatWasCommittedServesAlthoughItsSupervisorDiedThen(t *testing.T) {
	for range 50 { // both are there at once
		l, down := linked(t, "")
		go func() {
			_, _, _ = down.receive()
			_ = down.send(message{Kind: kindCommit, Snapshots: []Snapshot{{Worker: 3, Data: []byte("x")}}})
			_ = down.send(message{Kind: kindCommit})
			down.close()
		}()
		if err := l.Ready(within(t)); err != nil {
			t.Fatal(err)
		}
		if ended, _, err := l.Gather(within(t), func() []byte { return nil }); err == nil || len(ended) != 1 || ended[0].Worker != 3 {
			t.Fatalf("gathered %v, %v", ended, err)
		}
		if err := l.Failed(ReasonCrash, errors.New("disk full")); err == nil {
			t.Fatal("a supervisor that has died was told something")
		}
	}
}

func TestAWorkerThatIsNotCommittedDoesNotServe(t *testing.T) {
	l, down := linked(t, "")
	go func() { _, _, _ = down.receive(); down.close() }()
	if err := l.Ready(within(t)); !errors.Is(err, errNoSupervisor) {
		t.Errorf("error %v", err)
	}
	if err := l.Ready(within(t)); err == nil {
		t.Error("ready without a supervisor")
	}
	l, _ = linked(t, "")
	ended, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("enough"))
	if err := l.Ready(ended); err == nil || err.Error() != "enough" {
		t.Errorf("error %v", err)
	}
	if _, err := l.Status(ended); err == nil || !strings.Contains(err.Error(), "does not answer: enough") {
		t.Errorf("error %v", err)
	}
}

func TestListenHasTheErrorOfTheSystem(t *testing.T) {
	l, down := linked(t, "")
	null, err := os.Open(os.DevNull) // nothing listens there
	must(t, err)
	defer null.Close()
	answers := []message{{Errno: int(syscall.EADDRINUSE), Error: "x"}, {Error: "odd"}, {}}
	go func() {
		for _, a := range answers {
			m, _, _ := down.receive()
			a.Kind, a.ID = kindAnswer, m.ID
			_ = down.send(a)
		}
		m, _, _ := down.receive()
		_ = down.send(message{Kind: kindAnswer, ID: m.ID}, fdOf(null))
		_, _, _ = down.receive()
		down.close()
	}()
	for _, want := range []error{syscall.EADDRINUSE, errors.New("odd"), errTruncated} {
		if _, err := l.Listen(within(t), "a", "tcp", ":1"); err == nil || err.Error() != want.Error() {
			t.Errorf("error %v, want %v", err, want)
		}
	}
	if _, err := l.Listen(within(t), "a", "tcp", ":1"); err == nil {
		t.Error("listens on what is no listener")
	}
	if _, err := l.Listen(within(t), "a", "tcp", ":1"); !errors.Is(err, errNoSupervisor) {
		t.Errorf("error %v", err)
	}
}

func TestOrdersAreTakenOnceAndHurryAlways(t *testing.T) {
	l, down := linked(t, "")
	must(t, down.send(message{Kind: kindDrain}))
	must(t, down.send(message{Kind: kindDrain, Stop: true}))
	must(t, down.send(message{Kind: kindHurry}))
	must(t, down.send(message{Kind: kindHurry}))
	must(t, down.send(message{Kind: "news"}))
	if o := <-l.Orders(); o.Stop {
		t.Errorf("order %+v", o)
	}
	<-l.Hurry()
	if l.Worker() != 7 || l.Alone() {
		t.Errorf("worker %d, alone %t", l.Worker(), l.Alone())
	}
}

func TestAWorkerAnswersForItsCounts(t *testing.T) {
	l, down := linked(t, "")
	go func() {
		_ = l.Hello("v", Limits{}, Counter{
			Snapshot: func() ([]byte, error) { return []byte("9"), nil },
			Carry: func(s []Snapshot) ([]byte, error) {
				return bytes.Join([][]byte{s[0].Data, s[1].Data}, []byte("+")), nil
			},
		}, nil)
	}()
	hear(t, down, kindHello)
	must(t, down.send(message{Kind: kindSnapshot}))
	if m, _ := hear(t, down, kindSnapshot); string(m.Snapshot) != "9" {
		t.Errorf("snapshot %q", m.Snapshot)
	}
	must(t, down.send(message{Kind: kindCarry, Snapshots: []Snapshot{{Worker: 1, Data: []byte("1")}, {Worker: 2, Data: []byte("2")}}}))
	if m, _ := hear(t, down, kindCarry); string(m.Snapshot) != "1+2" {
		t.Errorf("carried %q", m.Snapshot)
	}
	left := make(chan error, 1)
	go func() { left <- l.Leave(within(t), []byte("10")) }()
	m, _ := hear(t, down, kindSnapshot)
	must(t, down.send(message{Kind: kindSnapshot})) // too late: it counts no more
	must(t, down.send(message{Kind: kindAnswer, ID: m.ID}))
	must(t, <-left)
	if m, _, err := down.receive(); err == nil {
		t.Errorf("heard %v after the last word", m.Kind)
	}
}

func TestACountThatHangsHoldsOneMoreGoroutineHoweverOftenItIsAskedFor(t *testing.T) {
	l, down := linked(t, "")
	began, release := make(chan struct{}, 100), make(chan struct{})
	go func() {
		_ = l.Hello("v", Limits{}, Counter{
			Snapshot: func() ([]byte, error) { began <- struct{}{}; <-release; return []byte("9"), nil },
			Carry:    func(s []Snapshot) ([]byte, error) { return s[0].Data, nil },
		}, nil)
	}()
	hear(t, down, kindHello)
	ask := func(times int) {
		for range times {
			must(t, down.send(message{Kind: kindSnapshot}))
		}
		// The worker hears one message after another, so when it answers this one it has heard all.
		must(t, down.send(message{Kind: kindCarry, Snapshots: []Snapshot{{Worker: 1, Data: []byte("1")}}}))
		hear(t, down, kindCarry)
	}
	ask(1)
	<-began
	ask(50)
	for range 2 { // the one that hangs, and one for all who asked meanwhile
		release <- struct{}{}
		hear(t, down, kindSnapshot)
	}
	<-began
	ask(1) // whoever waited has counted, so this one is new
	<-began
	release <- struct{}{}
	hear(t, down, kindSnapshot)
	ask(0)
	if n := len(began); n != 0 {
		t.Errorf("%d more counts have begun", n)
		close(release)
	}
}

func TestANewSupervisorIsToldWhatTheWorkerServes(t *testing.T) {
	dir := shortDir(t)
	l, down := linked(t, dir)
	starting, err := net.Dial("unix", workerSocket(dir, 7))
	must(t, err)
	if _, err := starting.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a worker that was never ready introduced itself: %v", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer listener.Close()
	f, err := listener.(*net.TCPListener).File()
	must(t, err)
	defer f.Close()
	go func() {
		m, _, _ := down.receive()
		_ = down.send(message{Kind: kindAnswer, ID: m.ID}, fdOf(f))
		_, _, _ = down.receive()
		_ = down.send(message{Kind: kindCommit})
	}()
	_, err = l.Listen(within(t), "http", "tcp", "127.0.0.1:0")
	must(t, err)
	must(t, l.Ready(within(t)))
	conn, err := net.Dial("unix", workerSocket(dir, 7))
	must(t, err)
	next := newChannel(conn.(*net.UnixConn))
	defer next.close()
	m, files := hear(t, next, kindHello)
	if m.Hello.Phase != Active || m.Hello.Worker != 7 || len(m.Hello.Sockets) != 1 || len(files) != 1 {
		t.Errorf("hello %+v with %d files", m.Hello, len(files))
	}
	if _, _, err := down.receive(); err == nil {
		t.Error("the supervisor before is still heard")
	}
	go func() { m, _, _ := next.receive(); _ = next.send(message{Kind: kindAnswer, ID: m.ID}) }()
	must(t, l.Release(within(t)))
}

func TestALockIsHeldByOne(t *testing.T) {
	dir := shortDir(t)
	a, _ := linked(t, dir)
	release, err := a.Lock(within(t), "journal")
	must(t, err)
	short, cancel := context.WithTimeoutCause(context.Background(), 30*time.Millisecond, errors.New("too long"))
	defer cancel()
	if _, err := a.Lock(short, "journal"); err == nil || err.Error() != "lock journal: too long" {
		t.Errorf("error %v", err)
	}
	time.AfterFunc(20*time.Millisecond, release)
	again, err := a.Lock(within(t), "journal")
	must(t, err)
	again()
	if _, err := a.Lock(within(t), "no/path"); err == nil {
		t.Error("a path is no name")
	}
	must(t, os.Mkdir(dir+"/"+lockPrefix+"dir", 0o700))
	if _, err := a.Lock(within(t), "dir"); err == nil {
		t.Error("a directory was locked")
	}
}

// pair connects two workers as a supervisor does.
func handing(t *testing.T, adopt AdoptFunc) (from, to *Link) {
	t.Helper()
	from, downFrom := linked(t, "")
	to, downTo := linked(t, "")
	go func() { _ = to.Hello("", Limits{}, Counter{}, adopt) }()
	hear(t, downTo, kindHello)
	a, b, err := socketPair()
	must(t, err)
	must(t, downTo.send(message{Kind: kindAdopt}, fdOf(b)))
	must(t, downFrom.send(message{Kind: kindDrain}, fdOf(a)))
	closeFiles([]*os.File{a, b})
	<-from.Orders()
	return from, to
}

func tcpPair(t *testing.T) (client net.Conn, server *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	client, err = net.Dial("tcp", l.Addr().String())
	must(t, err)
	c, err := l.Accept()
	must(t, err)
	t.Cleanup(func() { client.Close(); c.Close() })
	return client, c.(*net.TCPConn)
}

func TestAConnectionIsGivenWhenItIsTakenAndNotBefore(t *testing.T) {
	notes := make(chan []byte, 2)
	from, _ := handing(t, func(name string, c net.Conn, note []byte, taken func() error) error {
		notes <- note
		if name != "http" {
			return errors.New("not here")
		}
		if err := taken(); err != nil {
			return err
		}
		_, err := io.WriteString(c, "mine\n")
		return errors.Join(err, c.Close())
	})
	client, server := tcpPair(t)
	if err := from.Give("other", server, nil); !errors.Is(err, errRefused) {
		t.Errorf("error %v", err)
	}
	if note := <-notes; note != nil {
		t.Errorf("the note that there is none arrived as %q", note)
	}
	for _, note := range [][]byte{{}, []byte("192.0.2.1:80\x00\xff")} {
		if err := from.Give("other", server, note); !errors.Is(err, errRefused) {
			t.Errorf("error %v", err)
		}
		if got := <-notes; got == nil || !bytes.Equal(got, note) {
			t.Errorf("note %q arrived as %#v", note, got)
		}
	}
	must(t, from.Give("http", server, nil))
	answer := make([]byte, 5)
	if _, err := io.ReadFull(client, answer); err != nil || string(answer) != "mine\n" {
		t.Errorf("answer %q, %v", answer, err)
	}
	_ = server.Close()
	if err := from.Give("http", server, nil); err == nil {
		t.Error("a closed connection was given")
	}
	alone, _ := linked(t, "")
	if err := alone.Give("http", server, nil); !errors.Is(err, errNoHeir) {
		t.Errorf("error %v", err)
	}
}

func TestAnHeirThatHesitatesDoesNotServeWhatWasTakenBack(t *testing.T) {
	said := make(chan error, 1)
	late := make(chan struct{})
	from, _ := handing(t, func(_ string, _ net.Conn, _ []byte, taken func() error) error {
		<-late
		err := taken()
		said <- err
		return err
	})
	_, server := tcpPair(t)
	began := time.Now()
	if err := from.Give("http", server, nil); !errors.Is(err, errNoHeir) {
		t.Errorf("error %v", err)
	}
	if took := time.Since(began); took < patience {
		t.Errorf("took %v, which is not patient", took)
	}
	close(late)
	if err := <-said; !errors.Is(err, net.ErrClosed) {
		t.Errorf("two serve it: %v", err)
	}
}

func TestAChannelThatStandsStillLosesNothing(t *testing.T) {
	a, b := channels(t)
	b.pause()
	if _, _, err := b.receive(); err != errPaused {
		t.Fatalf("error %v", err)
	}
	must(t, a.send(message{Kind: kindReady}))
	if _, _, err := b.receive(); err != errPaused {
		t.Fatalf("error %v", err)
	}
	b.resume()
	hear(t, b, kindReady)
	// One that has begun to arrive arrives whole.
	body := []byte(`{"kind":"hello"}`)
	whole := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
	_, err := a.conn.Write(whole[:2])
	must(t, err)
	got := make(chan error, 1)
	go func() { _, _, err := b.receive(); got <- err }()
	b.pause()
	_, err = a.conn.Write(whole[2:])
	must(t, err)
	if err := <-got; err != nil && err != errPaused {
		t.Error(err)
	}
	if err := a.send(message{Kind: kindCarry, Snapshot: make([]byte, maxMessage)}); !errors.Is(err, errTooLong) {
		t.Errorf("error %v", err)
	}
}

func FuzzReceive(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, '{', '}'})
	f.Add([]byte{255, 255, 255, 255})
	f.Add([]byte{0, 0})
	f.Add([]byte("\x00\x00\x00\x10{\"kind\":\"hello\"}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, b := channels(t)
		r, w, err := os.Pipe()
		must(t, err)
		defer r.Close()
		go func() {
			if len(data) > 0 {
				_, _, _ = a.conn.WriteMsgUnix(data, syscall.UnixRights(fdOf(w)), nil)
			}
			_ = w.Close()
			a.close()
		}()
		for {
			_, files, err := b.receive()
			closeFiles(files)
			if err != nil {
				break
			}
		}
		// Whoever got the pipe has closed it.
		if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Fatalf("a descriptor stayed open: %d, %v", n, err)
		}
	})
}

// quiet is a supervisor without a process.
func quiet(t *testing.T, environ ...string) *supervisor {
	t.Helper()
	s, err := newSupervisor(Options{Args: []string{os.Args[0]}, Environ: environ, Listen: net.Listen, Log: slog.New(slog.DiscardHandler)})
	must(t, err)
	return s
}

func TestASupervisorKnowsAfterItsReplacementWhatItKnewBefore(t *testing.T) {
	child := exec.Command("sleep", "60")
	must(t, child.Start())
	defer func() { _ = child.Process.Kill(); _ = child.Wait() }()
	dir := shortDir(t)
	old := quiet(t)
	old.Directory, old.Named = dir, true
	must(t, old.openDirectory())
	for i, sock := range []*[]*socket{&old.sockets.current, &old.sockets.inherited} {
		made, err := bind(net.Listen, socketName{strconv.Itoa(i), "tcp", "127.0.0.1:0"})
		must(t, err)
		*sock = append(*sock, made)
	}
	old.good, old.number, old.counts.Reloads = openBuild(os.Args[0]), 9, 4
	old.books.carry, old.locks = &Snapshot{Worker: 5, Data: []byte("5")}, dir+"/locks"
	for i, phase := range []Phase{Draining, Active} {
		up, _ := channels(t)
		process, err := os.FindProcess(child.Process.Pid)
		must(t, err)
		w := &worker{number: 8 + i, pid: child.Process.Pid, process: process, link: up, build: openBuild(os.Args[0]), final: true}
		w.enter(phase)
		old.workers = append(old.workers, w)
	}
	k := &keeper{}
	data, err := old.state(k)
	must(t, err)
	f, err := stateFile(data)
	must(t, err)
	fd := k.keep(f)
	must(t, errors.Join(k.err, f.Close()))

	s := quiet(t)
	must(t, s.restore(strconv.Itoa(fd)))
	if s.dir() != dir || s.locks != old.locks || s.number != 9 || s.counts.Reloads != 4 || s.counts.Upgrades != 1 || s.books.carry.Worker != 5 {
		t.Errorf("state %+v", s)
	}
	if len(s.workers) != 2 || s.active != s.workers[1] || !s.active.build.same(old.good) || !s.good.current() || !s.active.final {
		t.Errorf("workers %+v", s.workers)
	}
	if len(s.sockets.current) != 1 || s.sockets.current[0].Name != "0" || len(s.sockets.inherited) != 1 {
		t.Errorf("sockets %+v", s.sockets)
	}
	for _, sup := range []*supervisor{s, old} {
		for _, w := range sup.workers {
			w.stopAlarm()
		}
		close(sup.quit)
		must(t, sup.sockets.close(true))
		sup.closeDirectory()
	}
	for fd, want := range map[string]string{"x": "want a descriptor", strconv.Itoa(emptyFile(t)): "unexpected end"} {
		if err := quiet(t).restore(fd); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v", fd, err)
		}
	}
}

func emptyFile(t *testing.T) int {
	t.Helper()
	f, err := stateFile(nil)
	must(t, err)
	fd, err := syscall.Dup(fdOf(f))
	must(t, errors.Join(err, f.Close()))
	return fd
}

func TestSocketsOfTheServiceManagerAreFoundByNameThenByAddress(t *testing.T) {
	s := sockets{listen: net.Listen}
	for _, name := range []string{"web", "gamed.socket"} {
		made, err := bind(net.Listen, socketName{name, "tcp", "127.0.0.1:0"})
		must(t, err)
		l, err := net.FileListener(made.file)
		must(t, err)
		made.Address, made.foreign = l.Addr().String(), true
		must(t, l.Close())
		s.inherited = append(s.inherited, made)
	}
	address := s.inherited[1].Address
	byName, err := s.open(socketName{"web", "tcp", "127.0.0.1:1"})
	must(t, err)
	byAddress, err := s.open(socketName{"http", "tcp", address})
	must(t, err)
	if !byName.foreign || !byAddress.foreign || len(s.inherited) != 0 {
		t.Errorf("sockets %+v", s)
	}
	must(t, s.abandon())
	if len(s.inherited) != 2 {
		t.Errorf("a start that failed lost sockets: %+v", s)
	}
	s.adopt(socketName{"web", "tcp", "127.0.0.1:1"}, copied(t, byName))
	if len(s.current) != 1 || !s.current[0].foreign {
		t.Errorf("sockets %+v", s)
	}
	s.disown()
	if len(s.current) != 0 || len(s.inherited) != 2 {
		t.Errorf("sockets %+v", s)
	}
	must(t, s.close(true))
	if got := boundAddress(socketName{"", "tcp", ":80"}); got != "[::]:80" {
		t.Errorf("address %s", got)
	}
	if got := boundAddress(socketName{"", "tcp", "nonsense"}); got != "" {
		t.Errorf("address %s", got)
	}
}

func TestOnlyMappingsThatWereNeverWrittenAreGivenBack(t *testing.T) {
	text := "00400000-00500000 r-xp 00000000 fe:00 1  /bin/x\nAnonymous:             0 kB\n" +
		"00600000-00700000 r--p 00000000 fe:00 1  /bin/x\nAnonymous:            16 kB\n" +
		"00800000-00900000 rw-p 00000000 fe:00 1  /bin/x\nAnonymous:             0 kB\n" +
		"00a00000-00b00000 r-xp 00000000 fe:00 1  /lib/y\nAnonymous:             0 kB\n"
	got := clean(strings.NewReader(text), "/bin/x")
	if len(got) != 1 || got[0] != [2]uintptr{0x400000, 0x500000} {
		t.Errorf("mappings %x", got)
	}
}

func TestTheServiceManagerKeepsWhatIsUsed(t *testing.T) {
	path := shortDir(t) + "/notify"
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(t, err)
	defer manager.Close()
	s := quiet(t, "NOTIFY_SOCKET="+path)
	s.notify, err = systemd.FromEnv(getenv(s.Environ))
	must(t, err)
	made, err := bind(net.Listen, socketName{"http", "tcp", "127.0.0.1:0"})
	must(t, err)
	next := func() string {
		b := make([]byte, 4096)
		must(t, manager.SetReadDeadline(time.Now().Add(time.Minute)))
		n, _, err := manager.ReadFrom(b)
		must(t, err)
		return string(b[:n])
	}
	s.sockets.current = []*socket{made}
	s.store()
	s.store() // it has it
	if got := next(); !strings.Contains(got, "FDSTORE=1") || !strings.Contains(got, "FDNAME="+made.keptName()) {
		t.Errorf("told %q", got)
	}
	s.sockets.current = nil
	s.store()
	if got := next(); !strings.Contains(got, "FDSTOREREMOVE=1") {
		t.Errorf("told %q", got)
	}
	must(t, made.close(true))
}

// Who gave a connection away, and is told that it was not sent, serves it beside the successor that has it.
func TestWhatIsOutBeforeAChannelEndsWasSent(t *testing.T) {
	null, err := os.Open(os.DevNull)
	must(t, err)
	defer null.Close()
	for range 200 {
		a, b := channels(t)
		arrived := make(chan int)
		go func() {
			for n := 0; ; n++ {
				_, files, err := b.receive()
				closeFiles(files)
				if err != nil {
					arrived <- n
					return
				}
				if n == 3 { // somebody else runs out of patience
					go func() { _ = a.conn.CloseWrite() }()
				}
			}
		}()
		sent := 0
		for a.send(message{Kind: kindConn}, fdOf(null)) == nil {
			sent++
		}
		if n := <-arrived; n != sent {
			t.Fatalf("%d messages arrived, %d were sent", n, sent)
		}
		a.close()
		b.close()
	}
}

func TestAPredecessorThatStandsStillDoesNotHoldUpItsConnections(t *testing.T) {
	to, down := linked(t, "")
	said := make(chan error, 1)
	go func() {
		_ = to.Hello("", Limits{}, Counter{}, func(name string, _ net.Conn, _ []byte, taken func() error) error {
			if name != "http" {
				return errors.New("not here")
			}
			err := taken()
			said <- err
			return err
		})
	}()
	hear(t, down, kindHello)
	near, far, err := socketPair()
	must(t, err)
	must(t, down.send(message{Kind: kindAdopt}, fdOf(far)))
	must(t, far.Close())
	predecessor, err := openChannel(near)
	must(t, err)
	defer predecessor.close()
	_, server := tcpPair(t)
	f, err := server.File()
	must(t, err)
	defer f.Close()
	for range 2000 { // more than a socket holds answers for
		if predecessor.send(message{Kind: kindConn, Name: "other"}, fdOf(f)) != nil {
			t.Fatal("its successor takes nothing")
		}
	}
	_ = predecessor.send(message{Kind: kindConn, Name: "http"}, fdOf(f))
	if err := <-said; err == nil {
		t.Error("it was told something")
	}
}

func TestASuccessorThatWasLostOnTheWayIsAskedForAgain(t *testing.T) {
	from, down := linked(t, "")
	must(t, down.send(message{Kind: kindDrain})) // without its channel
	<-from.Orders()
	_, server := tcpPair(t)
	if err := from.Give("http", server, nil); !errors.Is(err, errNoHeir) {
		t.Errorf("error %v", err)
	}
	hear(t, down, kindHeir)
	a, b := channels(t)
	raw, err := a.conn.File()
	must(t, err)
	defer raw.Close()
	must(t, down.send(message{Kind: kindHeir}, fdOf(raw)))
	go func() {
		m, files, _ := b.receive()
		closeFiles(files)
		_ = b.send(message{Kind: kindTaken, ID: m.ID})
	}()
	for err = errNoHeir; errors.Is(err, errNoHeir); err = from.Give("http", server, nil) {
		time.Sleep(time.Millisecond) // between two looks
	}
	must(t, err)
}
