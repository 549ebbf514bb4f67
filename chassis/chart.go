package chassis

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/kpi"
)

// A chart is a drawing of the last ten minutes for the status page: an SVG of plain shapes, made
// here so that the page needs no script.
type chart struct {
	Title  string
	Lines  []chartLine
	Grid   []chartMark // across, with values
	Ticks  []chartMark // along, with times
	Width  int
	Height int
}

// chartLine is one series of a chart.
type chartLine struct {
	Class string // of the style sheet, which has its colour
	Name  string
	Now   string // its newest value, with unit
	Path  string
	Area  string // what lies under the path, empty for a line alone
}

// chartMark is a line of the grid and what stands at it.
type chartMark struct {
	At    float64
	Label string
}

const (
	chartWidth  = 330
	chartHeight = 125
	chartBottom = chartHeight - 20 // above the times
	chartTop    = 14               // room for the label of the highest value
)

// curve is the points of one series.
type curve struct {
	class, name string
	filled      bool
	points      []point
}

// point is a value at a time; NaN breaks the line.
type point struct {
	at    time.Time
	value float64
}

// newChart draws curves over the ten minutes before now. scale turns a value into a share of the
// height, format puts it into words.
func newChart(title string, now time.Time, marks []float64, scale func(float64) float64, format func(float64) string, curves ...curve) chart {
	c := chart{Title: title, Width: chartWidth, Height: chartHeight}
	y := func(v float64) float64 {
		return chartBottom - min(max(scale(v), 0), 1)*(chartBottom-chartTop)
	}
	x := func(t time.Time) float64 {
		share := 1 - float64(now.Sub(t))/float64(kpi.HistoryFor)
		return min(max(share, 0), 1) * chartWidth
	}
	for _, v := range marks {
		c.Grid = append(c.Grid, chartMark{y(v), format(v)})
	}
	for minutes := 8; minutes > 0; minutes -= 3 {
		c.Ticks = append(c.Ticks, chartMark{x(now.Add(-time.Duration(minutes) * time.Minute)), fmt.Sprintf("−%d min", minutes)})
	}
	for _, cv := range curves {
		line := chartLine{Class: cv.class, Name: cv.name, Now: "–"}
		var path, area strings.Builder
		var first, last float64
		open := false
		end := func() {
			if open && cv.filled {
				fmt.Fprintf(&area, "L%.1f %dL%.1f %dZ", last, chartBottom, first, chartBottom)
			}
			open = false
		}
		for _, p := range cv.points {
			if math.IsNaN(p.value) {
				end()
				continue
			}
			step := "L"
			if !open {
				step, first, open = "M", x(p.at), true
			}
			last = x(p.at)
			fmt.Fprintf(&path, "%s%.1f %.1f", step, last, y(p.value))
			if cv.filled {
				fmt.Fprintf(&area, "%s%.1f %.1f", step, last, y(p.value))
			}
			line.Now = format(p.value)
		}
		end()
		line.Path, line.Area = path.String(), area.String()
		c.Lines = append(c.Lines, line)
	}
	return c
}

// charts draws what the samples tell: rates, errors and latency. Before since there was nothing.
func charts(samples []kpi.Sample, since, now time.Time) []chart {
	if oldest := now.Add(-kpi.HistoryFor); since.Before(oldest) || since.After(now) {
		since = oldest
	}
	rate := func(count func(kpi.Sample) uint64) []point {
		return points(samples, since, now, 0, func(s kpi.Sample) float64 { return float64(count(s)) / s.End.Sub(s.Begin).Seconds() })
	}
	seconds := func(of func(kpi.Sample) time.Duration) []point {
		return points(samples, since, now, math.NaN(), func(s kpi.Sample) float64 {
			if d := of(s); d > 0 {
				return d.Seconds()
			}
			return math.NaN()
		})
	}
	requests := rate(func(s kpi.Sample) uint64 { return s.Requests })
	caller := rate(func(s kpi.Sample) uint64 { return s.Caller })
	fault := rate(func(s kpi.Sample) uint64 { return s.Service + s.Dependency })
	p50 := seconds(func(s kpi.Sample) time.Duration { return s.P50 })
	p99 := seconds(func(s kpi.Sample) time.Duration { return s.P99 })
	return []chart{
		linear("Requests per second", now, curve{"rate", "requests", true, requests}),
		linear("Errors per second", now, curve{"caller", "callers", true, caller}, curve{"fault", "service and dependencies", true, fault}),
		logarithmic("Latency", now, curve{"p99", "p99", false, p99}, curve{"p50", "p50", false, p50}),
	}
}

// points are the values of samples in the middle of each; rest is the value of times since then that
// no sample tells of.
func points(samples []kpi.Sample, since, now time.Time, rest float64, value func(kpi.Sample) float64) []point {
	var out []point
	last := since
	gap := func(until time.Time) {
		if until.Sub(last) > time.Second {
			out = append(out, point{last, rest}, point{until, rest})
		}
	}
	for _, s := range samples {
		if s.End.Sub(s.Begin) < time.Second {
			continue // the beginning of a span says little
		}
		gap(s.Begin)
		out = append(out, point{s.Begin.Add(s.End.Sub(s.Begin) / 2), value(s)})
		last = s.End
	}
	if now.Sub(last) > kpi.SampleEvery {
		gap(now)
	}
	return out
}

// linear is a chart from zero to a round number above all values.
func linear(title string, now time.Time, curves ...curve) chart {
	top := 0.0
	for _, c := range curves {
		for _, p := range c.points {
			top = max(top, p.value)
		}
	}
	top = roundUp(top)
	return newChart(title, now, []float64{top / 2, top}, func(v float64) float64 { return v / top }, perSecond, curves...)
}

// roundUp is the next of 1, 2 and 5 times a power of ten, 1 at least.
func roundUp(v float64) float64 {
	if v <= 1 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if v <= m*power {
			return m * power
		}
	}
	return 10 * power
}

// logarithmic is a chart of durations over whole decades.
func logarithmic(title string, now time.Time, curves ...curve) chart {
	low, high := math.Inf(1), math.Inf(-1)
	for _, c := range curves {
		for _, p := range c.points {
			if !math.IsNaN(p.value) {
				low, high = min(low, p.value), max(high, p.value)
			}
		}
	}
	if low > high {
		low, high = .001, .1
	}
	from, to := math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
	if to-from < 2 {
		to = from + 2
	}
	var marks []float64
	for decade := from + 1; decade <= to; decade++ {
		marks = append(marks, math.Pow(10, decade))
	}
	return newChart(title, now, marks, func(v float64) float64 { return (math.Log10(v) - from) / (to - from) }, inSeconds, curves...)
}

// perSecond is a rate in words.
func perSecond(v float64) string { return short(v) + "/s" }

// short is a number in three digits or so.
func short(v float64) string {
	switch {
	case v >= 1e9:
		return digits(v/1e9) + " G"
	case v >= 1e6:
		return digits(v/1e6) + " M"
	case v >= 1e4:
		return digits(v/1e3) + " k"
	}
	return digits(v)
}

func digits(v float64) string {
	switch abs := math.Abs(v); {
	case abs >= 100 || v == math.Trunc(v):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case abs >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// inSeconds is a duration, given in seconds, with the unit that people would take.
func inSeconds(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v < 1e-3:
		return digits(v*1e6) + " µs"
	case v < 1:
		return digits(v*1e3) + " ms"
	case v < 600:
		return digits(v) + " s"
	}
	return time.Duration(v * float64(time.Second)).Round(time.Second).String()
}
