package scenarios_test

import (
	"bytes"
	"flag"
	"os"
	"slices"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/journal/scenario"
	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
	"github.com/seed-754044b3/roadworthy/examples/game/scenarios"
)

var update = flag.Bool("update", false, "write docs/game-scenarios.md anew")

func TestEveryScenarioInProcess(t *testing.T) {
	for _, mode := range []scenario.Mode{scenario.Once, scenario.Retried, scenario.AnswerLost} {
		t.Run(string(mode), func(t *testing.T) { scenarios.Suite.Run(t, inProcess(inMemory), mode) })
	}
}

func TestEveryScenarioAgainstTheFake(t *testing.T) {
	for _, how := range []carry{overGRPC, overHTTP, rawGRPC, rawHTTP} {
		t.Run("over "+how.name, func(t *testing.T) { scenarios.Suite.Run(t, faked(how), scenario.Once) })
	}
	t.Run("each command sent twice", func(t *testing.T) { scenarios.Suite.Run(t, faked(overHTTP), scenario.Retried) })
	t.Run("each answer of the journal lost", func(t *testing.T) { scenarios.Suite.Run(t, faked(overGRPC), scenario.AnswerLost) })
}

func TestEveryScenarioComesOutTheSameInProcessAndOverTheNetwork(t *testing.T) {
	scenarios.Suite.Compare(t, inProcess(inMemory), faked(overHTTP))
}

func TestEveryScenarioComesOutTheSameOnBothKindsOfSQLite(t *testing.T) {
	scenarios.Suite.Compare(t, inProcess(inMemory), inProcess(onDisk))
}

// eventTypes are those of the contract.
func eventTypes(t *testing.T) []string {
	t.Helper()
	var types []string
	choices := (*gamev1.Event)(nil).ProtoReflect().Descriptor().Oneofs().ByName("what").Fields()
	for i := range choices.Len() {
		types = append(types, string(choices.Get(i).Name()))
	}
	if len(types) == 0 {
		t.Fatal("the contract has no events")
	}
	return types
}

func TestThereIsAScenarioForEveryFailureAndEveryEvent(t *testing.T) {
	for _, lack := range scenarios.Suite.Uncovered(eventTypes(t)) {
		t.Error(lack)
	}
	if n := len(all()); n < 60 {
		t.Errorf("there are %d scenarios, want 60 or more", n)
	}
}

func TestThereIsAScenarioForEveryWayThatGamesEnd(t *testing.T) {
	var seen []record.Ending
	for _, sc := range all() {
		for _, e := range sc.Then.Events {
			if end, ok := e.(record.Finished); ok {
				seen = append(seen, end.Ending)
			}
		}
	}
	for number, name := range gamev1.Ending_name {
		if number != 0 && !slices.Contains(seen, record.Ending(number)) {
			t.Errorf("no scenario ends a game by %s", name)
		}
	}
}

func all() []scenarios.Scenario {
	var all []scenarios.Scenario
	for _, c := range scenarios.Suite.Chapters {
		all = append(all, c.Scenarios...)
	}
	return all
}

const page = "../../../docs/game-scenarios.md"

const preface = `# What the game service promises

The scenarios of [examples/game/scenarios](../examples/game/scenarios), written by

    go test ./examples/game/scenarios -run Documentation -update

and run as [scenarios.md](scenarios.md) tells: in process, over gRPC and HTTP, and on the program that goes into production.
A cell of the board is named by its column and row, both counted from 0, at the lower left.
`

func TestTheDocumentationIsThatOfTheseScenarios(t *testing.T) {
	want := []byte(preface + scenarios.Suite.Markdown())
	if *update {
		if err := os.WriteFile(page, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not that of these scenarios: go test ./examples/game/scenarios -run Documentation -update writes it anew", page)
	}
}
