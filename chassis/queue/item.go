package queue

// item is work that waits.
type item struct {
	newcomer
	line    *tenant       // in which it stands; nil once it has a worker or is refused
	links   [2]link       // its places in two chains: by age, and in the line
	ready   chan struct{} // closed once line is nil; itself nil for submitted work
	turn    Admission     // that it has been given
	refused error         // why it will get none
}

// called reports whether a caller waits for the work.
func (it *item) called() bool { return it.f == nil }

// Which of an item's links a chain uses.
const (
	byAge = iota
	inLine
)

// link is a place in a chain.
type link struct{ prev, next *item }

// chain is a list of items, through links that are part of them: to join and to leave one costs
// no allocation.
type chain struct {
	which       int
	first, last *item
	n           int
}

// push puts it at the end.
func (c *chain) push(it *item) {
	it.links[c.which].prev = c.last
	if c.last == nil {
		c.first = it
	} else {
		c.last.links[c.which].next = it
	}
	c.last = it
	c.n++
}

// remove takes it out.
func (c *chain) remove(it *item) {
	l := &it.links[c.which]
	if l.prev == nil {
		c.first = l.next
	} else {
		l.prev.links[c.which].next = l.next
	}
	if l.next == nil {
		c.last = l.prev
	} else {
		l.next.links[c.which].prev = l.prev
	}
	*l = link{}
	c.n--
}
