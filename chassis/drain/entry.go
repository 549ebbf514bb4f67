package drain

import (
	"net"
	"net/netip"
	"time"
)

// Entry says which connections are let in, what happens before their first request, and how long
// they may take what is written to them. The zero Entry lets in all.
type Entry struct {
	// MaxConns bounds the connections open at a time: more wait in the kernel's queue until one is
	// closed. Adopted ones are never kept waiting, as another process has let them in under the
	// same bound; they take room all the same. 0 or less is no bound.
	MaxConns int
	// MaxConnsPerClient bounds the connections that one client has open at a time; one more is
	// closed at once and told to Refused. A client is an IPv4 address or an IPv6 network of 64
	// bits, the least that is given to a subscriber. Unix sockets and loopback are exempt: who is
	// there is a proxy for many clients, or has the machine already. 0 or less is no bound.
	MaxConnsPerClient int
	// Exempt reports addresses that MaxConnsPerClient is not for: trusted proxies, each of which
	// is many clients. It is called once a connection with an address without a zone, IPv4 as
	// such. nil: none but what is exempt always.
	Exempt func(netip.Addr) bool
	// WriteTimeout is how long a client may take nothing of what is written to it, or less than 240
	// bytes a second of one write: between once and twice as long, then its connection is closed.
	// An answer may take as long as it likes with a client that reads it. Deadlines that a handler
	// sets come instead. 0 or less is no bound. With HTTP/2 on a [Server], it is also how long a
	// client may leave a stream without room for 64 KiB of its answer, or what is less; then the
	// stream is reset. What a handler has left to be written when it returns has up to three times as
	// long.
	WriteTimeout time.Duration
	// Preface reads what a connection begins with before TLS and the first request, as a header of
	// the PROXY protocol; nil: nothing does. It runs in the connection's own goroutine, never in
	// that which accepts, once, and at most as long as a header may take. It must read c to the end
	// of the preface and not a byte farther; deadlines for reading it may set, and they end with it.
	// What it returns travels with the connection, to another process as well (see [Note], and
	// [AddrNote] for a Gate). On an
	// error the connection is closed without an answer and told to Refused.
	Preface func(c net.Conn) (note []byte, err error)
	// Inside is given the TLS of each connection of a [Server], before its handshake, and returns what the
	// server reads from and writes to in its place. nil leaves it as it is.
	Inside func(net.Conn) net.Conn
	// Measure has a [Server] count what each request of HTTP/1 moves: [WhenSent] and Refusal.Traffic.
	Measure bool
	// Refused is told of what ended before there was a handler for it. It is called by the
	// goroutine of the connection, or that which accepts, and must be quick. nil: nobody is.
	Refused func(Refusal)
}

// Reason says why something was refused, in a word that can be a label of a metric.
type Reason string

// Why something is refused before a handler runs.
const (
	ReasonClient    Reason = "client_conns" // the client has as many connections as it may
	ReasonPreface   Reason = "preface"      // Entry.Preface returned an error
	ReasonHandshake Reason = "handshake"    // the handshake of TLS failed
	ReasonPlain     Reason = "plain_http"   // a request in plain text where TLS is spoken
	// net/http did not understand the request, or did not want to. With HTTP/2, the client is told by
	// the stream's end if Status is 0; then the request may have been under way, with a body that broke
	// the rules.
	ReasonRequest Reason = "request"
	ReasonTimeout Reason = "timeout" // the header of a request did not come in time
	ReasonHTTP2   Reason = "http2"   // the client broke the rules of HTTP/2: GOAWAY with an error
)

// Reasons lists every Reason, so that metrics can show those that have not happened.
var Reasons = [...]Reason{ReasonClient, ReasonPreface, ReasonHandshake, ReasonPlain, ReasonRequest, ReasonTimeout, ReasonHTTP2}

// Refusal is a request, or a connection, that ended before there was a handler for it.
type Refusal struct {
	Peer   net.Addr // where it came from
	Note   []byte   // of the connection, as far as there is one
	Reason Reason
	// Status is what was answered, 0 if nothing was. net/http answers OPTIONS * with 200 and
	// without a handler: that is told as well, as there is no other trace of it.
	Status int
	// Line is the first line of the request, without its end, as far as it is known: what a
	// client sends together with the end of the request before it is not, nor is HTTP/2. It has
	// at most 512 bytes, and is the caller's once Refused has returned.
	Line  []byte
	HTTP2 bool  // the connection speaks HTTP/2
	Err   error // what went wrong, where that is known
	// Traffic is what it moved on a connection of a [Server], HTTP/2 aside, if Entry.Measure is set.
	// Of the answer, only what net/http has written at once is in it.
	Traffic Traffic
}

// refused tells who wants to know.
func (e *Entry) refused(r Refusal) {
	if e.Refused != nil {
		e.Refused(r)
	}
}

// client is what connections from a are counted under, the zero Prefix for those that are exempt.
func (e *Entry) client(a net.Addr) netip.Prefix {
	if e.MaxConnsPerClient <= 0 || a == nil {
		return netip.Prefix{}
	}
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := t.AddrPort().Addr().Unmap().WithZone("")
	if !ip.IsValid() || ip.IsLoopback() || e.Exempt != nil && e.Exempt(ip) {
		return netip.Prefix{}
	}
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits) // the bits are right
	return p
}
