// Package queue bounds the work a service takes on.
//
// Many catastrophes happen because some unbounded queue in a corner absorbs more work than the
// machine can do. A [Queue] has a fixed number of workers and a fixed number of places to wait
// in, and says no to whoever comes when both are taken: at once, with a [Rejected] that tells
// why and when to try again. There is no way to make one without a bound.
//
//	q, err := queue.New("bots", queue.Limits{Workers: 2, Capacity: 64}, queue.Options{})
//	err = q.Do(ctx, func(ctx context.Context) error { … })
//
// [Queue.Do] waits for its turn and for the result and runs the work on the caller's goroutine;
// [Queue.Submit] returns once the work has a place and runs it on another one.
//
// Work that cannot finish in time is never started. At the door the queue compares the
// caller's deadline with what it expects: the wait is (waiting+1) ÷ workers × the moving
// average of the time that work takes (Little's law), then the work itself. In the queue, work
// whose context ends gives its place up that moment, so that the bound counts only work that
// somebody still wants. At twice the load that the workers can do, a queue sized to the
// deadline so keeps doing nearly all the useful work it could, where an unbounded one does
// none.
//
// All times are those of package time: in a testing/synctest bubble they are virtual.
package queue
