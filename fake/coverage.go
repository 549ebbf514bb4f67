package fake

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// Coverage tells how much of a service's contract clients have met.
type Coverage struct {
	// Codes are the failure codes that were answered, by handlers or by faults, and Missed those
	// that were not, by number. The chassis's own are among them.
	Codes  []int `json:"codes"`
	Missed []int `json:"missed_codes"`
	// Methods are the routes that were called, and Uncalled those that were not, by name: gRPC's
	// full methods, and the patterns of HTTP.
	Methods  []string `json:"methods"`
	Uncalled []string `json:"uncalled_methods"`
}

// String is the coverage in a sentence: "41 of 57 codes exercised, 12 of 14 methods".
func (c Coverage) String() string {
	return fmt.Sprintf("%d of %d codes exercised, %d of %d methods",
		len(c.Codes), len(c.Codes)+len(c.Missed), len(c.Methods), len(c.Methods)+len(c.Uncalled))
}

// Merge is the coverage of two suites together, or of two fakes of one service.
func (c Coverage) Merge(other Coverage) Coverage {
	codes, missed := united(c.Codes, c.Missed, other.Codes, other.Missed)
	methods, uncalled := united(c.Methods, c.Uncalled, other.Methods, other.Uncalled)
	return Coverage{codes, missed, methods, uncalled}
}

func united[T int | string](a, notA, b, notB []T) (both, neither []T) {
	met := map[T]bool{}
	for _, missed := range [][]T{notA, notB} {
		for _, v := range missed {
			met[v] = false
		}
	}
	for _, hit := range [][]T{a, b} {
		for _, v := range hit {
			met[v] = true
		}
	}
	both, neither = []T{}, []T{}
	for _, v := range slices.Sorted(maps.Keys(met)) {
		if met[v] {
			both = append(both, v)
		} else {
			neither = append(neither, v)
		}
	}
	return both, neither
}

// Coverage is what was met since the fake was started, in its tenants as well; a Reset leaves it. Health probes and
// reflection are not counted. After Stop it is what it was then.
func (f *Fake) Coverage() Coverage {
	f.mu.Lock()
	l := cmp.Or(f.life, f.past)
	f.mu.Unlock()
	return f.tenants.coverage(f.met(l))
}

// met is what was met up to a life, tenants aside.
func (f *Fake) met(l *life) Coverage {
	if l == nil { // of a tenant that did not start
		return Coverage{}
	}
	f.cover.count(l.instance.Service().FailureCounts())
	return f.cover.all(f.describe(l), f.calls.routes())
}

// coverage adds up what lives of the service have answered.
type coverage struct {
	mu    sync.Mutex
	codes map[int]bool // declared ones; whether they were answered
}

func (c *coverage) count(counts []failure.Count) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.codes == nil {
		c.codes = map[int]bool{}
	}
	for _, n := range counts {
		number := n.Code.Number()
		c.codes[number] = c.codes[number] || n.N > 0
	}
}

func (c *coverage) all(d chassis.Description, called map[string]string) Coverage {
	c.mu.Lock()
	defer c.mu.Unlock()
	var codes, missed []int
	for number, met := range c.codes {
		if met {
			codes = append(codes, number)
		} else {
			missed = append(missed, number)
		}
	}
	var methods, uncalled []string
	for _, l := range d.Listeners {
		for _, route := range l.Routes {
			switch {
			case aside(route):
			case called[route] != "":
				methods = append(methods, route)
			default:
				uncalled = append(uncalled, route)
			}
		}
	}
	return Coverage{codes, missed, methods, uncalled}.Merge(Coverage{}) // sorted, and each once
}

// routes are those that were called.
func (r *recording) routes() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.called)
}
