package queue

import "time"

// bounds are the upper bounds of histograms, inclusive: those that the chassis counts requests
// with, and a minute for what runs behind them.
var bounds = [...]time.Duration{
	500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond,
	25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second, time.Minute,
}

// Histogram says how long things took.
type Histogram struct {
	Bounds []time.Duration // upper bounds, inclusive, rising
	Counts []uint64        // how many were up to each bound and above the one before; the last: above all
	Sum    time.Duration
}

// Count is how many things there were.
func (h Histogram) Count() uint64 {
	var n uint64
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// cells are a histogram that is being counted. To add to it costs 1 ns for what takes less than
// the first bound and 6 ns for what takes more than the last.
type cells struct {
	counts [len(bounds) + 1]uint64
	sum    time.Duration
}

func (c *cells) observe(d time.Duration) {
	i := 0
	for i < len(bounds) && d > bounds[i] {
		i++
	}
	c.counts[i]++
	c.sum += d
}

func (c *cells) histogram() Histogram {
	return Histogram{bounds[:], append([]uint64(nil), c.counts[:]...), c.sum}
}
