package failure

import "runtime"

// maxCallers is how much of a stack an Error keeps: what it takes grows with every call. Ten reach from
// where a failure is made well into the service's own code.
const maxCallers = 10

// here is the stack of whoever calls the method of Code that calls it, for codes that tell of a
// broken line of code. A failure of the caller's is made by code that works, and the chassis answers
// most of its own codes itself, most often when there is no time to lose.
func (c *Code) here() []uintptr {
	if c.class == Caller || c.class == NotProblem || c.set == chassisName && c.number != unclassified {
		return nil
	}
	var pcs [maxCallers]uintptr
	n := runtime.Callers(3, pcs[:])
	kept := make([]uintptr, n) // the stack may be shallow, and errors are many
	copy(kept, pcs[:n])
	return kept
}

// Callers are the program counters of the calls that led to where e was made with a method of its
// Code, innermost first, at most 10: runtime.CallersFrames makes frames of them. They are kept for
// codes of class Service and Dependency, of the chassis's own codes for Unclassified alone. For all
// others they are nil; so they are for an Error that [From] made of an error without a code or of a
// bare Code, which nobody has seen being returned, and for panics, which have a [Error.Stack].
//
// The slice must not be changed.
func (e *Error) Callers() []uintptr { return e.callers }
