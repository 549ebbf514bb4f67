package drain

// States are the connections of a [Server] that are open, by what they do: New ones have sent
// nothing yet, Active ones have a request under way, Idle ones wait for the next, and Hijacked ones
// belong to a handler. They are the states of [net/http.ConnState]; what speaks HTTP/2 is active
// while it has streams.
type States struct{ New, Active, Idle, Hijacked int }

// States counts the connections at this moment, each in the state it was in when its turn came.
// It looks at every one of them, which takes about a millisecond for ten thousand.
func (s *Server) States() States {
	var n States
	for _, c := range s.conns(nil) {
		c.mu.Lock()
		switch {
		case c.hijacked:
			n.Hijacked++
		case !c.begun:
			n.New++
		case c.proto.Load() == http2 && !c.h2.streams, c.proto.Load() != http2 && c.clean:
			n.Idle++
		default:
			n.Active++
		}
		c.mu.Unlock()
	}
	return n
}
