package report

import (
	"fmt"
	"html/template"
	"math"
	"strings"
	"time"
)

// Charts are drawn on a canvas of this size, which the page stretches to the width that it has; their labels
// are text of the page beside it, so that phones can show them.
const (
	chartWidth  = 1000.0
	chartHeight = 100.0
)

// A chart is one with its labels.
type chart struct {
	Title  string
	Legend []series
	SVG    template.HTML // of numbers and fixed names alone
	Y      []label       // from the bottom, in percent
	X      []label       // from the left, in percent
}

// A series has a name in the legend, and a class of colour.
type series struct{ Name, Class string }

// A label stands at a place of an axis.
type label struct {
	At   float64
	Text string
	Edge string // of X, where it would stand out: first or last
}

// A drawing is an SVG that grows.
type drawing struct{ strings.Builder }

func (d *drawing) path(class string, points func(d *drawing)) {
	fmt.Fprintf(d, `<path class="%s" d="`, class)
	points(d)
	d.WriteString(`"/>`)
}

// box adds a rectangle between two heights, from the bottom, to a path.
func (d *drawing) box(left, right, low, high float64) {
	fmt.Fprintf(d, "M%.4g %.4gH%.4gV%.4gH%.4gz", left, chartHeight-low, right, chartHeight-high, left)
}

// title covers a part of the width with a text that pointers bring up.
func (d *drawing) title(left, right float64, text string) {
	fmt.Fprintf(d, `<rect class="tip" x="%.5g" y="0" width="%.4g" height="%.4g"><title>%s</title></rect>`, left, right-left, chartHeight, template.HTMLEscapeString(text))
}

func (d *drawing) grid(y []label) {
	d.path("grid", func(d *drawing) {
		for _, l := range y {
			fmt.Fprintf(d, "M0 %.4gH%g", chartHeight*(1-l.At/100), chartWidth)
		}
	})
}

func (d *drawing) svg(about string) template.HTML {
	return template.HTML(fmt.Sprintf(`<svg viewBox="0 0 %g %g" preserveAspectRatio="none" role="img" aria-label="%s">%s</svg>`,
		chartWidth, chartHeight, template.HTMLEscapeString(about), d.String()))
}

// bounds are where a bin of the timeline begins and ends.
func (r *Report) bounds(i int) (left, right float64) {
	w := chartWidth / float64(len(r.Timeline))
	return float64(i) * w, float64(i+1) * w
}

// rates shows requests a second, with those that failed and were refused.
func (r *Report) rates() chart {
	per := float64(r.BinSeconds)
	most := 0.0
	for _, b := range r.Timeline {
		most = max(most, float64(b.Hits)/per)
	}
	top := niceAbove(most)
	c := chart{Title: "Requests per second", Legend: []series{{"answered", "ok"}, {"refused (4xx)", "refused"}, {"failed (5xx)", "failed"}}, X: r.times()}
	for i := range 3 {
		c.Y = append(c.Y, label{At: 50 * float64(i), Text: plainNumber(top * float64(i) / 2)})
	}
	d := &drawing{}
	d.grid(c.Y)
	layer := func(class string, low, high func(b *Bin) uint64) {
		d.path(class, func(d *drawing) {
			for i := range r.Timeline {
				if b := &r.Timeline[i]; high(b) > low(b) {
					left, right := r.bounds(i)
					d.box(left, right, chartHeight*float64(low(b))/per/top, chartHeight*float64(high(b))/per/top)
				}
			}
		})
	}
	failed := func(b *Bin) uint64 { return b.Errors }
	problems := func(b *Bin) uint64 { return b.Errors + b.ClientErrors }
	layer("failed", func(*Bin) uint64 { return 0 }, failed)
	layer("refused", failed, problems)
	layer("ok", problems, func(b *Bin) uint64 { return b.Hits })
	for i, b := range r.Timeline {
		left, right := r.bounds(i)
		d.title(left, right, fmt.Sprintf("%s: %s requests, %s failed, %s refused", instant(b.Start), number(b.Hits), number(b.Errors), number(b.ClientErrors)))
	}
	c.SVG = d.svg(c.Title)
	return c
}

