package failure

import (
	"fmt"
	"slices"
	"strings"
)

// A Class says whose fault a failure is. The zero Class is none of the four; it occurs only in
// problem documents of other makers ([ParseProblem]).
type Class uint8

// The four classes. Their names in text are caller, service, dependency and not_problem.
const (
	// Caller is a failure of whoever asked: the same request fails again. It never alarms.
	Caller Class = iota + 1
	// Service is a failure of this service.
	Service
	// Dependency is a failure of something this service calls: a database, another service.
	Dependency
	// NotProblem is answered with a failure status but counts as success: a cache miss, a
	// caller that went away.
	NotProblem
)

var classNames = []string{"", "caller", "service", "dependency", "not_problem"}

// String is the class's name, as it stands in metric labels and documents; for the zero Class
// it is empty.
func (c Class) String() string { return nameOf("class", classNames, c) }

// MarshalText is String and never fails.
func (c Class) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText takes a name that String gives; any other is an error and leaves c as it is.
func (c *Class) UnmarshalText(text []byte) error { return parseName(c, "class", classNames, text) }

// A Severity says who hears when a failure occurs more often than its alert allows. The zero
// Severity is Silent.
type Severity uint8

// The severities. Their names in text are silent, ticket and page.
const (
	// Silent tells nobody: the failure is counted and logged.
	Silent Severity = iota
	// Ticket can wait for working hours.
	Ticket
	// Page wakes somebody.
	Page
)

var severityNames = []string{"silent", "ticket", "page"}

// String is the severity's name, as it stands in alert labels.
func (s Severity) String() string { return nameOf("severity", severityNames, s) }

// MarshalText is String and never fails.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText takes a name that String gives; any other is an error and leaves s as it is.
func (s *Severity) UnmarshalText(text []byte) error {
	return parseName(s, "severity", severityNames, text)
}

func nameOf[T ~uint8 | ~uint32](kind string, names []string, v T) string {
	if int64(v) < int64(len(names)) {
		return names[v]
	}
	return fmt.Sprintf("%s(%d)", kind, v)
}

func parseName[T ~uint8 | ~uint32](to *T, kind string, names []string, text []byte) error {
	i := slices.Index(names, string(text))
	if i < 0 {
		return fmt.Errorf("%q is no failure %s; known are %s", text, kind, strings.TrimPrefix(strings.Join(names, ", "), ", "))
	}
	*to = T(i)
	return nil
}
