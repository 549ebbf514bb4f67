package report_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/tools/report"
)

func TestATimelineOfAnySpanHasAllHitsInABoundedNumberOfBins(t *testing.T) {
	for span, want := range map[time.Duration]time.Duration{
		time.Minute:               time.Second,
		time.Hour:                 15 * time.Second,
		24 * time.Hour:            5 * time.Minute,
		30 * 24 * time.Hour:       3 * time.Hour,
		5 * 365 * 24 * time.Hour:  7 * 24 * time.Hour,
		90 * 365 * 24 * time.Hour: 364 * 24 * time.Hour,
	} {
		r := rand.New(rand.NewPCG(uint64(span), 1))
		var line report.Timeline
		times := []time.Time{start.Add(-span / 2), start.Add(span / 2)}
		for range 3000 {
			times = append(times, start.Add(time.Duration(r.Int64N(int64(span)))-span/2))
		}
		r.Shuffle(len(times), func(i, j int) { times[i], times[j] = times[j], times[i] })
		for _, at := range times {
			line.Add(at)
		}
		width, hits, bins := line.Bins()
		truth := map[int64]uint64{}
		for _, at := range times {
			s := int64(width / time.Second)
			n := at.Unix() / s
			if at.Unix()%s < 0 {
				n--
			}
			truth[n*s]++
		}
		if width != want || bins > 480 {
			t.Errorf("%v in %d bins of %v, want %v", span, bins, width, want)
		}
		for at, n := range truth {
			if hits[at] != n {
				t.Errorf("%v: %d hits at %d, want %d", span, hits[at], at, n)
			}
		}
		if len(hits) != len(truth) {
			t.Errorf("%v: hits in %d bins, want %d", span, len(hits), len(truth))
		}
	}
}

func TestATimelineHoldsAllYearsThatALogCanHave(t *testing.T) {
	var line report.Timeline
	for year := 0; year <= 9999; year++ {
		line.Add(time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC))
	}
	_, hits, bins := line.Bins()
	var sum uint64
	for _, n := range hits {
		sum += n
	}
	if sum != 10_000 || bins > 480 {
		t.Errorf("%d hits in %d bins", sum, bins)
	}
}
