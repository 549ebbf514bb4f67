package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
)

// A Report is what a log tells. Its durations are in µs. It is written as JSON by the names here.
type Report struct {
	Files []File `json:"files"`
	// Lines is how many were read: Hits, Unread and Outside.
	Lines   uint64    `json:"lines"`
	Hits    uint64    `json:"hits"`
	Unread  uint64    `json:"unread"`              // lines that were not understood
	Outside uint64    `json:"outside"`             // requests before From or after To
	Bad     []BadLine `json:"bad_lines,omitempty"` // the first that were not understood
	// First and Last are when the first and the last request began, nil if the log does not tell.
	First *time.Time `json:"first,omitempty"`
	Last  *time.Time `json:"last,omitempty"`
	// Timed says that the log tells how long requests took. Durations are 0 where it does not.
	Timed bool `json:"timed"`
	// Routed says that routes are the patterns of the service, and not made of paths.
	Routed bool `json:"routed"`

	Total  Row   `json:"total"`
	Routes []Row `json:"routes"`
	// Others is all that no row of Routes has, nil if those have all.
	Others *Row `json:"others,omitempty"`
	// OtherRoutes is how many routes are in Others, at least: one that went and came again counts again, and
	// OtherRoutesExact is false then.
	OtherRoutes      uint64 `json:"other_routes"`
	OtherRoutesExact bool   `json:"other_routes_exact"`

	Statuses []Count  `json:"statuses"`
	Failures []Count  `json:"failures,omitempty"` // failure codes
	Slowest  []Slow   `json:"slowest,omitempty"`
	Clients  []Client `json:"clients,omitempty"`
	// Timeline counts requests by when they began, in bins of BinSeconds.
	BinSeconds int64 `json:"bin_seconds,omitempty"`
	Timeline   []Bin `json:"timeline,omitempty"`
}

// A File is one that was read.
type File struct {
	Name  string `json:"name"`
	Lines uint64 `json:"lines"`
	Bytes uint64 `json:"bytes"` // unpacked
	// Damage says why it was not read to its end.
	Damage string `json:"damage,omitempty"`
}

// damage says what happened to the file, behind its name.
func (f File) damage() string {
	if f.Bytes == 0 {
		return "was not read: " + f.Damage
	}
	return fmt.Sprintf("was read up to line %s: %s", number(f.Lines), f.Damage)
}

// A BadLine is one that was not understood.
type BadLine struct {
	File   string `json:"file"`
	Line   uint64 `json:"line"`
	Column int    `json:"column"`
	Reason string `json:"reason"`
	Text   string `json:"text"`
}

// A Row is what one route did.
type Row struct {
	Route string `json:"route"`
	Hits  uint64 `json:"hits"`
	// Missed is how many more hits it may have had, at most, which are in Others.
	Missed       uint64         `json:"missed,omitempty"`
	Errors       uint64         `json:"errors"`        // by fault of the service
	ClientErrors uint64         `json:"client_errors"` // by fault of clients
	Bytes        uint64         `json:"bytes"`
	Classes      [6]uint64      `json:"status_classes"` // of status 1xx at 1, of none at 0
	Total        uint64         `json:"total_us"`
	Mean         uint64         `json:"mean_us"`
	P50          uint64         `json:"p50_us"`
	P90          uint64         `json:"p90_us"`
	P99          uint64         `json:"p99_us"`
	P999         uint64         `json:"p999_us"`
	Max          uint64         `json:"max_us"`
	Histogram    []HistogramBar `json:"histogram,omitempty"`
	Slowest      []Slow         `json:"slowest,omitempty"`
}

// A HistogramBar counts durations from its Start up to that of the next; there are ten to each tenfold.
type HistogramBar struct {
	Step  int    `json:"step"` // Start is 10^(Step/10) µs
	Start uint64 `json:"start_us"`
	Count uint64 `json:"count"`
}

// A Slow is a slow request.
type Slow struct {
	Time      int64  `json:"time_us,omitempty"` // since 1970
	Taken     uint64 `json:"taken_us"`
	Status    int    `json:"status"`
	Failure   int    `json:"failure,omitempty"`
	Method    string `json:"method,omitempty"`
	Target    string `json:"target"`
	RequestID string `json:"request_id,omitempty"`
	ErrorID   string `json:"error_id,omitempty"`
}

// A Count says how often a status or code came.
type Count struct {
	Code  int    `json:"code"`
	Count uint64 `json:"count"`
}

// A Client is who asked.
type Client struct {
	Client string `json:"client"`
	Hits   uint64 `json:"hits"`
	Missed uint64 `json:"missed,omitempty"` // how many of Hits may have been somebody else's, at most
}

// A Bin is a stretch of time.
type Bin struct {
	Start        time.Time `json:"start"`
	Hits         uint64    `json:"hits"`
	Errors       uint64    `json:"errors"`
	ClientErrors uint64    `json:"client_errors"`
	Bytes        uint64    `json:"bytes"`
	P50          uint64    `json:"p50_us"`
	P90          uint64    `json:"p90_us"`
	P99          uint64    `json:"p99_us"`
}

