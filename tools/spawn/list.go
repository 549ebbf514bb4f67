package spawn

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// An Entry is what the checked-in list says of a site.
type Entry struct {
	Site
	Count int    // how often the function has it
	Bound string // how many there can be, and of what
	Why   string // why it is there, and what ends it
}

const header = `Where this repository starts goroutines, makes channels and keeps work for later, tests apart, with
what bounds each and why it is there. CONTRIBUTING.md says how a reviewer reads it.
Compared by: go run ./tools/cmd/house spawn. With -w it adds places that are new, for you to write
their bound and why, and removes those that are gone.
`

// List writes entries as text, sorted: a line per package, and for each site a line, its bound and
// its reason. [Parse] reads it.
func List(entries []Entry) []byte {
	sorted := slices.Clone(entries)
	slices.SortFunc(sorted, func(a, b Entry) int { return a.compare(b.Site) })
	var b bytes.Buffer
	b.WriteString(header)
	in := ""
	for _, e := range sorted {
		if e.Package != in {
			in = e.Package
			fmt.Fprintf(&b, "\n%s\n", in)
		}
		fmt.Fprintf(&b, "\t%s: %s", e.Function, e.Start)
		if e.Count != 1 {
			fmt.Fprintf(&b, "%s%d", times, e.Count)
		}
		b.WriteString("\n")
		field(&b, bound, e.Bound)
		field(&b, why, e.Why)
	}
	return b.Bytes()
}

const (
	bound = "bound:"
	why   = "why:"
	times = " ×"
)

func field(b *bytes.Buffer, name, text string) {
	b.WriteString("\t\t" + name)
	if text != "" {
		b.WriteString(" " + text)
	}
	b.WriteString("\n")
}

// Parse reads a list. What stands before the first empty line is its heading and not read. The error
// names the line that is not as [List] writes it.
func Parse(text string) ([]Entry, error) {
	_, body, _ := strings.Cut(text, "\n\n")
	n := strings.Count(text[:len(text)-len(body)], "\n")
	p := reader{seen: map[Site]bool{}}
	for line := range strings.Lines(body) {
		n++
		if err := p.line(strings.TrimRight(line, "\r\n")); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	return p.entries, nil
}

// reader has read the lines so far.
type reader struct {
	entries []Entry
	in      string // the package
	seen    map[Site]bool
	open    bool // the last entry is one of this package, and takes a bound and a reason
}

func (p *reader) line(line string) error {
	text := strings.TrimSpace(line)
	switch {
	case text == "":
		return nil
	case line[0] != '\t':
		p.in, p.open = text, false
		return nil
	case strings.HasPrefix(line, "\t\t"):
		return p.field(text)
	}
	return p.site(text)
}

func (p *reader) site(text string) error {
	function, start, ok := strings.Cut(text, ": ")
	if !ok || p.in == "" {
		return fmt.Errorf("%q: want FUNCTION: CODE below the line of a package", text)
	}
	e := Entry{Site: Site{Package: p.in, Function: function, Start: start}, Count: 1}
	if at := strings.LastIndex(start, times); at >= 0 {
		count, err := strconv.Atoi(start[at+len(times):])
		if err != nil || count < 2 {
			return fmt.Errorf("%q: want a number above 1 after ×", text)
		}
		e.Start, e.Count = start[:at], count
	}
	if p.seen[e.Site] {
		return fmt.Errorf("%s is listed twice", e.Site)
	}
	p.seen[e.Site], p.open = true, true
	p.entries = append(p.entries, e)
	return nil
}

func (p *reader) field(text string) error {
	if !p.open {
		return fmt.Errorf("%q: want it below the line of a site", text)
	}
	e := &p.entries[len(p.entries)-1]
	name, rest, _ := strings.Cut(text, ":")
	to := map[string]*string{bound: &e.Bound, why: &e.Why}[name+":"]
	if to == nil {
		return fmt.Errorf("%q: want %q or %q before it", text, bound, why)
	}
	if *to != "" {
		return fmt.Errorf("%s has a second %q", e.Site, name+":")
	}
	*to = strings.TrimSpace(rest)
	return nil
}
