package lossbench

import (
	"context"
	"math/rand/v2"
	"time"
)

// idHeader is the header in which a service says what it calls a request.
const idHeader = "X-Request-Id"

// A client is one loop that asks, or a few that share a connection.
type client struct {
	load     *Load
	stats    *stats
	interval time.Duration
	rand     *rand.Rand
}

// pause waits for d and reports whether the load goes on.
func (c *client) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.load.stop:
		return false
	}
}

// stopped reports whether the load has ended.
func (c *client) stopped() bool {
	select {
	case <-c.load.stop:
		return true
	default:
		return false
	}
}

// upTo is a random time below d.
func (c *client) upTo(d time.Duration) time.Duration {
	return time.Duration(c.rand.Int64N(int64(d) + 1))
}

// every calls ask again and again, on average once in the client's interval (if answers are that quick),
// until the load ends. A request that failed at once is not repeated at once: the time between two is
// drawn before it is known what becomes of the first.
func (c *client) every(ask func()) {
	next := time.Now()
	for {
		next = next.Add(c.upTo(2 * c.interval))
		if now := time.Now(); next.Before(now) {
			next = now
		}
		if !c.pause(time.Until(next)) {
			return
		}
		ask()
	}
}

// afterIdling calls ask again and again, each time after a random time up to Options.Idle, until the load ends.
func (c *client) afterIdling(ask func()) {
	for c.pause(c.upTo(c.load.options.Idle)) {
		ask()
	}
}

// timeout is a context for one request.
func (c *client) timeout() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), c.load.options.Timeout)
}

// dial opens a connection and counts it.
func (c *client) dial(ctx context.Context, addr string) (*Conn, error) {
	conn, err := c.load.dialer.Dial(ctx, addr)
	if err == nil {
		c.stats.connected()
	}
	return conn, err
}

// afterOutage is the pause of a client that has no request to pace itself by, when it could not connect.
const afterOutage = 10 * time.Millisecond

// split is another source of randomness, for a goroutine of its own.
func (c *client) split() *rand.Rand { return rand.New(rand.NewPCG(c.rand.Uint64(), c.rand.Uint64())) }
