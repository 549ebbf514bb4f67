package client

import (
	"errors"
	"math"
	"net/url"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/retry"
)

// Config is one service that is called. A zero field means its default.
type Config struct {
	// URL is where the service is. Requests whose own URL names no host go there.
	URL string `config:"url" doc:"where the service is: http://host:port, or https, and a path if all of its paths have one before them"`
	// Timeout is for a whole request: attempts, waits, and reading the answer. It is 5 s by
	// default; a negative one is none, for answers that have no end.
	Timeout time.Duration `config:"timeout" doc:"time for a request with all its attempts, unless its caller has less; negative: none"`
	// MaxConns bounds the connections, 100 by default. Requests beyond wait for one, as long as
	// they have time.
	MaxConns int `config:"max_conns" doc:"connections to the service at most"`
	// MaxIdle bounds those of them that wait for the next request, MaxConns by default.
	MaxIdle int `config:"max_idle" doc:"idle connections to the service at most"`
	// Idle is how long they wait, 90 s by default. The service should close them later than that.
	Idle time.Duration `config:"idle" doc:"time after which an idle connection is closed"`
	// MaxReplay bounds what is kept in memory of a body to be sent again, 64 KiB by default.
	MaxReplay config.Size `config:"max_replay" doc:"size of a body that is kept to be sent again"`

	Retry retry.Config `config:"retry"`
}

// SetDefaults fills what is zero.
func (c *Config) SetDefaults() {
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.MaxConns == 0 {
		c.MaxConns = 100
	}
	if c.MaxIdle == 0 {
		c.MaxIdle = c.MaxConns
	}
	if c.Idle == 0 {
		c.Idle = 90 * time.Second
	}
	if c.MaxReplay == 0 {
		c.MaxReplay = 64 << 10
	}
}

// Validate refuses a missing address and bounds that are none.
func (c *Config) Validate() error {
	var errs []error
	if u, err := url.Parse(c.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		errs = append(errs, config.Invalid("url", "want scheme and host of the service to call, such as http://127.0.0.1:8080, got %q", c.URL))
	}
	if c.MaxConns < 0 {
		errs = append(errs, config.Invalid("max_conns", "want 1 or more, got %d", c.MaxConns))
	}
	if c.MaxIdle < 0 || c.MaxIdle > c.MaxConns {
		errs = append(errs, config.Invalid("max_idle", "want 1 to max_conns, %d, got %d", c.MaxConns, c.MaxIdle))
	}
	if c.Idle < 0 {
		errs = append(errs, config.Invalid("idle", "want more than 0, got %v", c.Idle))
	}
	if c.MaxReplay < 0 || c.MaxReplay > math.MaxInt32 {
		errs = append(errs, config.Invalid("max_replay", "want from 1 byte to %d, got %d", math.MaxInt32, int64(c.MaxReplay)))
	}
	return errors.Join(errs...)
}
