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
func (a Admission) serve(n newcomer) {
	defer n.end(nil)
	_ = a.work(n.ctx, n.f, true) // OnError has been told
}

// work runs f and hands the worker on, however f ends.
func (a Admission) work(ctx context.Context, f func(context.Context) error, submitted bool) (err error) {
	returned, panicked := false, false
	defer func() {
		if !returned {
			if v := recover(); v != nil {
				panicked = true
				err = &PanicError{Queue: a.q.name, Value: v, Stack: debug.Stack()}
			} else {
				err = fmt.Errorf("queue %q: %w", a.q.name, errExit)
			}
		}
		if err != nil && submitted && a.q.onError != nil {
			a.q.onError(err)
		}
		a.finish(err != nil, panicked)
	}()
	err = f(ctx)
	returned = true
	return err
}
