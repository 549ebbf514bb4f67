//go:build linux

package faults_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Row 20.
func TestAGrandchildHasNothingButItsStandardDescriptors(t *testing.T) {
	t.Parallel()
	d := start(t, options{TLS: true, Env: []string{"NOTIFY_SOCKET=/nobody/listens", "WATCHDOG_USEC=60000000"}})
	l := d.load(nil, traffic...)
	pause(calm)
	inherited := passedOn(t)
	check := func() {
		t.Helper()
		status, text := get("http://" + d.http + "/child")
		if status != http.StatusOK {
			t.Errorf("/child: %d %s", status, text)
		}
		for line := range strings.Lines(text) {
			if !slices.Contains(inherited, line) {
				t.Errorf("a child has inherited %s", line)
			}
		}
	}
	check() // of the first worker
	d.goodReload()
	check() // of one that was handed connections
	d.settled()
	supervisor, worker := openFiles(t, d.pid), openFiles(t, d.active())
	for range 4 {
		d.goodReload()
		check()
		d.settled()
	}
	lossless(t, l)
	d.until("no connection of the load is open", func() bool { return openFiles(t, d.active()) < worker })
	// One more may be that of a command which was just answered.
	d.until("the supervisor has no more files open than before", func() bool { return openFiles(t, d.pid) <= supervisor })
	d.upgrade()
	check()
	d.stop()
}

// passedOn lists the descriptors that every child of this process inherits, since whoever has started it has
// left them open, as the route /child does.
func passedOn(t *testing.T) (lines []string) {
	t.Helper()
	names, err := filepath.Glob("/proc/self/fdinfo/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		info, err := os.ReadFile(name)
		if err != nil {
			continue // closed meanwhile
		}
		var pos, flags int
		if _, err := fmt.Sscanf(string(info), "pos: %d\nflags: %o", &pos, &flags); err != nil {
			t.Fatalf("%s: %v", info, err)
		}
		if what, err := os.Readlink("/proc/self/fd/" + filepath.Base(name)); err == nil && flags&syscall.O_CLOEXEC == 0 {
			lines = append(lines, filepath.Base(name)+" "+what+"\n")
		}
	}
	return lines
}

// Row 20.
func TestTheSocketFileOfAListenerSurvivesReloadsAndIsRemovedAtTheEnd(t *testing.T) {
	t.Parallel()
	p := deploy(t)
	dir, err := os.MkdirTemp("/tmp", "faults-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path, moved := filepath.Join(dir, "a.sock"), filepath.Join(dir, "b.sock")
	d := start(t, p.options("-http.addr=unix:"+path))
	l := d.load(nil, "grpc")
	asking := func(path string) (stop func() int) {
		client := &http.Client{Timeout: patience, Transport: &http.Transport{
			DisableKeepAlives: true, // and so no retries
			DialContext:       func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) },
		}}
		quit, asked := make(chan struct{}), make(chan int)
		go func() {
			n := 0
			defer func() { asked <- n }()
			for ; ; n++ {
				select {
				case <-quit:
					return
				case <-time.After(5 * time.Millisecond):
				}
				res, err := client.Post("http://lossd/work?ms=0", "text/plain", strings.NewReader("x"))
				if err != nil {
					t.Error(err)
					return
				}
				_ = res.Body.Close()
			}
		}()
		return func() int { close(quit); return <-asked }
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	stop := asking(path)
	for range 3 {
		d.reload()
		pause(calm / 2)
	}
	d.settled()
	if n := stop(); n == 0 {
		t.Error("nothing was asked")
	}
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Errorf("the socket is another one after reloads: %v", err)
	}
	p.replace(p.script("set -- \"$@\" -http.addr=unix:'" + moved + "'"))
	d.reload()
	stop = asking(moved)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket that nobody listens on any more: %v, want that it is removed", err)
	}
	d.settled()
	if n := stop(); n == 0 {
		t.Error("nothing was asked")
	}
	lossless(t, l)
	d.stop()
	if _, err := os.Stat(moved); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket after the end: %v, want that it is removed", err)
	}
}

// Row 23.
func TestWhatIsExclusiveIsHeldByOneWorkerAtATime(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "lease")
	p := deploy(t)
	p.configure("lease_file: " + file + "\n")
	d := start(t, p.options())
	l := d.load(nil, traffic...)
	holder := func() int {
		lines := leaseLines(t, file)
		if len(lines) == 0 || lines[len(lines)-1].what != "held" {
			return 0
		}
		return lines[len(lines)-1].pid
	}
	holds := func(pid int) {
		t.Helper()
		d.until("the active worker holds it", func() bool { return holder() == pid })
	}
	holds(d.active())
	var killed []int
	for i := range 6 {
		switch i % 3 {
		case 0, 1:
			d.reload()
		case 2:
			victim := d.active()
			kill(t, victim)
			killed = append(killed, victim)
			d.until("another worker is active", func() bool { now := d.active(); return now != 0 && now != victim })
		}
		if i != 0 { // the first time it is taken over, another reload follows at once
			holds(d.active())
		}
	}
	d.settled()
	lostInside(t, l, int64(len(killed)))
	d.stop()
	now, holders := 0, map[int]bool{}
	for i, line := range leaseLines(t, file) {
		died := now != 0 && slices.Contains(killed, now)
		switch {
		case line.what == "open" && (now == 0 || died) && !holders[line.pid]:
			now, holders[line.pid] = line.pid, true
		case line.what == "held" && line.pid == now:
		case line.what == "close" && line.pid == now:
			now = 0
		default:
			t.Fatalf("line %d: process %d says %q while %d holds it", i+1, line.pid, line.what, now)
		}
	}
	if now != 0 {
		t.Errorf("process %d holds it in the end", now)
	}
	if len(holders) < 6 {
		t.Errorf("%d processes held it, want one after each reload and kill", len(holders))
	}
}

type leaseLine struct {
	pid  int
	what string
}

func leaseLines(t *testing.T, file string) (lines []leaseLine) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		pid, what, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.Atoi(pid)
		if err != nil {
			t.Fatalf("%s: line %q", file, line)
		}
		lines = append(lines, leaseLine{n, what})
	}
	return lines
}
