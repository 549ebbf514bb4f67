package client

import (
	"context"
	"net/http"

	"github.com/seed-754044b3/roadworthy/chassis/retry"
)

// race sends req, and once more if it was not answered for a while and the budget has room. The first
// answer that is no refusal counts; without one, the last result. The other attempt is cancelled, and
// what it still brings is closed. An attempt that panics, in the transport or where it reads the body, does
// so here, where whoever calls may recover from it, unless the other has answered by then.
func (x *exchange) race(req *http.Request) result {
	results, over := make(chan entrant), make(chan struct{})
	defer close(over)
	due := make(chan struct{})
	timer := x.client.policy.Clock().AfterFunc(x.client.policy.Hedge(), func() { close(due) })
	defer timer.Stop()

	var cancels []context.CancelFunc
	start := func() {
		ctx, cancel := context.WithCancel(req.Context())
		number := len(cancels)
		cancels = append(cancels, cancel)
		own := req.Clone(ctx) // now, because by the time the goroutine runs its caller may have an answer and change req
		retry.Apart(func() result { return x.attempt(ctx, own) }, func(r result, end retry.Ending) {
			select {
			case results <- entrant{number, r, end}:
			case <-over:
				r.drop()
			}
		})
	}
	start()
	var failed *result
	for {
		select {
		case <-due:
			due = nil
			if x.request.Hedge() {
				start()
			}
		case e := <-results:
			if e.end != (retry.Ending{}) {
				for _, cancel := range cancels {
					cancel()
				}
				e.end.Pass()
			}
			if failed != nil {
				failed.drop()
				return e.result
			}
			if len(cancels) == 1 {
				return e.result
			}
			if !e.outcome.Against() {
				cancels[1-e.number]()
				return e.result // whose own context ends with the request's
			}
			failed = &e.result
		}
	}
}

// entrant is one of the attempts in a race.
type entrant struct {
	number int
	result
	end retry.Ending
}
