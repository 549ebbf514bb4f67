package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
)

// lock takes the write lock of a file, as another process would, until release is called.
func lock(t *testing.T, url string) (release func()) {
	t.Helper()
	c, err := zombiezen.OpenConn(strings.TrimPrefix(url, "file:"), zombiezen.OpenReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	run := func(sql string) {
		if err := sqlitex.ExecuteTransient(c, sql, nil); err != nil {
			t.Error(err)
		}
	}
	run("BEGIN IMMEDIATE")
	return sync.OnceFunc(func() {
		run("ROLLBACK")
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

// stick has the writer of a locked file take one append, to stream s, and returns when it waits
// for the lock with it.
func stick(t *testing.T, j journal.Journal, e journal.Event) {
	t.Helper()
	var err error
	for !errors.Is(err, journal.ErrUnknownOutcome) {
		// Until the writer has taken it, the append is withdrawn when its context ends.
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, err = j.Append(ctx, "s", journal.NoStream, e)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("append to a locked file: %v, want context.DeadlineExceeded", err)
		}
	}
}

func TestAnAppendWhoseContextEndsWhileItIsWrittenHasAnUnknownOutcome(t *testing.T) {
	url := file(t)
	j := open(t, url)
	release := lock(t, url)
	defer release()
	e := journal.Event{ID: "once", Type: "noted", Data: []byte("x")}
	stick(t, j, e)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := j.Append(ctx, "s", journal.Any, note("never"))
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, journal.ErrUnknownOutcome) {
		t.Errorf("an append withdrawn from the queue: %v, want context.DeadlineExceeded alone", err)
	}
	release()
	v, err := j.Append(t.Context(), "s", journal.NoStream, e)
	if err != nil {
		t.Fatalf("repeating the append: %v", err)
	}
	if head, err := j.Head(t.Context()); head != v || err != nil || v != 1 {
		t.Errorf("after one append and its repetition the head is %d, %v, and the version %d", head, err, v)
	}
}

func TestAChangeWhoseContextEndsWhileItIsWrittenHasAnUnknownOutcome(t *testing.T) {
	url := file(t)
	j := open(t, url)
	if _, err := j.Append(t.Context(), "s", journal.NoStream, note("x")); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(context.Context) error{
		"append to 2 streams, the first being \"a\"": func(ctx context.Context) error {
			one := journal.Event{ID: "1", Type: "noted"}
			_, err := j.AppendMany(ctx, journal.Batch{Stream: "a", Events: []journal.Event{one}}, journal.Batch{Stream: "b", Events: []journal.Event{one}})
			return err
		},
		"save a snapshot of stream \"s\"": func(ctx context.Context) error {
			return j.Snapshots().Save(ctx, "s", journal.Snapshot{Version: 1})
		},
		"acquire lease \"lease\"": func(ctx context.Context) error {
			_, err := j.Leases().Acquire(ctx, "lease", "ann", time.Hour)
			return err
		},
	} {
		release := lock(t, url)
		var err error
		for !errors.Is(err, journal.ErrUnknownOutcome) {
			// Until the writer has taken it, the change is withdrawn when its context ends.
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			err = change(ctx)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("%s: %v, want context.DeadlineExceeded", name, err)
			}
		}
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want an error that says %s", err, name)
		}
		release()
		if err := change(t.Context()); err != nil {
			t.Errorf("%s, again: %v", name, err)
		}
	}
}

func TestTheQueueIsBoundedAndHonoursContexts(t *testing.T) {
	url := file(t)
	j := open(t, url)
	release := lock(t, url)
	defer release()
	const callers = sqlite.MaxWaiting + 600
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	var mu sync.Mutex
	unknown := map[string]bool{}
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() {
			name := fmt.Sprint("s", i)
			_, err := j.Append(ctx, name, journal.Any, note("x"))
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("append to a locked file: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			unknown[name] = errors.Is(err, journal.ErrUnknownOutcome)
		})
	}
	group.Wait()
	release()
	if _, err := j.Append(t.Context(), "last", journal.Any, note("x")); err != nil {
		t.Fatal(err)
	}
	for e, err := range j.All(t.Context(), 0, journal.Filter{StreamPrefix: "s"}) {
		if err != nil || !unknown[e.Stream] {
			t.Errorf("the append to %s was refused for good and is stored (%v)", e.Stream, err)
		}
	}
}

