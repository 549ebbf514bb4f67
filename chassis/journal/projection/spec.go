package projection

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// A Spec is what a projection is. All fields but Filter are needed.
type Spec struct {
	// Name is that of the projection: a letter from a to z, then up to 39 of those, digits and _.
	Name string
	// Version is counted up, from 1, whenever Columns, Filter or what Apply does change.
	Version int
	// Columns are those of the table, and its constraints, as in CREATE TABLE (…) STRICT:
	//
	//	player TEXT PRIMARY KEY, won INTEGER NOT NULL
	Columns string
	// Filter selects the events that Apply gets.
	Filter journal.Filter
	// Apply changes the table by an event. Events come in the order of the journal, from one
	// goroutine. Apply must depend on nothing but the event and the table, and may be called again
	// with an event whose transaction was undone. An error ends [Projection.Run], and the event is
	// applied again when it is run again.
	Apply func(tx *Tx, e journal.Recorded) error
}

// maxVersion is the highest version that a projection may have.
const maxVersion = 1 << 30

var namePattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)

// Validate returns an error that wraps [journal.ErrInvalid] and says what would be right, unless
// the spec is one. What is wrong with Columns shows when the table is made.
func (s *Spec) Validate() error {
	switch {
	case !namePattern.MatchString(s.Name):
		return fmt.Errorf("projection %q: %w: name; want a letter from a to z, then up to 39 of those, digits and _", s.Name, journal.ErrInvalid)
	case s.Version < 1 || s.Version > maxVersion:
		return fmt.Errorf("projection %q: %w: version %d; want 1 or more, counted up with each change", s.Name, journal.ErrInvalid, s.Version)
	case s.Columns == "":
		return fmt.Errorf("projection %q: %w: no columns; give those of its table", s.Name, journal.ErrInvalid)
	case s.Apply == nil:
		return fmt.Errorf("projection %q: %w: no Apply; give the function that takes its events", s.Name, journal.ErrInvalid)
	}
	if err := journal.ValidateFilter(s.Filter); err != nil {
		return fmt.Errorf("projection %q: %w", s.Name, err)
	}
	return nil
}

// table is the name of a version's table.
func table(name string, version int64) string { return fmt.Sprintf("p_%s_v%d", name, version) }

// definition is what a version must not change, as the file keeps it.
func (s *Spec) definition() string {
	types := slices.Sorted(slices.Values(s.Filter.Types))
	return fmt.Sprintf("(%s) of %q, %q, %q", s.Columns, s.Filter.Stream, s.Filter.StreamPrefix, slices.Compact(types))
}
