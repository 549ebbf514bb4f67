package roster

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// LockFile is the name of the lock, which lies beside a module's go.mod.
const LockFile = "failure_codes.lock"

const lockHead = `# Every failure code that this module ever declared. No line is ever removed: a number that is retired
# is not used again, because old logs, dashboards and alarms still mean what it meant.
# Written by: roadworthy failures check -w
`

// A Lock is the memory of a module: every code that it ever declared. It tells nothing of where codes
// are, so that it does not change when code moves.
type Lock []Entry // by set and number

// An Entry is a line of it, such as
//
//	game 1042 used "the column is full"
type Entry struct {
	Set     string
	Number  int
	Retired bool
	Message string // what it means, or meant last
}

func (e Entry) title() string { return e.Set + " " + strconv.Itoa(e.Number) }

func compareEntries(a, b Entry) int {
	return cmp.Or(cmp.Compare(a.Set, b.Set), cmp.Compare(a.Number, b.Number))
}

var states = map[string]bool{"used": false, "retired": true}

// ParseLock reads the text of a lock. The lines may come in any order, as they may after a merge. The
// error names each line that is wrong.
func ParseLock(text []byte) (Lock, error) {
	var lock Lock
	var errs []error
	lines := map[Entry]int{}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		e, err := parseEntry(line)
		key := Entry{Set: e.Set, Number: e.Number}
		switch other := lines[key]; {
		case err != nil:
			errs = append(errs, fmt.Errorf("line %d: %w", n, err))
			continue
		case other != 0:
			errs = append(errs, fmt.Errorf("line %d: %s stands on line %d already: one of the two failures needs another number", n, e.title(), other))
			continue
		}
		lines[key] = n
		lock = append(lock, e)
	}
	slices.SortFunc(lock, compareEntries)
	return lock, errors.Join(errs...)
}

func parseEntry(line string) (Entry, error) {
	fields := strings.SplitN(line, " ", 4)
	if len(fields) != 4 {
		return Entry{}, fmt.Errorf("want SET NUMBER STATE \"MESSAGE\", got %q", line)
	}
	number, err := strconv.Atoi(fields[1])
	if err != nil || number < 1 || fields[1] != strconv.Itoa(number) {
		return Entry{}, fmt.Errorf("want a number, got %q", fields[1])
	}
	retired, ok := states[fields[2]]
	if !ok {
		return Entry{}, fmt.Errorf("want used or retired, got %q", fields[2])
	}
	message, err := strconv.Unquote(fields[3])
	if err != nil || !utf8.ValidString(message) {
		return Entry{}, fmt.Errorf("want a message in quotation marks, got %s", fields[3])
	}
	return Entry{fields[0], number, retired, message}, nil
}

// Text is the lock as it is written.
func (l Lock) Text() []byte {
	text := []byte(lockHead)
	for _, e := range l {
		state := "used"
		if e.Retired {
			state = "retired"
		}
		text = fmt.Appendf(text, "%s %d %s %q\n", e.Set, e.Number, state, e.Message)
	}
	return text
}

// find is the entry of a code.
func (l Lock) find(set string, number int) (int, bool) {
	return slices.BinarySearchFunc(l, Entry{Set: set, Number: number}, compareEntries)
}

// free is a number that was never used in a set that is in the lock: the one behind the last.
func (l Lock) free(set string) int {
	last := 0
	for _, e := range l {
		if e.Set == set {
			last = max(last, e.Number)
		}
	}
	return last + 1
}

// Update compares the lock with what is declared today. next is the lock as it should be; changes say in
// what it differs. reused are declarations of retired numbers: with those there is no next.
func (l Lock) Update(codes []Code) (next Lock, changes []string, reused []Problem) {
	next = slices.Clone(l)
	declared := map[Entry]bool{}
	for _, c := range codes {
		key := Entry{Set: c.Set, Number: c.Number}
		if declared[key] {
			continue // what Conflicts reports
		}
		declared[key] = true
		i, ok := l.find(c.Set, c.Number)
		switch {
		case !ok:
			next = append(next, Entry{c.Set, c.Number, false, c.Message})
			changes = append(changes, fmt.Sprintf("%s %d (%q) is new", c.Set, c.Number, c.Message))
		case l[i].Retired:
			reused = append(reused, Problem{c.Declared, fmt.Sprintf("failure code %s %d (%q) has a number that is retired: it was %q, and old logs, dashboards and alarms still mean that; %d is free. If it is that failure come back, change retired to used in %s by hand", c.Set, c.Number, c.Message, l[i].Message, l.free(c.Set), LockFile)})
		case l[i].Message != c.Message:
			next[i].Message = c.Message
			changes = append(changes, fmt.Sprintf("%s %d was %q and is now %q: if that is another failure, it needs another number (%d is free)", c.Set, c.Number, l[i].Message, c.Message, l.free(c.Set)))
		}
	}
	for i, e := range l {
		if !e.Retired && !declared[Entry{Set: e.Set, Number: e.Number}] {
			next[i].Retired = true
			changes = append(changes, fmt.Sprintf("%s (%q) is not declared any more, so its number is to be retired", e.title(), e.Message))
		}
	}
	slices.SortFunc(next, compareEntries)
	return next, changes, reused
}

// Lost says what an earlier lock has that this one has not: nothing, if only lines were added and codes retired.
func (l Lock) Lost(earlier Lock) []string {
	var lost []string
	for _, e := range earlier {
		i, ok := l.find(e.Set, e.Number)
		switch {
		case !ok:
			lost = append(lost, fmt.Sprintf("%s (%q) was removed: put its line back, as retired if nothing declares it", e.title(), e.Message))
		case e.Retired && !l[i].Retired && l[i].Message != e.Message:
			lost = append(lost, fmt.Sprintf("%s was retired as %q and is used again as %q: give that another number (%d is free)", e.title(), e.Message, l[i].Message, l.free(e.Set)))
		}
	}
	return lost
}
