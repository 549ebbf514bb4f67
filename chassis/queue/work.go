package queue

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
)

// errExit stands for the result of work that has none.
var errExit = errors.New("the work ended its goroutine with runtime.Goexit")

// serve runs submitted work on this goroutine.
func (q *Queue) serve(ctx context.Context, worker int, f func(context.Context) error, end context.CancelCauseFunc) {
	defer end(nil)
	_ = q.work(ctx, worker, f, true) // OnError has been told
}

// work runs f with the worker given and hands that on, however f ends.
func (q *Queue) work(ctx context.Context, worker int, f func(context.Context) error, submitted bool) (err error) {
	returned, panicked := false, false
	defer func() {
		if !returned {
			if v := recover(); v != nil {
				panicked = true
				err = &PanicError{Queue: q.name, Value: v, Stack: debug.Stack()}
			} else {
				err = fmt.Errorf("queue %q: %w", q.name, errExit)
			}
		}
		if err != nil && submitted && q.onError != nil {
			q.onError(err)
		}
		q.finish(worker, err != nil, panicked)
	}()
	err = f(ctx)
	returned = true
	return err
}

// finish counts what the worker did and hands it on.
func (q *Queue) finish(worker int, failed, panicked bool) {
	now := q.now()
	q.mu.Lock()
	defer q.unlock()
	took := now - q.workers[worker].since
	q.counts.completed++
	q.counts.serviceTotal += took
	if failed {
		q.counts.failed++
	}
	if panicked {
		q.counts.panicked++
	}
	q.measured(took)
	q.release(worker)
	q.next(now)
}
