//go:build unix

package reload

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"
	"unsafe"
)

// withFew calls f while this process can open n more descriptors.
func withFew(t *testing.T, n int, f func()) {
	t.Helper()
	var limit syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	few := limit
	bound(&few.Cur, 0)
	var taken []*os.File
	for range n { // the lowest that are free: those that will be given out
		null, err := os.Open(os.DevNull)
		must(t, err)
		taken = append(taken, null)
		bound(&few.Cur, fdOf(null)+1)
	}
	closeFiles(taken)
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few))
	defer func() { must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)) }()
	f()
}

// bound sets a limit, whose type differs between systems.
func bound[T int64 | uint64](limit *T, n int) { *limit = T(n) }

// opened counts the descriptors of this process.
func opened(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/dev/fd")
	must(t, err)
	return len(entries)
}

// inherited is a copy of the descriptor of f, as one that came through execve; f is closed.
func inherited(t *testing.T, f *os.File) int {
	t.Helper()
	fd, err := syscall.Dup(fdOf(f))
	must(t, errors.Join(err, f.Close()))
	return fd
}

// null is a file that is no socket.
func null(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Open(os.DevNull)
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// stuck is the path of a directory that cannot be removed as a file can.
func stuck(t *testing.T, path string) string {
	t.Helper()
	must(t, os.MkdirAll(path+"/below", 0o700))
	return path
}

func refused(t *testing.T, what string, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: error %v, want %q", what, err, want)
	}
}

func TestAWorkerIsNotStartedWithoutDescriptorsAndLeavesNone(t *testing.T) {
	s := patient(t)
	before := opened(t)
	for n, step := range []string{"channel", "channel", "its end of the channel", "pipe for crashes", "process"} {
		withFew(t, n, func() {
			if w, err := s.spawn(1); !errors.Is(err, syscall.EMFILE) || w != nil {
				t.Errorf("%d descriptors, too few for the %s: error %v", n, step, err)
			}
		})
	}
	if now := opened(t); now > before {
		t.Errorf("%d descriptors are open, before %d", now, before)
	}
}

func TestWorkersWithoutAChannelBetweenThemAreToldTheirPartsAllTheSame(t *testing.T) {
	s := patient(t)
	a, atA := enlist(t, s, Draining)
	b, atB := enlist(t, s, Active)
	withFew(t, 0, func() { s.pair(a, b, message{Kind: kindDrain}, message{Kind: kindCommit}) })
	pump(t, s, func() bool { return a.unsent == 0 && b.unsent == 0 })
	if _, files := hear(t, atB, kindCommit); len(files) != 0 {
		t.Errorf("files %v", files)
	}
	if _, files := hear(t, atA, kindDrain); len(files) != 0 {
		t.Errorf("files %v", files)
	}
}

func TestDescriptorsThatCannotBeReceivedAreMissingFromAMessageThatArrives(t *testing.T) {
	a, b := channels(t)
	must(t, a.send(message{Kind: kindConn, ID: 4}, fdOf(null(t))))
	var m message
	var files []*os.File
	var err error
	withFew(t, 0, func() { m, files, err = b.receive() })
	if err != nil || m.ID != 4 || len(files) != 0 {
		t.Errorf("heard %+v, %v, %v", m, files, err)
	}
	must(t, a.send(message{Kind: kindConn, ID: 5}, fdOf(null(t))))
	if m, files := hear(t, b, kindConn); m.ID != 5 || len(files) != 1 {
		t.Errorf("heard %+v, %v", m, files)
	}
}

func TestControlMessagesThatAreNoDescriptorsAreNotTakenForSome(t *testing.T) {
	other := syscall.UnixRights(0)
	(*syscall.Cmsghdr)(unsafe.Pointer(&other[0])).Type = 99
	if files, err := parseFiles(other); err != nil || len(files) != 0 {
		t.Errorf("files %v, error %v", files, err)
	}
	broken := syscall.UnixRights(0)
	(*syscall.Cmsghdr)(unsafe.Pointer(&broken[0])).SetLen(1 << 20)
	_, err := parseFiles(broken)
	refused(t, "longer than it is", err, "recvmsg")
}

