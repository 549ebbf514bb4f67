//go:build linux

package faults_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/reload"
)

// Row 12.
func TestABinaryThatCrashesAgainAndAgainIsRolledBack(t *testing.T) {
	t.Parallel()
	p := deploy(t)
	o := p.options()
	o.Env = []string{impatient}
	d := start(t, o)
	good, err := os.Stat(p.binary)
	if err != nil {
		t.Fatal(err)
	}
	runsGood := func(pid int) bool {
		info, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid))
		return err == nil && os.SameFile(info, good)
	}
	pause(goodAfter + calm)
	l := d.load(nil, traffic...)
	pause(calm)
	dying := p.script("export LOSS_FAULT=die")
	p.replace(dying)
	d.goodReload()
	d.until("the binary before serves", func() bool { return d.tryStatus().Counts.Rollbacks == 1 && runsGood(d.active()) })
	s := d.status()
	if s.Counts.Crashes != 3 {
		t.Errorf("counts %+v, want 3 crashes", s.Counts)
	}
	back := d.active()
	pause(calm)
	lostInside(t, l, 3)
	l = d.load(nil, traffic...)
	pause(2 * calm)
	if pid := d.active(); pid != back {
		t.Errorf("process %d serves, want %d still", pid, back)
	}
	// Whoever reloads has mended it: what is in place now is to run.
	p.install(os.Args[0])
	if good, err = os.Stat(p.binary); err != nil {
		t.Fatal(err)
	}
	if o := d.goodReload(); !runsGood(o.PID) {
		t.Error("the binary that was rolled back to runs still, after a reload")
	}
	d.settled()
	pause(calm)
	lossless(t, l)
	d.stop()
}

// Row 15, of the worker that serves.
func TestAWorkerThatIsKilledTakesOnlyWhatIsInsideAlong(t *testing.T) {
	t.Parallel()
	d := start(t, options{Env: []string{impatient}})
	l := d.load(nil, traffic...)
	const kills = 2
	for range kills {
		pause(goodAfter + calm) // a crash right after another one would have the next worker wait
		inside := d.begin()
		victim := d.active()
		begin := time.Now()
		kill(t, victim)
		pid, err := d.worker()
		took := time.Since(begin)
		if err != nil || pid == victim {
			t.Errorf("process %d answers after %d was killed: %v", pid, victim, err)
		}
		t.Logf("answered %v after the kill", took)
		if _, err := inside.finish(); err == nil {
			t.Error("what was inside was answered")
		}
		d.until("the next worker is active", func() bool { return d.active() == pid })
	}
	pause(calm)
	// A kill may hit a connection that the kernel has accepted for the worker, but no client twice.
	lostInside(t, l, kills)
	if c := d.status().Counts; c.Crashes != kills || c.Rollbacks != 0 {
		t.Errorf("counts %+v, want %d crashes", c, kills)
	}
	d.stop()
}

// Row 15, of the new worker.
func TestConnectionsThatAKilledSuccessorDidNotTakeGoBack(t *testing.T) {
	t.Parallel()
	d := start(t, options{})
	const many = 300
	idle := make([]*kept, many)
	for i := range idle {
		idle[i] = d.keep()
	}
	old := d.active()
	d.signal(syscall.SIGHUP)
	d.until("the new worker is active", func() bool { return d.active() != old })
	// It stands still when it is to take connections, and dies.
	successor := d.active()
	if err := syscall.Kill(successor, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	d.until("some connections were handed over", func() bool { return len(phases(d.status())[reload.Draining]) == 1 })
	pause(calm)
	kill(t, successor)
	d.until("another worker is active", func() bool { now := d.active(); return now != 0 && now != successor })
	d.settled()
	var taken int
	for _, k := range idle {
		switch pid, err := k.ask(); {
		case err != nil && k.seenEnd:
			taken++ // the one that died had acknowledged it, and its client saw the end before it asked
		case err != nil:
			t.Errorf("a request on an idle connection: %v", err)
		case pid == old || pid == successor:
			t.Errorf("process %d answers, which has ended", pid)
		}
		_ = k.Close() // or the stop would wait for its client
	}
	t.Logf("%d of %d connections were inside the worker that was killed", taken, many)
	d.stop()
}

// kept is an idle keep-alive connection.
type kept struct {
	net.Conn
	reader  *bufio.Reader
	host    string
	seenEnd bool // the other side had closed it before the last request
}

// keep opens a connection that has been used once.
func (d *daemon) keep() *kept {
	d.t.Helper()
	conn, err := net.Dial("tcp", d.http)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = conn.Close() })
	k := &kept{Conn: conn, reader: bufio.NewReader(conn), host: d.http}
	if _, err := k.ask(); err != nil {
		d.t.Fatal(err)
	}
	return k
}

// ended reports whether the other side has closed the connection, as far as this side has heard.
func (k *kept) ended() bool {
	raw, err := k.Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return true
	}
	var n int
	var peeked error
	err = raw.Control(func(fd uintptr) {
		n, _, peeked = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	return err != nil || n == 0 && peeked == nil || peeked != nil && peeked != syscall.EAGAIN
}

// ask makes a request and returns the process that answered.
func (k *kept) ask() (pid int, err error) {
	if k.seenEnd = k.ended(); k.seenEnd {
		return 0, io.EOF
	}
	_ = k.SetDeadline(time.Now().Add(patience))
	if _, err := fmt.Fprintf(k, "GET /work?ms=0 HTTP/1.1\r\nHost: %s\r\n\r\n", k.host); err != nil {
		return 0, err
	}
	return readPID(k.reader)
}