// failures shows which part of requests failed.
func (r *Report) failures() chart {
	most := 0.0
	part := func(b *Bin) float64 { return 100 * float64(b.Errors) / float64(max(b.Hits, 1)) }
	for i := range r.Timeline {
		most = max(most, part(&r.Timeline[i]))
	}
	top := min(niceAbove(most), 100)
	c := chart{Title: "Failed requests, percent", Legend: []series{{"failed (5xx)", "failed"}}, X: r.times()}
	for i := range 3 {
		c.Y = append(c.Y, label{At: 50 * float64(i), Text: plainNumber(top*float64(i)/2) + " %"})
	}
	d := &drawing{}
	d.grid(c.Y)
	d.path("failed", func(d *drawing) {
		for i := range r.Timeline {
			if p := part(&r.Timeline[i]); p > 0 {
				left, right := r.bounds(i)
				d.box(left, right, 0, chartHeight*p/top)
			}
		}
	})
	for i := range r.Timeline {
		b := &r.Timeline[i]
		left, right := r.bounds(i)
		d.title(left, right, fmt.Sprintf("%s: %s of %s requests failed, %s", instant(b.Start), number(b.Errors), number(b.Hits), percent(b.Errors, max(b.Hits, 1))))
	}
	c.SVG = d.svg(c.Title)
	return c
}

// latencies shows quantiles on a scale of powers of ten.
func (r *Report) latencies() chart {
	low, high := uint64(math.MaxUint64), uint64(1)
	for _, b := range r.Timeline {
		if b.P99 > 0 {
			low, high = min(low, max(b.P50, 1)), max(high, b.P99)
		}
	}
	low = min(low, high)
	from, to := math.Floor(math.Log10(float64(low))), math.Ceil(math.Log10(float64(high)))
	if to <= from {
		to = from + 1
	}
	height := func(us uint64) float64 { return chartHeight * (math.Log10(float64(max(us, 1))) - from) / (to - from) }
	c := chart{Title: "Duration", Legend: []series{{"p50", "p50"}, {"p90", "p90"}, {"p99", "p99"}}, X: r.times()}
	for e := from; e <= to; e++ {
		c.Y = append(c.Y, label{At: 100 * (e - from) / (to - from), Text: roundTook(uint64(math.Pow(10, e)))})
	}
	d := &drawing{}
	d.grid(c.Y)
	for _, s := range []struct {
		class string
		of    func(b *Bin) uint64
	}{{"p50", func(b *Bin) uint64 { return b.P50 }}, {"p90", func(b *Bin) uint64 { return b.P90 }}, {"p99", func(b *Bin) uint64 { return b.P99 }}} {
		d.path("line "+s.class, func(d *drawing) {
			drawn := false
			for i := range r.Timeline {
				b := &r.Timeline[i]
				if b.P99 == 0 {
					drawn = false
					continue
				}
				left, right := r.bounds(i)
				command := "L"
				if !drawn {
					command = "M"
				}
				fmt.Fprintf(d, "%s%.5g %.4gH%.5g", command, left, chartHeight-height(s.of(b)), right)
				drawn = true
			}
		})
	}
	for i := range r.Timeline {
		if b := &r.Timeline[i]; b.P99 > 0 {
			left, right := r.bounds(i)
			d.title(left, right, fmt.Sprintf("%s: p50 %s, p90 %s, p99 %s", instant(b.Start), took(b.P50), took(b.P90), took(b.P99)))
		}
	}
	c.SVG = d.svg(c.Title)
	return c
}

// times labels the axis of the timeline.
func (r *Report) times() []label {
	n := len(r.Timeline)
	begin := r.Timeline[0].Start
	span := time.Duration(r.BinSeconds) * time.Second * time.Duration(n)
	layout := "15:04"
	switch {
	case r.BinSeconds*int64(n) > 300*86400:
		layout = "Jan 2006"
	case span > 4*24*time.Hour:
		layout = "Jan 2"
	case span > 20*time.Hour:
		layout = "Jan 2 15:04"
	case span < 5*time.Minute:
		layout = "15:04:05"
	}
	var labels []label
	for i := range 5 {
		l := label{At: 25 * float64(i), Text: begin.Add(span * time.Duration(i) / 4).Format(layout)}
		switch i {
		case 0:
			l.Edge = "first"
		case 4:
			l.Edge = "last"
		}
		labels = append(labels, l)
	}
	return labels
}

