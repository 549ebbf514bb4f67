package chassis

import (
	"context"
	"io"
	"net"
	"net/http"
	"unsafe"
)

// VersionOf is for builds that a test binary is not.
var VersionOf = versionOf

// ConnContext is the context of a connection from addr to a listener, for benchmarks without one.
func ConnContext(ctx context.Context, s *Service, name string, addr net.Addr) context.Context {
	return ListenerHandler(s, name).(*endpoint).connContext(ctx, from{addr: addr})
}

type from struct {
	net.Conn
	addr net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.addr }

// ListenerHandler is what a listener's requests go through, for benchmarks without a connection.
func ListenerHandler(s *Service, name string) http.Handler {
	for _, l := range s.listeners {
		if e, ok := l.server.(*endpoint); ok && l.name == name {
			return e
		}
	}
	return nil
}

// Host is what a worker has of the processes beside it.
type Host = host

// Hosted is world in a worker.
func Hosted(world World, h Host) World {
	world.host, world.Listen = h, h.Listen
	return world
}

// RunWorker is Main in a worker.
func RunWorker[C any](ctx context.Context, spec Spec[C], h Host, args []string, stderr io.Writer) int {
	return daemon(spec, Hosted(World{Stdout: io.Discard, Stderr: stderr}, h), process{
		program: spec.Name + "d", args: args, own: func(*Service) {}, life: func(string) context.Context { return ctx },
	})
}

// CertificateCheck is how often the files of certificates are looked at.
const CertificateCheck = certificateCheck

// ExchangeSize is what a request takes in memory for the chain, and the most that it may take.
const ExchangeSize, MaxExchangeSize = unsafe.Sizeof(exchange{}), 288

var (
	MetricsIn    = metricsIn
	Short        = short
	InSeconds    = inSeconds
	BytesInWords = bytesInWords
	RoundUp      = roundUp
)
