package roster

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// A Line is a code of the list: one that is declared, or a retired one, of which only set, number and
// message are remembered.
type Line struct {
	Code
	Retired bool
}

// List is every code, retired ones too, of the given sets, or of all, by set and number. The error says
// which sets there are if one is not there.
func (r *Roster) List(sets ...string) ([]Line, error) {
	var all []Line
	for _, m := range r.Modules {
		lock, err := m.Lock()
		if err != nil {
			return nil, fmt.Errorf("%s of %s: %w", LockFile, m.Path, err)
		}
		for _, e := range lock {
			if e.Retired {
				all = append(all, Line{Code{Description: failure.Description{Set: e.Set, Number: e.Number, Message: e.Message}}, true})
			}
		}
		for _, c := range m.Codes {
			all = append(all, Line{Code: c})
		}
	}
	slices.SortStableFunc(all, func(a, b Line) int {
		return cmp.Or(cmp.Compare(a.Set, b.Set), cmp.Compare(a.Number, b.Number))
	})
	there := []string{}
	for _, l := range all {
		if len(there) == 0 || there[len(there)-1] != l.Set {
			there = append(there, l.Set)
		}
	}
	for _, set := range sets {
		if !slices.Contains(there, set) {
			return nil, fmt.Errorf("there is no failure set %s; there is: %s", set, strings.Join(there, ", "))
		}
	}
	if len(sets) > 0 {
		all = slices.DeleteFunc(all, func(l Line) bool { return !slices.Contains(sets, l.Set) })
	}
	return all, nil
}

// MarshalJSON is what is declared of a code, as failure.Description has it, with its places; or of a
// retired one what is remembered.
func (l Line) MarshalJSON() ([]byte, error) {
	if !l.Retired {
		return json.Marshal(l.Code)
	}
	return json.Marshal(map[string]any{"set": l.Set, "number": l.Number, "message": l.Message, "retired": true})
}

// WriteText writes the list as a table.
func WriteText(w io.Writer, list []Line) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, err := fmt.Fprintln(table, "CODE\tCLASS\tHTTP\tGRPC\tRETRY\tALERT\tMESSAGE\tANSWERED AT")
	for _, l := range list {
		line := fmt.Sprintf("%s %d\tretired\t\t\t\t\t%s\tnowhere", l.Set, l.Number, l.Message)
		if !l.Retired {
			at := strings.Join(l.Answered, ", ")
			line = fmt.Sprintf("%s %d\t%v\t%d\t%v\t%s\t%v\t%s\t%s", l.Set, l.Number, l.Class, l.HTTPStatus, l.GRPCCode, retry(l.Code), l.Severity, l.Message, cmp.Or(at, "anywhere"))
		}
		_, e := fmt.Fprintln(table, line)
		err = errors.Join(err, e)
	}
	return errors.Join(err, table.Flush())
}

// retry says whether a caller may try again, and after how long.
func retry(c Code) string {
	switch {
	case !c.Retryable:
		return "no"
	case c.RetryAfter == 0:
		return "yes"
	}
	return fmt.Sprintf("after %gs", c.RetryAfter)
}
