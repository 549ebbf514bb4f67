package grpcserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
)

// Admit has the unary calls of methods wait in q instead of the listener's queue. Methods that share
// something scarce share a queue (chassis.Service.Queue). A method is a full name, /game.v1.Game/Move,
// or a service's, /game.v1.Game/, for all that have no entry of their own. It is for [Serve].
func Admit(q *queue.Queue, methods ...string) grpc.ServerOption {
	return placing{methods: methods, set: func(p *place) { p.queue = q }}
}

// Class says how much the unary calls of methods matter when not all can be answered; queue.Critical is
// the default. Methods are named as for [Admit]. It is for [Serve].
func Class(c queue.Class, methods ...string) grpc.ServerOption {
	return placing{methods: methods, set: func(p *place) { p.class = c }}
}

// Tenant has f say on whose behalf a unary call is, for the turns that tenants take while calls wait.
// Without it, and where f returns "", that is the address of the client. f gets the call's context; it is
// called when the message is here and before it is read, and must be quick. It is for [Serve].
func Tenant(f func(ctx context.Context) string) grpc.ServerOption {
	return naming{tenant: f}
}

// placing is an option that says where the calls of methods wait.
type placing struct {
	grpc.EmptyServerOption
	methods []string
	set     func(*place)
}

// naming is an option that says on whose behalf calls are.
type naming struct {
	grpc.EmptyServerOption
	tenant func(context.Context) string
}

// place is where the calls of a method wait. The zero place is the listener's queue.
type place struct {
	queue *queue.Queue
	class queue.Class
	none  bool // they do not wait
}

// arrange takes from options where calls wait. methods are all that there are.
func (c *chain) arrange(options []grpc.ServerOption, methods []string) error {
	for _, o := range options {
		switch o := o.(type) {
		case naming:
			c.tenant = o.tenant
		case placing:
			for _, name := range o.methods {
				if !slices.ContainsFunc(methods, func(m string) bool { return m == name || strings.HasSuffix(name, "/") && strings.HasPrefix(m, name) }) {
					return fmt.Errorf("there is no method %q to be admitted: want one of %s, or a service such as /%s",
						name, strings.Join(methods, ", "), "game.v1.Game/")
				}
			}
		}
	}
	for _, m := range methods {
		p := c.place(m)
		// What is said of a method counts more than what is said of its service.
		for _, whole := range []bool{false, true} {
			for _, o := range options {
				if o, ok := o.(placing); ok && slices.ContainsFunc(o.methods, func(name string) bool {
					return whole && name == m || !whole && strings.HasSuffix(name, "/") && strings.HasPrefix(m, name)
				}) {
					o.set(p)
				}
			}
		}
	}
	return nil
}

// place is where the calls of a method wait.
func (c *chain) place(method string) *place {
	p := c.places[method]
	if p == nil {
		p = new(place)
		c.places[method] = p
	}
	return p
}

// enter waits until the call is admitted, unless it needs no worker, or has one. A unary call does so when
// its message has come: nothing bounds how long a caller takes to send that, and a few callers who do not
// would have all workers.
func (cl *call) enter() (err error) {
	q := cl.place.queue
	if q == nil {
		q = cl.chain.queue
	}
	if q == nil || cl.place.none || cl.admission != (queue.Admission{}) {
		return nil
	}
	// Waiting for the end of the scope would fix that before the method has its time.
	cl.admission, err = q.Enter(cl.Parent, queue.Meta{Tenant: cl.tenant(), Client: cl.Client, Class: cl.place.class})
	cl.waited, cl.refused = cl.admission.Waited(), err != nil
	return err
}

// leave gives back the worker of a call whose method has ended with err, or panicked. A mistake of the
// caller's is no failed work.
func (cl *call) leave(err error) {
	if cl.admission == (queue.Admission{}) {
		return
	}
	blamed := err
	if st := ownStatus(err); st != nil {
		blamed = nearest(st.Code()).Wrap(err)
	}
	if !cl.chain.service.AtFault(cl.scope, blamed) {
		err = nil
	}
	cl.admission.Leave(err)
}

// errPanicked is what a queue is told of a method that did not return.
var errPanicked = errors.New("the method panicked")

// tenant is on whose behalf the call is, as far as the service says, which is asked once.
func (cl *call) tenant() string {
	if f := cl.chain.tenant; f != nil && !cl.named {
		cl.behalf, cl.named = f(cl.scope), true
	}
	return cl.behalf
}

// pushback tells the caller of a call that was turned away before its method ran when to call again (gRFC
// A6). Then that is no danger, whatever the method does. It is of no other failure: a caller could not tell.
func (cl *call) pushback(f *failure.Error) {
	if after := f.RetryAfter(); cl.refused && after > 0 {
		ms := strconv.FormatInt(max(1, after.Round(time.Millisecond).Milliseconds()), 10)
		_ = grpc.SetTrailer(cl.scope, metadata.Pairs("grpc-retry-pushback-ms", ms)) // the caller may have left
	}
}
