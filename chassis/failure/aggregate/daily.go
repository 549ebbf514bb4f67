package aggregate

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A Daily is what failed on one day.
type Daily struct {
	Service string    `json:"service"`
	Day     string    `json:"day"` // in UTC, as 2006-01-02
	Made    time.Time `json:"made"`
	// New are the errors that no earlier report tells of, Known the others, TimedOut what was not
	// done in time, Callers what was no failure of the service. Each has what failed most often on
	// that day first.
	New      []Group `json:"new"`
	Known    []Group `json:"known"`
	TimedOut []Group `json:"timed_out"`
	Callers  []Group `json:"callers"`
}

// DailyOf is what failed on a day, of the groups of all processes of a service. known says of the key of a
// group whether an earlier report tells of it; nil knows none.
func DailyOf(service, day string, made time.Time, groups []Group, known func(key string) bool) Daily {
	d := Daily{Service: service, Day: day, Made: made, New: []Group{}, Known: []Group{}, TimedOut: []Group{}, Callers: []Group{}}
	for _, g := range groups {
		to := &d.New
		switch {
		case g.On(day) == 0:
			continue
		case quiet(g.Code.Class):
			to = &d.Callers
		case g.TimedOut():
			to = &d.TimedOut
		case known != nil && known(g.Key):
			to = &d.Known
		}
		*to = append(*to, g)
	}
	for _, part := range d.parts() {
		slices.SortFunc(part.groups, func(a, b Group) int {
			return cmp.Or(cmp.Compare(b.On(day), a.On(day)), strings.Compare(a.Key, b.Key))
		})
	}
	return d
}

type part struct {
	title  string
	groups []Group
}

func (d *Daily) parts() []part {
	return []part{{"New errors", d.New}, {"Known errors", d.Known}, {"Time-outs", d.TimedOut}, {"Failures of callers", d.Callers}}
}

// Empty reports whether nothing failed.
func (d *Daily) Empty() bool {
	return len(d.New)+len(d.Known)+len(d.TimedOut)+len(d.Callers) == 0
}

// Groups are all groups of the report.
func (d *Daily) Groups() []Group { return slices.Concat(d.New, d.Known, d.TimedOut, d.Callers) }

