package chassis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis/drain"
	"github.com/seed-754044b3/roadworthy/chassis/reload"
)

// host is what a worker has of the processes beside it: *reload.Link.
type host interface {
	Worker() int
	Alone() bool
	Hello(version string, limits reload.Limits, counter reload.Counter, adopt reload.AdoptFunc) error
	Listen(ctx context.Context, name, network, address string) (net.Listener, error)
	Ready(ctx context.Context) error
	Failed(r reload.Reason, err error) error
	Orders() <-chan reload.Order
	Hurry() <-chan struct{}
	Release(ctx context.Context) error
	Give(name string, c syscall.Conn, note []byte) error
	Status(ctx context.Context) (*reload.Status, error)
	Gather(ctx context.Context, count func() []byte) ([]reload.Snapshot, *reload.Status, error)
	Leave(ctx context.Context, last []byte) error
	Lock(ctx context.Context, name string) (release func(), err error)
}

// hostTimeout bounds what a worker waits for its supervisor, which does nothing that takes long.
const hostTimeout = 2 * time.Second

// introduce tells the supervisor who serves.
func (s *Service) introduce() error {
	if s.world.host == nil {
		return nil
	}
	drain := s.settings.Drain.Timeout + endGrace + closeGrace
	limits := reload.Limits{
		Start: s.settings.Reload.StartTimeout, Drain: drain, Stop: s.settings.Drain.ReadinessDelay + drain,
		Draining: s.settings.Reload.MaxDraining,
	}
	return s.world.host.Hello(Version(), limits, reload.Counter{Snapshot: s.snapshot, Carry: s.carry}, s.adopt)
}

// adopter is a Server that serves connections which a predecessor has accepted.
type adopter interface {
	adopt(c net.Conn, note []byte, taken func() error) error
}

// adopt serves a connection that was handed over.
func (s *Service) adopt(name string, c net.Conn, note []byte, taken func() error) error {
	s.mu.Lock()
	var to adopter
	if name == adminName && s.admin != nil {
		to = s.admin
	}
	for _, l := range s.listeners {
		if l.name == name {
			to, _ = l.server.(adopter)
		}
	}
	s.mu.Unlock()
	if to == nil {
		return fmt.Errorf("no listener %q takes connections over", name)
	}
	return to.adopt(c, note, taken)
}

// leave is how the connections of the listener called name leave when the service drains.
func (s *Service) leave(name string) drain.Leave {
	how := drain.Leave{Min: s.settings.Drain.Min}
	if s.replaced.Load() {
		how.Give = func(c syscall.Conn, note []byte) error { return s.world.host.Give(name, c, note) }
	}
	return how
}

// Replaced reports whether another process goes on with the service while this one drains. Then
// nothing has become of the service as a whole: health checks do not fail, and the clients that
// are told to go elsewhere find it where it was.
func (s *Service) Replaced() bool { return s.replaced.Load() }

// lastWords tells the supervisor what was counted, when nothing is counted any more.
func (s *Service) lastWords() {
	if s.world.host == nil {
		return
	}
	last, err := s.snapshot()
	ctx, cancel := context.WithTimeout(context.Background(), hostTimeout)
	defer cancel()
	if err := errors.Join(err, s.world.host.Leave(ctx, last)); err != nil {
		s.log.Warn("what this worker counted since the last scrape is lost", zap.Error(err))
	}
}
