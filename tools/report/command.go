package report

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Exit codes of Run.
const (
	exitRead  = 0
	exitDoubt = 1 // the report is written, and too much of the log was not understood or is damaged
	exitWrong = 2 // there is no report
)

const usage = `usage: roadworthy report [flags] LOG...

Tells from access logs how fast pages are: hits, errors and durations of each route. LOG is a file, packed
(gzip, zstd) or not, - for standard input, or a folder of segments; several are added up. The report is text,
or what the name behind -o ends in: HTML in one file, or JSON.

The format of lines is a LogFormat of the Apache HTTP Server, or a log_format of nginx. Without -format it is
the one of combined, common and vhost_combined that the first lines have. How long requests took is known of
%D, %T, %{ms}T and nginx's $request_time; routes of %{route}x, and otherwise of paths, in which numbers, UUIDs
and the like are replaced by placeholders. Addresses of clients are in no report unless -clients asks for them.

It exits with 0 if the log was understood; 1 if more than -bad percent of the lines were not, or a file is
damaged or was removed before its turn, with a report of the others; 2 if there is no report.

`

// A request is one call of the command.
type request struct {
	Options
	format, out, kind, order, zone, from, to string
	rows                                     int
	bad                                      float64
}

// Run is the command roadworthy report with its arguments. It returns the exit code. Now is for -from and
// -to that count back from it.
func Run(args []string, stdin io.Reader, stdout, stderr io.Writer, now time.Time) int {
	q := request{}
	flags := flag.NewFlagSet("roadworthy report", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&q.format, "format", "", "the `format` of lines: a LogFormat, a log_format, or combined, common, vhost_combined, nginx")
	flags.StringVar(&q.out, "o", "", "write the report to this `file` instead of standard output")
	flags.StringVar(&q.kind, "as", "", "html, text or json; by default what -o ends in, or text")
	flags.StringVar(&q.order, "sort", string(ByTime), "what routes are sorted by: time (all that they took), hits, p99 or errors")
	flags.IntVar(&q.rows, "top", 50, "how many `routes` are shown; the others are in one row")
	flags.IntVar(&q.Routes, "routes", 2000, "how many `routes` are counted one by one, each in 3 to 10 KiB of memory")
	flags.IntVar(&q.Slowest, "slowest", 20, "how many of the slowest `requests` are shown")
	flags.IntVar(&q.Clients, "clients", 0, "show this many of the `clients` that ask most, by their addresses")
	flags.BoolVar(&q.Query, "query", false, "show the query strings of slow requests")
	flags.StringVar(&q.from, "from", "", "leave out requests before this `time`: 2026-11-28, 2026-11-28T15:04, RFC 3339, or 90m ago")
	flags.StringVar(&q.to, "to", "", "leave out requests at or after this `time`")
	flags.StringVar(&q.zone, "zone", "UTC", "the `zone` of times in flags and report, such as Europe/Berlin or Local")
	flags.Float64Var(&q.bad, "bad", 1, "exit with 1 if more than this `percent` of lines were not understood")
	flags.Usage = func() {
		_, _ = io.WriteString(flags.Output(), usage)
		flags.PrintDefaults()
	}
	if help(args) {
		flags.SetOutput(stdout)
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitRead
	case err != nil:
		return exitWrong
	}
	r, err := q.report(flags.Args(), stdin, now)
	if err == nil {
		err = q.write(r, stdout)
	}
	if err != nil {
		fmt.Fprintf(stderr, "roadworthy report: %v\n", err)
		return exitWrong
	}
	return q.judge(r, stderr)
}

func help(args []string) bool {
	return slices.ContainsFunc(args, func(a string) bool { return a == "-h" || a == "-help" || a == "--help" })
}

