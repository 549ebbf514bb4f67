package overloadbench

import (
	"errors"
	"fmt"
	"io"
)

// The gates that a gated server is held to, from a load of 2 on.
const (
	MinGoodput       = 0.90
	MinRecovery      = 0.95
	MinSmall         = 0.95      // of what small tenants ask for, beside one that asks for too much
	MaxAmplification = 1.1       // with our client
	MaxResident      = 128 << 20 // bytes
	slack            = 50        // goroutines besides those of workers and places
)

// A Result is one run. Shares are of 1.
type Result struct {
	Server   string
	Gated    bool
	Protocol Protocol
	Client   Client
	Load     float64 // offered ÷ capacity

	// Goodput is answers within the deadline ÷ what the workers can do in the same time, under overload. Where the
	// client retries beyond the deadline, that is the deadline of an attempt, and Users is the same of users who
	// have waited no longer than that since they came first. Else Users is Goodput.
	Goodput, Users        float64
	Late, Refused, Failed float64 // of the requests of the users under overload
	Failure               string  // the first
	Amplification         float64 // requests that arrived at the server under overload ÷ those of the users
	Recovery, Recovered   float64 // answered within the deadline ÷ requests, in the first second after the overload and the second

	// Small is how many small tenants there were beside the one that overloads the server. SmallServed is answers
	// within the deadline ÷ requests of all of them, under overload, and SmallLeast that of the one who had least.
	Small                   int
	SmallServed, SmallLeast float64

	// Goroutines and Connections are the most at a time, found by asking every 50 ms. Beyond is the most
	// of those goroutines that neither the idle server has nor belong to a connection; Bound is the gate.
	Goroutines, Connections, Beyond, Bound int
	Resident                               int64 // bytes, the most
}

// Check says which gates r misses, nil for none.
func (r *Result) Check() error {
	if !r.Gated || r.Load < 2 {
		return nil
	}
	var errs []error
	miss := func(what string, got, want any) {
		errs = append(errs, fmt.Errorf("%s over %s, client %s, load %v: %s is %v, want %v", r.Server, r.Protocol, r.Client, r.Load, what, got, want))
	}
	if r.Goodput < MinGoodput {
		miss("goodput", fmt.Sprintf("%.3f", r.Goodput), MinGoodput)
	}
	if r.held() && r.Recovery < MinRecovery {
		miss("recovery", fmt.Sprintf("%.3f", r.Recovery), MinRecovery)
	}
	if r.starves() {
		miss("what small tenants get of what they ask for", fmt.Sprintf("%.3f", r.SmallServed), MinSmall)
	}
	if r.Client == Ours && r.Amplification > MaxAmplification {
		miss("amplification", fmt.Sprintf("%.3f", r.Amplification), MaxAmplification)
	}
	if r.Beyond > r.Bound {
		miss("goroutines beyond connections", r.Beyond, r.Bound)
	}
	if r.Resident > MaxResident {
		miss("resident memory", r.Resident, MaxResident)
	}
	return errors.Join(errs...)
}

// held says whether r is held to recover: requests that a client still sends again for seconds, because they were refused
// under overload, are load.
func (r *Result) held() bool { return r.Client != Defaults }

// starves says whether small tenants, whose client does not go on for longer than they wait, get less than they must.
func (r *Result) starves() bool { return r.Small > 0 && r.held() && r.SmallServed < MinSmall }

// small is what small tenants get and what the least of them does, nothing when there are none.
func (r *Result) small() string {
	if r.Small == 0 {
		return ""
	}
	return mark(r.Gated && r.Load >= 2 && r.starves(), "%.2f", r.SmallServed) + fmt.Sprintf(" (%.2f)", r.SmallLeast)
}

// WriteTable writes results as a Markdown table. Bold is what misses a gate.
func WriteTable(w io.Writer, results []Result) error {
	t := &table{w: w}
	t.printf("| protocol | server | client | load | goodput | users in time | late | refused | failed | arrivals ÷ requests | 1st second after | 2nd | small tenants (least) | goroutines | connections | beyond those | RSS MiB |\n")
	t.printf("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range results {
		gated := r.Gated && r.Load >= 2
		t.printf("| %s | %s | %s | %v× | %s | %.2f | %.0f %% | %.0f %% | %.0f %% | %s | %s | %.2f | %s | %d | %d | %s | %s |\n",
			r.Protocol, r.Server, r.Client, r.Load, mark(gated && r.Goodput < MinGoodput, "%.2f", r.Goodput), r.Users, 100*r.Late, 100*r.Refused, 100*r.Failed,
			mark(gated && r.Client == Ours && r.Amplification > MaxAmplification, "%.2f", r.Amplification), mark(gated && r.held() && r.Recovery < MinRecovery, "%.2f", r.Recovery), r.Recovered, r.small(),
			r.Goroutines, r.Connections, mark(gated && r.Beyond > r.Bound, "%d", r.Beyond), mark(gated && r.Resident > MaxResident, "%.0f", float64(r.Resident)/(1<<20)))
	}
	return t.err
}

// mark is a figure, bold if it misses its gate.
func mark(missed bool, format string, figure any) string {
	if missed {
		format = "**" + format + "**"
	}
	return fmt.Sprintf(format, figure)
}

// table keeps the first error.
type table struct {
	w   io.Writer
	err error
}

func (t *table) printf(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.w, format, args...)
	}
}
