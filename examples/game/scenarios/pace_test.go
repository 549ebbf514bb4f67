package scenarios_test

import (
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal/scenario"
	"github.com/seed-754044b3/roadworthy/examples/game/scenarios"
)

const runs = 500

// Scenarios are of use while they are quicker than whoever waits for them. The goals are 0.5 s in
// process and 2 s over the network; ten times as much is allowed here, since others use the machine.
func TestFiveHundredScenariosAreQuick(t *testing.T) {
	for _, way := range []struct {
		name string
		open scenario.Open[scenarios.Command, scenarios.Answer]
		goal time.Duration
	}{
		{"in process", inProcess(inMemory), 500 * time.Millisecond},
		{"on one fake over HTTP", faked(overHTTP), 2 * time.Second},
		{"on one fake over gRPC", faked(overGRPC), 2 * time.Second},
	} {
		t.Run(way.name, func(t *testing.T) {
			took := run(t, way.open(t, ""), runs)
			t.Logf("%d scenarios took %v", runs, took.Round(time.Millisecond))
			if took > 10*way.goal && !raceEnabled {
				t.Errorf("%d scenarios took %v; the goal is %v, and ten times as much the limit", runs, took, way.goal)
			}
		})
	}
}

// run runs the usual setting's scenarios again and again, n altogether, and returns how long they took.
func run(t testing.TB, sys *scenarios.System, n int) time.Duration {
	var suite []scenarios.Scenario
	for _, sc := range all() {
		if sc.Setting == "" && scenarios.Suite.Skips(sys, &sc, scenario.Once) == "" {
			suite = append(suite, sc)
		}
	}
	began := time.Now()
	for i := range n {
		sc := suite[i%len(suite)]
		if err := scenarios.Suite.Check(t.Context(), sys, sc, scenario.Once); err != nil {
			t.Fatalf("%s:\n%s%v", sc.Name, scenarios.Suite.Text(sc), err)
		}
	}
	return time.Since(began)
}

func BenchmarkAScenarioInProcess(b *testing.B) {
	sys := inProcess(inMemory)(b, "")
	run(b, sys, b.N)
}

func BenchmarkAScenarioOnAFakeOverHTTP(b *testing.B) {
	sys := faked(overHTTP)(b, "")
	run(b, sys, b.N)
}