// distribution shows a histogram, from step low up to high, with lines where quantiles are.
func distribution(row *Row, low, high int) chart {
	c := chart{Title: "How long requests took", Legend: []series{{"requests", "ok"}, {"p50 " + took(row.P50), "p50"}, {"p90 " + took(row.P90), "p90"}, {"p99 " + took(row.P99), "p99"}}}
	most := uint64(1)
	for _, b := range row.Histogram {
		most = max(most, b.Count)
	}
	steps := float64(high - low)
	at := func(step float64) float64 { return min(max((step-float64(low))/steps, 0), 1) }
	for step := low; step <= high; step++ {
		if step%10 != 0 {
			continue
		}
		l := label{At: 100 * at(float64(step)), Text: roundTook(uint64(math.Pow(10, float64(step)/10)))}
		switch {
		case l.At < 3:
			l.Edge = "first"
		case l.At > 97:
			l.Edge = "last"
		}
		c.X = append(c.X, l)
	}
	c.Y = []label{{At: 0, Text: "0"}, {At: 100, Text: number(most)}}
	d := &drawing{}
	d.grid(c.Y)
	d.path("ok", func(d *drawing) {
		for _, b := range row.Histogram {
			d.box(chartWidth*at(float64(b.Step)+0.05), chartWidth*at(float64(b.Step)+0.95), 0, chartHeight*float64(b.Count)/float64(most))
		}
	})
	for _, q := range []struct {
		class string
		us    uint64
	}{{"p50", row.P50}, {"p90", row.P90}, {"p99", row.P99}} {
		d.path("line "+q.class, func(d *drawing) {
			fmt.Fprintf(d, "M%.5g 0V%g", chartWidth*at(10*math.Log10(float64(max(q.us, 1)))), chartHeight)
		})
	}
	for _, b := range row.Histogram {
		d.title(chartWidth*at(float64(b.Step)), chartWidth*at(float64(b.Step+1)), fmt.Sprintf("%s to %s: %s requests", took(b.Start), took(bar(b.Step+1).Start), number(b.Count)))
	}
	c.SVG = d.svg(c.Title)
	return c
}

// sparkline is a histogram small enough for a row of a table.
func sparkline(row *Row, low, high int) template.HTML {
	most := uint64(1)
	for _, b := range row.Histogram {
		most = max(most, b.Count)
	}
	at := func(step float64) float64 { return chartWidth * min(max((step-float64(low))/float64(high-low), 0), 1) }
	d := &drawing{}
	d.path("ok", func(d *drawing) {
		for _, b := range row.Histogram {
			d.box(at(float64(b.Step)), at(float64(b.Step)+0.9), 0, max(chartHeight*float64(b.Count)/float64(most), 3))
		}
	})
	d.path("line p99", func(d *drawing) {
		fmt.Fprintf(d, "M%.5g 0V%g", at(10*math.Log10(float64(max(row.P99, 1)))), chartHeight)
	})
	return d.svg("durations from " + took(bar(low).Start) + " to " + took(bar(high).Start))
}

// span is where the bars of r begin and end, whole tenfolds.
func (r *Report) span() (low, high int) {
	bars := r.Total.Histogram
	if len(bars) == 0 {
		return 0, 10
	}
	return int(math.Floor(float64(bars[0].Step)/10)) * 10, int(math.Floor(float64(bars[len(bars)-1].Step)/10))*10 + 10
}

// niceAbove is the smallest of 1, 2 and 5 times a power of ten that is not below x.
func niceAbove(x float64) float64 {
	if x <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(x)))
	for _, f := range []float64{1, 2, 5} {
		if f*power >= x*(1-1e-9) {
			return f * power
		}
	}
	return 10 * power
}

// plainNumber is a number of an axis.
func plainNumber(f float64) string {
	if f >= 1000 {
		return number(uint64(f))
	}
	return fmt.Sprintf("%.3g", f)
}

// roundTook is a power of ten in µs, without the zeros behind its point.
func roundTook(us uint64) string {
	switch {
	case us < 1e3:
		return fmt.Sprintf("%d µs", us)
	case us < 1e6:
		return fmt.Sprintf("%d ms", us/1e3)
	}
	return number(us/1e6) + " s"
}
