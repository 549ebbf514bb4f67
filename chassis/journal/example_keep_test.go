package journal_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strconv"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
)

// Credits move from one account to the other, or nothing happens.
func ExampleJournal_appendMany() {
	ctx := context.Background()
	var host journal.Local
	defer host.Close(ctx)
	accounts, err := journal.Open(ctx, &host, "mem:", sqlite.Engine)
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		_, err = accounts.AppendMany(ctx,
			journal.Batch{Stream: "ann", Expect: journal.NoStream, Events: []journal.Event{{Type: "paid", Data: []byte("5")}}},
			journal.Batch{Stream: "bob", Expect: journal.Any, Events: []journal.Event{{Type: "received", Data: []byte("5")}}})
		switch conflict := (*journal.ConflictError)(nil); {
		case err == nil:
			fmt.Println("paid")
		case errors.As(err, &conflict):
			fmt.Println(conflict)
		case errors.Is(err, journal.ErrUnsupported):
			fmt.Println("this engine cannot")
		}
	}
	// Output:
	// paid
	// stream "ann": expected no stream, found version 1
}

// balance is what a stream of payments comes to, from a snapshot if there is one. It says at which
// version, and how many events it has read.
func balance(ctx context.Context, j journal.Journal, stream string) (sum int, at journal.Version, read int, err error) {
	const schema = 1 // counted up whenever what is saved, or how it is reckoned, changes
	s, ok, err := j.Snapshots().Load(ctx, stream, schema)
	if err == nil && ok {
		at = s.Version
		sum, err = strconv.Atoi(string(s.Data))
	}
	if err != nil {
		return 0, 0, 0, err
	}
	for e, err := range j.Read(ctx, stream, at) {
		if err != nil {
			return 0, 0, 0, err
		}
		n, err := strconv.Atoi(string(e.Data))
		if err != nil {
			return 0, 0, 0, err
		}
		sum, at, read = sum+n, e.Position, read+1
	}
	if read >= 100 {
		err = j.Snapshots().Save(ctx, stream, journal.Snapshot{Version: at, Schema: schema, Data: []byte(strconv.Itoa(sum))})
	}
	return sum, at, read, err
}

// A long stream is read from its snapshot on.
func ExampleSnapshots() {
	ctx := context.Background()
	var host journal.Local
	defer host.Close(ctx)
	accounts, err := journal.Open(ctx, &host, "mem:", sqlite.Engine)
	if err != nil {
		log.Fatal(err)
	}
	for range 150 {
		if _, err := accounts.Append(ctx, "ann", journal.Any, journal.Event{Type: "received", Data: []byte("2")}); err != nil {
			log.Fatal(err)
		}
	}
	for range 2 {
		sum, at, read, err := balance(ctx, accounts, "ann")
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d at version %d, %d events read\n", sum, at, read)
	}
	// Output:
	// 300 at version 150, 150 events read
	// 300 at version 150, 0 events read
}

// A reader that several workers run: one at a time sends the letters, and one that was replaced
// cannot say any more that it has.
func ExampleLeases() {
	ctx := context.Background()
	var host journal.Local
	defer host.Close(ctx)
	letters, err := journal.Open(ctx, &host, "mem:", sqlite.Engine)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := letters.Append(ctx, "letter-1", journal.NoStream, journal.Event{Type: "written"}); err != nil {
		log.Fatal(err)
	}

	begin := func(worker string) (journal.Lease, journal.Position) {
		lease, err := letters.Leases().Acquire(ctx, "mailer", worker, 30*time.Second)
		if err != nil {
			log.Fatal(err)
		}
		at, err := letters.Checkpoints().Load(ctx, "mailer")
		if err == nil {
			// From here on all who held the lease before are refused.
			err = letters.Checkpoints().Move(ctx, "mailer", lease.Fence, at, at)
		}
		if err != nil {
			log.Fatal(err)
		}
		return lease, at
	}
	old, at := begin("host-3:4711")
	if err := letters.Leases().Release(ctx, old); err != nil { // or it has expired, in a long pause
		log.Fatal(err)
	}
	lease, at := begin("host-4:88")
	for e, err := range letters.All(ctx, at, journal.Filter{Types: []string{"written"}}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("send", e.Stream)
		if err := letters.Checkpoints().Move(ctx, "mailer", lease.Fence, at, e.Position); err != nil {
			log.Fatal(err)
		}
		at = e.Position
	}
	fmt.Println(letters.Checkpoints().Move(ctx, "mailer", old.Fence, at, at+1))
	// Output:
	// send letter-1
	// checkpoint "mailer": fence 1 is stale, the checkpoint was moved under fence 2
}
