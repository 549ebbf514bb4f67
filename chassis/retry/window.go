package retry

import "time"

// window counts two kinds of events over a time that moves along. It covers its span, or up to
// one cell less, because the newest cell has only begun. Its user holds a lock.
type window struct {
	cell  time.Duration
	cells []counts
	at    int64 // the number of the newest cell
	sum   counts
}

type counts struct{ requests, others uint64 }

func newWindow(span time.Duration, cells int) window {
	return window{cell: span / time.Duration(cells), cells: make([]counts, cells)}
}

// total moves the window to now and returns what it counts: nothing when the clock has been set back.
func (w *window) total(now time.Duration) counts {
	at := int64(now / w.cell)
	if at < w.at || at-w.at >= int64(len(w.cells)) {
		clear(w.cells)
		w.sum, w.at = counts{}, at
	}
	for w.at < at {
		w.at++
		gone := w.newest()
		w.sum.requests -= gone.requests
		w.sum.others -= gone.others
		*gone = counts{}
	}
	return w.sum
}

func (w *window) add(now time.Duration, n counts) {
	w.total(now)
	newest := w.newest()
	newest.requests += n.requests
	newest.others += n.others
	w.sum.requests += n.requests
	w.sum.others += n.others
}

// newest is the cell of w.at, which is below zero after a clock was set back to before it was started.
func (w *window) newest() *counts { return &w.cells[uint64(w.at)%uint64(len(w.cells))] }
