package logfile_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/logfile"
	"github.com/seed-754044b3/roadworthy/internal/need"
)

// documented is a configuration in docs/logs.md.
func documented(t *testing.T, name string) string {
	t.Helper()
	_, text, found := strings.Cut(readFile(t, "../../docs/logs.md"), "<!-- tested: "+name+" -->\n\n")
	if !found {
		t.Fatalf("docs/logs.md has no %s", name)
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "    ") {
			break
		}
		b.WriteString(line[4:])
	}
	return b.String()
}

// indexer takes lines by TCP.
type indexer struct {
	addr *net.TCPAddr

	mu    sync.Mutex
	lines map[string]int
}

func listen(t *testing.T) *indexer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	x := &indexer{addr: l.Addr().(*net.TCPAddr), lines: map[string]int{}}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for in := bufio.NewScanner(c); in.Scan(); {
					x.mu.Lock()
					x.lines[in.Text()]++
					x.mu.Unlock()
				}
			}()
		}
	}()
	return x
}

func (x *indexer) count() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.lines)
}

func TestAShipperThatFollowsSegmentsGetsEveryLineOnce(t *testing.T) {
	program := need.Program(t, "rsyslogd", "rsyslog")
	dir, work, index := t.TempDir(), t.TempDir(), listen(t)
	config := documented(t, "rsyslog.conf")
	for from, to := range map[string]string{
		"/var/log/game": dir, "/var/lib/rsyslog": work, "indexer.example.com": "127.0.0.1", `"6514"`: fmt.Sprintf("%q", fmt.Sprint(index.addr.Port)),
	} {
		if !strings.Contains(config, from) {
			t.Fatalf("the configuration has no %s", from)
		}
		config = strings.ReplaceAll(config, from, to)
	}
	path := filepath.Join(work, "rsyslog.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(work, "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	daemon := exec.Command(program, "-n", "-f", path, "-i", filepath.Join(work, "pid"))
	daemon.Stdout, daemon.Stderr = log, log
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = daemon.Process.Signal(syscall.SIGKILL)
		_ = daemon.Wait() // says that it was killed
	})
	s := open(t, logfile.StreamOptions{Dir: dir, MaxSize: 10_000})
	c, err := logfile.NewCollector(logfile.CollectorOptions{Dir: dir, Every: 50 * time.Millisecond, Linger: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var collecting sync.WaitGroup
	collecting.Go(func() { _ = c.Run(ctx) })
	defer collecting.Wait()
	defer cancel()

	deadline := time.Now().Add(2 * time.Minute)
	until := func(what string, f func() bool) {
		t.Helper()
		for !f() {
			if time.Now().After(deadline) {
				t.Fatalf("%s: not in time; %d lines have come; rsyslogd printed:\n%s", what, index.count(), readFile(t, log.Name()))
			}
			<-time.After(5 * time.Millisecond)
		}
	}
	const lines = 5000
	for i := range lines {
		write(t, s, fmt.Sprintf(`192.0.2.7 - - [28/Nov/2026:15:33:51 +0000] "GET /%d HTTP/1.1" 200 2 "-" "-"`+"\n", i))
		if i%1000 == 999 { // the rate of a service that has time to be followed
			until("lines", func() bool { return index.count() == i+1 })
		}
	}
	until("all segments but the last are compressed", func() bool { return c.Stats().Packed == s.Stats().Segments-1 })
	index.mu.Lock()
	defer index.mu.Unlock()
	for line, times := range index.lines {
		if times != 1 || !strings.HasPrefix(line, "192.0.2.7 - - [") {
			t.Errorf("%d times %q", times, line)
		}
	}
}