func TestWhatCannotBeAChannelOrAMessageIsRefused(t *testing.T) {
	_, server := tcpPair(t)
	f, err := server.File()
	must(t, err)
	_, err = openChannel(f)
	refused(t, "a TCP connection", err, "want a unix socket, got tcp")
	a, _ := channels(t)
	err = a.send(message{Kind: kindAnswer, Status: &Status{Started: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}})
	refused(t, "a year of five digits", err, "message answer: ")
}

func TestAPauseThatIsOverLosesNothing(t *testing.T) {
	a, b := channels(t)
	b.pause()
	_, err := a.conn.Write([]byte("rest"))
	must(t, err)
	rest := make([]byte, 4)
	if err := b.receiveRest(rest); err != nil || string(rest) != "rest" {
		t.Errorf("received %q, %v", rest, err)
	}
	must(t, a.send(message{Kind: kindReady}))
	b.pause()
	b.paused.Store(false) // half of resume
	defer time.AfterFunc(5*time.Millisecond, b.resume).Stop()
	hear(t, b, kindReady)
}

func TestAFileOfWhichNothingIsKnownIsNoBuild(t *testing.T) {
	var unknown *build
	if unknown.keep() != nil || unknown.current() || unknown.same(unknown) {
		t.Error("a build of which nothing is known can be executed")
	}
	unknown.close()
	f := null(t)
	must(t, f.Close())
	if b := restoreBuild("x", f); b != nil {
		t.Errorf("build of a closed file: %+v", b)
	}
	info, err := fstest.MapFS{"x": {}}.Stat("x")
	must(t, err)
	_, err = fileID(info, nil)
	refused(t, "a file system of its own", err, "does not tell which file")

	path := shortDir(t) + "/program"
	must(t, os.WriteFile(path, []byte("one"), 0o700))
	b := openBuild(path)
	defer b.close()
	if !b.current() {
		t.Error("a file that nobody has touched was replaced")
	}
	must(t, os.Remove(path))
	if b.current() || openBuild(path) != nil {
		t.Error("a file that was removed is still there")
	}
}

// bare is a listener without a file, or with one that cannot be had.
type bare struct{ net.Listener }

type broken struct{ bare }

func (broken) File() (*os.File, error) { return nil, errors.New("no file today") }

func TestAListenerOfWhichNoFileCanBeHadIsRefusedAndClosed(t *testing.T) {
	for want, wrap := range map[string]func(net.Listener) net.Listener{
		"of type reload.bare has no file": func(l net.Listener) net.Listener { return bare{l} },
		"no file today":                   func(l net.Listener) net.Listener { return broken{bare{l}} },
	} {
		var opened net.Listener
		_, err := bind(func(network, address string) (net.Listener, error) {
			l, err := net.Listen(network, address)
			opened = l
			return wrap(l), err
		}, socketName{"http", "tcp", "127.0.0.1:0"})
		refused(t, "bind", err, want)
		if err := opened.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: the listener is still open: %v", want, err)
		}
	}
	if n := errnoOf(errors.New("no number")); n != 0 {
		t.Errorf("number %d", n)
	}
}

