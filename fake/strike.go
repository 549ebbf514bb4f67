package fake

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/fake/internal/wire"
)

// visit is one call on its way through the faults. It is used again when the call has ended: what goes
// on after that must not refer to it.
type visit struct {
	fake *Fake
	hear func(error) error // after, made once

	ctx    context.Context
	call   *chassis.Call
	seq    uint64
	conn   *wire.Conn // that it has come by; nil if that is not known, or nobody asked
	faults []*Fault   // that were installed when it came, after that of its own header
	answer *withheld  // nil when nothing is to replace the answer
	ended  bool       // a fault has ended its connection
	body   *printed   // of an HTTP request, nil when nobody wants its print
	prints bool       // its print is wanted
}

// newVisit makes one for the pool.
func (f *Fake) newVisit() any {
	v := &visit{fake: f}
	v.hear = v.after
	return v
}

// leave puts the visit back. A call that panics on its way leaves its visit to the garbage.
func (v *visit) leave() {
	*v = visit{fake: v.fake, hear: v.hear}
	v.fake.visits.Put(v)
}

// intercept is the service's World.Intercept.
func (f *Fake) intercept(ctx context.Context, call *chassis.Call) error {
	v := f.visits.Get().(*visit)
	v.ctx, v.call, v.faults = ctx, call, f.faults.all()
	own, err := f.ownFault(call)
	plain := own == nil && err == nil && len(v.faults) == 0
	v.seq = f.calls.begin(f.clock.Now(), ctx, call, plain)
	if err != nil {
		return v.refused(err)
	}
	call.After = v.hear
	if own != nil {
		v.faults = append([]*Fault{own}, v.faults...)
	}
	v.prints = !call.Stream && (len(v.faults) > 0 || f.calls.printing())
	if len(v.faults) > 0 || f.ports.troubled.Load() {
		v.conn = f.ports.conn(call.Listener, call.Peer)
		if v.conn != nil && !http2(call) {
			v.conn.Calm()
		}
	}
	if len(v.faults) > 0 {
		if err := v.before(); err != nil {
			return v.refused(err)
		}
	}
	if v.prints && call.Request != nil && call.Request.Body != nil {
		v.body = &printed{ReadCloser: call.Request.Body}
		v.body.hash.SetSeed(f.calls.prints)
		call.Request.Body = v.body
	}
	if !plain {
		f.calls.run(v.seq)
	}
	return nil
}

// refused is for a call whose handler does not run.
func (v *visit) refused(err error) error {
	v.fake.calls.end(v.seq, v.call, outcome{sent: v.sent(SentFailure)})
	v.leave()
	return err
}

// sent is what the client is sent of what it would be sent.
func (v *visit) sent(s Sent) Sent {
	if v.ended || errors.Is(v.ctx.Err(), context.Canceled) {
		return SentNothing
	}
	return s
}

// take asks every fault of a phase in order, up to the first after which nothing can follow, and
// notes those that strike.
func (v *visit) take(p Phase) []*Fault {
	var struck []*Fault
	for _, f := range v.faults {
		if !f.selects(p, v.call, v.conn) || !f.take() {
			continue
		}
		struck = append(struck, f)
		if f.err != nil || f.rule.Action.ends() {
			break
		}
	}
	return struck
}

// blow is a fault that strikes, with the latency that was drawn for it.
type blow struct {
	*Fault
	latency time.Duration
}

// note records the faults that strike in a phase.
func (v *visit) note(struck []*Fault) []blow {
	blows := make([]blow, len(struck))
	var words []string
	var total time.Duration
	var err *failure.Error
	for i, f := range struck {
		blows[i] = blow{f, f.latency()}
		total += blows[i].latency
		words = append(words, f.rule.String())
		if f.err != nil {
			err = f.err
		}
	}
	if len(struck) > 0 {
		v.fake.calls.strike(v.seq, total, strings.Join(words, "; "), err)
	}
	return blows
}

// before lets the faults act that strike before the handler runs, and prepares those that strike
// later. The error is answered in the handler's place.
func (v *visit) before() error {
	for _, b := range v.note(v.take(Before)) {
		if err := v.actBefore(b); err != nil {
			return err
		}
	}
	for _, b := range v.note(v.take(DuringResponse)) {
		v.arm(b)
	}
	for _, f := range v.faults {
		if v.call.Response != nil && f.selects(AfterCommit, v.call, v.conn) {
			v.answer = newWithheld(v.call.Response)
			v.call.Response = v.answer
			break
		}
	}
	return nil
}

// errEnded is answered where nobody can hear it any more.
func errEnded(a Action) error { return failure.Injected.With("action", failure.Safe(a)) }

