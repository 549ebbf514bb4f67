package retry

import (
	"errors"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/config"
)

// Config says how one service is called again. A zero field means its default.
type Config struct {
	// Attempts counts the first one too: 3 by default, and 1 sends nothing again.
	Attempts int `config:"attempts" doc:"how often a request is sent at most; 1 sends nothing again"`
	// Backoff bounds the random wait after the first attempt, 50 ms by default. Each further
	// attempt doubles the bound, up to MaxBackoff, 2 s by default.
	Backoff    time.Duration `config:"backoff" doc:"bound of the random wait after the first attempt; it doubles with each"`
	MaxBackoff time.Duration `config:"max_backoff" doc:"what that bound grows to"`
	// MaxWait is how long a service may ask to wait, 5 s by default. One that asks for more is
	// not asked again.
	MaxWait time.Duration `config:"max_wait" doc:"how long the service may ask to wait; for longer, nothing is sent again"`
	// Budget is how many of a hundred requests may be sent once more, 10 by default; a negative
	// one leaves BudgetMin alone. Attempts that hedge are paid from it too.
	Budget int `config:"budget" doc:"how many of a hundred requests may be sent once more; a negative one is none"`
	// BudgetMin is how many may be a second, where that is more: 3 by default, and a negative
	// one is none. A client of few requests has too few of them for a share.
	BudgetMin int `config:"budget_min" doc:"how many requests may be sent once more each second, where that is more"`
	// Throttle is K of the package documentation, 2 by default and otherwise 1 or more: a lower
	// one holds more back. A negative one holds nothing back.
	Throttle float64 `config:"throttle" doc:"requests sent to each that is accepted, before some are held back; a negative one is no bound"`
	// Hedge is after which time without an answer an idempotent request is sent a second time
	// while the first goes on; the first good answer counts, and the other attempt is cancelled.
	// None by default. A good value is the 95th percentile of the service's duration (Dean and
	// Barroso, "The Tail at Scale", CACM 56:2, 2013): then one request in twenty is doubled.
	Hedge time.Duration `config:"hedge" doc:"time without an answer after which an idempotent request is sent a second time"`
}

// SetDefaults fills what is zero.
func (c *Config) SetDefaults() {
	if c.Attempts == 0 {
		c.Attempts = 3
	}
	if c.Backoff == 0 {
		c.Backoff = 50 * time.Millisecond
	}
	if c.MaxBackoff == 0 {
		c.MaxBackoff = max(2*time.Second, c.Backoff)
	}
	if c.MaxWait == 0 {
		c.MaxWait = 5 * time.Second
	}
	if c.Budget == 0 {
		c.Budget = 10
	}
	if c.BudgetMin == 0 {
		c.BudgetMin = 3
	}
	if c.Throttle == 0 {
		c.Throttle = 2
	}
}

// Validate refuses bounds that are none.
func (c *Config) Validate() error {
	var errs []error
	if c.Attempts < 1 || c.Attempts > maxAttempts {
		errs = append(errs, config.Invalid("attempts", "want 1 to %d, got %d", maxAttempts, c.Attempts))
	}
	if c.Backoff < 0 {
		errs = append(errs, config.Invalid("backoff", "want more than 0, got %v", c.Backoff))
	}
	if c.MaxBackoff < c.Backoff {
		errs = append(errs, config.Invalid("max_backoff", "want no less than backoff, %v, got %v", c.Backoff, c.MaxBackoff))
	}
	if c.MaxWait < 0 {
		errs = append(errs, config.Invalid("max_wait", "want more than 0, got %v", c.MaxWait))
	}
	if c.Budget > 100 {
		errs = append(errs, config.Invalid("budget", "want at most 100 of a hundred requests, got %d", c.Budget))
	}
	if c.BudgetMin > maxBudgetMin {
		errs = append(errs, config.Invalid("budget_min", "want at most %d a second, got %d", maxBudgetMin, c.BudgetMin))
	}
	if !(c.Throttle < 0 || c.Throttle >= 1) { // NaN is neither
		errs = append(errs, config.Invalid("throttle", "want 1 or more, or a negative value for none, got %v", c.Throttle))
	}
	if c.Hedge < 0 {
		errs = append(errs, config.Invalid("hedge", "want 0 for none, or more, got %v", c.Hedge))
	}
	return errors.Join(errs...)
}

const (
	// maxAttempts: beyond it the back-off has grown to its end anyway.
	maxAttempts = 10
	// maxBudgetMin is where a minimum is no protection any more.
	maxBudgetMin = 1000
)
