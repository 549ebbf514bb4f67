package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A listing is what is in the directory.
type listing struct {
	disk int64
	raw  map[Name]file // segments
	gz   map[Name]file // compressed ones
}

type file struct {
	size  int64
	until time.Time
	held  bool
}

// list reads the directory, and removes what was left unfinished.
func (c *Collector) list() (*listing, error) {
	entries, err := os.ReadDir(c.o.Dir)
	if err != nil {
		return nil, fmt.Errorf("collect log segments: %w", err)
	}
	l := &listing{raw: map[Name]file{}, gz: map[Name]file{}}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // a writer has removed it
		}
		if err != nil { // taken for missing, it would be removed
			return nil, fmt.Errorf("collect log segments: %w", err)
		}
		if !info.Mode().IsRegular() {
			continue // a link
		}
		text, into := e.Name(), l.raw
		if base, found := strings.CutSuffix(text, part); found {
			if _, err := ParseName(base); err == nil {
				_ = os.Remove(filepath.Join(c.o.Dir, text)) // is tried again
				continue
			}
		}
		l.disk += info.Size()
		base, found := strings.CutSuffix(text, packed)
		if found {
			into = l.gz
		} else if base, found = strings.CutSuffix(text, suffix); !found {
			continue
		}
		if n, err := ParseName(base); err == nil {
			into[n] = file{size: info.Size(), until: info.ModTime()}
		}
	}
	return l, nil
}

// A candidate is a segment that is not being written.
type candidate struct {
	name  Name
	size  int64
	until time.Time
	done  bool // it is where it is to be
}

// candidates are all segments that are not being written, the oldest first.
func (l *listing) candidates(c *Collector) (all []candidate) {
	for n, f := range l.raw {
		if !f.held {
			all = append(all, candidate{n, f.size, f.until, false})
		}
	}
	for n, f := range l.gz {
		if _, raw := l.raw[n]; raw {
			continue // it was not finished
		}
		if r, known := c.manifest.entries[n]; known {
			all = append(all, candidate{n, f.size, r.Until, r.Step == Uploaded || c.o.Bucket == nil})
		}
	}
	slices.SortFunc(all, func(a, b candidate) int { return older(a.name, b.name) })
	return all
}

// waiting are those that are not where they are to be.
func (l *listing) waiting(c *Collector) []candidate {
	return slices.DeleteFunc(l.candidates(c), func(w candidate) bool { return w.done })
}
