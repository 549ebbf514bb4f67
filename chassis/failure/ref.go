package failure

import (
	"strconv"

	"github.com/seed-754044b3/roadworthy/internal/wary"
)

// A Ref names a code by its set and number, as answers do: whoever calls a service does not link its
// codes. The zero Ref names none. Refs are compared with ==.
type Ref struct {
	Set    string
	Number int
}

// String is set and number, as in "game 1042".
func (r Ref) String() string { return r.Set + " " + strconv.Itoa(r.Number) }

// Ref is c by its name.
func (c *Code) Ref() Ref { return Ref{c.set, c.number} }

// CodeOf names the failure code that err carries: that of an [*Error] or a bare code made in this process, or of
// the [*Problem] that another service answered over HTTP, whichever is found first in err's chain. It
// is false for errors without a code. What a gRPC call returned is read by grpcclient.CodeOf.
func CodeOf(err error) (Ref, bool) {
	p, answered := wary.As[*Problem](err)
	f, made := wary.As[Failer](err)
	if made && answered {
		_, within := wary.As[*Problem](f)
		answered = !within // else it is the cause of what was made of it
	}
	switch {
	case answered && p != nil && p.Set != "" && p.Code > 0:
		return Ref{p.Set, p.Code}, true
	case made:
		return From(f).Code().Ref(), true
	}
	return Ref{}, false
}

// Is reports whether target is the code that p tells of; errors.Is calls it.
func (p *Problem) Is(target error) bool {
	c, ok := target.(*Code)
	return ok && c != nil && p != nil && p.Set == c.set && p.Code == c.number
}
