package report

// maxBins bounds the bins of a timeline.
const maxBins = 480

// widths are those that bins can have, in seconds. Each is a multiple of the one before, so that bins can be
// put together: 1 s to 20 years, with which 480 bins hold all years that a log can have.
var widths = [...]int64{1, 5, 15, 60, 300, 900, 3600, 3 * 3600, 6 * 3600, 24 * 3600, 7 * 86400, 28 * 86400, 364 * 86400, 20 * 364 * 86400, 60 * 364 * 86400}

// A timeline counts requests by when they began, in at most maxBins bins, which become wider as times come
// that lie further apart.
type timeline struct {
	level int   // of widths
	first int64 // number of the first bin: seconds since 1970 over its width
	bins  []bin
}

// A bin counts the requests of a stretch of time.
type bin struct {
	hits, errors, clientErrors, bytes uint64
	taken                             Histogram
}

// at is the bin of a time in µs since 1970.
func (t *timeline) at(us int64) *bin {
	second := floorDiv(us, 1e6)
	for {
		number := floorDiv(second, widths[t.level])
		switch end := t.first + int64(len(t.bins)); {
		case len(t.bins) == 0:
			t.first, t.bins = number, make([]bin, 1, maxBins)
			return &t.bins[0]
		case number >= t.first && number < end:
			return &t.bins[number-t.first]
		case number >= end && number-t.first < maxBins:
			t.bins = t.bins[:number-t.first+1]
			return &t.bins[number-t.first]
		case number < t.first && end-number <= maxBins:
			more := int(t.first - number)
			had := len(t.bins)
			t.bins = t.bins[:had+more]
			copy(t.bins[more:], t.bins[:had])
			clear(t.bins[:more])
			t.first = number
			return &t.bins[0]
		}
		t.widen()
	}
}

// widen puts bins together.
func (t *timeline) widen() {
	factor := widths[t.level+1] / widths[t.level]
	t.level++
	first := floorDiv(t.first, factor)
	old := t.bins
	t.bins = make([]bin, int(floorDiv(t.first+int64(len(old))-1, factor)-first)+1, maxBins)
	for i := range old {
		b := &t.bins[floorDiv(t.first+int64(i), factor)-first]
		b.hits += old[i].hits
		b.errors += old[i].errors
		b.clientErrors += old[i].clientErrors
		b.bytes += old[i].bytes
		b.taken.Merge(&old[i].taken)
	}
	t.first = first
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
