package lossbench

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Milliseconds is a time in a report.
type Milliseconds float64

func milliseconds(d time.Duration) Milliseconds {
	return Milliseconds(d.Round(time.Microsecond).Seconds() * 1000)
}

// String is the time with as many digits as are worth reading.
func (m Milliseconds) String() string {
	digits := 0
	if m < 100 {
		digits = 1
	}
	return strconv.FormatFloat(float64(m), 'f', digits, 64)
}

// Report is what a run measured.
type Report struct {
	Target  []string     `json:"target"` // the command that was replaced
	Mode    Mode         `json:"mode"`
	Delay   Milliseconds `json:"delay_ms"` // one way
	Took    Milliseconds `json:"took_ms"`
	Fault   string       `json:"fault,omitempty"` // of all reloads but the last, which were refused therefore
	Reloads Reloads      `json:"reloads"`
	Results []Result     `json:"results"`
	Leaks   *Leaks       `json:"leaks,omitempty"` // nil when nobody looked
}

// Reloads say how replacing the process went.
type Reloads struct {
	Asked int `json:"asked"`
	Done  int `json:"done"`
	// Refused counts signals that led to no new worker and were sent again.
	Refused int `json:"refused"`
	// Ready is the time from the signal to the first answer of the new worker, Drain from there until
	// the old process was gone. Unfinished processes were not gone when the run ended.
	Ready      Latency `json:"ready"`
	Drain      Latency `json:"drain"`
	Unfinished int     `json:"unfinished"`
	// Failure is why fewer were done than asked for.
	Failure string `json:"failure,omitempty"`
}

// Leaks compare the process that was started before and after the reloads.
type Leaks struct {
	FilesBefore   int `json:"files_before"`
	FilesAfter    int `json:"files_after"`
	ZombiesBefore int `json:"zombies_before"`
	ZombiesAfter  int `json:"zombies_after"`
}

// Found reports whether something was left behind.
func (l *Leaks) Found() bool {
	return l != nil && (l.FilesAfter > l.FilesBefore || l.ZombiesAfter > l.ZombiesBefore)
}

// Requests and Failed are the sums over all protocols.
func (r *Report) Requests() (n int64) {
	for _, p := range r.Results {
		n += p.Requests
	}
	return n
}

// Failed is the number of requests that failed.
func (r *Report) Failed() (n int64) {
	for _, p := range r.Results {
		n += p.Failed
	}
	return n
}

// Clean says what is wrong with the run, nil when nothing was lost, every reload was done, every old
// process ended and nothing leaked.
func (r *Report) Clean() error {
	switch {
	case r.Reloads.Done < r.Reloads.Asked:
		return fmt.Errorf("%d of %d reloads done: %s", r.Reloads.Done, r.Reloads.Asked, r.Reloads.Failure)
	case r.Failed() > 0:
		return fmt.Errorf("%d of %d requests failed", r.Failed(), r.Requests())
	case r.Reloads.Unfinished > 0:
		return fmt.Errorf("%d old processes did not end", r.Reloads.Unfinished)
	case r.Leaks.Found():
		return fmt.Errorf("the process leaks: %s", r.Leaks)
	}
	return nil
}

// String says what was compared.
func (l *Leaks) String() string {
	return fmt.Sprintf("%d → %d open files, %d → %d zombies", l.FilesBefore, l.FilesAfter, l.ZombiesBefore, l.ZombiesAfter)
}

// WriteTable writes the report for people: a row for each protocol, then how the reloads went.
func (r *Report) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "protocol\trequests\tfailed\tquiet p50/p99\treload p50/p99\tconns\treopens\tseen_close\tcauses")
	row := func(name string, requests, failed int64, quiet, reload string, p Result, causes string) {
		line := fmt.Sprintf("%s\t%d\t%d\t%s\t%s\t%d\t%d\t%d\t%s", name, requests, failed, quiet, reload, p.Connections, p.Reopens, p.SeenClose, causes)
		fmt.Fprintln(t, strings.TrimRight(line, "\t"))
	}
	var sum Result
	for _, p := range r.Results {
		row(p.Protocol, p.Requests, p.Failed, p.Quiet.short(), p.Reload.short(), p, causes(p.Causes))
		sum.Connections += p.Connections
		sum.Reopens += p.Reopens
		sum.SeenClose += p.SeenClose
	}
	row("all", r.Requests(), r.Failed(), "", "", sum, "")
	if err := t.Flush(); err != nil {
		return err
	}
	l := r.Reloads
	b := new(strings.Builder)
	fmt.Fprintf(b, "\ntimes in ms; %s, delay %s ms each way, %.1f s, %.0f requests/s\n",
		r.Mode, r.Delay, r.Took/1000, float64(r.Requests())/max(float64(r.Took)/1000, 0.001))
	fmt.Fprintf(b, "reloads: %d of %d done, %d signals refused\n", l.Done, l.Asked, l.Refused)
	if r.Fault != "" {
		fmt.Fprintf(b, "fault: %s, so that all but the last were to leave the old worker in place\n", r.Fault)
	}
	if l.Failure != "" {
		fmt.Fprintf(b, "failure: %s\n", l.Failure)
	}
	fmt.Fprintf(b, "ready: p50 %s, p99 %s, max %s\n", l.Ready.P50, l.Ready.P99, l.Ready.Max)
	fmt.Fprintf(b, "drain: p50 %s, max %s, %d unfinished\n", l.Drain.P50, l.Drain.Max, l.Unfinished)
	if r.Leaks != nil {
		fmt.Fprintf(b, "leaks: %s\n", r.Leaks)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (l Latency) short() string {
	if l.Count == 0 {
		return "-"
	}
	return l.P50.String() + "/" + l.P99.String()
}

// causes lists what failed, the most frequent first.
func causes(all map[string]int64) string {
	names := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
		if all[a] != all[b] {
			return int(all[b] - all[a])
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("%d %s", all[name], name))
	}
	return strings.Join(parts, ", ")
}

// WriteJSON writes the report for programs.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(r)
}
