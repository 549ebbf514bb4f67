package scenario_test

import (
	"context"
	"fmt"
	"log"

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
