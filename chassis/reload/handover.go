//go:build unix

package reload

import (
	"errors"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// heir is the successor of a draining worker, as that worker sees it.
type heir struct {
	link *channel
	last atomic.Uint64

	mu      sync.Mutex
	pending map[uint64]chan<- error // nil once the successor is gone
}

var (
	errNoHeir  = errors.New("there is no successor")
	errRefused = errors.New("the successor does not take the connection")
)

// patience is how long a successor may take to serve a connection it was handed. It has to be
// ready to accept them, and may have as many as it allows.
const patience = 5 * time.Second

// Give hands a connection to the successor, which serves it on the listener called name, and
// returns nil when it does. The successor's [AdoptFunc] is given the note, nil as nil. The descriptor stays the caller's to close. After an error the
// connection is still the caller's to serve.
func (l *Link) Give(name string, c syscall.Conn, note []byte) error {
	l.mu.Lock()
	h := l.heir
	l.mu.Unlock()
	if h == nil {
		return errNoHeir
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	id, outcome := h.expect()
	if outcome == nil {
		return errNoHeir
	}
	m := message{Kind: kindConn, ID: id, Name: name, Note: note}
	var sent error
	// A message of which only a part was sent is none. Then nothing else can be sent either.
	_ = h.link.conn.SetWriteDeadline(time.Now().Add(patience))
	err = raw.Control(func(fd uintptr) { sent = h.link.send(m, int(fd)) })
	if sent != nil {
		_ = h.link.conn.CloseWrite()
	}
	if err := errors.Join(err, sent); err != nil {
		h.resolve(id, err)
	}
	select {
	case err := <-outcome:
		return err
	case <-time.After(patience):
		// It may take it in this moment, and two that serve it are worse than one. So the channel
		// ends: the successor takes nothing more, and what it has taken it has said.
		_ = h.link.conn.CloseWrite()
		return <-outcome
	}
}

// expect registers a connection whose taking is awaited; the channel is nil when the successor is
// gone.
func (h *heir) expect() (uint64, <-chan error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.pending == nil {
		return 0, nil
	}
	id, outcome := h.last.Add(1), make(chan error, 1)
	h.pending[id] = outcome
	return id, outcome
}

func (h *heir) resolve(id uint64, err error) {
	h.mu.Lock()
	outcome := h.pending[id]
	delete(h.pending, id)
	h.mu.Unlock()
	if outcome != nil {
		outcome <- err
	}
}

// askAgain is how long after a channel to the successor was lost on the way another one is asked for: a
// worker that has as many descriptors as it may has fewer once it has begun to drain.
const askAgain = 250 * time.Millisecond

// bequeath makes who is at the other end of f the successor. nil is a descriptor that did not arrive, or
// that the supervisor had none to send.
func (l *Link) bequeath(f *os.File) {
	var link *channel
	err := errTruncated
	if f != nil {
		link, err = openChannel(f)
	}
	if err != nil {
		time.AfterFunc(askAgain, func() { _ = l.tell(message{Kind: kindHeir}) })
		return
	}
	h := &heir{link: link, pending: map[uint64]chan<- error{}}
	l.mu.Lock()
	l.heir = h
	l.mu.Unlock()
	go func() {
		for {
			m, files, err := link.receive()
			closeFiles(files)
			if err != nil {
				break
			}
			switch m.Kind {
			case kindTaken:
				h.resolve(m.ID, nil)
			case kindRefused:
				h.resolve(m.ID, errRefused)
			}
		}
		link.close()
		h.mu.Lock()
		pending := h.pending
		h.pending = nil
		h.mu.Unlock()
		for _, outcome := range pending {
			outcome <- errNoHeir
		}
		l.mu.Lock()
		lost := l.heir == h && !l.finished
		if lost {
			l.heir = nil
		}
		l.mu.Unlock()
		if lost {
			_ = l.tell(message{Kind: kindHeir})
		}
	}()
}

// inherit takes over the connections that a predecessor hands over on f.
func (l *Link) inherit(f *os.File) {
	link, err := openChannel(f)
	if err != nil {
		return
	}
	in := &inheritance{link: link}
	defer in.end()
	for {
		m, files, err := link.receive()
		if err != nil {
			return
		}
		go func() {
			if l.take(m, first(files), func() error { return in.say(kindTaken, m.ID) }) != nil {
				_ = in.say(kindRefused, m.ID)
			}
		}()
	}
}

// inheritance is a channel on which a predecessor hands connections over.
type inheritance struct {
	link *channel
	mu   sync.Mutex
	over bool // the predecessor takes no more answers
}

// say answers the predecessor. When it cannot be told any more that a connection is taken, the
// connection is its own.
func (in *inheritance) say(k kind, id uint64) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.over {
		return net.ErrClosed
	}
	// Connections wait for this, and whoever looks at them: a predecessor that stands still is not to
	// hold them up.
	_ = in.link.conn.SetWriteDeadline(time.Now().Add(patience))
	err := in.link.send(message{Kind: k, ID: id})
	if err != nil {
		in.close() // a part of it may be out, behind which nothing can be said
	}
	return err
}

func (in *inheritance) end() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.close()
}

// close ends the channel. in.mu is held.
func (in *inheritance) close() {
	in.over = true
	in.link.close()
}

// take has a connection served that was handed over.
func (l *Link) take(m message, f *os.File, taken func() error) error {
	if f == nil {
		return errTruncated
	}
	conn, err := net.FileConn(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := l.adopt(m.Name, conn, m.Note, taken); err != nil {
		return errors.Join(err, conn.Close())
	}
	return nil
}

// setCrashOutput has the runtime write to f as well when it crashes.
func setCrashOutput(f *os.File) error { return debug.SetCrashOutput(f, debug.CrashOptions{}) }
