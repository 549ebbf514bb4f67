package failure

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// firstOfServices is the first number that belongs to services; those below are the chassis's.
const firstOfServices = 1000

// maxNumber bounds a number to seven digits: it is read out on telephones, and with a set's name it
// must fit the 63 bytes of [Code.Reason].
const maxNumber = 9_999_999

var setName = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$`)

// A Set holds the codes of one service. Services make one with [NewSet] in a package-level variable
// and declare codes in other package-level variables, so that a wrong declaration stops the program
// before it serves anything: it panics and says what is wrong, and where.
//
// A nil *Set can be read like an empty one; only NewSet makes one to declare in.
type Set struct {
	name        string
	first, last int // numbers that may be declared

	mu     sync.Mutex
	codes  map[int]*Code
	sealed string // where, or empty
}

// NewSet is an empty set. The name, usually the service's, stands in answers, logs and metrics: at
// most 40 lower-case letters, digits and inner hyphens, starting with a letter; "chassis" is taken.
// It panics when the name is anything else.
func NewSet(name string) *Set {
	at := place(1)
	if !setName.MatchString(name) {
		panic(fmt.Sprintf("failure: set %q (%s): a name is at most 40 lower-case letters, digits and inner hyphens, and starts with a letter", name, at))
	}
	if name == chassisName {
		panic(fmt.Sprintf("failure: set %q (%s): this name belongs to the chassis", name, at))
	}
	return &Set{name: name, first: firstOfServices, last: maxNumber, codes: map[int]*Code{}}
}

// Name is the name given to NewSet.
func (s *Set) Name() string {
	if s == nil {
		return ""
	}
	return s.name
}

// Caller declares a failure of whoever asked. It panics when the number is below 1000, above 9999999
// or declared already, when the message is empty or not one line of printable text, when an option is
// out of its bounds, or when the set is sealed.
func (s *Set) Caller(number int, message string, opts ...Option) *Code {
	return s.declare(place(1), Caller, number, message, opts)
}

// Service declares a failure of this service. It panics as [Set.Caller] does.
func (s *Set) Service(number int, message string, opts ...Option) *Code {
	return s.declare(place(1), Service, number, message, opts)
}

// Dependency declares a failure of something that this service calls. It panics as [Set.Caller] does.
func (s *Set) Dependency(number int, message string, opts ...Option) *Code {
	return s.declare(place(1), Dependency, number, message, opts)
}

// NotProblem declares an answer that has a failure status but counts as success. It panics as
// [Set.Caller] does.
func (s *Set) NotProblem(number int, message string, opts ...Option) *Code {
	return s.declare(place(1), NotProblem, number, message, opts)
}

func (s *Set) declare(at string, class Class, number int, message string, opts []Option) *Code {
	if s == nil || s.codes == nil {
		panic(fmt.Sprintf("failure: code %d (%s): declared in a set that NewSet did not make", number, at))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	wrong := func(format string, args ...any) {
		panic(fmt.Sprintf("failure: set %q, code %d (%s): ", s.name, number, at) + fmt.Sprintf(format, args...))
	}
	if s.sealed != "" {
		wrong("declared after the set was sealed at %s; declare codes in package-level variables", s.sealed)
	}
	if number < 1 {
		wrong("a number is 1 or more")
	}
	if number < s.first {
		wrong("numbers below %d belong to the chassis", s.first)
	}
	if number > s.last {
		wrong("a number is at most %d", s.last)
	}
	if other := s.codes[number]; other != nil {
		wrong("already declared at %s as %q", other.place, other.message)
	}
	c := &Code{set: s.name, number: number, message: message, class: class, place: at}
	if err := c.complete(opts); err != nil {
		wrong("%v", err)
	}
	s.codes[number] = c
	return c
}

// Seal ends the declarations: a later one panics. The host of a service seals its set when the
// service starts. Sealing twice is sealing once.
func (s *Set) Seal() { s.seal(place(1)) }

func (s *Set) seal(at string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed = cmp.Or(s.sealed, at)
}

// Lookup is the code with this number, if it is declared.
func (s *Set) Lookup(number int) (*Code, bool) {
	if s == nil {
		return nil, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.codes[number]
	return c, ok
}

// Codes are all codes declared so far, by number. The slice is the caller's own.
func (s *Set) Codes() []*Code {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*Code, 0, len(s.codes))
	for _, c := range s.codes {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *Code) int { return cmp.Compare(a.number, b.number) })
	return all
}

// Describe is Codes with all that was declared of each.
func (s *Set) Describe() []Description {
	all := []Description{}
	for _, c := range s.Codes() {
		all = append(all, c.Describe())
	}
	return all
}

// place is where the code stands that is skip calls above whoever calls it: import path, file, line. The path of the
// source tree is left out, so that descriptions are the same wherever they were built.
func place(skip int) string {
	var pcs [1]uintptr
	runtime.Callers(skip+2, pcs[:])
	frame, _ := runtime.CallersFrames(pcs[:]).Next()
	dir, function := path.Split(frame.Function)
	pkg, _, _ := strings.Cut(function, ".")
	return dir + pkg + "/" + path.Base(frame.File) + ":" + strconv.Itoa(frame.Line)
}
