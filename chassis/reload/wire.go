//go:build unix

package reload

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Processes speak to each other over unix stream sockets: a length of four bytes, big endian, and
// so many bytes of JSON. Descriptors travel as SCM_RIGHTS with the first byte. Streams, since
// SEQPACKET is not everywhere and bounds a message by the socket's buffer.

const (
	maxMessage = 32 << 20 // bytes; the largest are snapshots of metrics
	maxFiles   = 128      // descriptors beside one message; a kernel takes 253
)

// channel carries messages. Its read deadline is for pause alone. One goroutine receives; sending is safe for concurrent use.
type channel struct {
	conn   *net.UnixConn
	mu     sync.Mutex // held while a message is written
	oob    []byte
	paused atomic.Bool
}

func newChannel(conn *net.UnixConn) *channel {
	return &channel{conn: conn, oob: make([]byte, syscall.CmsgSpace(maxFiles*4))}
}

// openChannel makes a channel on an inherited descriptor, which it takes over.
func openChannel(f *os.File) (*channel, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("want a unix socket, got %s", c.LocalAddr().Network()), c.Close())
	}
	return newChannel(u), nil
}

// socketPair returns two connected stream sockets.
func socketPair() (a, b *os.File, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	for _, fd := range fds {
		syscall.CloseOnExec(fd)
	}
	return os.NewFile(uintptr(fds[0]), "socketpair"), os.NewFile(uintptr(fds[1]), "socketpair"), nil
}

// errTooLong is the error of send when nothing was sent, and other messages can be.
var errTooLong = errors.New("too long")

// send writes m and the descriptors that travel with it, which stay the caller's. It blocks while
// the other side does not read.
func (c *channel) send(m message, files ...int) error {
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("message %s: %w", m.Kind, err)
	}
	if len(body) > maxMessage {
		return fmt.Errorf("message %s: %w: %d bytes, the bound is %d", m.Kind, errTooLong, len(body), maxMessage)
	}
	b := append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body))), body...)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(files) > 0 {
		n, err := c.sendFiles(b, syscall.UnixRights(files...))
		if err != nil {
			return fmt.Errorf("message %s: %w", m.Kind, err)
		}
		// What is out is out: to write nothing more can fail as well, when the channel is closed in this moment.
		if b = b[n:]; len(b) == 0 {
			return nil
		}
	}
	if _, err := c.conn.Write(b); err != nil {
		return fmt.Errorf("message %s: %w", m.Kind, err)
	}
	return nil
}

// sendFiles writes the beginning of a message. Linux refuses more descriptors in flight than the
// process may have open (ETOOMANYREFS) until the other side has received some.
func (c *channel) sendFiles(b, rights []byte) (int, error) {
	for wait := time.Millisecond; ; wait *= 2 {
		n, _, err := c.conn.WriteMsgUnix(b, rights, nil)
		if errors.Is(err, syscall.ETOOMANYREFS) && wait < 2*time.Second {
			time.Sleep(wait)
			continue
		}
		return n, err
	}
}

// errPaused is what receive returns after pause.
var errPaused = errors.New("channel is paused")

// pause has receive return errPaused, between two messages.
func (c *channel) pause() {
	c.paused.Store(true)
	_ = c.conn.SetReadDeadline(time.Unix(1, 0))
}

func (c *channel) resume() {
	c.paused.Store(false)
	_ = c.conn.SetReadDeadline(time.Time{})
}

// receive reads the next message; io.EOF when the other side is gone. The descriptors that came
// with it are the caller's.
func (c *channel) receive() (message, []*os.File, error) {
	if c.paused.Load() {
		return message{}, nil, errPaused // receiveRest may have lifted the deadline
	}
	var head [4]byte
	n, files, err := c.receiveFiles(head[:])
	for errors.Is(err, os.ErrDeadlineExceeded) {
		if c.paused.Load() {
			return message{}, nil, errPaused
		}
		n, files, err = c.receiveFiles(head[:]) // it was resumed in this moment
	}
	if err == nil {
		err = c.receiveRest(head[n:])
	}
	size := binary.BigEndian.Uint32(head[:])
	if err == nil && size > maxMessage {
		err = fmt.Errorf("message of %d bytes, the bound is %d", size, maxMessage)
	}
	var m message
	if err == nil {
		body := make([]byte, size)
		if err = c.receiveRest(body); err == nil {
			err = json.Unmarshal(body, &m)
		}
	}
	if err != nil {
		closeFiles(files)
		return message{}, nil, err
	}
	return m, files, nil
}

// receiveRest fills b. What has begun to arrive arrives whole, whether paused or not.
func (c *channel) receiveRest(b []byte) error {
	for {
		n, err := io.ReadFull(c.conn, b)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		b = b[n:]
		_ = c.conn.SetReadDeadline(time.Time{})
	}
}

// receiveFiles reads the first bytes of a message and the descriptors that came with them.
func (c *channel) receiveFiles(head []byte) (int, []*os.File, error) {
	n, oobn, flags, _, err := c.conn.ReadMsgUnix(head, c.oob)
	if err != nil {
		return 0, nil, err
	}
	if n == 0 {
		return 0, nil, io.EOF
	}
	files, err := parseFiles(c.oob[:oobn])
	if err == nil && flags&syscall.MSG_CTRUNC != 0 {
		err = errTruncated
	}
	if err != nil {
		closeFiles(files)
		if errors.Is(err, errTruncated) {
			return n, nil, nil // the receiver sees that none came, and says so
		}
		return 0, nil, err
	}
	return n, files, nil
}

// errTruncated tells of descriptors that the kernel threw away: this process may open no more.
var errTruncated = errors.New("descriptors were lost on the way")

func parseFiles(oob []byte) ([]*os.File, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, os.NewSyscallError("recvmsg", err)
	}
	var files []*os.File
	for _, m := range messages {
		fds, err := syscall.ParseUnixRights(&m)
		if err != nil {
			continue // not descriptors
		}
		for _, fd := range fds {
			syscall.CloseOnExec(fd) // not every system can receive them so
			files = append(files, os.NewFile(uintptr(fd), "received"))
		}
	}
	return files, nil
}

func (c *channel) close() { _ = c.conn.Close() }

func closeFiles(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// first takes the first of files and closes the others; nil when there is none.
func first(files []*os.File) *os.File {
	if len(files) == 0 {
		return nil
	}
	closeFiles(files[1:])
	return files[0]
}
