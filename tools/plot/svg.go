package plot

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// The picture, in pixels. It is as wide as a page of documentation shows without scaling it down.
const (
	width, height   = 820.0, 462.0
	left, right     = 44.0, 24.0   // of the outer panels
	between         = 58.0         // panels
	top, bottom     = 164.0, 404.0 // of the lines in a panel
	legendTop       = 70.0
	legendRow       = 21.0
	legendLineWidth = 34.0
)

// The picture has a background of its own: an image is not told on which one the page shows it, only,
// by most browsers, which one the reader prefers. Dashes tell curves apart that colours do not.
const style = `
svg { font: 13px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #57606a }
.back { fill: #ffffff; stroke: #d0d7de }
.title { font-size: 17px; font-weight: 600; fill: #1f2328 }
.name { font-size: 14px; font-weight: 600; fill: #1f2328 }
.key { fill: #1f2328 }
.grid { stroke: #e4e8ec }
.axis { stroke: #8c959f }
.line { fill: none; stroke-width: 2.2; stroke-linejoin: round }
.ours { stroke: #1f6fd6; stroke-width: 6 }
.oracle { stroke: #1f2328; stroke-dasharray: 1.5 4; stroke-width: 2 }
.fifo { stroke: #b25b00; stroke-dasharray: 9 5 }
.deep { stroke: #4a1d96; stroke-dasharray: 5 5; stroke-width: 2 }
.unbounded { stroke: #e5484d; stroke-width: 5 }
@media (prefers-color-scheme: dark) {
svg { fill: #9da7b3 }
.back { fill: #0d1117; stroke: #30363d }
.title, .name, .key { fill: #e6edf3 }
.grid { stroke: #22282f }
.axis { stroke: #6e7681 }
.ours { stroke: #3f87e8 }
.oracle { stroke: #f0f6fc }
.fifo { stroke: #f0a040 }
.deep { stroke: #dccbff }
.unbounded { stroke: #d5433f }
}
`

// layers is the order in which curves are painted: where they lie on each other, the widest is below
// and those with gaps are above.
func layers() []int { return []int{0, 4, 3, 2, 1} }

// A picture is an SVG that grows.
type picture struct {
	bytes.Buffer
	low, high float64 // loads at the ends of each panel
}

func draw(panels []panel) []byte {
	p := &picture{low: math.Inf(1)}
	for _, panel := range panels {
		p.low = min(p.low, panel.points[0].load)
		p.high = max(p.high, panel.points[len(panel.points)-1].load)
	}
	fmt.Fprintf(p, `<svg xmlns="http://www.w3.org/2000/svg" width="%g" height="%g" viewBox="0 0 %g %g" role="img">`+"\n", width, height, width, height)
	p.WriteString("<title>Goodput over offered load</title>\n")
	fmt.Fprintf(p, "<style>%s</style>\n", style)
	fmt.Fprintf(p, `<rect class="back" x="0.5" y="0.5" width="%g" height="%g" rx="6"/>`+"\n", width-1, height-1)
	p.text(left, 30, "title", "start", "Goodput over offered load")
	p.text(left, 51, "", "start", "Goodput (answers in time) and offered load (requests that come), each as a share of what the workers can do")
	p.legend()
	across := (width - left - right - between*float64(len(panels)-1)) / float64(len(panels))
	for i, panel := range panels {
		name := fmt.Sprintf("Work takes %d ms", panel.work)
		if i == 0 {
			name += ", as sized for"
		} else {
			name += fmt.Sprintf(", %s times as long", short(float64(panel.work)/float64(panels[0].work)))
		}
		p.panel(left+float64(i)*(across+between), across, name, panel.points)
	}
	p.WriteString("</svg>\n")
	return p.Bytes()
}

// text puts s at a place; anchor is the end of it that is there: start, middle or end.
func (p *picture) text(x, y float64, class, anchor, s string) {
	fmt.Fprintf(p, `<text x="%s" y="%s"`, short(x), short(y))
	if class != "" {
		fmt.Fprintf(p, ` class="%s"`, class)
	}
	if anchor != "start" {
		fmt.Fprintf(p, ` text-anchor="%s"`, anchor)
	}
	fmt.Fprintf(p, ">%s</text>\n", s)
}

// legend names the curves, in two columns.
func (p *picture) legend() {
	rows := (len(curves) + 1) / 2
	for i, c := range curves {
		x := left + float64(i/rows)*(width-left-right+between)/2
		y := legendTop + legendRow*float64(i%rows)
		fmt.Fprintf(p, `<path class="line %s" d="M%s %sh%g"/>`+"\n", c.class, short(x), short(y+4), legendLineWidth)
		p.text(x+legendLineWidth+8, y+8.5, "key", "start", c.label)
	}
}

// panel draws axes and curves between x and x+across.
func (p *picture) panel(x, across float64, name string, points []point) {
	atLoad := func(load float64) float64 {
		return x + across*math.Log(load/p.low)/math.Log(p.high/p.low)
	}
	atGoodput := func(v float64) float64 { return bottom - (bottom-top)*v/maxGoodput }

	p.text(x, top-12, "name", "start", name)
	for _, v := range []float64{0, 0.2, 0.4, 0.6, 0.8, 1} {
		class := "grid"
		if v == 0 {
			class = "axis"
		}
		fmt.Fprintf(p, `<path class="%s" d="M%s %sh%s"/>`+"\n", class, short(x), short(atGoodput(v)), short(across))
		p.text(x-7, atGoodput(v)+4.5, "", "end", short(v))
	}
	for _, load := range ticks(p.low, p.high) {
		fmt.Fprintf(p, `<path class="grid" d="M%s %gV%g"/><path class="axis" d="M%[1]s %[3]gv5"/>`+"\n", short(atLoad(load)), top, bottom)
		p.text(atLoad(load), bottom+20, "", "middle", short(load)+"×")
	}
	p.text(x+across/2, bottom+41, "", "middle", "offered load")
	for _, i := range layers() {
		var d strings.Builder
		command := "M"
		for _, pt := range points {
			fmt.Fprintf(&d, "%s%s %s", command, short(atLoad(pt.load)), short(atGoodput(pt.goodput[i])))
			command = "L"
		}
		fmt.Fprintf(p, `<path class="line %s" d="%s"><title>%s</title></path>`+"\n", curves[i].class, d.String(), curves[i].label)
	}
}

// ticks are the numbers 1, 2 and 5, times powers of ten, from low to high; where those are fewer than
// two, low and high themselves.
func ticks(low, high float64) []float64 {
	var at []float64
	for _, v := range []float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000} {
		if v >= low && v <= high {
			at = append(at, v)
		}
	}
	if len(at) < 2 {
		return []float64{low, high}
	}
	return at
}

// short is v with two decimals at most.
func short(v float64) string {
	s := strconv.FormatFloat(v, 'f', 2, 64)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}
