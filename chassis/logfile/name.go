package logfile

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A Name is what the name of a segment tells. Names are ordered by stream and then by when the
// segments were begun.
type Name struct {
	Stream     string
	Begun      time.Time // UTC, to the microsecond
	Generation int       // number of the worker, 0 without a supervisor
	PID        int
	Number     int // within the process, from 1
}

const (
	nameTime = "20060102T150405.000000Z"
	suffix   = ".log"
)

var (
	streamPattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
	namePattern   = regexp.MustCompile(`^([a-z][a-z0-9_]{0,31})-(\d{8}T\d{6}\.\d{6}Z)-(0|[1-9]\d{0,9})-(0|[1-9]\d{0,9})-([1-9]\d{0,9})$`)
)

// ValidStream says what is wrong with the name of a stream, nil when it is 1 to 32 lower-case
// letters, digits and underscores and begins with a letter.
func ValidStream(stream string) error {
	if !streamPattern.MatchString(stream) {
		return fmt.Errorf("name of a log stream %q: want 1 to 32 lower-case letters, digits and underscores, a letter first", stream)
	}
	return nil
}

// String is the name without a suffix, as [ParseName] reads it.
func (n Name) String() string {
	return fmt.Sprintf("%s-%s-%d-%d-%d", n.Stream, n.Begun.UTC().Format(nameTime), n.Generation, n.PID, n.Number)
}

// ParseName reads the name of a segment; a suffix .log is left out before. Other files of a
// directory are an error.
func ParseName(text string) (Name, error) {
	m := namePattern.FindStringSubmatch(strings.TrimSuffix(text, suffix))
	if m == nil {
		return Name{}, fmt.Errorf("%q is no segment: want stream-time-generation-process-number, such as access-20261128T153351.123456Z-3-4711-1", text)
	}
	begun, err := time.Parse(nameTime, m[2])
	if err != nil {
		return Name{}, fmt.Errorf("%q is no segment: %w", text, err)
	}
	n := Name{Stream: m[1], Begun: begun}
	for i, field := range []*int{&n.Generation, &n.PID, &n.Number} {
		*field, _ = strconv.Atoi(m[3+i]) // at most ten digits
	}
	return n, nil
}

// older orders segments of all streams by when they were begun.
func older(a, b Name) int {
	return cmp.Or(a.Begun.Compare(b.Begun), cmp.Compare(a.Generation, b.Generation), cmp.Compare(a.PID, b.PID), cmp.Compare(a.Number, b.Number), cmp.Compare(a.Stream, b.Stream))
}

// link is the file name of the symbolic link of a stream.
func link(stream string) string { return stream + suffix }