// judge says what a caller should know who does not look at the report.
func (q *request) judge(r *Report, stderr io.Writer) int {
	code := exitRead
	if float64(r.Unread) > q.bad/100*float64(r.Lines) {
		first := r.Bad[0]
		hint := ""
		if q.format == "" && r.Unread == r.Lines {
			hint = "; if the log has another format than combined, common or vhost_combined, name it with -format"
		}
		fmt.Fprintf(stderr, "roadworthy report: %d of %d lines were not understood, the first at %s:%d:%d: %s%s\n",
			r.Unread, r.Lines, first.File, first.Line, first.Column, first.Reason, hint)
		code = exitDoubt
	}
	for _, f := range r.Files {
		if f.Damage != "" {
			fmt.Fprintf(stderr, "roadworthy report: %s %s\n", f.Name, f.damage())
			code = exitDoubt
		}
	}
	return code
}

// report reads the logs.
func (q *request) report(logs []string, stdin io.Reader, now time.Time) (*Report, error) {
	if len(logs) == 0 {
		return nil, errors.New("no log is named: want files, folders, or - for standard input")
	}
	if q.Routes < 1 || q.Slowest < 0 || q.Clients < 0 || q.rows < 0 || q.bad < 0 {
		return nil, errors.New("numbers in flags are not below 0, and -routes is 1 at least")
	}
	if q.Slowest == 0 {
		q.Slowest = -1
	}
	if !slices.Contains(Orders(), Order(q.order)) {
		return nil, fmt.Errorf("-sort %s: want one of time, hits, p99 and errors", q.order)
	}
	if err := q.chooseKind(); err != nil {
		return nil, err
	}
	zone, err := time.LoadLocation(q.zone)
	if err != nil {
		return nil, fmt.Errorf("-zone: %w", err)
	}
	if q.From, err = instantOf("-from", q.from, zone, now); err != nil {
		return nil, err
	}
	if q.To, err = instantOf("-to", q.to, zone, now); err != nil {
		return nil, err
	}
	var layout *Layout
	if q.format != "" {
		if layout, err = NewLayout(q.format); err != nil {
			return nil, err
		}
	}
	files, err := Expand(logs)
	if err != nil {
		return nil, err
	}
	in := &input{layout: layout, collector: NewCollector(q.Options)}
	var unopened error
	for _, name := range files {
		if err := in.file(name, stdin); unopened == nil {
			unopened = err
		}
	}
	if in.opened == 0 {
		return nil, unopened // there is nothing to report
	}
	in.settle()
	if in.layout != nil && !in.layout.Dated() && (q.From != 0 || q.To != 0) {
		return nil, errors.New("-from and -to: the format has no time such as %t or $time_local")
	}
	r := in.collector.Report(Order(q.order), q.rows, zone)
	r.Files = in.files
	return r, nil
}

func (q *request) chooseKind() error {
	if q.kind == "" {
		q.kind = "text"
		switch ext := strings.ToLower(filepath.Ext(q.out)); ext {
		case ".html", ".htm":
			q.kind = "html"
		case ".json":
			q.kind = "json"
		}
	}
	if !slices.Contains([]string{"html", "text", "json"}, q.kind) {
		return fmt.Errorf("-as %s: want html, text or json", q.kind)
	}
	return nil
}

// write writes the report where it is asked for. A file is there whole or not at all.
func (q *request) write(r *Report, stdout io.Writer) error {
	render := map[string]func(io.Writer) error{"html": r.WriteHTML, "text": r.WriteText, "json": r.WriteJSON}[q.kind]
	if q.out == "" {
		return render(stdout)
	}
	f, err := os.CreateTemp(filepath.Dir(q.out), ".report-*.tmp")
	if err != nil {
		return err
	}
	err = errors.Join(render(f), f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), q.out)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// instantOf reads a time of a flag, in µs since 1970, 0 for none.
func instantOf(name, text string, zone *time.Location, now time.Time) (int64, error) {
	if text == "" {
		return 0, nil
	}
	if ago, err := time.ParseDuration(strings.TrimSuffix(text, " ago")); err == nil && ago >= 0 {
		return now.Add(-ago).UnixMicro(), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return t.UnixMicro(), nil
		}
	}
	return 0, fmt.Errorf("%s %s: want a time such as 2026-11-28, 2026-11-28T15:04, 2026-11-28T15:04:05Z, or 90m for an hour and a half ago", name, text)
}
