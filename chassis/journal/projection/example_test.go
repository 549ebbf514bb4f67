package projection_test

import (
	"context"
	"fmt"
	"log"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/projection"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
)

// standings counts what each player has won. A change of the columns, the filter or of what Apply
// does needs the next version.
var standings = projection.Spec{
	Name:    "standings",
	Version: 1,
	Columns: "player TEXT PRIMARY KEY, won INTEGER NOT NULL",
	Filter:  journal.Filter{Types: []string{"won"}},
	Apply: func(tx *projection.Tx, e journal.Recorded) error {
		return tx.Exec(`INSERT INTO {table} VALUES(?, 1) ON CONFLICT DO UPDATE SET won = won + 1`, string(e.Data))
	},
}

// The best players, of a journal of games.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var host journal.Local // a service hands in its *chassis.Service
	defer host.Close(context.Background())
	games, err := journal.Open(ctx, &host, "mem:", sqlite.Engine)
	if err != nil {
		log.Fatal(err)
	}
	best, err := projection.Open(ctx, &host, "mem:", games, standings) // "file:standings.db" keeps it
	if err != nil {
		log.Fatal(err)
	}
	go best.Run(ctx) // a service says s.Go("standings", best.Run)

	var last journal.Position
	for i, player := range []string{"ann", "bob", "ann", "cid", "ann", "bob"} {
		last, err = games.Append(ctx, fmt.Sprint("game-", i), journal.NoStream, journal.Event{Type: "won", Data: []byte(player)})
		if err != nil {
			log.Fatal(err)
		}
	}
	if err := best.Wait(ctx, last); err != nil {
		log.Fatal(err)
	}
	lines, err := projection.Query(ctx, best, func(r projection.Row) string {
		return fmt.Sprint(r.Text(0), " won ", r.Int(1))
	}, `SELECT player, won FROM {table} ORDER BY won DESC, player LIMIT ?`, 2)
	if err != nil {
		log.Fatal(err)
	}
	for _, line := range lines {
		fmt.Println(line)
	}
	// Output:
	// ann won 3
	// bob won 2
}
