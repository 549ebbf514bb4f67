package fake

import (
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/acl"
	"github.com/seed-754044b3/roadworthy/fake/internal/wire"
)

// maxKept is how many connections faults of phase Connect keep back at a time. More are reset.
const maxKept = 1000

// admit decides about a connection that was accepted: true gives it to the service now. It must not
// wait, since no other connection is accepted meanwhile.
func (f *Fake) admit(l *lease, c *wire.Conn) bool {
	if len(f.faults.all()) == 0 {
		return true
	}
	call := &chassis.Call{Listener: l.port.name, Peer: acl.AddrPort(c.RemoteAddr())}
	var wait []*Fault // those that keep it back, in their order
	var end *Fault    // that ends it
	for _, fault := range f.faults.all() {
		if !fault.selects(Connect, call, c) || !fault.take() {
			continue
		}
		switch a := fault.rule.Action; {
		case a == Slow:
			c.Arm(wire.Trouble{Kind: wire.Slow, Rate: fault.rule.Rate, Gone: fault.gone})
		case a == RST || a == FIN || a == Garbage:
			end = fault
		}
		if fault.rule.waits() || fault.rule.Action == Hold || fault.rule.Action == HalfOpen {
			wait = append(wait, fault)
		}
		if end != nil {
			break
		}
	}
	if wait == nil {
		return !endConn(c, end)
	}
	if f.kept.Add(1) > maxKept {
		f.kept.Add(-1)
		c.Arm(wire.Trouble{Kind: wire.Reset, Now: true})
		return false
	}
	go func() {
		defer f.kept.Add(-1)
		for _, fault := range wait {
			fault.keep(c)
		}
		if !endConn(c, end) {
			l.deliver(c)
		}
	}()
	return false
}

// endConn has a fault end a connection that the service has not seen, and reports whether it did.
func endConn(c *wire.Conn, f *Fault) bool {
	if f == nil {
		return false
	}
	c.Arm(wire.Trouble{Kind: f.rule.Action.kind(), Now: true})
	_ = c.Close()
	return true
}

// keep waits for as long as a fault of phase Connect keeps a connection back, or for its end.
func (f *Fault) keep(c *wire.Conn) {
	if d := f.latency(); d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-f.gone:
		case <-c.Closed():
		}
	}
	if f.rule.Action == Hold || f.rule.Action == HalfOpen {
		t := f.held.enter()
		defer f.held.leave(t)
		select {
		case <-t.done:
		case <-f.gone:
		case <-c.Closed():
		}
	}
}