// An Order is what routes are sorted by.
type Order string

// The orders.
const (
	ByTime   Order = "time" // all that the route took
	ByHits   Order = "hits"
	ByP99    Order = "p99"
	ByErrors Order = "errors"
)

// Orders are all.
func Orders() []Order { return []Order{ByTime, ByHits, ByP99, ByErrors} }

func (o Order) of(t *traffic) uint64 {
	switch o {
	case ByTime:
		return t.taken.Sum()
	case ByP99:
		return t.taken.Quantile(0.99)
	case ByErrors:
		return t.errors
	}
	return t.hits
}

// Report adds up what was collected until now. It has the first rows routes by order; where they took no
// time, those with most hits. Times are shown in zone.
func (c *Collector) Report(order Order, rows int, zone *time.Location) *Report {
	r := &Report{
		Lines: c.lines, Hits: c.total.hits, Unread: c.bad, Outside: c.outside, Bad: c.badOnes,
		Timed: c.total.taken.Count() > 0, Routed: c.routed, Total: c.total.row("", 0),
		OtherRoutes: c.routes.gone, OtherRoutesExact: c.routes.gone == 0,
	}
	type ranked struct {
		c     *counter[traffic]
		value uint64
	}
	all := make([]ranked, len(c.routes.heap))
	for i, t := range c.routes.heap {
		all[i] = ranked{t, order.of(&t.value)}
	}
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.value, a.value), cmp.Compare(b.c.value.hits, a.c.value.hits), cmp.Compare(a.c.key, b.c.key))
	})
	var others traffic
	others.merge(&c.others)
	for i, t := range all {
		if i < rows {
			r.Routes = append(r.Routes, t.c.value.row(clip([]byte(t.c.key), maxRoute+maxMethod), t.c.missed))
			continue
		}
		r.OtherRoutes++
		others.merge(&t.c.value)
	}
	if others.hits > 0 {
		row := others.row("others", 0)
		r.Others = &row
	}
	for status, n := range c.statuses {
		if n > 0 {
			r.Statuses = append(r.Statuses, Count{status, n})
		}
	}
	for code, n := range c.failures {
		r.Failures = append(r.Failures, Count{code, n})
	}
	if c.unlisted > 0 {
		r.Failures = append(r.Failures, Count{0, c.unlisted})
	}
	slices.SortFunc(r.Failures, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Code, b.Code))
	})
	r.Slowest = r.Total.Slowest
	r.Total.Slowest = nil
	c.reportClients(r)
	c.reportTimes(r, zone)
	return r
}

func (c *Collector) reportClients(r *Report) {
	if c.clients == nil {
		return
	}
	for _, t := range c.clients.heap {
		r.Clients = append(r.Clients, Client{cmp.Or(clip([]byte(t.key), maxTarget), "-"), t.count, t.missed})
	}
	slices.SortFunc(r.Clients, func(a, b Client) int {
		return cmp.Or(cmp.Compare(b.Hits, a.Hits), cmp.Compare(a.Client, b.Client))
	})
	r.Clients = r.Clients[:min(len(r.Clients), c.options.Clients)]
}

func (c *Collector) reportTimes(r *Report, zone *time.Location) {
	if len(c.line.bins) == 0 {
		return
	}
	first, last := time.UnixMicro(c.first).In(zone), time.UnixMicro(c.last).In(zone)
	r.First, r.Last = &first, &last
	r.BinSeconds = widths[c.line.level]
	for i := range c.line.bins {
		b := &c.line.bins[i]
		r.Timeline = append(r.Timeline, Bin{
			Start: time.Unix((c.line.first+int64(i))*r.BinSeconds, 0).In(zone),
			Hits:  b.hits, Errors: b.errors, ClientErrors: b.clientErrors, Bytes: b.bytes,
			P50: b.taken.Quantile(0.5), P90: b.taken.Quantile(0.9), P99: b.taken.Quantile(0.99),
		})
	}
}

func (t *traffic) row(name string, missed uint64) Row {
	slow := slices.Clone(t.slow)
	slices.Reverse(slow)
	return Row{
		Route: name, Hits: t.hits, Missed: missed, Errors: t.errors, ClientErrors: t.clientErrors, Bytes: t.bytes, Classes: t.classes,
		Total: t.taken.Sum(), Mean: t.taken.Mean(), Max: t.taken.Max(),
		P50: t.taken.Quantile(0.5), P90: t.taken.Quantile(0.9), P99: t.taken.Quantile(0.99), P999: t.taken.Quantile(0.999),
		Histogram: t.taken.bars(), Slowest: slow,
	}
}

// WriteJSON writes r as JSON.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "\t")
	return e.Encode(r)
}
