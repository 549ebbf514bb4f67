package failure

import (
	"fmt"
	"sync/atomic"
)

// A Counter counts failures by code, each from 0, so that the first one is seen as an increase by
// whoever watches the rate. Every running instance of a service has its own: many live side by side
// in one process. Its size is fixed when it is made, and it is safe for concurrent use.
type Counter struct {
	counts []cell
	index  map[*Code]int
}

type cell struct {
	code *Code
	n    atomic.Uint64
}

// A Count says how often a code was counted.
type Count struct {
	Code *Code
	N    uint64
}

// NewCounter counts the codes of the chassis and of the given sets, and seals these: a code that is
// declared later could not be counted. Nil sets and repetitions are left out. It panics when two sets
// have one name, for their counts could not be told apart.
func NewCounter(sets ...*Set) *Counter {
	at := place(1)
	c := &Counter{index: map[*Code]int{}}
	named := map[string]*Set{}
	var codes []*Code
	for _, s := range append([]*Set{Chassis}, sets...) {
		if s == nil || named[s.name] == s {
			continue
		}
		if named[s.name] != nil {
			panic(fmt.Sprintf("failure: counter (%s): two sets are named %q", at, s.name))
		}
		named[s.name] = s
		s.seal(at)
		codes = append(codes, s.Codes()...)
	}
	c.counts = make([]cell, len(codes))
	for i, code := range codes {
		c.counts[i].code = code
		c.index[code] = i
	}
	return c
}

// Add counts one failure. A code of a set that the counter does not hold, and nil, count as
// [Unclassified].
func (c *Counter) Add(code *Code) {
	i, ok := c.index[code]
	if !ok {
		i = c.index[Unclassified]
	}
	c.counts[i].n.Add(1)
}

// Counts are all codes and how often each was counted: those of the chassis first, then set by set
// as given to NewCounter, by number. The slice is the caller's own.
func (c *Counter) Counts() []Count {
	counts := make([]Count, len(c.counts))
	for i := range c.counts {
		counts[i] = Count{Code: c.counts[i].code, N: c.counts[i].n.Load()}
	}
	return counts
}