// WriteText writes the report for people.
func (d *Daily) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Failures of %s on %s (UTC), as of %s\n", d.Service, d.Day, d.Made.UTC().Format(time.DateTime))
	if d.Empty() {
		b.WriteString("\nNone.\n")
	}
	for _, p := range d.parts() {
		if len(p.groups) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n%s\n", p.title)
		for i := range p.groups {
			g := &p.groups[i]
			fmt.Fprintf(&b, "%8d  %s %d: %s\n          %s, since %s\n", g.On(d.Day), g.Code.Set, g.Code.Number, g.Code.Message, g.Place, g.First.UTC().Format(time.DateTime))
			if s := g.Sample; s != nil {
				fmt.Fprintf(&b, "          %s: %s\n", s.ID, s.Message)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// A Folder is where the reports of one service are kept. Several processes may write to one at a time.
type Folder struct {
	Path    string
	Service string
	// Keep is how many reports of whole days are kept, and how many of parts of days besides; of more, the
	// oldest are deleted. Less than 1 is 1. Each is two files.
	Keep int
}

const maxDaily = 64 << 20 // bytes that are read of one report

// Prepare makes the directory, if there is none, and reports whether files can be made in it.
func (f Folder) Prepare() error {
	if err := os.MkdirAll(f.Path, 0o750); err != nil {
		return fmt.Errorf("reports of failures: %w", err)
	}
	draft, err := os.CreateTemp(f.Path, draftName)
	if err == nil {
		err = errors.Join(draft.Close(), os.Remove(draft.Name()))
	}
	if err != nil {
		return fmt.Errorf("reports of failures: %w", err)
	}
	return nil
}

const draftName = ".report-*"

// Write writes d as JSON and as text, to SERVICE-errors-DAY.json and .txt, with as between DAY and the dot. An
// empty as is for a whole day. A report that is there already stands, and written is false: of several
// processes one writes it. An error with written says what could not be done besides.
func (f Folder) Write(d Daily, as string) (written bool, err error) {
	if err := os.MkdirAll(f.Path, 0o750); err != nil {
		return false, fmt.Errorf("report of failures: %w", err)
	}
	name := filepath.Join(f.Path, f.prefix()+d.Day+as)
	written, err = once(name, map[string]func(io.Writer) error{
		".txt": d.WriteText,
		".json": func(w io.Writer) error {
			enc := json.NewEncoder(w)
			enc.SetIndent("", " ")
			return enc.Encode(d)
		},
	})
	if written {
		err = errors.Join(err, f.prune())
	}
	if err != nil {
		err = fmt.Errorf("report of failures: %w", err)
	}
	return written, err
}

func (f Folder) prefix() string { return f.Service + "-errors-" }

// Has reports whether there is a report of that day, with what stands behind the day.
func (f Folder) Has(day string) bool {
	_, err := os.Stat(filepath.Join(f.Path, f.prefix()+day+".json"))
	return err == nil
}

// once writes a report whole, unless there is one of that name. All of it is on the disk before any of it
// has its name, so that a disk that fills up leaves no half of a report.
func once(name string, files map[string]func(io.Writer) error) (written bool, err error) {
	drafts := map[string]string{}
	defer func() {
		for _, draft := range drafts {
			_ = os.Remove(draft)
		}
	}()
	for suffix, write := range files {
		tmp, err := os.CreateTemp(filepath.Dir(name), draftName)
		if err != nil {
			return false, err
		}
		drafts[suffix] = tmp.Name()
		err = write(tmp)
		if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
			return false, err
		}
	}
	// The first decides whose report it is.
	for _, suffix := range slices.Sorted(maps.Keys(files)) {
		switch err := os.Link(drafts[suffix], name+suffix); {
		case errors.Is(err, fs.ErrExist) && !written:
			return false, nil
		case err != nil && !errors.Is(err, fs.ErrExist):
			return written, err
		}
		written = true
	}
	return true, nil
}

// names are the reports that are there, those of parts of days too, the oldest first.
func (f Folder) names() ([]string, error) {
	entries, err := os.ReadDir(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), f.prefix())
		// Another service may be called as this one and something behind it.
		if _, err := time.Parse(time.DateOnly, rest[:min(len(rest), len(time.DateOnly))]); ours && err == nil && strings.HasSuffix(rest, ".json") {
			names = append(names, e.Name())
		}
	}
	return names, err
}

func (f Folder) prune() error {
	names, err := f.names()
	errs := []error{err}
	var days, parts []string
	for _, name := range names {
		if len(name) == len(f.prefix()+time.DateOnly+".json") {
			days = append(days, name)
		} else {
			parts = append(parts, name)
		}
	}
	// Who stops a service ten times a day makes ten parts of that: these must not push out whole days.
	for _, names := range [][]string{days, parts} {
		for _, name := range names[:max(len(names)-max(f.Keep, 1), 0)] {
			path := filepath.Join(f.Path, name)
			errs = append(errs, gone(os.Remove(path)), gone(os.Remove(strings.TrimSuffix(path, ".json")+".txt")))
		}
	}
	return errors.Join(errs...)
}

// gone is err, unless that is that a file is not there, because another process has removed it.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Read are the reports that are there, the newest first. An error says which could not be read; the others
// are returned with it.
func (f Folder) Read() ([]Daily, error) {
	names, err := f.names()
	errs := []error{err}
	var all []Daily
	for _, name := range slices.Backward(names) {
		d, err := readDaily(filepath.Join(f.Path, name))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, d)
	}
	return all, errors.Join(errs...)
}

func readDaily(path string) (d Daily, err error) {
	file, err := os.Open(path)
	if err != nil {
		return d, err
	}
	defer file.Close()
	if err := json.NewDecoder(io.LimitReader(file, maxDaily)).Decode(&d); err != nil {
		return d, fmt.Errorf("report of failures %s: %w", path, err)
	}
	return d, nil
}
