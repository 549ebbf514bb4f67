package compat

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/mod/semver"
)

// File is where releases are recorded, relative to the repository.
const File = "docs/releases.md"

// A Release is one line of [File].
type Release struct {
	Version string // such as v0.2.0
	Commit  string // the commit it was made from, 7 to 64 hexadecimal digits
}

var commit = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

// header is that of the table; the columns between are for people.
var header = []string{"version", "date", "modules", "commit"}

// Read returns the releases that the repository at root records, newest first; none is no error.
func Read(root string) ([]Release, error) {
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(File)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing: it records the releases, in a table with the columns %s", File, strings.Join(header, ", "))
	}
	if err != nil {
		return nil, err
	}
	return Parse(string(text))
}

// Parse reads the text of [File]: a table in Markdown whose columns are version, date, modules and commit,
// newest release first. Backquotes around a value, and a link's target, do not matter.
func Parse(text string) ([]Release, error) {
	var releases []Release
	inTable := false
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = plain(cells[i])
		}
		if len(cells) != len(header) {
			return nil, fmt.Errorf("%s:%d: the line has %d columns, want %s", File, n, len(cells), strings.Join(header, ", "))
		}
		switch {
		case cells[0] == header[0]:
			inTable = true
			continue
		case strings.Trim(cells[0], "-:") == "":
			continue
		case !inTable:
			return nil, fmt.Errorf("%s:%d: a release stands above the table's header %s", File, n, strings.Join(header, ", "))
		}
		r := Release{Version: cells[0], Commit: cells[3]}
		if !semver.IsValid(r.Version) {
			return nil, fmt.Errorf("%s:%d: %q is no version, want one such as v0.2.0", File, n, r.Version)
		}
		if !commit.MatchString(r.Commit) {
			return nil, fmt.Errorf("%s:%d: %s: %q is no commit, want 7 to 64 hexadecimal digits", File, n, r.Version, r.Commit)
		}
		if last := len(releases) - 1; last >= 0 && semver.Compare(releases[last].Version, r.Version) <= 0 {
			return nil, fmt.Errorf("%s:%d: %s stands below %s, want the newest first", File, n, r.Version, releases[last].Version)
		}
		releases = append(releases, r)
	}
	if !inTable {
		return nil, fmt.Errorf("%s has no table with the columns %s", File, strings.Join(header, ", "))
	}
	return releases, nil
}

var link = regexp.MustCompile(`^\[([^\]]*)\]\([^)]*\)$`)

// plain is what a cell says, without its Markdown.
func plain(cell string) string {
	cell = strings.TrimSpace(cell)
	if m := link.FindStringSubmatch(cell); m != nil {
		cell = m[1]
	}
	return strings.Trim(cell, "`")
}
