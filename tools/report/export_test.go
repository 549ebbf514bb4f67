package report

import "time"

// Counts of what is inside, for tests.

type Top = top[uint64]

func NewTop(limit int, evict func(string, *uint64)) *Top {
	return newTop(limit, func(n *uint64) { *n = 0 }, evict)
}

func (t *top[T]) Hit(key string) *T { return t.hit([]byte(key)) }

// Each calls f for all that is kept.
func (t *top[T]) Each(f func(key string, value T, missed uint64)) {
	for _, c := range t.heap {
		f(c.key, c.value, c.missed)
	}
}

type Timeline = timeline

func (t *timeline) Add(at time.Time) { t.at(at.UnixMicro()).hits++ }

// Bins are how many requests each stretch of time has, by its beginning.
func (t *timeline) Bins() (width time.Duration, hits map[int64]uint64, n int) {
	hits = map[int64]uint64{}
	for i := range t.bins {
		if b := &t.bins[i]; b.hits > 0 {
			hits[(t.first+int64(i))*widths[t.level]] = b.hits
		}
	}
	return time.Duration(widths[t.level]) * time.Second, hits, len(t.bins)
}

func RouteOf(path string) string { return string(appendRoute(nil, []byte(path))) }

// Shown numbers.
var Took, Size, Number, Percent, NiceAbove = took, size, number, percent, niceAbove