func TestALockThatIsNotGivenBackMakesAppendsFailBusy(t *testing.T) {
	url := file(t)
	j := open(t, url)
	sqlite.SetPatience(j, 20*time.Millisecond)
	release := lock(t, url)
	defer release()
	if _, err := j.Append(t.Context(), "s", journal.Any, note("x")); !errors.Is(err, journal.ErrBusy) {
		t.Errorf("append to a locked file: %v, want ErrBusy", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := journal.Open(ctx, &journal.Local{}, url, sqlite.Engine); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("opening a locked file: %v, want context.DeadlineExceeded", err)
	}
	release()
	if v, err := j.Append(t.Context(), "s", journal.NoStream, note("x")); v != 1 || err != nil {
		t.Errorf("append after the lock is free: %d, %v", v, err)
	}
}

func TestAFullDiskFailsAppendsUntilThereIsRoom(t *testing.T) {
	j := open(t, file(t))
	if err := sqlite.SetMaxPages(j, 40); err != nil {
		t.Fatal(err)
	}
	big := journal.Event{Type: "noted", Data: make([]byte, 10_000)}
	stored := 0
	var err error
	for err == nil {
		if _, err = j.Append(t.Context(), "s", journal.Any, big); err == nil {
			stored++
		}
	}
	if !errors.Is(err, journal.ErrFull) || errors.Is(err, journal.ErrUnknownOutcome) {
		t.Fatalf("append to a full disk: %v, want ErrFull", err)
	}
	if n := count(t, j); n != stored || stored == 0 {
		t.Errorf("%d appends were acknowledged and %d are stored", stored, n)
	}
	if err := sqlite.SetMaxPages(j, 1000); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append(t.Context(), "s", journal.Any, big); err != nil {
		t.Errorf("append when there is room again: %v", err)
	}
	if n := count(t, j); n != stored+1 {
		t.Errorf("%d events are stored, want %d", n, stored+1)
	}
}

func count(t *testing.T, j journal.Journal) (n int) {
	t.Helper()
	for _, err := range j.All(t.Context(), 0, journal.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func TestAnAppendThatTheDatabaseRefusesFailsAlone(t *testing.T) {
	url := file(t)
	j := open(t, url)
	tamper(t, strings.TrimPrefix(url, "file:"),
		"CREATE TRIGGER poison BEFORE INSERT ON streams WHEN new.name = 'poison' BEGIN SELECT RAISE(ABORT, 'poisoned'); END")
	release := lock(t, url)
	defer release()
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			stream := fmt.Sprint("s", i)
			if i == 10 {
				stream = "poison"
			}
			_, err := j.Append(t.Context(), stream, journal.NoStream, note("x"))
			if (err != nil) != (i == 10) {
				t.Errorf("append to %s: %v", stream, err)
			}
		})
	}
	release()
	group.Wait()
	if _, err := j.Append(t.Context(), "poison", journal.NoStream, note("x")); err == nil || errors.Is(err, journal.ErrFailed) {
		t.Errorf("append to poison alone: %v", err)
	}
	if n := count(t, j); n != 19 {
		t.Errorf("%d of 19 good appends are stored", n)
	}
}

func TestEventsCarryTheTimeOfTheHost(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	c := clock.NewVirtual(start)
	for _, url := range []string{"mem:", file(t)} {
		j, err := journal.Open(t.Context(), &journal.Local{Time: c}, url, sqlite.Engine)
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		want := c.Now()
		if _, err := j.Append(t.Context(), "s", journal.NoStream, note("x")); err != nil {
			t.Fatal(err)
		}
		c.Advance(time.Hour)
		for e, err := range j.Read(t.Context(), "s", 0) {
			if err != nil || !e.Time.Equal(want) {
				t.Errorf("%s: the event has time %v, %v; want %v", url, e.Time, err, want)
			}
		}
	}
}

func TestIDsThatTheJournalMadeCanBeRepeatedAndNotForged(t *testing.T) {
	j := open(t, "mem:")
	v, err := j.Append(t.Context(), "s", journal.NoStream, note("x"))
	if err != nil {
		t.Fatal(err)
	}
	var made journal.Event
	for e, err := range j.Read(t.Context(), "s", 0) {
		if err != nil {
			t.Fatal(err)
		}
		made = e.Event
	}
	if again, err := j.Append(t.Context(), "s", journal.NoStream, made); again != v || err != nil {
		t.Errorf("appending an event as it was read gives %d, %v; want %d", again, err, v)
	}
	if _, err := j.Append(t.Context(), "copy", journal.NoStream, made); err != nil {
		t.Errorf("copying an event to another stream: %v", err)
	}
	if _, err := j.Append(t.Context(), "copy", journal.NoStream, made); err != nil {
		t.Errorf("copying it again: %v", err)
	}
	future := made
	future.ID = strings.TrimSuffix(made.ID, "1") + "99"
	var reused *journal.IDReusedError
	if _, err := j.Append(t.Context(), "s", journal.Any, future); !errors.As(err, &reused) {
		t.Errorf("an ID that the journal will make: %v, want a *journal.IDReusedError", err)
	}
	for _, odd := range []string{"1x", "0", "007", "-1"} {
		future.ID = strings.TrimSuffix(made.ID, "1") + odd
		if _, err := j.Append(t.Context(), "s", journal.Any, future); err != nil {
			t.Errorf("ID %q, which the journal never makes: %v", future.ID, err)
		}
	}
}

