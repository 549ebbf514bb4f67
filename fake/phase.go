package fake

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seed-754044b3/roadworthy/fake/internal/wire"
)

// A Phase is when, in the life of a call or of its connection, a fault strikes. Their names in
// text are before, after-commit, during-response and connect.
type Phase uint8

// The phases. A rule that does not say is of phase Before.
const (
	// Before is before the handler runs. With most actions it does not run at all.
	Before Phase = iota
	// AfterCommit is when the handler has run and succeeded, and its answer is not out: the
	// service has done what was asked, and the caller does not learn of it. A handler that fails
	// is answered as ever and does not count. An answer of HTTP is kept back up to 64 KiB and until
	// the handler flushes it, messages of a gRPC stream are not; what is out then stays out.
	AfterCommit
	// DuringResponse is when Rule.At bytes of the answer are on the wire, and the next would be
	// written. They are counted from when the call comes to its handler, and with everything that the server
	// writes to the connection: header, frames, the records of TLS and, over HTTP/2, the answers to other
	// calls. A shorter answer is not struck, and counts no hit. Of a record of TLS that is not whole a
	// client can read nothing.
	DuringResponse
	// Connect is when a connection has been accepted, before the service sees it. Only Listener
	// selects connections, and [Rule].When is asked with the Listener and the Peer.
	Connect
)

var phases = []string{"before", "after-commit", "during-response", "connect"}

// String is the phase's name.
func (p Phase) String() string { return nameOf(phases, uint8(p), "phase") }

// MarshalText is String and never fails.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText takes a phase's name.
func (p *Phase) UnmarshalText(text []byte) error {
	return byName(phases, text, (*uint8)(p), "phase")
}

// An Action is what a fault does to a connection or a call, besides to fail or delay it. Their
// names in text are rst, fin, half-open, slow, truncate, goaway, garbage and hold; that of none is empty.
type Action uint8

// The actions.
const (
	// RST resets the connection: the client sees "connection reset by peer".
	RST Action = iota + 1
	// FIN closes it as a server does that ends. The client sees the end of the stream.
	FIN
	// HalfOpen leaves it open and silent: nothing that the server writes reaches the client until
	// the fault is released or removed; then all of it does. What the client sends is read. Of
	// phase Before the call waits as well.
	HalfOpen
	// Slow lets Rule.Rate bytes a second out, until the fault is removed; over HTTP/1, of this
	// answer only, but for phase Connect.
	Slow
	// Truncate sends half of what is being written, and then FIN: a client sees the middle of a
	// header, a body or a frame. With Rule.At it sends exactly so many bytes.
	Truncate
	// GoAway sends a GOAWAY of HTTP/2, without an error, and does nothing else: the call is
	// answered, and the client uses another connection for the next. It selects only calls that
	// come over HTTP/2, as gRPC's do, and is refused where none can. Under TLS it is encrypted as all
	// that the server says, and Rule.At counts bytes before they are encrypted.
	GoAway
	// Garbage sends what no protocol knows, and then FIN. It is not encrypted: a client that speaks TLS
	// finds it there.
	Garbage
	// Hold has the call, its answer or the connection wait until the fault is released or removed:
	// a barrier. See [Fault.Release] and [Fault.WaitHeld].
	Hold
)

var actions = []string{"", "rst", "fin", "half-open", "slow", "truncate", "goaway", "garbage", "hold"}

// String is the action's name.
func (a Action) String() string { return nameOf(actions, uint8(a), "action") }

// MarshalText is String and never fails.
func (a Action) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText takes an action's name.
func (a *Action) UnmarshalText(text []byte) error {
	return byName(actions, text, (*uint8)(a), "action")
}

func nameOf(names []string, i uint8, what string) string {
	if int(i) < len(names) {
		return names[i]
	}
	return fmt.Sprintf("%s(%d)", what, i)
}

func byName(names []string, text []byte, into *uint8, what string) error {
	i := slices.Index(names, string(text))
	if i < 0 {
		known := slices.DeleteFunc(slices.Clone(names), func(s string) bool { return s == "" })
		return fmt.Errorf("%.40q is no %s: want one of %s", text, what, strings.Join(known, ", "))
	}
	*into = uint8(i)
	return nil
}

// ends reports whether nothing can follow the action: a failure could not be answered.
func (a Action) ends() bool {
	return a == RST || a == FIN || a == Truncate || a == Garbage || a == HalfOpen
}

// does says what the action does, in a sentence about the rule.
func (a Action) does(rate int64) string {
	switch a {
	case RST:
		return "reset the connection"
	case FIN:
		return "close the connection"
	case HalfOpen:
		return "leave the connection silent"
	case Slow:
		return fmt.Sprintf("send %d bytes a second", rate)
	case Truncate:
		return "cut what is being sent in half"
	case GoAway:
		return "send GOAWAY"
	case Garbage:
		return "send garbage"
	}
	return "hold it until it is released"
}

// kind is the action as trouble of a connection.
func (a Action) kind() wire.Kind {
	switch a {
	case RST:
		return wire.Reset
	case FIN:
		return wire.Close
	case Slow:
		return wire.Slow
	case Truncate:
		return wire.Cut
	case GoAway:
		return wire.GoAway
	case Garbage:
		return wire.Garbage
	}
	return wire.Silence // of HalfOpen and of Hold
}
