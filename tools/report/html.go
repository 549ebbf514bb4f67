package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
)

//go:embed page.tmpl
var pageText string

// A page is what page.tmpl shows.
type page struct {
	*Report
	Charts    []chart
	All       *chart // how long all requests took
	Rows      []pageRow
	Names     string // of files
	Unpacked  uint64
	Low, High string
	Untimed   string
}

// A pageRow is a row with what is drawn of it.
type pageRow struct {
	*Row
	ID    int // 0 for what has no more to it
	Name  string
	Share float64 // of the time of all, or of the hits where no time is known, in percent
	Spark template.HTML
	Chart chart
}

// WriteHTML writes r as a page that needs no other file.
func (r *Report) WriteHTML(w io.Writer) error {
	t, err := template.New("page").Funcs(template.FuncMap{
		"number": number, "took": took, "size": size, "percent": percent, "instant": instant, "code": code, "missed": missed,
		"ids":    func(s Slow) string { return strings.Trim(s.ids(r), " ()") },
		"status": func(n int) string { return "s" + code(n/100) },
		"at":     func(f float64) template.CSS { return template.CSS(fmt.Sprintf("%.4g%%", f)) },
	}).Parse(pageText)
	if err != nil {
		return err
	}
	low, high := r.span()
	p := page{Report: r, Low: took(bar(low).Start), High: took(bar(high).Start), Untimed: untimed}
	var names []string
	for _, f := range r.Files {
		p.Unpacked += f.Bytes
		if names = append(names, f.Name); f.Name == Stdin {
			names[len(names)-1] = "standard input"
		}
	}
	if len(names) > 3 {
		names = append(names[:2], fmt.Sprintf("%d more files", len(names)-2))
	}
	p.Names = strings.Join(names, ", ")
	if len(r.Timeline) > 0 {
		p.Charts = append(p.Charts, r.rates(), r.failures())
		if r.Timed {
			p.Charts = append(p.Charts, r.latencies())
		}
	}
	if r.Timed {
		c := distribution(&r.Total, low, high)
		p.All = &c
	}
	rows := r.Routes
	if r.Others != nil {
		rows = append(rows[:len(rows):len(rows)], *r.Others)
	}
	for i := range rows {
		row := pageRow{Row: &rows[i], ID: i + 1, Name: rows[i].Route}
		if i == len(r.Routes) {
			row.ID, row.Name = 0, r.othersName()
		}
		row.Share = 100 * float64(row.Hits) / float64(max(r.Hits, 1))
		if r.Timed {
			row.Share = 100 * float64(row.Row.Total) / float64(max(r.Total.Total, 1))
			row.Spark, row.Chart = sparkline(row.Row, low, high), distribution(row.Row, low, high)
		}
		p.Rows = append(p.Rows, row)
	}
	return t.Execute(w, p)
}
