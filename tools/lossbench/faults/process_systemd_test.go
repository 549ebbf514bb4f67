//go:build linux

package faults_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// manager is as much of a service manager as sd_notify(3) needs.
type manager struct {
	path string

	mu     sync.Mutex
	told   []map[string]string // messages that are not about descriptors
	stored map[string]string   // address of each listening socket by its name
}

func startManager(t *testing.T) *manager {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "faults-")
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{path: filepath.Join(dir, "notify"), stored: map[string]string{}}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = conn.Close()
		<-ended
		_ = os.RemoveAll(dir)
	})
	go func() {
		defer close(ended)
		text, rights := make([]byte, 4096), make([]byte, 1024)
		for {
			n, nr, _, _, err := conn.ReadMsgUnix(text, rights)
			if err != nil {
				return
			}
			if err := m.receive(text[:n], rights[:nr]); err != nil {
				t.Error(err)
			}
		}
	}()
	return m
}

// receive takes a message with what travels beside it.
func (m *manager) receive(text, rights []byte) error {
	message := map[string]string{}
	for line := range bytes.Lines(text) {
		name, value, found := strings.Cut(strings.TrimSuffix(string(line), "\n"), "=")
		if !found {
			return fmt.Errorf("message %q", text)
		}
		message[name] = value
	}
	var addrs []string
	controls, err := syscall.ParseSocketControlMessage(rights)
	if err != nil {
		return err
	}
	for _, c := range controls {
		fds, err := syscall.ParseUnixRights(&c)
		if err != nil {
			return err
		}
		for _, fd := range fds {
			f := os.NewFile(uintptr(fd), "stored")
			l, err := net.FileListener(f)
			_ = f.Close()
			if err != nil {
				return err
			}
			addrs = append(addrs, l.Addr().String())
			_ = l.Close()
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if message["FDSTORE"] == "1" {
		m.stored[message["FDNAME"]] = strings.Join(addrs, " ")
		return nil
	}
	m.told = append(m.told, message)
	return nil
}

// messages are those so far.
func (m *manager) messages() []map[string]string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.told)
}

// states are the states that the messages tell of, in their order.
func (m *manager) states() (states []string) {
	for _, message := range m.messages() {
		for _, name := range []string{"READY", "RELOADING", "STOPPING"} {
			if message[name] == "1" {
				states = append(states, name)
			}
		}
	}
	return states
}

// Row 24.
func TestTheServiceManagerIsToldOfEachReload(t *testing.T) {
	t.Parallel()
	m := startManager(t)
	p := deploy(t)
	o := p.options("-drain.min=100ms")
	o.Env = []string{"NOTIFY_SOCKET=" + m.path, "WATCHDOG_USEC=200000"}
	begin := monotonicUsec(t)
	d := start(t, o)
	l := d.load(nil, traffic...)
	var want []string
	await := func(states ...string) {
		t.Helper()
		want = append(want, states...)
		d.until(fmt.Sprintf("the service manager is told %v", want), func() bool { return len(m.states()) >= len(want) })
		if got := m.states(); !slices.Equal(got, want) {
			t.Fatalf("the service manager was told %v, want %v", got, want)
		}
	}
	await("READY")
	m.mu.Lock()
	kept := map[string]string{} // by the listener's name; its address is in the name too, as it was configured
	for name, addr := range m.stored {
		if fields := strings.Fields(name); len(fields) == 4 && fields[0] == "kept" {
			kept[fields[1]] = addr
		}
	}
	if kept["http"] != d.http || kept["grpc"] != d.grpc || kept["admin"] != d.admin || len(m.stored) != 3 {
		t.Errorf("stored descriptors %v", m.stored)
	}
	m.mu.Unlock()
	for range 2 {
		before := d.active()
		out, code := d.command("reload")
		if code != 0 || !strings.Contains(out, "is ready after") {
			t.Errorf("reload exits with %d: %s", code, out)
		}
		if d.active() == before {
			t.Error("reload returned before the new worker was ready")
		}
		await("RELOADING", "READY")
	}
	for _, c := range []struct{ config, says string }{
		{"fault: error\n", "setup: fault: Setup fails"},
		{"htttp: {addr: x}\n", "config: " + p.config + ":1:1: "},
	} {
		p.configure(c.config)
		if out, code := d.command("reload"); code != 1 || !strings.Contains(out, c.says) {
			t.Errorf("reload exits with %d: %q, want 1 and %q", code, out, c.says)
		}
		await("RELOADING", "READY")
		told := m.messages()
		if status := lastStatus(told); !strings.HasPrefix(status, "reload failed: ") {
			t.Errorf("status %q after a reload that failed", status)
		}
	}
	p.configure("")
	d.reload() // by SIGHUP
	await("RELOADING", "READY")
	d.upgrade()
	await("RELOADING", "READY")
	d.settled()
	lossless(t, l)
	alive := len(m.messages())
	d.until("there are signs of life", func() bool {
		return slices.ContainsFunc(m.messages()[alive:], func(message map[string]string) bool { return message["WATCHDOG"] == "1" })
	})
	d.stop()
	await("STOPPING")
	last := begin
	for _, message := range m.messages() {
		if pid := message["MAINPID"]; message["READY"] == "1" && pid != fmt.Sprint(d.pid) {
			t.Errorf("MAINPID=%s, want %d", pid, d.pid)
		}
		if message["RELOADING"] == "1" {
			var at int64
			if _, err := fmt.Sscan(message["MONOTONIC_USEC"], &at); err != nil || at < last {
				t.Errorf("MONOTONIC_USEC=%s after %d: %v", message["MONOTONIC_USEC"], last, err)
			}
			last = at
		}
	}
	if now := monotonicUsec(t); last == begin || last > now {
		t.Errorf("the last MONOTONIC_USEC was %d, it is %d now", last, now)
	}
}

// lastStatus is the line that systemctl status would show.
func lastStatus(told []map[string]string) (status string) {
	for _, message := range told {
		if text, found := message["STATUS"]; found {
			status = text
		}
	}
	return status
}

// monotonicUsec is CLOCK_MONOTONIC as RELOADING=1 is to carry it.
func monotonicUsec(t *testing.T) int64 {
	t.Helper()
	const clockMonotonic = 1 // as in linux/time.h
	var ts syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		t.Fatal(errno)
	}
	return time.Duration(ts.Nano()).Microseconds()
}
