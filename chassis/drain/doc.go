// Package drain lets go of connections without failing a request, even of clients that never
// retry one.
//
// Where requests are lost when a server is replaced is in the last moments of the old one.
// [http.Server.Shutdown] closes idle connections at once, though a request may be on the wire;
// requests that it has read already it drops unanswered; and its HTTP/2 refuses streams that the
// client could not know would be refused. A [Server] of this package wraps an [http.Server] and
// leaves in steps instead:
//
//	s := drain.New(&http.Server{Handler: h}, drain.Options{H2C: true})
//	go s.Serve(listener)
//	…
//	how := drain.Leave{Give: toSuccessor, Min: 90 * time.Second}
//	s.HeadsUp(ctx)                  // stop accepting; tell HTTP/2 clients
//	s.Begin(how)                    // whose request ends from now on leaves
//	close(draining)                 // handlers of endless streams may end now
//	err := s.Drain(ctx, how)        // and so do the others
//	if err != nil {
//		s.Close()                   // time is up: cut, and counted
//	}
//
// # What leaves how
//
//   - An idle HTTP/1 connection in plain text moves to the successor process as a descriptor
//     ([Leave].Give there, [Server.Adopt] here). Its client notices nothing. A busy one moves
//     between two requests. One that has sent the beginning of a request is not moved before that
//     is answered.
//   - HTTP/1 over TLS cannot move, as crypto/tls does not let go of its keys, and neither can
//     anything when there is no successor. Answers say Connection: close, and what is idle is
//     closed after [Leave].Min. Clients that keep idle connections for a shorter time than that
//     lose nothing.
//   - HTTP/2 is told to go elsewhere with GOAWAY, in a way that fails no stream (RFC 9113, 6.8),
//     and is closed when the last stream has ended. What no server can help: when GOAWAY comes
//     in the microseconds after Go's client (1.26) has chosen a connection and before it has
//     opened the stream, it fails a request whose body has no GetBody, of which nothing was sent.
//   - Hijacked connections (websockets) are waited for while their handler runs.
//
// # Who is let in
//
// An [Entry] bounds the connections, of all and of each client, and how long a client may take
// nothing of what is written to it. It reads what proxies send before a connection begins, and what
// they said goes with a connection that is handed over. And it tells of what net/http, or this
// package, refuses before a handler runs: no access log would know of it.
//
// # gRPC
//
// grpc-go does the right thing about GOAWAY, but stops accepting too early like any server. Give
// it a [Gate] to listen on: [Gate.Quiesce], wait until [Gate.Fresh] is 0, then GracefulStop.
//
// # How it is done
//
// A connection that is handed over must not be read from here any more, and net/http has no way
// to let go of one. It does close silently what times out. So the wrapper wakes the read that
// waits for the next request by a deadline, and makes the close that follows a hand-over. Only
// plain text is shown to net/http: TLS is inside the wrapper, whose handshake is part of the
// first read. That makes one place where HTTP/2 frames are seen, and hijackers of a TLS
// connection get a connection that is not a *[crypto/tls.Conn].
//
// Outside of a drain it costs two uncontended locks a read and no allocation.
package drain
