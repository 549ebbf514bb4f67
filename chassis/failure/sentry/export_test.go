package sentry

import (
	"context"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/spool"
)

// WaitOf and ParseDSN are the parsers that are fuzzed.
var WaitOf = waitOf

// ParseDSN gives the address and the header of a DSN.
func ParseDSN(dsn string) (address, auth string, err error) {
	e, err := parseDSN(dsn)
	if err != nil {
		return "", "", err
	}
	return e.url, e.auth, nil
}

// Deliver has records delivered as the pump does it.
func Deliver(ctx context.Context, cfg Config, records []spool.Record) ([]error, error) {
	cfg.SetDefaults()
	s, err := newSender(&cfg, clock.Real(), func(string) {})
	if err != nil {
		return nil, err
	}
	defer s.transport.CloseIdleConnections()
	return s.deliver(ctx, records), nil
}
