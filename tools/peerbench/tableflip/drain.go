package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// drainAsShown is what tableflip's README has a server do, with GracefulStop for gRPC: whatever has not ended
// in time is cut.
func (s *server) drainAsShown() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.config.timeout)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.http.Shutdown(ctx) })
	wg.Go(func() { s.stopGRPC(ctx) })
	wg.Wait()
	return s.http.Close()
}

// drainCarefully is what can be done without a successor that takes connections over: nothing is closed while
// a client may still write, idle connections only after a while.
func (s *server) drainCarefully() error {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), s.config.idle+s.config.timeout)
	defer cancel()
	for _, l := range s.listeners {
		_ = l.Close() // what was accepted is served on
	}
	s.closing.Store(true)
	close(s.draining)
	var wg sync.WaitGroup
	wg.Go(func() {
		time.Sleep(80 * time.Millisecond) // handshakes under way
		tell := time.AfterFunc(50*time.Millisecond, func() { close(s.moving) })
		defer tell.Stop()
		s.stopGRPC(ctx)
	})
	for s.closeIdle(begin) > 0 && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	err := errors.Join(s.http.Shutdown(ctx), s.http.Close())
	wg.Wait()
	s.sockets.Wait()
	return err
}

// closeIdle closes what has been idle for long enough, counted from the drain's beginning at the earliest,
// and returns how many connections are left.
func (s *server) closeIdle(begin time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c, since := range s.conns {
		if since.IsZero() {
			continue
		}
		if since.Before(begin) {
			since = begin
		}
		if time.Since(since) > s.config.idle {
			_ = c.Close()
			delete(s.conns, c)
		}
	}
	return len(s.conns)
}

// track keeps the books of connections.
func (s *server) track(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case http.StateNew, http.StateIdle:
		s.conns[c] = time.Now()
	case http.StateActive:
		s.conns[c] = time.Time{}
	default:
		delete(s.conns, c)
	}
}

func (s *server) stopGRPC(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.grpc.Stop()
		<-done
	}
}
