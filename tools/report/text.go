package report

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteText writes r for a terminal.
func (r *Report) WriteText(w io.Writer) error {
	out := &textWriter{w: w}
	out.summary(r)
	out.table(r)
	out.counts("status", r.Statuses)
	out.counts("failure code", r.Failures)
	out.slowest(r)
	if len(r.Clients) > 0 {
		out.printf("\nclients that ask most\n")
		for _, c := range r.Clients {
			out.printf("  %s  %s%s\n", c.Client, number(c.Hits), missed(c.Missed, "-"))
		}
	}
	out.bad(r)
	return out.err
}

// A textWriter keeps the first error.
type textWriter struct {
	w   io.Writer
	err error
}

func (o *textWriter) printf(format string, args ...any) {
	if o.err == nil {
		_, o.err = fmt.Fprintf(o.w, format, args...)
	}
}

func (o *textWriter) summary(r *Report) {
	o.printf("%s requests", number(r.Hits))
	if r.First != nil {
		o.printf(" from %s to %s", instant(*r.First), instant(*r.Last))
	}
	o.printf(", %s failed (%s), %s refused (%s), %s sent\n", number(r.Total.Errors), percent(r.Total.Errors, r.Hits),
		number(r.Total.ClientErrors), percent(r.Total.ClientErrors, r.Hits), size(r.Total.Bytes))
	if t := r.Total; r.Timed {
		o.printf("mean %s, p50 %s, p90 %s, p99 %s, p99.9 %s, max %s\n", took(t.Mean), took(t.P50), took(t.P90), took(t.P99), took(t.P999), took(t.Max))
	} else if r.Hits > 0 {
		o.printf("%s\n", untimed)
	}
	if r.Outside > 0 {
		o.printf("%s requests were at other times\n", number(r.Outside))
	}
	for _, f := range r.Files {
		if f.Damage != "" {
			o.printf("%s %s\n", f.Name, f.damage())
		}
	}
}

// untimed says what is missing from a log without durations.
const untimed = "The log does not tell how long requests took: add %D (httpd, Roadworthy) or $request_time (nginx) to its format."

func (o *textWriter) table(r *Report) {
	if o.err != nil || r.Hits == 0 {
		return
	}
	o.printf("\n")
	t := tabwriter.NewWriter(o.w, 0, 0, 2, ' ', tabwriter.AlignRight)
	heads := "hits\tfailed\trefused\tsent\t"
	if r.Timed {
		heads += "total\tshare\tmean\tp50\tp90\tp99\tp99.9\tmax\t"
	}
	// Names stand behind the numbers: they are as long as they like.
	_, o.err = fmt.Fprintf(t, "%s  route\n", heads)
	line := func(row *Row, name string) {
		cells := []string{number(row.Hits) + missed(row.Missed, "+"), number(row.Errors), number(row.ClientErrors), size(row.Bytes)}
		if r.Timed {
			cells = append(cells, took(row.Total), percent(row.Total, r.Total.Total))
			for _, us := range []uint64{row.Mean, row.P50, row.P90, row.P99, row.P999, row.Max} {
				cells = append(cells, took(us))
			}
		}
		_, _ = fmt.Fprintf(t, "%s\t  %s\n", strings.Join(cells, "\t"), name)
	}
	for i := range r.Routes {
		line(&r.Routes[i], r.Routes[i].Route)
	}
	if r.Others != nil {
		line(r.Others, r.othersName())
	}
	o.err = errors.Join(o.err, t.Flush())
}

func (o *textWriter) counts(what string, counts []Count) {
	if len(counts) == 0 {
		return
	}
	var cells []string
	for _, c := range counts {
		cells = append(cells, fmt.Sprintf("%s %s", code(c.Code), number(c.Count)))
	}
	o.printf("\n%s: %s\n", what, strings.Join(cells, ", "))
}

func (o *textWriter) slowest(r *Report) {
	if len(r.Slowest) == 0 {
		return
	}
	o.printf("\nslowest requests\n")
	for _, s := range r.Slowest {
		o.printf("  %9s  %s  %s%s\n", took(s.Taken), code(s.Status), strings.TrimPrefix(s.Method+" "+s.Target, " "), s.ids(r))
	}
}

// ids are when the request was and by what it is found in other logs.
func (s *Slow) ids(r *Report) string {
	var ids []string
	if r.First != nil {
		ids = append(ids, instant(time.UnixMicro(s.Time).In(r.First.Location())))
	}
	if s.Failure > 0 {
		ids = append(ids, "failure "+strconv.Itoa(s.Failure))
	}
	if s.RequestID != "" {
		ids = append(ids, "request "+s.RequestID)
	}
	if s.ErrorID != "" {
		ids = append(ids, "error "+s.ErrorID)
	}
	if ids == nil {
		return ""
	}
	return "  (" + strings.Join(ids, ", ") + ")"
}

func (o *textWriter) bad(r *Report) {
	if r.Unread == 0 {
		return
	}
	o.printf("\n%s lines were not understood (%s)", number(r.Unread), percent(r.Unread, r.Lines))
	if uint64(len(r.Bad)) < r.Unread {
		o.printf("; the first are")
	}
	o.printf("\n")
	for _, b := range r.Bad {
		o.printf("  %s:%d:%d: %s\n    %s\n", b.File, b.Line, b.Column, b.Reason, b.Text)
	}
}

func (r *Report) othersName() string {
	least := ""
	if !r.OtherRoutesExact {
		least = "up to "
	}
	return fmt.Sprintf("(%s%s other routes)", least, number(r.OtherRoutes))
}

// missed is what a number may be wrong by.
func missed(n uint64, sign string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (%s%s at most)", sign, number(n))
}

// number is n with its thousands apart.
func number(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// took is a duration in three digits.
func took(us uint64) string {
	f := float64(us)
	switch {
	case us < 1000:
		return strconv.FormatUint(us, 10) + " µs"
	case f < 999.5e3:
		return digits3(f/1e3) + " ms"
	case f < 120e6:
		return digits3(f/1e6) + " s"
	case f < 36000e6:
		return digits3(f/60e6) + " min"
	}
	return digits3(f/3600e6) + " h"
}

// size is a number of bytes in three digits.
func size(n uint64) string {
	if n < 1000 {
		return strconv.FormatUint(n, 10) + " B"
	}
	f, unit := float64(n)/1e3, 0
	for ; f >= 999.5; unit++ {
		f /= 1e3
	}
	return digits3(f) + " " + "kMGTPE"[unit:unit+1] + "B"
}

func digits3(f float64) string {
	switch {
	case f < 9.995:
		return strconv.FormatFloat(f, 'f', 2, 64)
	case f < 99.95:
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return number(uint64(f + 0.5))
}

func percent(part, whole uint64) string {
	if part == 0 {
		return "0 %"
	}
	p := 100 * float64(part) / float64(whole)
	switch {
	case p < 0.01:
		return "< 0.01 %"
	case p < 10:
		return strconv.FormatFloat(p, 'f', 2, 64) + " %"
	}
	return strconv.FormatFloat(p, 'f', 1, 64) + " %"
}

func instant(t time.Time) string { return t.Format("2006-01-02 15:04:05 MST") }

// code is a status or a failure code; 0 is none.
func code(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}
