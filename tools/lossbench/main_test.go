package lossbench_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/tools/lossbench/target"
)

// role has the test binary be another program instead: the one that it names.
const role = "LOSSBENCH_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		os.Exit(m.Run())
	case "lossd":
		chassis.Main(target.Spec)
	case "deaf":
		serveInherited(must(net.Listen("tcp", os.Args[1])))
		select {}
	case "parent", "leaky":
		parent(os.Args[1], os.Getenv(role) == "leaky")
	case "worker":
		worker()
	case "flip":
		flip(os.Args[1], os.Args[2])
	}
}

// faultFile names a file; while there is something in it, workers fail.
const faultFile = "LOSSBENCH_TEST_FAULT"

// as is the command that runs this binary in a role. The race detector would have it sleep a second before it
// exits.
func as(name string, args ...string) []string {
	return append([]string{"/usr/bin/env", "GORACE=atexit_sleep_ms=0", role + "=" + name, os.Args[0]}, args...)
}

func must[T any](v T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return v
}

// duplicate is the listener's descriptor for a child. Its own File method would not do: os/exec asks that for
// Fd, which has the socket block, in all processes that share it, and then no Accept can be interrupted.
func duplicate(l net.Listener) *os.File {
	var fd int
	var err error
	raw := must(l.(*net.TCPListener).SyscallConn())
	if e := raw.Control(func(own uintptr) { fd, err = syscall.Dup(int(own)) }); e != nil {
		err = e
	}
	must(fd, err)
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "listener")
}

// spawn starts this binary as name with the listener as descriptor 3 and waits until it says that it serves.
func spawn(name string, l net.Listener, args ...string) *exec.Cmd {
	f := duplicate(l)
	defer f.Close()
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), role+"="+name)
	c.ExtraFiles = []*os.File{f}
	c.Stderr = os.Stderr
	out := must(c.StdoutPipe())
	if err := c.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_, err := bufio.NewReader(out).ReadString('\n')
	_ = out.Close()
	if err != nil {
		_ = c.Wait()
		return nil
	}
	return c
}

// parent stays and has workers answer, each until the next one does. A leaky one forgets its dead and opens
// a file for each.
func parent(addr string, leaky bool) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM)
	l := must(net.Listen("tcp", addr))
	var held []*os.File
	active := spawn("worker", l)
	for s := range signals {
		old := active
		if s == syscall.SIGHUP {
			next := spawn("worker", l)
			if next == nil {
				continue // it was never ready
			}
			active = next
		}
		_ = old.Process.Signal(syscall.SIGTERM)
		if leaky {
			held = append(held, must(os.Open(os.DevNull)))
		} else {
			_ = old.Wait()
		}
		if s == syscall.SIGTERM {
			runtime.KeepAlive(held)
			os.Exit(0)
		}
	}
}

// serveInherited answers /work on descriptor 3 and tells the process that started this one.
func serveInherited(l net.Listener) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("/work", func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "%d %d\n", os.Getpid(), n)
	})
	srv := &http.Server{Handler: mux}
	go func() { _ = srv.Serve(l) }()
	fmt.Println("serving")
	return srv
}

func inherited() net.Listener {
	f := os.NewFile(3, "listener")
	defer f.Close()
	return must(net.FileListener(f))
}

func shutdown(srv *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = srv.Shutdown(ctx)
}

func worker() {
	if file := os.Getenv(faultFile); file != "" {
		if text, _ := os.ReadFile(file); len(text) > 0 {
			os.Exit(1)
		}
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	srv := serveInherited(inherited())
	<-signals
	shutdown(srv)
}

// flip replaces itself. Every second process ignores the first signal, as one does that is not done draining.
func flip(addr, pidFile string) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM)
	var l net.Listener
	if os.Getenv("LOSSBENCH_TEST_SUCCESSOR") != "" {
		l = inherited()
	} else {
		l = must(net.Listen("tcp", addr))
	}
	// In one step, as whoever reads the file must not find it empty, and before anybody gets an answer, as the
	// next signal may follow on it.
	if os.WriteFile(pidFile+".new", []byte(strconv.Itoa(os.Getpid())), 0o600) != nil || os.Rename(pidFile+".new", pidFile) != nil {
		os.Exit(1)
	}
	srv := serveInherited(l)
	ignore := os.Getenv("LOSSBENCH_TEST_SUCCESSOR") == "stubborn"
	for s := range signals {
		if s == syscall.SIGHUP && ignore {
			ignore = false
			continue
		}
		if s == syscall.SIGHUP {
			next := "stubborn"
			if os.Getenv("LOSSBENCH_TEST_SUCCESSOR") == next {
				next = "willing"
			}
			_ = os.Setenv("LOSSBENCH_TEST_SUCCESSOR", next)
			spawn("flip", l, addr, pidFile)
		}
		shutdown(srv)
		return
	}
}
