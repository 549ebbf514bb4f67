package retry

import "time"

// arrivals remembers when the last requests came, to tell how fast they come. Its user holds a lock.
type arrivals struct {
	at   [most + 1]time.Duration // a ring
	next int
	n    int // how many there are, up to all
}

// Over how many of the last requests it is told whether they have become few. Few tell soon, after as little time as
// four may take, but chance often has four come close together; many tell later and are hardly ever wrong.
// Where any of them say so it is taken for true: while requests come at twice the rate that may, of one in sixteen
// the last four have come slowly enough by chance, and of hardly any more of them.
const few, some, most = 4, 16, 64

// add notes a request that comes now.
func (a *arrivals) add(now time.Duration) {
	a.at[a.next] = now
	a.next = (a.next + 1) % len(a.at)
	a.n = min(a.n+1, len(a.at))
}

// within reports whether the last requests, few, some or most of them, have come at no more than rate, in requests
// a second. Nothing is within a rate that is not known of as many, or when the clock has been set back.
func (a *arrivals) within(rate float64) bool {
	last := a.at[(a.next+most)%len(a.at)]
	for _, n := range [...]int{few, some, most} {
		if n >= a.n {
			return false
		}
		since := last - a.at[(a.next+most-n)%len(a.at)]
		if since > 0 && float64(n) <= rate*since.Seconds() {
			return true
		}
	}
	return false
}
