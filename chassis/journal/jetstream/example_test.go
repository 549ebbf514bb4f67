package jetstream_test

import (
	"context"
	"fmt"
	"log"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/jetstream"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
)

// A service names the engines it wants linked, and its configuration says which of them it uses.
func Example() {
	ctx := context.Background()
	host := journal.Local{DryOnly: true} // without it, a.example.com is asked
	defer host.Close(ctx)
	games, err := journal.Open(ctx, &host, "nats://a.example.com,b.example.com,c.example.com/GAMES", sqlite.Engine, jetstream.Engine)
	if err != nil {
		log.Fatal(err)
	}
	version, err := games.Append(ctx, "game-1", journal.NoStream, journal.Event{ID: "create-1", Type: "created", Data: []byte("by ann")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("stored at position", version)
	// Output: stored at position 1
}