func (v *visit) actBefore(b blow) error {
	if err := b.wait(v.ctx, b.latency); err != nil {
		return err
	}
	switch a := b.rule.Action; a {
	case Hold:
		if err := b.hold(v.ctx); err != nil {
			return err
		}
	case RST, FIN, Garbage:
		v.end(b)
		return errEnded(a)
	case HalfOpen:
		if err := v.silent(b); err != nil {
			return err
		}
	case Slow, GoAway:
		v.arm(b)
	}
	if b.err != nil {
		return b.err
	}
	return nil
}

// end ends the connection at once.
func (v *visit) end(b blow) {
	v.ended = true
	v.conn.Arm(wire.Trouble{Kind: b.rule.Action.kind(), Now: true})
}

// silent has the call wait while its connection is silent.
func (v *visit) silent(b blow) error {
	t := b.held.enter()
	v.conn.Arm(wire.Trouble{Kind: wire.Silence, Gone: b.gone, Until: t.done, Over: func(bool) { b.held.leave(t) }})
	select {
	case <-t.done:
	case <-b.gone:
	case <-v.ctx.Done():
		return v.ctx.Err()
	}
	return nil
}

// arm has the connection strike what the server writes from now on.
func (v *visit) arm(b blow) {
	r := &b.rule
	calls, seq := &v.fake.calls, v.seq
	during := r.Phase == DuringResponse
	struck := func() {
		if during {
			b.hits.Add(1)
		}
	}
	if b.latency > 0 && during {
		t := wire.Trouble{Kind: wire.Pause, At: r.At, Wait: b.latency, Gone: b.gone, Answer: true}
		if r.Action == 0 {
			t.Struck = struck
		}
		v.conn.Arm(t)
	}
	if r.Action == 0 {
		return
	}
	t := wire.Trouble{Kind: r.Action.kind(), At: r.At, Rate: r.Rate, Gone: b.gone, Answer: true, Struck: struck}
	switch r.Action {
	case GoAway:
		t.Now = !during
	case Hold, HalfOpen:
		kept := newTicket()
		t.Until = kept.done
		t.Struck = func() {
			struck()
			calls.lose(seq, lostFrom(r.At))
			b.held.join(kept)
		}
		t.Over = func(delivered bool) {
			b.held.leave(kept)
			if delivered {
				calls.found(seq)
			}
		}
	case Truncate:
		sent := SentPart
		if r.At > 0 {
			t.Kind = wire.Close
		}
		t.Struck = func() { struck(); calls.lose(seq, sent) }
	case RST, FIN, Garbage:
		t.Struck = func() { struck(); calls.lose(seq, lostFrom(r.At)) }
	}
	v.conn.Arm(t)
}

// lostFrom is what the client is sent of an answer that is lost from a byte on.
func lostFrom(at int64) Sent {
	if at == 0 {
		return SentNothing
	}
	return SentPart
}

// after is the call's After: the handler has ended with err.
func (v *visit) after(err error) error {
	answer := v.conclude(err)
	v.leave()
	return answer
}

// conclude returns what is answered when the handler has ended with err.
func (v *visit) conclude(err error) error {
	o := outcome{ran: true, err: err, sent: SentAnswer}
	if v.prints {
		o.print = v.print()
	}
	var instead error
	var last *blow // that ends the connection
	if err == nil && len(v.faults) > 0 {
		last, instead = v.afterCommit()
	}
	begun := v.answer != nil && v.answer.out
	switch {
	case last != nil:
		v.ended = true
		o.sent = v.sent(SentNothing)
	case instead != nil:
		o.sent = SentFailure
	}
	if begun && (last != nil || instead != nil) {
		o.sent = SentPart // the chassis cuts it
	} else {
		o.sent = v.sent(o.sent)
	}
	// What is recorded comes first: a client may be quick to call again.
	v.fake.calls.end(v.seq, v.call, o)
	if last != nil {
		v.end(*last)
	}
	if v.answer != nil {
		if instead != nil {
			v.answer.drop()
		}
		v.answer.release()
	}
	if instead != nil {
		return instead
	}
	return err
}

// afterCommit lets faults act on an answer that is not out yet. The error is answered in its place;
// last is to end the connection.
func (v *visit) afterCommit() (last *blow, instead error) {
	for _, b := range v.note(v.take(AfterCommit)) {
		if err := b.wait(v.ctx, b.latency); err != nil {
			return nil, err
		}
		switch b.rule.Action {
		case Hold:
			if err := b.hold(v.ctx); err != nil {
				return nil, err
			}
		case RST, FIN, Garbage:
			return &b, nil
		case HalfOpen, Slow, Truncate, GoAway:
			v.arm(b)
		}
		if b.err != nil {
			return nil, b.err
		}
	}
	return nil, nil
}
