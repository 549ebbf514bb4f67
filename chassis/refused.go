package chassis

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
	"github.com/seed-754044b3/roadworthy/chassis/acl"
	"github.com/seed-754044b3/roadworthy/chassis/drain"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
)

// Entry completes e for the listener called name: trusted proxies of guard may have as many
// connections as they like and begin them with a PROXY header, if that is how they name the client,
// and what is refused before there is a handler for it is written down and counted. It is for servers
// beside [Service.HTTP].
//
// What is written down is an access line, and a line of the application log at debug level. A
// connection more than its client may have gets no access line: there is no request, and the log would
// keep the listener from accepting others.
func (s *Service) Entry(name string, guard *acl.Guard, e drain.Entry) drain.Entry {
	counts := s.metrics.Listener(name)
	s.showGuard(name, guard)
	e.Measure = s.logs.traffic
	if inside := s.world.Inside; inside != nil {
		e.Inside = func(c net.Conn) net.Conn { return inside(name, c) }
	}
	e.Exempt = func(a netip.Addr) bool {
		return guard.Peer(net.TCPAddrFromAddrPort(netip.AddrPortFrom(a, 0))).Trusted()
	}
	if guard.Proxied() {
		e.Preface = func(c net.Conn) ([]byte, error) {
			peer, err := guard.Receive(c)
			if err != nil {
				return nil, err
			}
			header, given := peer.Header()
			if !given {
				return nil, nil
			}
			return header.MarshalText()
		}
	}
	e.Refused = func(r drain.Refusal) {
		if r.Reason == drain.ReasonPreface && errors.Is(r.Err, io.EOF) {
			return // somebody looked whether the port is open
		}
		count(counts, r)
		s.refused(name, guard, r)
	}
	return e
}

// count counts a refusal.
func count(l *kpi.Listener, r drain.Refusal) {
	switch r.Reason {
	case drain.ReasonClient:
		l.RefuseConn(kpi.TooManyOfOne)
	case drain.ReasonPreface:
		l.RefuseConn(kpi.BadProxy)
	case drain.ReasonHandshake, drain.ReasonPlain:
		l.RefuseConn(kpi.BadHandshake)
	case drain.ReasonHTTP2:
		l.RefuseConn(kpi.RefusedOther)
	case drain.ReasonTimeout:
		l.RefuseRequest(kpi.HeaderTimeout)
	default:
		switch r.Status {
		case http.StatusOK: // OPTIONS *, which net/http answers
		case http.StatusRequestHeaderFieldsTooLarge:
			l.RefuseRequest(kpi.HeaderTooLarge)
		case http.StatusNotImplemented:
			l.RefuseRequest(kpi.NotImplemented)
		case http.StatusHTTPVersionNotSupported:
			l.RefuseRequest(kpi.BadVersion)
		default:
			l.RefuseRequest(kpi.Malformed)
		}
	}
}

// refused writes a refusal down.
func (s *Service) refused(name string, guard *acl.Guard, r drain.Refusal) {
	client := acl.AddrPort(r.Peer).Addr()
	if r.Peer != nil {
		client, _ = guard.Check(guard.Recall(r.Peer, r.Note), nil, "/")
	}
	if r.Reason != drain.ReasonClient {
		rec := accesslog.Record{
			Peer: acl.AddrPort(r.Peer), Client: client, Start: s.world.Clock.Now(), Status: r.Status, Server: s.name, Listener: name,
			BytesIn: r.Traffic.In, BytesOut: r.Traffic.Out,
		}
		if r.Reason == drain.ReasonTimeout {
			rec.Status = http.StatusRequestTimeout // what httpd logs for it; the client is told nothing
		}
		rec.Method, rec.URI, rec.Proto = requestLine(string(r.Line))
		if r.HTTP2 {
			rec.Reused = -1
		}
		s.LogAccess(&rec)
	}
	if ce := s.log.Named("http").Check(zap.DebugLevel, "refused"); ce != nil {
		ce.Write(zap.String("listener", name), zap.String("reason", string(r.Reason)), zap.Stringer("client", client),
			zap.Int("status", r.Status), zap.ByteString("line", r.Line), zap.Error(r.Err))
	}
}

// requestLine takes a request line apart. One that is none is all target, as [accesslog.Record]
// wants it.
func requestLine(line string) (method, uri, proto string) {
	parts := strings.Split(line, " ")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return "", line, ""
	}
	return parts[0], parts[1], parts[2]
}
