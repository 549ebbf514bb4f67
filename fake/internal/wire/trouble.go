package wire

import (
	"fmt"
	"time"
)

// A Kind is what goes wrong with a connection. The zero Kind is none.
type Kind uint8

// The kinds of trouble.
const (
	// Reset ends the connection with RST: what is not read yet is lost on both sides.
	Reset Kind = iota + 1
	// Close ends it with FIN, as a server does that goes away.
	Close
	// Silence keeps back what is written, as when the network swallows it, until it ends: then
	// everything comes. What the client sends is read. The write waits, for as long as its
	// deadline lets it.
	Silence
	// Pause keeps back what is written for Wait.
	Pause
	// Slow lets no more than Rate bytes a second out until it ends.
	Slow
	// Cut writes half of what is being written and ends the connection with FIN: in the middle of
	// a line, or of a frame.
	Cut
	// GoAway writes a frame GOAWAY of HTTP/2, without an error, and goes on, at the end of the frame
	// under way and after the server's first. A connection that does not speak HTTP/2 is left alone.
	GoAway
	// Garbage writes what no protocol knows and ends the connection with FIN.
	Garbage
)

// Trouble is something that goes wrong with one connection, once.
type Trouble struct {
	Kind Kind
	At   int64         // bytes that are still written before it strikes, counted from Arm and behind what is being written
	Now  bool          // it strikes without waiting for a write: Reset, Close, GoAway or Garbage, and At is 0
	Wait time.Duration // of Pause
	Rate int64         // of Slow: bytes a second, 1 or more
	// Gone is closed when the trouble is called off: it ends, or never strikes. nil never is.
	Gone <-chan struct{}
	// Until is closed when Silence is to end; nil never is.
	Until <-chan struct{}
	// Answer says that it belongs to the answer under way, and ends with it: see [Conn.Calm].
	Answer bool

	// Struck is called when it strikes, once, before anything of it can be seen. It must not call
	// the connection, nor must Over. nil is not called.
	Struck func()
	// Over is called once, when Silence, Pause or Slow is over, and when trouble of any kind is
	// dropped before it struck; delivered false says that the connection was closed. nil is not
	// called.
	Over func(delivered bool)
}

func (t *Trouble) strike() {
	if t.Struck != nil {
		t.Struck()
	}
}

func (t *Trouble) over(delivered bool) {
	if t.Over != nil {
		t.Over(delivered)
	}
}

// check finds mistakes of this module's own.
func (t *Trouble) check() {
	waits := t.Kind == Silence || t.Kind == Pause || t.Kind == Slow || t.Kind == Cut
	if t.Kind < Reset || t.Kind > Garbage || t.At < 0 || t.Now && (t.At > 0 || waits) || t.Kind == Slow && t.Rate < 1 {
		panic(fmt.Sprintf("wire: trouble that makes no sense: %+v", *t))
	}
}

// garbage looks like no protocol: neither a status line, nor a frame, nor a record of TLS.
const garbage = "\xff\xfe\x00garbage\x00\xff is no answer\r\n\r\n\xff\xff\xff\xff"
