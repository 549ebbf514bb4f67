// Package queue bounds the work a service takes on.
//
// Many catastrophes happen because some unbounded queue in a corner absorbs more work than the
// machine can do. A [Queue] has a fixed number of workers and a fixed number of places to wait
// in, and says no to whoever comes when all are taken: at once, with a [Rejected] that tells why
// and when to try again. There is no way to make one without a bound.
//
//	q, err := queue.New("bots", queue.Limits{Workers: 2, Capacity: 64}, queue.Options{})
//	err = q.Do(ctx, queue.Meta{Tenant: customer}, func(ctx context.Context) error { … })
//
// # Three ways in
//
// [Queue.Do] is for callers who need the result. The worker it waits for is a right to run, not
// a goroutine: the function runs on the caller's own. When the caller's context ends first, the
// place is free again that moment and the function never runs.
//
// [Queue.Enter] is Do for middleware, which cannot put what it does into a function: it returns
// with the worker, and [Admission.Leave] gives that back.
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
//     least the expected wait, (ahead + 1) ÷ Workers × the average time that work takes
//     (Little's law), and the work's own time: the average and twice the mean deviation from it.
//     Ahead is who has a turn before the newcomer, see below.
//   - When its turn comes, the time left must still be at least the work's own.
//   - The oldest callers who have become hopeless are told so whenever a worker becomes free, and
//     when a newcomer finds all places taken.
//
// Average and deviation move with what was measured last. An idle worker is never refused on
// account of them, because figures made by one slow start would otherwise keep out for ever the
// work that could correct them. And where a caller's deadline leaves less than the work's own time
// from the beginning, the average alone must do, and such a caller has no time to wait: whoever came
// last has the next turn.
//
// # Who is next
//
// The most critical [Class] that waits is; in it the tenant whose turn it is; and of that the
// oldest, or under overload the newest.
//
// Tenants take turns by deficit round-robin, in which a piece of work costs the time it took: one
// who asks for work that takes four times as long gets a quarter of the turns. A tenant exists in
// the queue while its work waits; what it owes is forgotten when nothing of it waits any more. Up to
// [MaxTenants] are told apart in each class; when there are more, the others share lines by the
// hash of their name. All that is true of work that waits: while there is a free worker, everybody
// gets it.
//
// When callers have been waiting for 100 ms without a break (or for as long as a piece of work
// takes on average, where that is longer), the queue is overloaded and serves the newest first.
// Those who come then are served while their deadline is still far off, and the queue no longer
// lives on the edge of being late. Callers without a deadline, in a queue without MaxWait, are
// rejected when they have waited for a twentieth of that, 5 ms, and the newest have had their turn.
// The order returns to the oldest first when there has been no such wait of half as long, 50 ms,
// for 100 ms. [Stats] says which it is. Submitted work goes stale for nobody: it stays in order,
// and does not make a queue overloaded.
//
// # Who goes when all places are taken
//
//   - Of the lowest class that waits, if the newcomer's is higher: of the tenant with the
//     longest line the last in it, because of Shed.
//   - Nobody, if the newcomer's class is lower than all that wait: it is rejected because of Shed.
//   - Of the tenant with the longest line in the newcomer's class, if that would be longer than the
//     newcomer's: the last in it, because of TenantQuota.
//   - Else the newcomer, because of TenantQuota if its tenant has more than its share and of Full
//     otherwise; under overload a caller gets the place of the oldest in its line instead.
//
// The last in a line is the newest, and the oldest while the newest are served first. A newcomer
// who would not make its deadline takes nobody's place.
//
// # What one client may hold
//
// A worker that waits for what its client sends is held by that client, for as long as it likes to
// take. Of such workers ([Meta].Arriving, until [Admission.Arrived]) a client holds [Limits].PerClient at
// most: half of them, unless the limits say otherwise. One more is rejected because of ClientShare,
// at the door or when its turn comes, whether other workers are free or not: those who come later would
// have to wait until the client is done. What has arrived, and what needs nothing to arrive, may take all workers.
//
// # How large
//
// A place is worth having if whoever takes the last one is still in time: with deadlines of
// 100 ms, 8 workers and 20 ms of work, 60 % of the deadline is 8 × 60 ÷ 20 = 24 places. At two
// to ten times the load that these workers can do, the queue then still does nearly as much useful
// work as they could, and also when the work turns out to take twice as long; the tests print the
// figures, and docs/overload.md tells how to choose.
//
// A new queue whose size is a guess can be made dark ([Options].Dark): it lets every caller in at
// once and only counts whom it would have turned away.
//
// # Closing
//
// [Queue.Close] turns newcomers away, and finishes what it has while its context lives. After
// that it rejects what waits and ends the contexts of what runs, except where that is a context
// which the caller of Do or Enter can end: ending it is the caller's business.
//
// Work must not call Do of the queue it runs in unless it has a deadline: when all workers wait
// for a place among themselves, only the end of their contexts frees them. Work that never ends
// keeps its worker; it cannot be stopped in Go, and shows as [Stats].OldestRun.
package queue
