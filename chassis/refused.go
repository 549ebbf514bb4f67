package chassis

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
	"github.com/seed-754044b3/roadworthy/chassis/acl"
	"github.com/seed-754044b3/roadworthy/chassis/drain"
)

// entry is e for the listener called name, whose trusted proxies may have as many connections as
// they like, and whose refusals are written down.
func (s *Service) entry(name string, guard *acl.Guard, e drain.Entry) drain.Entry {
	e.Exempt = func(a netip.Addr) bool {
		return guard.Peer(net.TCPAddrFromAddrPort(netip.AddrPortFrom(a, 0))).Trusted()
	}
	e.Refused = func(r drain.Refusal) { s.Refused(name, r) }
	return e
}

// Refused writes down what ended on the listener called name before there was a handler for it: an
// access line, and a line of the application log at debug level. It is for servers beside
// [Service.HTTP], whose [drain.Entry] tells it. A connection more than its client may have gets no
// access line: there is no request, and the log would keep the listener from accepting others.
func (s *Service) Refused(name string, r drain.Refusal) {
	peer := ""
	if r.Peer != nil {
		peer = r.Peer.String()
	}
	if r.Reason != drain.ReasonClient {
		rec := accesslog.Record{Peer: addrPort(r.Peer), Start: s.world.Clock.Now(), Status: r.Status, Listener: name}
		rec.Client = rec.Peer.Addr()
		if r.Reason == drain.ReasonTimeout {
			rec.Status = http.StatusRequestTimeout // what httpd logs for it; the client is told nothing
		}
		rec.Method, rec.URI, rec.Proto = requestLine(string(r.Line))
		s.LogAccess(&rec)
	}
	if ce := s.log.Named("http").Check(zap.DebugLevel, "refused"); ce != nil {
		ce.Write(zap.String("listener", name), zap.String("reason", string(r.Reason)), zap.String("peer", peer),
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
