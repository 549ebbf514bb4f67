package plot

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// A curve is one column of goodput.
type curve struct {
	column string
	label  string // in the legend
	class  string // of the style sheet
}

// curves are what is drawn, in the order of the columns, which is that of the legend as well.
var curves = []curve{
	{"queue", "this queue, 24 places", "ours"},
	{"oracle", "an oracle without foresight", "oracle"},
	{"bounded_fifo", "first come, first served, 24 places", "fifo"},
	{"bounded_fifo_ten_times_too_deep", "first come, first served, 240 places", "deep"},
	{"unbounded", "first come, first served, no bound", "unbounded"},
}

const (
	maxPanels = 4         // more would be too narrow to read
	maxWork   = 1_000_000 // ms
	minLoad   = 0.01      // as a share of what the workers can do
	maxLoad   = 1000
	// Pieces of work that happen to be short let goodput exceed 1 by a little.
	maxGoodput = 1.1
)

// A panel is a diagram of its own: all rows with the same time that work takes.
type panel struct {
	work   int // ms
	points []point
}

// A point is a row.
type point struct {
	load    float64
	goodput []float64 // of each curve
}

// header is the first line of the CSV.
func header() []string {
	names := []string{"work_ms", "load"}
	for _, c := range curves {
		names = append(names, c.column)
	}
	return names
}

// A fault is what is wrong in a cell of a row.
type fault struct {
	cell int
	text string
}

func wrong(cell int, format string, args ...any) *fault {
	return &fault{cell, fmt.Sprintf(format, args...)}
}

// parse reads the whole CSV and takes nothing that Goodput does not describe.
func parse(r io.Reader) ([]panel, error) {
	in := csv.NewReader(r)
	in.FieldsPerRecord = -1 // counted in parseRow, which can tell the column
	var panels []panel
	line := 0 // where the last row began
	for {
		row, err := in.Read()
		if err == io.EOF {
			break
		}
		if bad, ok := errors.AsType[*csv.ParseError](err); ok {
			return nil, fmt.Errorf("line %d, column %d: %w", bad.Line, bad.Column, bad.Err)
		}
		if err != nil {
			return nil, err
		}
		var f *fault
		if line == 0 {
			f = checkHeader(row)
		} else {
			panels, f = parseRow(panels, row)
		}
		if f != nil {
			line, column := in.FieldPos(f.cell)
			return nil, fmt.Errorf("line %d, column %d: %s", line, column, f.text)
		}
		line, _ = in.FieldPos(0)
	}
	if last := len(panels) - 1; last < 0 || len(panels[last].points) == 1 {
		return nil, fmt.Errorf("line %d, column 1: the file has ended, want two loads or more for a line", line+1)
	}
	return panels, nil
}

func checkHeader(row []string) *fault {
	if want := header(); !slices.Equal(row, want) {
		return wrong(0, "the header is %q, want %q", strings.Join(row, ","), strings.Join(want, ","))
	}
	return nil
}

// parseRow adds a row to the panels before it.
func parseRow(panels []panel, row []string) ([]panel, *fault) {
	if want := 2 + len(curves); len(row) != want {
		return nil, wrong(min(len(row)-1, want), "the row has %d cells, want %d", len(row), want)
	}
	work, err := strconv.Atoi(row[0])
	if err != nil || work < 1 || work > maxWork {
		return nil, wrong(0, "work_ms is %q, want a whole number of milliseconds from 1 to %d", row[0], maxWork)
	}
	p := point{goodput: make([]float64, len(curves))}
	if p.load, err = strconv.ParseFloat(row[1], 64); err != nil || !(p.load >= minLoad && p.load <= maxLoad) {
		return nil, wrong(1, "load is %q, want a number from %g to %d", row[1], minLoad, maxLoad)
	}
	for i, c := range curves {
		v, err := strconv.ParseFloat(row[2+i], 64)
		if err != nil || !(v >= 0 && v <= maxGoodput) {
			return nil, wrong(2+i, "%s is %q, want a number from 0 to %g", c.column, row[2+i], maxGoodput)
		}
		p.goodput[i] = v
	}
	return place(panels, work, p)
}

// place adds a point to the last panel, or to a new one where work differs.
func place(panels []panel, work int, p point) ([]panel, *fault) {
	last := len(panels) - 1
	if last >= 0 && panels[last].work == work {
		points := panels[last].points
		if before := points[len(points)-1].load; p.load <= before {
			return nil, wrong(1, "load %g comes after %g, want loads that rise", p.load, before)
		}
		panels[last].points = append(points, p)
		return panels, nil
	}
	switch {
	case slices.ContainsFunc(panels, func(p panel) bool { return p.work == work }):
		return nil, wrong(0, "work_ms is %d again, want its rows together", work)
	case len(panels) == maxPanels:
		return nil, wrong(0, "work_ms is %d, want at most %d different ones", work, maxPanels)
	case last >= 0 && len(panels[last].points) == 1:
		return nil, wrong(0, "work_ms %d has ended after one load, want two for a line", panels[last].work)
	}
	return append(panels, panel{work: work, points: []point{p}}), nil
}