func TestThePathOfASocketIsKeptAsLongAsOneThatServesUsesIt(t *testing.T) {
	dir := shortDir(t)
	exists := func(path string) bool { _, err := os.Lstat(path); return err == nil }
	s := sockets{listen: net.Listen}
	open := func(path string) *socket {
		t.Helper()
		sock, err := s.open(socketName{"http", "unix", path})
		must(t, err)
		return sock
	}
	open(dir + "/a")
	must(t, s.commit())
	open(dir + "/b")
	must(t, s.abandon()) // the start failed
	if !exists(dir+"/a") || exists(dir+"/b") {
		t.Error("the socket of a start that failed was left, or the one that serves removed")
	}
	// Two may have one path, when somebody has removed the first.
	must(t, os.Remove(dir+"/a"))
	again, err := bind(net.Listen, socketName{"http", "unix", dir + "/a"})
	must(t, err)
	s.next = []opening{{again.socketName, again}}
	must(t, s.abandon())
	if !exists(dir + "/a") {
		t.Error("the path of the socket that serves was removed")
	}
	if got := boundAddress(socketName{"http", "unix", dir + "/a"}); got != dir+"/a" {
		t.Errorf("address %s", got)
	}
	serving := s.current[0]
	s.disown()
	if len(s.current) != 0 || !errors.Is(serving.file.Close(), fs.ErrClosed) {
		t.Error("the descriptor of an older supervisor's socket stays open")
	}
}

func TestARunDirectoryInDisorderIsRefused(t *testing.T) {
	base := shortDir(t)
	_, err := listenControl(base + "/missing")
	refused(t, "no directory", err, "run directory: ")
	refused(t, "a zero byte", makeDirectory(base+"/a\x00b"), "run directory: ")

	stuck(t, base+"/c/"+controlName)
	_, err = listenControl(base + "/c")
	refused(t, "a directory in place of the control socket", err, controlName)
	s := quiet(t)
	s.Directory, s.Named = base+"/c", true
	must(t, os.Chmod(s.Directory, 0o700))
	refused(t, "the same", s.openDirectory(), controlName)
	if s.dir() != "" {
		t.Error("a directory is in use that was refused")
	}
	lock, err := lockDirectory(base + "/c")
	if err != nil {
		t.Fatalf("it is still locked: %v", err)
	}
	must(t, lock.Close())

	stuck(t, base+"/l/"+lockName)
	_, err = lockDirectory(base + "/l")
	refused(t, "a directory in place of the lock", err, lockName)
	if runtime.GOOS == "linux" {
		must(t, os.Mkdir(base+"/f", 0o700))
		must(t, syscall.Mkfifo(base+"/f/"+lockName, 0o600))
		_, err = lockDirectory(base + "/f")
		refused(t, "a lock that holds nothing", err, "run directory: ")
	}

	must(t, os.WriteFile(base+"/file", nil, 0o600))
	_, _, err = Ask(within(t), base+"/file", CommandStatus)
	if refused(t, "a file in place of the directory", err, "run directory "); errors.Is(err, ErrNotRunning) {
		t.Errorf("error %v says that nothing runs", err)
	}
	none := quiet(t)
	defer none.closeDirectory()
	if err := none.openDirectory(); err != nil || none.dir() != "" {
		t.Errorf("without a directory: %q, %v", none.dir(), err)
	}
}

func TestListenersGoOnAfterAnErrorOfTheSystem(t *testing.T) {
	s := quiet(t)
	s.stopping = time.Now() // nothing is started
	dir := shortDir(t)
	l, err := listenControl(dir)
	must(t, err)
	defer l.Close()
	must(t, l.SetDeadline(time.Unix(1, 0)))
	defer time.AfterFunc(20*time.Millisecond, func() { _ = l.SetDeadline(time.Time{}) }).Stop()
	go s.serveControl(l)
	answered := make(chan error, 1)
	go func() {
		_, _, err := Ask(within(t), dir, "dance")
		answered <- err
	}()
	refused(t, "an unknown command", <-answered, `unknown command "dance"`)

	var up *channel
	waiting, err := listenPrivate(workerSocket(dir, 7))
	must(t, err)
	must(t, waiting.SetDeadline(time.Unix(1, 0)))
	defer time.AfterFunc(20*time.Millisecond, func() { _ = waiting.SetDeadline(time.Time{}) }).Stop()
	link := &Link{number: 7, dir: dir, phase: Active, waiting: waiting, answers: map[uint64]chan<- reply{}}
	go link.awaitSupervisors()
	defer link.Close()
	c, err := net.Dial("unix", workerSocket(dir, 7))
	must(t, err)
	up = newChannel(c.(*net.UnixConn))
	defer up.close()
	if m, _ := hear(t, up, kindHello); m.Hello.Worker != 7 {
		t.Errorf("heard %+v", m)
	}
}

