package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
)

// A journal in a file is there again when it is opened again.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	url := "file:" + filepath.Join(dir, "games.db")

	for range 2 {
		var host journal.Local // a service hands in its *chassis.Service
		games, err := journal.Open(ctx, &host, url, sqlite.Engine)
		if err != nil {
			log.Fatal(err)
		}
		v, err := games.Append(ctx, "game-1", journal.NoStream, journal.Event{Type: "created", Data: []byte("by ann")})
		var conflict *journal.ConflictError
		if errors.As(err, &conflict) {
			fmt.Println("the game exists at version", conflict.Actual)
		} else if err == nil {
			fmt.Println("created at version", v)
		}
		if err := host.Close(ctx); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// created at version 1
	// the game exists at version 1
}
