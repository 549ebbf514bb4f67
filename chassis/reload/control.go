//go:build unix

package reload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Command is what a supervisor can be asked to do through its run directory.
type Command string

// The commands.
const (
	CommandReload Command = "reload" // replace the worker, and wait until the new one is ready
	CommandStop   Command = "stop"   // drain, and wait until everything has ended
	CommandStatus Command = "status" // say what there is
)

// request is one line of JSON on the control socket, and answer the line that comes back.
type request struct {
	Command Command `json:"command"`
}

type answer struct {
	Outcome *Outcome `json:"outcome,omitempty"`
	Status  *Status  `json:"status,omitempty"`
	Error   string   `json:"error,omitempty"`
}

// listenControl opens the control socket.
func listenControl(dir string) (*net.UnixListener, error) {
	path := filepath.Join(dir, controlName)
	// Whoever is left over from a dead supervisor has no lock.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("run directory: %w", err)
	}
	l, err := listenPrivate(path)
	if err != nil {
		return nil, fmt.Errorf("run directory: %w", err)
	}
	return l, nil
}

// listenPrivate opens a socket that only this user may connect to.
func listenPrivate(path string) (*net.UnixListener, error) {
	l, err := bindPrivate(path)
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false)
	// For systems on which a socket has no mode before it has a path: there a run directory that others
	// may search (0755) leaves them a moment, unless the umask does not.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// bindPrivate binds a socket whose path has the mode 0600 from the beginning, on Linux, where bind
// takes the mode from the descriptor; anywhere else it has what the umask leaves.
func bindPrivate(path string) (*net.UnixListener, error) {
	private := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), 0o600) })
	}}
	l, err := private.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	return l.(*net.UnixListener), nil
}

// serveControl answers commands until the listener is closed.
func (s *supervisor) serveControl(l *net.UnixListener) {
	d := desk{places: make(chan struct{}, maxClients), waits: map[Command]chan struct{}{
		CommandReload: make(chan struct{}, maxWaiting), CommandStop: make(chan struct{}, maxWaiting),
	}}
	for {
		conn, err := l.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(100 * time.Millisecond) // out of descriptors, most likely
			continue
		}
		if !enter(d.places) {
			respond(conn, answer{Error: fmt.Sprintf("busy: %d clients are connected; ask again", maxClients)})
			_ = conn.Close()
			continue
		}
		go func() {
			defer leave(d.places)
			defer conn.Close()
			s.answerControl(conn, d)
		}()
	}
}

// desk bounds the clients that are served at a time. Those that wait for a reload or a stop, as they
// may for long, leave places to others.
type desk struct {
	places chan struct{}
	waits  map[Command]chan struct{}
}

const (
	maxClients = 96 // of them at most maxWaiting wait for a reload, and as many for the stop
	maxWaiting = 32
)

// enter takes one of places if there is one left, and leave gives it back.
func enter(places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	default:
		return false
	}
}

func leave(places <-chan struct{}) { <-places }

// answerControl answers one command.
func (s *supervisor) answerControl(conn *net.UnixConn, d desk) {
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	var r request
	if err := json.NewDecoder(io.LimitReader(conn, 4<<10)).Decode(&r); err != nil {
		respond(conn, answer{Error: "want one line of JSON: " + err.Error()})
		return
	}
	if waits := d.waits[r.Command]; waits != nil {
		if !enter(waits) {
			respond(conn, answer{Error: fmt.Sprintf("busy: %d clients wait for %q already; ask again", maxWaiting, r.Command)})
			return
		}
		defer leave(waits)
	}
	answered := make(chan struct{})
	// The goroutine that owns the supervisor answers itself: it may be replaced by another
	// program right after.
	done := func(a answer) {
		respond(conn, a)
		close(answered)
	}
	switch r.Command {
	case CommandStatus:
		s.post(func() { done(answer{Status: s.status()}) })
	case CommandReload:
		reloaded := func(o Outcome) { done(answer{Outcome: &o, Status: s.status()}) }
		s.post(func() {
			s.log.Info("reload asked for", "by", "command")
			s.reload(&reloaded)
		})
		s.await(conn, answered, func() { s.forget(&reloaded) })
		return
	case CommandStop:
		stopped := func() { done(s.farewell()) }
		s.post(func() { s.stop(&stopped) })
		s.await(conn, answered, func() { s.stopped = without(s.stopped, &stopped) })
		return
	default:
		done(answer{Error: fmt.Sprintf("unknown command %q", r.Command)})
	}
	select {
	case <-answered:
	case <-s.quit:
	}
}

// await waits for an answer that may take long, until the client leaves; then nobody is to be
// answered any more. What was asked for goes on.
func (s *supervisor) await(conn *net.UnixConn, answered <-chan struct{}, forget func()) {
	left := make(chan struct{})
	go func() {
		defer close(left)
		_ = conn.SetReadDeadline(time.Time{})
		_, _ = io.Copy(io.Discard, conn) // ends with the connection, at whichever end
	}()
	select {
	case <-answered:
	case <-left:
		forgotten := make(chan struct{})
		s.post(func() {
			forget()
			close(forgotten)
		})
		select {
		case <-forgotten: // its place is free when nothing is kept for it
		case <-s.quit:
		}
	case <-s.quit:
	}
}

// farewell answers who has asked for the stop.
func (s *supervisor) farewell() answer {
	if s.exitCode() != 0 {
		return answer{Error: "it has ended, but not everything in order: its log says what"}
	}
	return answer{}
}

func respond(conn *net.UnixConn, a answer) {
	_ = conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	_ = json.NewEncoder(conn).Encode(a) // who has left does not hear it
}

// ErrNotRunning says that no supervisor answers in the run directory.
var ErrNotRunning = errors.New("it is not running")

// Ask has the supervisor that uses the run directory dir do something and waits until it is done.
// The outcome is that of a reload, otherwise nil; a reload that failed is no error. The status is
// nil after a stop.
func Ask(ctx context.Context, dir string, c Command) (*Outcome, *Status, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", filepath.Join(dir, controlName))
	if err != nil {
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
			if len(workerSockets(dir)) > 0 {
				return nil, nil, fmt.Errorf("%w with run directory %s: there is no supervisor, but it has left workers, which go on if they live; start the daemon, and it takes them over", ErrNotRunning, dir)
			}
			return nil, nil, fmt.Errorf("%w with run directory %s", ErrNotRunning, dir)
		}
		return nil, nil, fmt.Errorf("run directory %s: %w", dir, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if err := json.NewEncoder(conn).Encode(request{c}); err != nil {
		return nil, nil, fmt.Errorf("run directory %s: %w", dir, err)
	}
	var a answer
	switch err := json.NewDecoder(conn).Decode(&a); {
	case ctx.Err() != nil:
		return nil, nil, fmt.Errorf("no longer waiting; what was asked for goes on: %w", ctx.Err())
	case err != nil:
		return nil, nil, fmt.Errorf("the supervisor went away before it answered: %w", err)
	case a.Error != "":
		return nil, nil, errors.New(a.Error)
	}
	return a.Outcome, a.Status, nil
}
