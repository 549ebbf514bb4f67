// Package objectstore runs a real server of the S3 protocol for tests: versitygw, which .ci/install builds.
package objectstore

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/internal/need"
	"github.com/seed-754044b3/roadworthy/internal/port"
)

// A Store is a server that keeps objects as files: of the bucket B in the directory Root/B.
type Store struct {
	Endpoint, Key, Secret string
	Root                  string

	addr string
	run  *exec.Cmd
}

// patience is how long the server may take to answer; it takes 70 ms.
const patience = time.Minute

// Start returns a server that answers, with one bucket that is empty. It ends with the test.
func Start(t testing.TB, bucket string) *Store {
	t.Helper()
	addrs, err := port.Addrs(1)
	if err != nil {
		t.Fatal(err)
	}
	s := &Store{Key: "tester", Secret: "a-secret-of-tests", Root: t.TempDir(), addr: addrs[0]}
	s.Endpoint = "http://" + s.addr
	if err := os.Mkdir(filepath.Join(s.Root, bucket), 0o700); err != nil {
		t.Fatal(err)
	}
	s.Up(t)
	t.Cleanup(func() { s.Down(t) })
	return s
}

// Up has the server answer, again after Down.
func (s *Store) Up(t testing.TB) {
	t.Helper()
	if s.run != nil {
		return
	}
	s.run = exec.Command(need.Built(t, "versitygw"), "--access", s.Key, "--secret", s.Secret, "--port", s.addr, "--quiet", "posix", s.Root)
	s.run.Dir = t.TempDir()
	if err := s.run.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var last error
	for ctx.Err() == nil {
		var c net.Conn
		if c, last = new(net.Dialer).DialContext(ctx, "tcp", s.addr); last == nil {
			_ = c.Close()
			return
		}
	}
	t.Fatal(fmt.Errorf("versitygw does not answer on %s: %w", s.addr, last))
}

// Down kills the server, as a machine would die: what it was sent and had not finished breaks off.
func (s *Store) Down(t testing.TB) {
	t.Helper()
	if s.run == nil {
		return
	}
	if err := s.run.Process.Signal(syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	_ = s.run.Wait() // says that it was killed
	s.run = nil
}
