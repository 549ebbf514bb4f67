package chassis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/internal/wary"
)

// Go runs f in the background under name, from when the service is ready (or from now, when it
// is) until the service drains. f's context ends when listeners have been drained; f then has
// the rest of the drain's time to return. An error that f returns before that, or a panic,
// ends the service: background work that has died unnoticed is worse than a restart. A nil
// return just ends the work. Once the drain has begun f is not started any more.
//
// At most 1,024 pieces of work wait or run at a time; one more panics, in the caller. What comes
// with requests is for a queue, which turns away what is too much: see [Service.Queue].
func (s *Service) Go(name string, f func(ctx context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting)+s.tasks.count() >= maxWork {
		panic(fmt.Sprintf("chassis: background work %q: %d pieces of it wait or run already; what comes with requests is for a queue (Service.Queue)", name, maxWork))
	}
	switch {
	case s.world.Dry:
	case s.state <= StateSetup:
		s.waiting = append(s.waiting, func() { s.tasks.start(s, name, f) })
	case s.state == StateReady:
		s.tasks.start(s, name, f)
	}
}

// maxWork bounds the background work of a service. One that is written as meant has a handful.
const maxWork = 1024

// tasks is the background work under way.
type tasks struct {
	cancel context.CancelFunc // ends the context all of it runs in
	ctx    context.Context

	mu      sync.Mutex
	last    int
	running map[int]string
	idle    chan struct{} // closed when nothing runs; nil unless somebody waits
}

func (t *tasks) start(s *Service, name string, f func(context.Context) error) {
	t.mu.Lock()
	t.last++
	id := t.last
	t.running[id] = name
	t.mu.Unlock()
	go protect(t.ctx, f, func(err error) {
		defer t.finished(id)
		if err == nil {
			return
		}
		_, panicked := wary.As[*panicError](err)
		cause := err
		err = fmt.Errorf("background work %q: %w", name, err)
		switch {
		case panicked, t.ctx.Err() == nil:
			s.log.Error("background work failed", zap.String("work", name), zap.String("error_id", s.failWork("background work "+name, cause)), zap.Error(cause))
			s.end(err)
		case !wary.Is(err, context.Canceled):
			s.log.Warn("background work ended with an error", zap.String("error_id", s.failWork("background work "+name, cause)), zap.Error(err))
		}
	})
}

func (t *tasks) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.running)
}

func (t *tasks) finished(id int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.running, id)
	if len(t.running) == 0 && t.idle != nil {
		close(t.idle)
		t.idle = nil
	}
}

// drain ends the context of all work and waits for it, but no longer than closeGrace after the
// end of ctx.
func (t *tasks) drain(ctx context.Context) error {
	t.cancel()
	t.mu.Lock()
	idle := make(chan struct{})
	if len(t.running) == 0 {
		close(idle)
	} else {
		t.idle = idle
	}
	t.mu.Unlock()
	err := await(ctx, closeGrace, func(context.Context) error {
		<-idle
		return nil
	})
	if err == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	names := slices.Sorted(maps.Values(t.running))
	return fmt.Errorf("background work did not end in time: %s", strings.Join(names, ", "))
}

// protect calls f and hands on how it ended: what it returned, its panic, or that it called
// runtime.Goexit.
func protect(ctx context.Context, f func(context.Context) error, then func(error)) {
	err := errGoexit
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{v, debug.Stack()}
		}
		then(err)
	}()
	err = f(ctx)
}

var errGoexit = errors.New("it ended its goroutine by runtime.Goexit")

// await runs f in a goroutine of its own and waits for it, but no longer than grace after the
// end of ctx.
func await(ctx context.Context, grace time.Duration, f func(context.Context) error) error {
	done := make(chan error, 1)
	go protect(ctx, f, func(err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	patience := time.NewTimer(grace)
	defer patience.Stop()
	select {
	case err := <-done:
		return err
	case <-patience.C:
		return errStuck
	}
}

const (
	// closeGrace is how long something that is closed may go on after the end of its context, and the least
	// time that each is given for closing, also when the drain has used up its own.
	closeGrace = time.Second
	// endGrace bounds how much later than the drain all of that may begin.
	endGrace = 4 * closeGrace
)

// graced calls f with a context that ends with ctx, but not before closeGrace has passed. ctx is that of the
// drain, which has a deadline: what is left to do behind one that took all its time, such as the last reports of
// failures, is not lost for that, nor is what is being closed when somebody gets into a hurry. What begins later
// than endGrace after the drain's end has no time: then so much hangs that somebody will kill the process.
func graced(ctx context.Context, f func(context.Context) error) error {
	end, _ := ctx.Deadline()
	grace := time.Now().Add(closeGrace)
	if last := end.Add(endGrace); last.Before(grace) {
		grace = last
	}
	until := end
	if ctx.Err() != nil || end.Before(grace) {
		until = grace
	}
	lasting, cancel := context.WithDeadline(context.WithoutCancel(ctx), until)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		if errors.Is(ctx.Err(), context.Canceled) && grace.Before(until) {
			time.AfterFunc(time.Until(grace), cancel)
		}
	})()
	return f(lasting)
}

// panicError is a panic outside a request.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// withStack adds to the fields of a log line the stack of the panic that err tells of.
func withStack(err error, fields ...zap.Field) []zap.Field {
	if p, ok := wary.As[*panicError](err); ok {
		return append(fields, zap.ByteString("stack", p.stack))
	}
	return fields
}
