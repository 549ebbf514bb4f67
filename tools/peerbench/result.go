package peerbench

import (
	"fmt"
	"io"
	"slices"
	"time"
)

// A Result is what Run has measured. As JSON its durations are nanoseconds.
type Result struct {
	Protocol Protocol
	Offered  float64       // requests a second; 0 saturates
	Duration time.Duration // of a sample
	Rounds   int           // that are complete
	Peers    []PeerResult
}

// A PeerResult is what was measured of one peer: a sample a round.
type PeerResult struct {
	Name    string
	Base    string // the peer that it is compared with
	Samples []Sample
}

func newResult(o Options) *Result {
	r := &Result{Protocol: o.Protocol, Offered: o.Rate, Duration: o.Duration}
	for _, p := range o.Peers {
		if !slices.Contains(Names(o.Peers), p.Base) {
			p.Base = o.Peers[0].Name
		}
		r.Peers = append(r.Peers, PeerResult{Name: p.Name, Base: p.Base})
	}
	return r
}

// add appends a round: a sample of each peer.
func (r *Result) add(samples []Sample) {
	r.Rounds++
	for i, s := range samples {
		r.Peers[i].Samples = append(r.Peers[i].Samples, s)
	}
}

// A Summary is a peer's result in a few figures: medians over the rounds.
type Summary struct {
	Name, Base             string
	Rate                   float64
	User, System           time.Duration
	CPU                    time.Duration // of the samples' sums, not the sum of the medians
	Ratio, RatioLo, RatioH float64       // processor time of the first peer ÷ its own, within a round: median, least, most
	Like                   float64       // the same against its base
	Added                  time.Duration // what it takes more than its base, within a round
	Allocs, AllocBytes     float64
	Resident               int64
	P50, P99               time.Duration
	Bad                    float64 // share of its answers
}

// Summaries are those of all peers; none without a round.
func (r *Result) Summaries() []Summary {
	if r.Rounds == 0 {
		return nil
	}
	var list []Summary
	for _, p := range r.Peers {
		list = append(list, r.summary(p))
	}
	return list
}

func (r *Result) summary(p PeerResult) Summary {
	first, base := r.Peers[0], r.peer(p.Base)
	s := Summary{
		Name: p.Name, Base: p.Base,
		Rate: median(p.Samples, func(s Sample) float64 { return s.Rate }),
		User: median(p.Samples, func(s Sample) time.Duration { return s.User }), System: median(p.Samples, func(s Sample) time.Duration { return s.System }),
		CPU:    median(p.Samples, Sample.CPU),
		Allocs: median(p.Samples, func(s Sample) float64 { return s.Allocs }), AllocBytes: median(p.Samples, func(s Sample) float64 { return s.AllocBytes }),
		Resident: median(p.Samples, func(s Sample) int64 { return s.Resident }),
		P50:      median(p.Samples, func(s Sample) time.Duration { return s.P50 }), P99: median(p.Samples, func(s Sample) time.Duration { return s.P99 }),
	}
	var ratios, likes []float64
	var added []time.Duration
	requests, bad := 0, 0
	for i, own := range p.Samples {
		ratios = append(ratios, quotient(first.Samples[i].CPU(), own.CPU()))
		likes = append(likes, quotient(base.Samples[i].CPU(), own.CPU()))
		added = append(added, own.CPU()-base.Samples[i].CPU())
		requests, bad = requests+own.Requests, bad+own.Bad
	}
	itself := func(x float64) float64 { return x }
	s.Ratio, s.RatioLo, s.RatioH = median(ratios, itself), slices.Min(ratios), slices.Max(ratios)
	s.Like, s.Added = median(likes, itself), median(added, func(d time.Duration) time.Duration { return d })
	s.Bad = float64(bad) / float64(max(requests, 1))
	return s
}

// quotient is 0 when nothing was measured.
func quotient(a, b time.Duration) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// peer is the one of a name.
func (r *Result) peer(name string) PeerResult {
	return r.Peers[slices.IndexFunc(r.Peers, func(p PeerResult) bool { return p.Name == name })]
}

// median is the middle of a figure, the mean of the two in the middle when their number is even.
func median[S any, T int64 | float64 | time.Duration](samples []S, figure func(S) T) T {
	var all []T
	for _, s := range samples {
		all = append(all, figure(s))
	}
	slices.Sort(all)
	n := len(all)
	return (all[(n-1)/2] + all[n/2]) / 2
}

// WriteTable writes the summaries as a Markdown table, with a line above it that says what was measured.
func (r *Result) WriteTable(w io.Writer) error {
	how := "saturated"
	if r.Offered > 0 {
		how = fmt.Sprintf("%.0f requests/s offered", r.Offered)
	}
	first := r.Peers[0].Name
	t := &table{w: w}
	t.printf("**%s, %s**: %d rounds of %v each\n\n", r.Protocol, how, r.Rounds, r.Duration)
	t.printf("| server | %s ÷ it, per CPU (least to most) | its base | base ÷ it | added to base, µs | CPU µs/request (user + system) | requests/s | allocations | bytes | RSS MiB | p50 µs | p99 µs | bad |\n", first)
	t.printf("|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, s := range r.Summaries() {
		t.printf("| %s | %.2f (%.2f to %.2f) | %s | %.2f | %+.1f | %.1f (%.1f + %.1f) | %.0f | %s | %s | %.0f | %s | %s | %s |\n",
			s.Name, s.Ratio, s.RatioLo, s.RatioH, s.Base, s.Like, us(s.Added), us(s.CPU), us(s.User), us(s.System), s.Rate,
			known("%.1f", s.Allocs), known("%.0f", s.AllocBytes), float64(s.Resident)/(1<<20),
			known("%.0f", us(s.P50)), known("%.0f", us(s.P99)), known("%.2f %%", 100*s.Bad))
	}
	return t.err
}

// table keeps the first error.
type table struct {
	w   io.Writer
	err error
}

func (t *table) printf(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.w, format, args...)
	}
}

func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// known leaves out what was not measured.
func known(format string, figure float64) string {
	if figure == 0 {
		return ""
	}
	return fmt.Sprintf(format, figure)
}
