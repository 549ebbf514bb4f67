package reload

import (
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"github.com/seed-754044b3/roadworthy/internal/need"
)

func TestTheProcessOfAWorkerThatIsTakenOverIsTheOneThatTheKernelNames(t *testing.T) {
	child := exec.Command(need.Program(t, "sleep", "coreutils"), "60")
	must(t, child.Start())
	defer func() { _ = child.Process.Kill(); _ = child.Wait() }()
	dir := shortDir(t)
	l, err := listenPrivate(workerSocket(dir, 3))
	must(t, err)
	defer l.Close()
	go func() {
		conn, err := l.AcceptUnix()
		if err != nil {
			return
		}
		_ = newChannel(conn).send(message{Kind: kindHello, PID: child.Process.Pid, Hello: &hello{Worker: 3, Phase: Draining}})
	}()
	s := patient(t)
	must(t, s.takeOverAt(workerSocket(dir, 3)))
	if got := s.workers[0].pid; got != os.Getpid() {
		t.Errorf("the worker is process %d, which it only says; it is %d", got, os.Getpid())
	}
}

// as calls f on a thread of another user.
func as(t *testing.T, user uintptr, f func()) {
	t.Helper()
	same := ^uintptr(0)
	become := func(user uintptr) {
		// Not by package syscall, which would change all threads.
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, same, user, same); errno != 0 {
			t.Fatal(errno)
		}
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	become(user)
	defer become(0)
	f()
}

func TestAWorkerOfAnotherUserIsNotTakenOver(t *testing.T) {
	path := workerSocket(foreign(t), 3)
	as(t, nobody, func() {
		l, err := net.Listen("unix", path)
		must(t, err)
		t.Cleanup(func() { l.Close() })
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = newChannel(conn.(*net.UnixConn)).send(message{Kind: kindHello, PID: os.Getpid(), Hello: &hello{Worker: 3, Phase: Active}})
		}()
	})
	s := patient(t)
	if refused(t, "another user's process", s.takeOverAt(path), "is of user 65534, not of 0"); len(s.workers) != 0 {
		t.Errorf("workers %v", s.workers)
	}
	c, err := net.Dial("unix", path)
	must(t, err)
	must(t, c.Close())
	if _, err := peerPID(c.(*net.UnixConn), 1); err == nil {
		t.Error("a connection that is closed has a process at its other end")
	}
}

func TestASocketIsPrivateFromTheBeginning(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	path := shortDir(t) + "/s"
	l, err := bindPrivate(path)
	must(t, err)
	defer l.Close()
	info, err := os.Lstat(path)
	must(t, err)
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("a socket that was just bound has mode %v, want 0600", mode)
	}
}
