package scenario_test

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/scenario"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
)

// A scenario is data. It is shown as text, and run on whatever carries out commands.
func Example() {
	sc := scenario.Scenario[fact, order, left]{
		Name:  "a full jar takes no more",
		Given: []scenario.History[fact]{{Events: []fact{bought(), filled(9)}}},
		When:  order{Do: "fill", Count: 2},
		Then:  scenario.Then[fact, left]{Failure: 1002},
	}
	jarSuite := suite(sc)
	fmt.Print(jarSuite.Text(sc))

	var host journal.Local
	defer host.Close(context.Background())
	tap := scenario.NewTap(sqlite.Engine)
	j, err := journal.Open(context.Background(), &host, "mem:", tap.Engine())
	if err != nil {
		log.Fatal(err)
	}
	service := &jars{journal: j, clock: clock.Real()}
	system := &scenario.System[order, left]{Name: "in process", Tap: tap, Do: service.do}
	fmt.Println(jarSuite.Check(context.Background(), system, sc, scenario.Once))

	service.careless = true
	fmt.Println(jarSuite.Check(context.Background(), system, sc, scenario.Once))
	// Output:
	// given  a jar was bought; 9 biscuits were put in
	// when   somebody puts 2 biscuits in
	// then   failure 1002 "a jar holds 10 biscuits"; no events
	// <nil>
	// it came out otherwise (- wanted, + got):
	// - failure 1002 "a jar holds 10 biscuits"
	// + success: 11 biscuits are left
	// + filled {"Kind":"filled","Count":2}
}

// A hunt tries commands that nobody thought of, and leaves out of what breaks a rule all that is not
// needed for it.
func ExampleSuite_Hunt() {
	var host journal.Local
	defer host.Close(context.Background())
	tap := scenario.NewTap(sqlite.Engine)
	j, err := journal.Open(context.Background(), &host, "mem:", tap.Engine())
	if err != nil {
		log.Fatal(err)
	}
	careless := &jars{journal: j, clock: clock.Real(), careless: true}
	system := &scenario.System[order, left]{Name: "the careless jars", Tap: tap, Do: careless.do}

	err = suite().Hunt(context.Background(), system, scenario.Hunt[fact, order, left]{
		Seed: 1, Sequences: 100, Length: 40,
		Given: []scenario.History[fact]{{Events: []fact{bought()}}},
		Next: func(r *rand.Rand) order {
			if r.IntN(2) == 0 {
				return order{Do: "fill", Count: 1 + r.IntN(9)}
			}
			return order{Do: "take", By: "ann"}
		},
		Rule: func(t scenario.Trace[fact, order, left]) error {
			if n := t.Steps[len(t.Steps)-1].Result.Answer; n > 10 {
				return fmt.Errorf("%d biscuits are in a jar for 10", n)
			}
			return nil
		},
	})
	fmt.Println(err)
	// Output:
	// the careless jars: seed 1, sequence 1 of 40 commands, made shorter to 2:
	// given  a jar was bought
	// when   somebody puts 8 biscuits in: 8 biscuits are left; 8 biscuits were put in
	// then   somebody puts 8 biscuits in: 16 biscuits are left; 8 biscuits were put in
	// broken: 16 biscuits are in a jar for 10
}
