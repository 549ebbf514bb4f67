package grpcclient

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/seed-754044b3/roadworthy/chassis/retry"
)

// hedgeable is reply as what a race needs, nil when there is to be none.
func (cl *call) hedgeable(reply any, opts []grpc.CallOption) proto.Message {
	into, ok := reply.(proto.Message)
	if !ok || cl.caller.policy.Hedge() <= 0 || !cl.isIdempotent() {
		return nil
	}
	for _, o := range opts {
		switch o.(type) {
		case grpc.HeaderCallOption, grpc.TrailerCallOption, grpc.PeerCallOption, grpc.OnFinishCallOption:
			return nil // they tell of one attempt, and two would write to them
		}
	}
	return into
}

// entrant is one of the attempts in a race.
type entrant struct {
	attempt
	reply proto.Message
	err   error
	end   retry.Ending
}

// race sends the call, and once more if it was not answered for a while and the budget has room. The
// first answer that is no refusal counts; without one, the last result. The other attempt is
// cancelled, and has ended when race returns: whoever calls may then change req. An attempt that panics, in an
// interceptor or a codec, does so here, where whoever calls may recover from it, unless the other has answered
// by then.
func (cl *call) race(ctx context.Context, req any, reply proto.Message, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts []grpc.CallOption) error {
	results := make(chan entrant)
	due := make(chan struct{})
	timer := cl.caller.policy.Clock().AfterFunc(cl.caller.policy.Hedge(), func() { close(due) })
	defer timer.Stop()
	ctx, cancel := context.WithCancel(ctx)

	started, ended := 0, 0
	defer func() {
		cancel()
		for ; ended < started; ended++ {
			<-results
		}
	}()
	start := func() {
		into := reply.ProtoReflect().New().Interface()
		started++
		retry.Apart(func() entrant {
			a, err := cl.attempt(ctx, req, into, cc, invoke, opts)
			return entrant{attempt: a, reply: into, err: err}
		}, func(e entrant, end retry.Ending) {
			e.end = end
			results <- e
		})
	}
	start()
	for {
		select {
		case <-due:
			due = nil
			if cl.request.Hedge() {
				start()
			}
		case e := <-results:
			ended++
			e.end.Pass()
			if ended < started && e.outcome.Against() {
				continue
			}
			cl.last = e.attempt
			if e.err == nil {
				proto.Reset(reply)
				proto.Merge(reply, e.reply)
			}
			return e.err
		}
	}
}
