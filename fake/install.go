package fake

import (
	"fmt"
	"slices"
	"time"
)

// Install adds faults, all of them or, with an error that says what is wrong with which, none;
// no call sees a part of them. Faults are asked in the order of their installation: latencies
// add up, and the first failure is the answer.
func (f *Fake) Install(rules ...Rule) ([]*Fault, error) { return f.put(false, rules) }

// Replace is Install in place of all faults that there are, which are removed in the same moment.
// On an error they stay.
func (f *Fake) Replace(rules ...Rule) ([]*Fault, error) { return f.put(true, rules) }

func (f *Fake) put(replace bool, rules []Rule) ([]*Fault, error) {
	d := f.Description()
	if d.Service == "" {
		return nil, errStopped
	}
	added := make([]*Fault, len(rules))
	for i, rule := range rules {
		err, wrong := rule.check(d, f.sets)
		if rule.Phase == Connect && f.parent != nil {
			wrong = errTenantConnect
		}
		if wrong != nil && len(rules) > 1 {
			wrong = fmt.Errorf("fault %d: %w", i+1, wrong)
		}
		if wrong != nil {
			return nil, fmt.Errorf("%s: %w", f.name, wrong)
		}
		added[i] = f.faults.prepare(rule, err)
		if rule.onWire() {
			f.ports.troubled.Store(true) // before a call can meet it
		}
	}
	if err := f.faults.add(added, replace); err != nil {
		return nil, fmt.Errorf("%s: %w", f.name, err)
	}
	return added, nil
}

// Inject installs a rule, for calls that agree with its Match and with every other one.
func (f *Fake) Inject(rule Rule, on ...Match) *Fault {
	f.helper()
	return f.install(rule, append([]Match{rule.Match}, on...))
}

// FailNext has the next n calls fail that agree with every Match.
func (f *Fake) FailNext(n int, with Failure, on ...Match) *Fault {
	f.helper()
	if n <= 0 {
		f.refuse(fmt.Errorf("FailNext fails 1 call or more; got %d", n))
		return nil
	}
	return f.install(Rule{Count: n, Failure: with}, on)
}

// Fail has every call fail that agrees with every Match, until the fault is cleared.
func (f *Fake) Fail(with Failure, on ...Match) *Fault {
	f.helper()
	return f.install(Rule{Failure: with}, on)
}

// Latency has every call that agrees with every Match wait for d, in real time, before its
// handler runs, until the fault is cleared.
func (f *Fake) Latency(d time.Duration, on ...Match) *Fault {
	f.helper()
	return f.install(Rule{Latency: d}, on)
}

// Hold has every call that agrees with every Match wait, before its handler runs, until the fault
// is released or removed: see [Fault.WaitHeld] and [Fault.Release].
func (f *Fake) Hold(on ...Match) *Fault {
	f.helper()
	return f.install(Rule{Action: Hold}, on)
}

// install is Install for one rule of a test.
func (f *Fake) install(rule Rule, on []Match) *Fault {
	f.helper()
	var err error
	if rule.Match, err = merge(on); err == nil {
		var added []*Fault
		if added, err = f.Install(rule); err == nil {
			return added[0]
		}
	}
	f.refuse(err)
	return nil
}

// Clear removes all faults; calls that wait because of one go on.
func (f *Fake) Clear() { f.faults.clear() }

// Faults are those installed, in the order in which they are asked. Faults that have struck
// as often as they were to stay until they are cleared or room is needed. The slice is the
// caller's own.
func (f *Fake) Faults() []*Fault { return slices.Clone(f.faults.all()) }

// Unused are the rules of installed faults that have not struck a call.
func (f *Fake) Unused() []Rule {
	var unused []Rule
	for _, fault := range f.faults.all() {
		if fault.Hits() == 0 {
			unused = append(unused, fault.rule)
		}
	}
	return unused
}
