package retry

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// Ending is how a function ended that ran apart, see [Apart]. The zero Ending is by return.
type Ending struct {
	exited bool
	panic  *Panic
}

// Apart runs f on a goroutine of its own and hands what it returned, and how it ended, to deliver, which is
// called there. An attempt that runs beside another is started by it: a panic of it is the caller's, who may
// recover from it, and not the process's.
func Apart[T any](f func() T, deliver func(T, Ending)) {
	go func() {
		var r T
		end := Ending{exited: true}
		defer func() {
			if end.exited {
				if v := recover(); v != nil {
					end = Ending{panic: &Panic{v, debug.Stack()}}
				}
			}
			deliver(r, end)
		}()
		r = f()
		end.exited = false
	}()
}

// Pass has the goroutine that calls it end as f did: it panics with a *[Panic] if f panicked, and is ended if f
// ended its own ([runtime.Goexit]). Where f returned, Pass does, too.
func (e Ending) Pass() {
	switch {
	case e.panic != nil:
		panic(e.panic)
	case e.exited:
		runtime.Goexit()
	}
}

// Panic is a panic of another goroutine, passed on.
type Panic struct {
	Value any    // what was panicked with
	Stack []byte // of the goroutine that panicked, as runtime/debug prints it
}

// Error implements error. The stack is a part of it, because it is what tells where the mistake is.
func (p *Panic) Error() string { return fmt.Sprintf("%v\n\n%s", p.Value, p.Stack) }

// Unwrap is the value of the panic when that is an error.
func (p *Panic) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}
