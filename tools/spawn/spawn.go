// Package spawn holds every place where the repository starts goroutines, makes channels or keeps work
// for later against a checked-in list that says what bounds it and why it is there.
//
// A service dies of the queue that nobody has thought of: a goroutine for each item, a channel that is
// never full, a slice that only grows. None of them looks wrong where it is written, so each new one
// has to be written down, with its bound, beside all others (see [Find] for what counts). What the
// bound says is for people to check; that there is one, and that the list is complete, is checked here.
//
// Modules outside the workspace are left out: those in tools/peerbench are what other chassis make of a
// service, bare of our rules on purpose, and nobody links them.
//
// A queue that is a map, or a slice which one function fills and another takes whole, has no form that
// syntax shows. A reviewer looks for them: CONTRIBUTING.md says how.
package spawn

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-754044b3/roadworthy/tools/internal/golden"
	"github.com/seed-754044b3/roadworthy/tools/internal/workspace"
)

// File is where the list is checked in, relative to the root of the repository.
const File = "docs/concurrency.txt"

// Sync compares the checked-in list with the sites of the workspace. With write it adds those that are
// missing, without bound and reason, and removes those that are gone; what is left for a person to
// write is reported still. All differences are reported together.
func Sync(ctx context.Context, w *workspace.Workspace, write bool) error {
	found, err := Find(ctx, w)
	if err != nil {
		return err
	}
	file := filepath.Join(w.Root, filepath.FromSlash(File))
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read list of sites: %w", err)
	}
	entries, err := Parse(string(text))
	if err != nil {
		return fmt.Errorf("parse %s: %w", File, err)
	}
	updated := Update(entries, found)
	if write {
		return errors.Join(golden.Sync(file, List(updated), true), Check(updated, found))
	}
	if err := Check(entries, found); err != nil {
		return err
	}
	return golden.Sync(file, List(updated), false)
}

// Check returns everything that is wrong with the entries for the sites found, joined, or nil.
func Check(entries []Entry, found []Found) error {
	listed := map[Site]Entry{}
	for _, e := range entries {
		listed[e.Site] = e
	}
	var wrong []error
	for _, f := range found {
		e, ok := listed[f.Site]
		delete(listed, f.Site)
		places := strings.Join(f.Places, ", ")
		switch n := len(f.Places); {
		case !ok:
			wrong = append(wrong, fmt.Errorf("%s (%s) is not listed: run go run ./tools/cmd/house spawn -w, then write its bound and why in %s", f.Site, places, File))
		case n > e.Count:
			wrong = append(wrong, fmt.Errorf("%s is there %d times (%s) and listed %d times: see that its bound and why in %s hold for all, and write ×%d", f.Site, n, places, e.Count, File, n))
		case n < e.Count:
			wrong = append(wrong, fmt.Errorf("%s is there %d times (%s) and listed %d times: run go run ./tools/cmd/house spawn -w", f.Site, n, places, e.Count))
		case e.Bound == "":
			wrong = append(wrong, fmt.Errorf("%s (%s) has no bound: write in %s how many there can be", f.Site, places, File))
		case e.Why == "":
			wrong = append(wrong, fmt.Errorf("%s (%s) has no reason: write in %s, after why:, what it is for and what ends it", f.Site, places, File))
		}
	}
	for _, e := range entries {
		if _, gone := listed[e.Site]; gone {
			wrong = append(wrong, fmt.Errorf("%s is listed and gone: run go run ./tools/cmd/house spawn -w", e.Site))
		}
	}
	return errors.Join(wrong...)
}

// Update returns an entry for each site found: the one there is, or an empty one. A site that has
// become more frequent keeps its number, as only a person knows whether its bound holds for all.
func Update(entries []Entry, found []Found) []Entry {
	listed := map[Site]Entry{}
	for _, e := range entries {
		listed[e.Site] = e
	}
	var updated []Entry
	for _, f := range found {
		e, ok := listed[f.Site]
		if !ok {
			e = Entry{Site: f.Site, Count: len(f.Places)}
		}
		e.Count = min(e.Count, len(f.Places))
		updated = append(updated, e)
	}
	return updated
}
