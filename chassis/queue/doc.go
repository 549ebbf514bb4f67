// Package queue bounds the work a service takes on.
//
// Many catastrophes happen because some unbounded queue in a corner absorbs more work than the
// machine can do. A [Queue] has a fixed number of workers and a fixed number of places to wait
// in, and says no to whoever comes when all are taken: at once, with a [Rejected] that tells why
// and when to try again. There is no way to make one without a bound.
//
//	q, err := queue.New("bots", queue.Limits{Workers: 2, Capacity: 64}, queue.Options{})
//	err = q.Do(ctx, func(ctx context.Context) error { … })
//
// # Two ways in
//
// [Queue.Do] is for callers who need the result. The worker it waits for is a right to run, not
// a goroutine: the function runs on the caller's own. When the caller's context ends first, the
// place is free again that moment and the function never runs.
//
// [Queue.Submit] is for work that outlives its caller, such as the request that asked for it. It
// returns once the work has a place; the function runs on a goroutine started for it, of which
// there are never more than Workers. Neither the caller's cancellation nor its deadline reaches
// it; what bounds its wait is [Limits].MaxWait.
//
// # What is never started
//
// Under overload a queue without deadlines does all its work too late, and so does none. Here,
// work that cannot be finished in time is turned away before it costs anything:
//
//   - At the door, when no worker is free, the time left until the caller's deadline must be at
//     least the expected wait, (waiting + 1) ÷ Workers × the average time that work takes
//     (Little's law), and the work's own time: the average and twice the mean deviation from it.
//   - When its turn comes, the time left must still be at least the work's own.
//   - When all places are taken, those in front that have become hopeless give theirs up first.
//
// Average and deviation move with what was measured last. An idle worker is never refused on
// account of them, because figures made by one slow start would otherwise keep out for ever the
// work that could correct them.
//
// # How large
//
// A place is worth having if whoever takes the last one is still in time: with deadlines of
// 100 ms, 8 workers and 20 ms of work, 60 % of the deadline is 8 × 60 ÷ 20 = 24 places. At two
// and at five times the load that these workers can do, the queue then still does nearly as much
// useful work as they could; the tests print the figures.
//
// # Closing
//
// [Queue.Close] turns newcomers away, and finishes what it has while its context lives. After
// that it rejects what waits and ends the contexts of what runs, except where that is a context
// which the caller of Do can end: ending it is the caller's business.
//
// Work must not call Do of the queue it runs in unless it has a deadline: when all workers wait
// for a place among themselves, only the end of their contexts frees them.
package queue
