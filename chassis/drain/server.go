package drain

import (
	"context"
	"crypto/tls"
	"errors"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Options say what a [Server] speaks. The zero Options are HTTP/1 in plain text.
type Options struct {
	// TLS has the server speak TLS and, by ALPN, HTTP/1.1 or HTTP/2; nil is plain text. The
	// config is cloned. What it leaves empty is set: NextProtos to h2 and http/1.1, MinVersion to
	// TLS 1.2, CipherSuites to those that HTTP/2 may be spoken over.
	TLS *tls.Config
	// H2C has the server speak HTTP/2 in plain text as well, to clients that know (RFC 9113, 3.3).
	H2C bool
	// Entry says which connections are let in.
	Entry Entry
}

// Stats are counts of a [Server] since it was made, but for Conns.
type Stats struct {
	Conns     int    // open now, hijacked ones among them
	Given     uint64 // handed to the successor, which has acknowledged them
	Adopted   uint64 // taken over from a predecessor
	TakenBack uint64 // not taken by the successor, and served on
	// Cut counts the connections with a request under way that Close ended: http1, h2, hijacked.
	Cut map[string]uint64
}

// Server is an [http.Server] that lets go of its connections without failing a request. Make one
// with [New]; it ends with [Server.Drain] or [Server.Close]. It is safe for concurrent use.
type Server struct {
	http     *http.Server
	gate     *Gate
	entry    *Entry      // of gate
	tls      *tls.Config // nil: plain text
	speaksH2 bool
	inner    http.Handler
	onState  func(net.Conn, http.ConnState)
	inConn   func(context.Context, net.Conn) context.Context

	handshakes time.Duration // how long one may take; 0: as long as it likes
	bounded    bool          // http.WriteTimeout is ours, for streams of HTTP/2
	looking    atomic.Bool   // somebody will look at the streams
	buffers    sync.Pool     // of *buffer

	fresh    time.Duration         // freshFor
	ask      time.Duration         // askWithin
	warned   atomic.Bool           // the heads-up has begun
	ended    atomic.Bool           // nothing was left to drain, or Close was called
	order    atomic.Pointer[order] // what Drain wants; nil: nothing
	changed  chan struct{}         // something happened that HeadsUp or Drain may wait for
	handlers atomic.Int64
	hijacked atomic.Int64 // connections that are open and not net/http's any more
	giving   atomic.Int64 // connections that are to be given, or are being given

	given, adopted, takenBack    atomic.Uint64
	cutHTTP1, cutH2, cutHijacked atomic.Uint64
}

// New makes a Server of server, which must not be served by other means afterwards. Its Handler
// is wrapped (nil is [http.DefaultServeMux]), its ConnState and ConnContext are still called,
// and its TLSConfig, TLSNextProto and Protocols are replaced, and so is its WriteTimeout where it is none
// and o has one. Timeouts mean what they do in net/http, and so does ErrorLog.
func New(server *http.Server, o Options) *Server {
	s := &Server{
		http:     server,
		gate:     newGate(o.Entry),
		speaksH2: o.TLS != nil || o.H2C,
		inner:    server.Handler,
		onState:  server.ConnState,
		inConn:   server.ConnContext,
		changed:  make(chan struct{}, 1),
		fresh:    freshFor,
		ask:      askWithin,
		buffers:  sync.Pool{New: func() any { return new(buffer) }},
	}
	s.entry = &s.gate.entry
	if o.TLS != nil {
		s.tls = secure(o.TLS)
	}
	s.handshakes = handshakeWithin(server.ReadHeaderTimeout, server.ReadTimeout, server.WriteTimeout)
	if s.bounded = s.speaksH2 && server.WriteTimeout <= 0 && o.Entry.WriteTimeout > 0; s.bounded {
		server.WriteTimeout = atFirst * o.Entry.WriteTimeout
	}
	if s.inner == nil {
		s.inner = http.DefaultServeMux
	}
	s.gate.wrap = func(raw net.Conn, adopted bool) (net.Conn, net.Conn) {
		c := s.wrap(raw, adopted)
		return c, c.given()
	}
	s.gate.retrying = func(err error, after time.Duration) {
		s.logf("http: Accept error: %v; retrying in %v", err, after)
	}
	// net/http gets plain text and finds HTTP/2 by its first bytes, with TLS as well: so there is
	// one way to see its frames, and none of TLS in net/http.
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(s.speaksH2)
	server.TLSConfig, server.TLSNextProto = nil, nil
	server.Handler = http.HandlerFunc(s.handle)
	server.ConnState = s.connState
	server.ConnContext = s.connContext
	return s
}

// Serve serves the connections of l, which it closes in the end, until Drain has ended or Close
// is called; then it returns nil. Otherwise the error is why accepting ended. A Server has one
// listener: a second Serve is an error.
func (s *Server) Serve(l net.Listener) error {
	if err := s.gate.attach(l); err != nil {
		return err
	}
	err := s.http.Serve(s.gate)
	if s.ended.Load() || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Adopt serves c, a plain-text connection that another process gave away while it was idle, and
// blocks until it has been taken: then the other process may forget it. Until its first byte the
// idle timeout counts, as it did over there. On an error ([net.ErrClosed] when the server has
// ended) c is still the caller's.
//
// note is what the other process's [Leave].Give was told. nil says that the preface is yet to be
// read, which is then done here.
//
// taken, unless it is nil, is called once, immediately before the first byte is read. If it
// returns an error, c is the other process's again, and closed here without a trace.
func (s *Server) Adopt(c net.Conn, note []byte, taken func() error) error {
	if s.tls != nil {
		return errors.New("drain: adopt a connection: this server speaks TLS, whose state cannot be handed over")
	}
	if err := s.gate.Adopt(promised{c, note, taken}); err != nil {
		_ = c.SetReadDeadline(time.Time{})
		return err
	}
	if taken == nil {
		s.adopted.Add(1)
	}
	return nil
}

// Stats are the counts at this moment.
func (s *Server) Stats() Stats {
	return Stats{
		Conns:     s.gate.Conns(),
		Given:     s.given.Load(),
		Adopted:   s.adopted.Load(),
		TakenBack: s.takenBack.Load(),
		Cut: map[string]uint64{
			"http1": s.cutHTTP1.Load(), "h2": s.cutH2.Load(), "hijacked": s.cutHijacked.Load(),
		},
	}
}

type connKey struct{}

func (s *Server) connContext(ctx context.Context, nc net.Conn) context.Context {
	if s.inConn != nil {
		ctx = s.inConn(ctx, nc)
	}
	c := own(nc)
	ctx = context.WithValue(ctx, connKey{}, c)
	c.ctx = ctx
	return ctx
}

func (s *Server) connState(nc net.Conn, state http.ConnState) {
	own(nc).state(state)
	if s.onState != nil {
		s.onState(nc, state)
	}
}

// handle is the server's handler. It counts, because a hijacked connection has no other trace.
func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 2 {
		growStack(uint8(len(r.Method)))
	}
	s.handlers.Add(1)
	defer s.handled()
	c := r.Context().Value(connKey{}).(*conn)
	r.TLS = c.secured
	closing := r.ProtoMajor == 1 && c.begin(r)
	// With HTTP/2, net/http makes an immediate GOAWAY of the header, which loses requests. An
	// upgrade needs the header for itself.
	if closing || r.ProtoMajor == 1 && s.warned.Load() && !s.canGive(c) && r.Header["Upgrade"] == nil {
		w.Header().Set("Connection", "close")
	}
	if r.ProtoMajor == 2 && s.entry.WriteTimeout > 0 {
		stream := s.watch(c, w)
		defer stream.done(r.Context(), s.entry.WriteTimeout)
		w = stream
	}
	s.inner.ServeHTTP(w, r)
}

func (s *Server) handled() {
	if s.handlers.Add(-1) == 0 && s.warned.Load() {
		s.poke()
	}
}

// canGive says whether c may yet be given away. Before Drain says otherwise, it may.
func (s *Server) canGive(c *conn) bool {
	o := s.order.Load()
	return c.movable && (o == nil || o.canGive(c))
}

// poke wakes who waits for a change.
func (s *Server) poke() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *Server) logf(format string, args ...any) {
	if s.http.ErrorLog != nil {
		s.http.ErrorLog.Printf(format, args...)
		return
	}
	log.Printf(format, args...)
}