func TestAConnectionThatCannotBeHandedOverStaysWithItsWorker(t *testing.T) {
	_, conn := tcpPair(t)
	ended, _ := channels(t)
	ended.close()
	for name, test := range map[string]struct {
		heir *heir
		conn syscall.Conn
		want error
	}{
		"without an heir":          {nil, conn, errNoHeir},
		"to an heir that is gone":  {&heir{}, conn, errNoHeir},
		"on a channel that ended":  {&heir{link: ended, pending: map[uint64]chan<- error{}}, conn, net.ErrClosed},
		"a connection that is not": {&heir{link: ended, pending: map[uint64]chan<- error{}}, &net.TCPConn{}, syscall.EINVAL},
	} {
		l, _ := linked(t, "")
		l.heir = test.heir
		if test.heir != nil {
			test.heir.link = ended
		}
		if err := l.Give("http", test.conn, nil); !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, want %v", name, err, test.want)
		}
	}
	l, _ := linked(t, "")
	f := null(t)
	l.inherit(f) // returns, since nothing can come
	if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("what is no channel stays open: %v", err)
	}
}

func TestAnErrorOfTheSystemIsToldWithoutThePath(t *testing.T) {
	for _, err := range []error{syscall.ENOEXEC, &os.PathError{Op: "fork/exec", Path: "/x", Err: syscall.ENOEXEC}} {
		if got := reasonOf(err); got != syscall.ENOEXEC {
			t.Errorf("%v became %v", err, got)
		}
	}
	var nothing *excerpt
	if text := nothing.text(); text != "" {
		t.Errorf("a process of which nothing is known wrote %q", text)
	}
}

func TestAnEnvironmentThatSaysNonsenseIsRefused(t *testing.T) {
	own := strconv.Itoa(os.Getpid())
	for want, environ := range map[string][]string{
		"NOTIFY_SOCKET":  {"NOTIFY_SOCKET=relative"},
		"LISTEN_FDNAMES": {"LISTEN_PID=" + own, "LISTEN_FDS=1", "LISTEN_FDNAMES=a:b"},
	} {
		if want == "LISTEN_FDNAMES" && runtime.GOOS != "linux" {
			continue
		}
		o := quiet(t).Options
		o.Environ, o.Directory, o.Named = environ, shortDir(t), true
		code, err := Supervise(o)
		if refused(t, "Supervise", err, want); code != 1 {
			t.Errorf("%s: code %d", want, code)
		}
		if _, err := os.Lstat(o.Directory + "/" + controlName); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: a control socket is left: %v", want, err)
		}
	}
	o := quiet(t).Options
	o.Environ = []string{"NOTIFY_SOCKET=relative"}
	_, err := Resume(o)
	refused(t, "Resume", err, "NOTIFY_SOCKET")
	t.Setenv(stateVar, "seven")
	o.Environ = nil
	code, err := Resume(o)
	if refused(t, "Resume", err, `cannot go on as the supervisor that was: CHASSIS_SUPERVISOR="seven"`); code != 1 {
		t.Errorf("code %d", code)
	}
}

func TestAProgramThatIsNotFoundByItsNameIsTheOneThatRuns(t *testing.T) {
	own, err := os.Executable()
	must(t, err)
	if path, err := lookBinary("no-such-program-anywhere"); err != nil || path != own {
		t.Errorf("path %q, %v, want %q", path, err, own)
	}
}