func TestMoreAppendsThanAGroupHoldsAreAllStored(t *testing.T) {
	url := file(t)
	j := open(t, url)
	sqlite.SetPatience(j, time.Minute) // whatever the machine does, the writer waits until all are queued
	release := lock(t, url)
	defer release()
	stick(t, j, note("first"))
	const callers = 700
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() {
			if _, err := j.Append(t.Context(), fmt.Sprint("s", i), journal.NoStream, note("x")); err != nil {
				t.Error(err)
			}
		})
	}
	for sqlite.Queued(j) < callers && !t.Failed() {
		runtime.Gosched()
	}
	release()
	group.Wait()
	if n := count(t, j); n != callers+1 {
		t.Errorf("%d events are stored, want %d", n, callers+1)
	}
}

func TestNamesAreRightHoweverManyThereAre(t *testing.T) {
	j := open(t, "mem:")
	sqlite.Crowd(j)
	const n = 1500 // more types than a connection remembers
	for i := range n {
		e := journal.Event{Type: fmt.Sprint("type-", i)}
		if _, err := j.Append(t.Context(), fmt.Sprint("stream-", i), journal.NoStream, e); err != nil {
			t.Fatal(err)
		}
	}
	i := 0
	for e, err := range j.All(t.Context(), 0, journal.Filter{}) {
		if err != nil || e.Stream != fmt.Sprint("stream-", i) || e.Type != fmt.Sprint("type-", i) {
			t.Fatalf("event %d is of %s, %s; %v", i, e.Stream, e.Type, err)
		}
		i++
	}
	if i != n {
		t.Errorf("%d events, want %d", i, n)
	}
}

func TestWhatIsRememberedOfStreamsIsTrueWhoeverWritesThem(t *testing.T) {
	url := file(t)
	ours, theirs := open(t, url), open(t, url)
	// More streams than are remembered, so that all of it is met: known, forgotten, grown elsewhere.
	const streams = 42
	sqlite.Forgetful(ours, 20)
	sqlite.Forgetful(theirs, 30)
	at := make([]journal.Version, streams)
	turn := func(j journal.Journal, from, to int) {
		t.Helper()
		for from < to {
			n := min(to-from, 5)
			var batches []journal.Batch
			for i := range n {
				batches = append(batches, journal.Batch{Stream: fmt.Sprint("s", from+i), Expect: journal.At(at[from+i]), Events: []journal.Event{note("x")}})
			}
			last, err := j.AppendMany(t.Context(), batches...)
			if err != nil {
				t.Fatalf("append to streams %d to %d: %v", from, to, err)
			}
			for i := range n {
				at[from+i] = last - journal.Position(n-1-i)
			}
			from += n
		}
	}
	turn(ours, 0, streams)
	turn(ours, 0, 10)  // forgotten
	turn(ours, 32, 42) // some known
	turn(theirs, 5, 37)
	turn(ours, 0, 10)
	turn(theirs, 0, 20)
	turn(ours, 32, 42)
	turn(ours, 32, 42)
	// What was refused, or undone, leaves nothing behind.
	var conflict *journal.ConflictError
	_, err := ours.AppendMany(t.Context(),
		journal.Batch{Stream: "new", Expect: journal.NoStream, Events: []journal.Event{note("x")}},
		journal.Batch{Stream: "s0", Expect: journal.At(at[0] - 1), Events: []journal.Event{note("x")}})
	if !errors.As(err, &conflict) || conflict.Actual != at[0] {
		t.Errorf("append to s0 before its end: %v, want a conflict with version %d", err, at[0])
	}
	if _, err := ours.Append(t.Context(), "new", journal.NoStream, note("x")); err != nil {
		t.Errorf("append to a stream that was not made: %v", err)
	}
	for i := range at {
		if v, err := theirs.Version(t.Context(), fmt.Sprint("s", i)); v != at[i] || err != nil {
			t.Fatalf("stream s%d has version %d, %v; want %d", i, v, err, at[i])
		}
	}
	seen := map[string]journal.Version{}
	for e, err := range ours.All(t.Context(), 0, journal.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		seen[e.Stream] = e.Position
	}
	if len(seen) != streams+1 || seen["s41"] != at[41] {
		t.Errorf("%d streams are stored, want %d; s41 ends at %d, want %d", len(seen), streams+1, seen["s41"], at[41])
	}
}

func TestAGroupThatIsUndoneIsNotRemembered(t *testing.T) {
	j := open(t, file(t))
	if err := sqlite.SetMaxPages(j, 40); err != nil {
		t.Fatal(err)
	}
	big := journal.Event{Type: "noted", Data: make([]byte, 200_000)}
	if _, err := j.Append(t.Context(), "s", journal.NoStream, big); !errors.Is(err, journal.ErrFull) {
		t.Fatalf("append of more than there is room for: %v, want ErrFull", err)
	}
	if v, err := j.Append(t.Context(), "s", journal.NoStream, note("x")); v != 1 || err != nil {
		t.Errorf("append to a stream that was not made: version %d, %v; want 1", v, err)
	}
	for e, err := range j.All(t.Context(), 0, journal.Filter{}) {
		if err != nil || e.Stream != "s" || string(e.Data) != "x" {
			t.Errorf("read %+v, %v", e, err)
		}
	}
}
