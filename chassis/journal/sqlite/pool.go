package sqlite

import (
	"context"
	"errors"
	"sync"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// A pool lends connections to readers, each to one at a time. A journal in memory has one
// connection, and its pool is the lock on it.
type pool struct {
	open   func() (*conn, error) // makes another connection while fewer than the bound exist
	tokens chan struct{}         // one for each connection that may be lent
	closed <-chan struct{}

	mu   sync.Mutex
	idle []*conn // used last in, first out: its caches are warm
}

// newPool returns a pool of up to size connections, the first of which is there already.
func newPool(size int, first *conn, open func() (*conn, error), closed <-chan struct{}) *pool {
	p := &pool{open: open, tokens: make(chan struct{}, size), closed: closed, idle: []*conn{first}}
	for range size {
		p.tokens <- struct{}{}
	}
	return p
}

// acquire lends a connection, waiting for one until ctx ends or the journal is closed.
func (p *pool) acquire(ctx context.Context) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case <-p.closed:
		return nil, journal.ErrClosed
	default:
	}
	select {
	case <-p.tokens:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.closed:
		return nil, journal.ErrClosed
	}
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return c, nil
	}
	p.mu.Unlock()
	c, err := p.open()
	if err != nil {
		p.tokens <- struct{}{}
		return nil, err
	}
	return c, nil
}

// release takes a connection back.
func (p *pool) release(c *conn) {
	p.mu.Lock()
	p.idle = append(p.idle, c)
	p.mu.Unlock()
	p.tokens <- struct{}{}
}

// close waits for all connections to be released, which takes them at most a batch once the
// journal is closed, and closes them.
func (p *pool) close() error {
	for range cap(p.tokens) {
		<-p.tokens
	}
	var errs []error
	for _, c := range p.idle {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}
