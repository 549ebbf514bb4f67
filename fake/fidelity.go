package fake

import (
	"cmp"
	"fmt"
)

// Difference is something in which a fake is not what a daemon of the service is that nobody
// configures. All else is the same, since it is the same code.
type Difference struct {
	What       string `json:"what"`
	Production string `json:"production"`
	Fake       string `json:"fake"`
}

// Fidelity lists all differences: those of every fake, and the settings that this one has changed, by
// key. Queues, limits, access rules and authentication are those of production unless they are among
// them.
func (f *Fake) Fidelity() ([]Difference, error) {
	differences := []Difference{
		{"process", "a supervisor that replaces workers without losing requests", "one instance in the fake's own process"},
		{"sockets", "as configured", "of 127.0.0.1, whose addresses outlive a reset"},
		{"faults", "none can be injected", fmt.Sprintf("what is injected, and the header %s", FaultHeader)},
		{"tenants", "there are none", fmt.Sprintf("calls with the header %s are answered by further instances of the service", TenantHeader)},
		{"failure code 3", "never answered", "what a fault answers that stands for no other code"},
	}
	if f.virtual != nil {
		differences = append(differences, Difference{"clock", "the machine's", "stands still until it is advanced; latencies, deadlines and time-outs of connections pass by the machine's"})
	}
	if f.world.Rand != nil {
		differences = append(differences, Difference{"randomness", "crypto/rand", "given by whoever started the fake"})
	}
	production, err := f.config()
	if err != nil {
		return nil, fmt.Errorf("%s: configuration: %w", f.name, err)
	}
	values := map[string]string{}
	for _, c := range production {
		values[c.Key] = c.Default
	}
	for _, c := range f.Description().Config {
		if values[c.Key] != c.Default {
			differences = append(differences, Difference{"setting " + c.Key, shownValue(values[c.Key]), shownValue(c.Default)})
		}
	}
	return differences, nil
}

func shownValue(v string) string { return cmp.Or(v, "(empty)") }
