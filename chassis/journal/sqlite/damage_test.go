package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
)

// contents reads everything in both ways, in order and stream by stream, and what is kept beside it.
func contents(t *testing.T, j journal.Journal) (string, error) {
	var b strings.Builder
	streams := map[string]bool{}
	for e, err := range j.All(t.Context(), 0, journal.Filter{}) {
		if err != nil {
			return b.String(), err
		}
		streams[e.Stream] = true
		b.WriteString(e.Stream + " " + e.ID + " " + string(e.Data) + "\n")
	}
	for i := range 7 {
		stream := "s" + string(rune('0'+i))
		v, err := j.Version(t.Context(), stream)
		if err != nil {
			return b.String(), err
		}
		last := journal.Version(0)
		for e, err := range j.Read(t.Context(), stream, 0) {
			if err != nil {
				return b.String(), err
			}
			last = e.Position
			b.WriteString(stream + " " + string(e.Data) + "\n")
		}
		if last != v {
			b.WriteString("version differs\n")
		}
	}
	snapshot, _, errSnapshot := j.Snapshots().Load(t.Context(), "s0", 1)
	at, errAt := j.Checkpoints().Load(t.Context(), "reader")
	fmt.Fprintf(&b, "%+v %d\n", snapshot, at)
	return b.String(), errors.Join(errSnapshot, errAt)
}

func TestAFlippedByteIsFoundWhenOpeningAndNeverServed(t *testing.T) {
	path := filled(t, 300)
	j := open(t, "file:"+path)
	err := errors.Join(
		j.Snapshots().Save(t.Context(), "s0", journal.Snapshot{Version: 295, Schema: 1, Data: bytes.Repeat([]byte("state"), 1000)}),
		j.Checkpoints().Move(t.Context(), "reader", 0, 0, 300),
		j.Close())
	if err != nil {
		t.Fatal(err)
	}
	pristine, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	j = open(t, "file:"+path)
	want, err := contents(t, j)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	found := 0
	for range 150 {
		at := random.IntN(len(pristine))
		damaged := append([]byte(nil), pristine...)
		damaged[at] ^= byte(1 + random.IntN(255))
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := journal.Open(t.Context(), &journal.Local{}, "file:"+path, sqlite.Engine)
		if err != nil {
			found++
			if !strings.Contains(err.Error(), path) {
				t.Errorf("byte %d flipped: the error does not name the file: %v", at, err)
			}
			continue
		}
		if got, err := contents(t, j); err != nil || got != want {
			t.Errorf("byte %d flipped: opened, and then %v; the same events: %v", at, err, got == want)
		}
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}
	if found < 40 {
		t.Errorf("only %d of 150 flipped bytes were found; a third of the file is data", found)
	}
}

// What follows happens behind the back of an open journal, as when the disk decays.
func TestDamageAfterOpeningIsMetByReadersNotServed(t *testing.T) {
	for name, c := range map[string]struct {
		sql   string
		all   bool // All meets it
		read  bool // Read meets it
		write bool // an append meets it
	}{
		"data":    {"UPDATE events SET record = CAST(substr(record, 1, length(record) - 1) || 'X' AS BLOB) WHERE pos = 8", true, true, true},
		"header":  {"UPDATE events SET record = zeroblob(5) WHERE pos = 8", true, true, true},
		"lengths": {"UPDATE events SET record = CAST(substr(record, 1, 37) || x'ffff' || substr(record, 40) AS BLOB) WHERE pos = 8", true, true, true},
		"missing": {"DELETE FROM events WHERE pos = 8", true, true, true},
		// All goes by the record, which is right.
		"wrong stream":    {"UPDATE events SET stream = stream % 7 + 1 WHERE pos = 8", false, true, false},
		"another's":       {"UPDATE events SET record = (SELECT record FROM events WHERE pos = 9) WHERE pos = 8", true, true, true},
		"another's of it": {"UPDATE events SET record = (SELECT record FROM events WHERE pos = 15) WHERE pos = 8", true, true, true},
		"a gap":           {"UPDATE events SET pos = 30 WHERE pos = 21", true, false, false},
		"stream name":     {"UPDATE streams SET name = 'S0' WHERE name = 's0'", true, false, false},
		"nameless":        {"DELETE FROM streams WHERE name = 's0'", true, false, false},
		"wrong ID list":   {"UPDATE ids SET pos = 9 WHERE pos = 8", false, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			url := file(t)
			j := open(t, url)
			for i := range 21 {
				e := note("x")
				e.ID = "id" + string(rune('a'+i))
				if _, err := j.Append(t.Context(), "s"+string(rune('0'+i%7)), journal.Any, e); err != nil {
					t.Fatal(err)
				}
			}
			tamper(t, strings.TrimPrefix(url, "file:"), c.sql)
			meets := func(what string, err error, want bool) {
				t.Helper()
				if errors.Is(err, journal.ErrCorrupt) != want {
					t.Errorf("%s: %v; want damage: %v", what, err, want)
				}
			}
			var all, read error
			for _, err := range j.All(t.Context(), 0, journal.Filter{}) {
				all = err
			}
			for _, stream := range []string{"s0", "s5"} {
				for _, err := range j.Read(t.Context(), stream, 0) {
					read = errors.Join(read, err)
				}
			}
			meets("All", all, c.all)
			meets("Read", read, c.read)
			repeat := note("x")
			repeat.ID = "idh"
			_, err := j.Append(t.Context(), "s0", journal.Any, repeat)
			if c.write != (err != nil) {
				t.Errorf("repeating the append of a damaged event: %v", err)
			}
			if errors.Is(err, journal.ErrFailed) {
				if _, err := j.Append(t.Context(), "s1", journal.Any, note("x")); !errors.Is(err, journal.ErrFailed) {
					t.Errorf("append after damage was met: %v, want ErrFailed", err)
				}
			}
		})
	}
}

func TestALargeFileIsCheckedAtItsEnd(t *testing.T) {
	url := file(t)
	path := strings.TrimPrefix(url, "file:")
	j := open(t, url)
	big := journal.Event{Type: "noted", Data: make([]byte, journal.MaxDataBytes)}
	for range sqlite.WholeCheck / journal.MaxDataBytes {
		if _, err := j.Append(t.Context(), "big", journal.Any, big); err != nil {
			t.Fatal(err)
		}
	}
	small := make([]journal.Event, sqlite.NewestCheck/8)
	for i := range small {
		small[i] = note("x")
	}
	for range 8 {
		if _, err := j.Append(t.Context(), "small", journal.Any, small...); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := tryOpen(t, url); err != nil {
		t.Fatalf("opening a large file: %v", err)
	}
	damage := "UPDATE events SET record = CAST(substr(record, 1, 25) || 'X' || substr(record, 27) AS BLOB) WHERE pos = "
	tamper(t, path, damage+"1")
	if err := tryOpen(t, url); err != nil {
		t.Errorf("opening a large file whose first event is damaged: %v", err)
	}
	for _, err := range open(t, url).All(t.Context(), 0, journal.Filter{}) {
		if !errors.Is(err, journal.ErrCorrupt) {
			t.Errorf("reading the damaged event: %v, want ErrCorrupt", err)
		}
	}
	tamper(t, path, damage+"4000")
	if err := tryOpen(t, url); !errors.Is(err, journal.ErrCorrupt) {
		t.Errorf("opening a large file with damage near its end: %v, want ErrCorrupt", err)
	}
}

func TestAnAppendThatMeetsABrokenDatabaseStopsTheJournal(t *testing.T) {
	for _, sql := range []string{"DROP TABLE events", "DROP TABLE streams", "DROP INDEX events_stream", "DROP TABLE ids"} {
		url := file(t)
		j := open(t, url)
		// By another process, so that this one has to look.
		if _, err := open(t, url).Append(t.Context(), "s", journal.Any, note("x")); err != nil {
			t.Fatal(err)
		}
		tamper(t, strings.TrimPrefix(url, "file:"), sql)
		e := note("x")
		e.ID = "1"
		for range 2 {
			_, err := j.Append(t.Context(), "s", journal.Any, e)
			if !errors.Is(err, journal.ErrFailed) || errors.Is(err, journal.ErrUnknownOutcome) {
				t.Errorf("append after %s: %v, want ErrFailed alone", sql, err)
			}
		}
		if sql == "DROP TABLE ids" {
			continue
		}
		var failed error
		for _, err := range j.All(t.Context(), 0, journal.Filter{Stream: "s"}) {
			failed = err
		}
		if failed == nil || !strings.Contains(failed.Error(), "journal.db") {
			t.Errorf("reading after %s: %v, want an error that names the file", sql, failed)
		}
		failed = nil
		for _, err := range j.All(t.Context(), 0, journal.Filter{}) {
			failed = err
		}
		if (failed == nil) != (sql == "DROP INDEX events_stream") {
			t.Errorf("reading all after %s: %v", sql, failed)
		}
	}
}

func TestDamageOfWhatIsKeptBesideTheEventsIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		sql  string
		meet func(context.Context, journal.Journal) error
	}{
		"snapshot data":    {"UPDATE snapshots SET data = CAST('stale' AS BLOB)", loadSnapshot},
		"snapshot version": {"UPDATE snapshots SET version = 2", loadSnapshot},
		"snapshot schema":  {"UPDATE snapshots SET schema = schema + 4294967296", loadSnapshot},
		"snapshot stream": {"UPDATE snapshots SET stream = 2", func(ctx context.Context, j journal.Journal) error {
			_, _, err := j.Snapshots().Load(ctx, "b", 1)
			return err
		}},
		"checkpoint":       {"UPDATE checkpoints SET pos = pos + 1", loadCheckpoint},
		"checkpoint fence": {"UPDATE checkpoints SET fence = 0", loadCheckpoint},
		"checkpoint name":  {"UPDATE checkpoints SET name = 'other'", func(ctx context.Context, j journal.Journal) error { return j.Checkpoints().Move(ctx, "other", 9, 1, 2) }},
		"lease fence":      {"UPDATE leases SET fence = 0", acquireLease},
		"lease end":        {"UPDATE leases SET expires = 0", acquireLease},
		"lease holder":     {"UPDATE leases SET holder = 'bob'", acquireLease},
	} {
		t.Run(name, func(t *testing.T) {
			url := file(t)
			keep := func() journal.Journal {
				j := open(t, url)
				for _, stream := range []string{"a", "b"} {
					if _, err := j.Append(t.Context(), stream, journal.Any, note("x")); err != nil {
						t.Fatal(err)
					}
				}
				_, acquired := j.Leases().Acquire(t.Context(), "lease", "ann", time.Hour)
				at, loaded := j.Checkpoints().Load(t.Context(), "reader")
				err := errors.Join(acquired, loaded,
					j.Snapshots().Save(t.Context(), "a", journal.Snapshot{Version: 1, Schema: 1, Data: []byte("state")}),
					j.Checkpoints().Move(t.Context(), "reader", 3, at, 1))
				if err != nil {
					t.Fatal(err)
				}
				return j
			}
			j := keep()
			tamper(t, strings.TrimPrefix(url, "file:"), c.sql)
			if err := c.meet(t.Context(), j); !errors.Is(err, journal.ErrCorrupt) {
				t.Errorf("met in use: %v, want ErrCorrupt", err)
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			if err := tryOpen(t, url); !errors.Is(err, journal.ErrCorrupt) {
				t.Errorf("opening: %v, want ErrCorrupt", err)
			}
		})
	}
}

func loadSnapshot(ctx context.Context, j journal.Journal) error {
	_, _, err := j.Snapshots().Load(ctx, "a", 1)
	return err
}

func loadCheckpoint(ctx context.Context, j journal.Journal) error {
	_, err := j.Checkpoints().Load(ctx, "reader")
	return err
}

func acquireLease(ctx context.Context, j journal.Journal) error {
	_, err := j.Leases().Acquire(ctx, "lease", "ann", time.Hour)
	return err
}

func TestWhatCannotBeWrittenBesideTheEventsStopsTheJournal(t *testing.T) {
	for table, write := range map[string]func(context.Context, journal.Journal) error{
		"snapshots": func(ctx context.Context, j journal.Journal) error {
			return j.Snapshots().Save(ctx, "a", journal.Snapshot{Version: 1})
		},
		"checkpoints": func(ctx context.Context, j journal.Journal) error {
			return j.Checkpoints().Move(ctx, "reader", 0, 0, 1)
		},
		"leases": acquireLease,
		"streams": func(ctx context.Context, j journal.Journal) error {
			return j.Snapshots().Save(ctx, "a", journal.Snapshot{Version: 1})
		},
		"events_stream": func(ctx context.Context, j journal.Journal) error {
			return j.Snapshots().Save(ctx, "a", journal.Snapshot{Version: 1})
		},
	} {
		url := file(t)
		j := open(t, url)
		if _, err := j.Append(t.Context(), "a", journal.Any, note("x")); err != nil {
			t.Fatal(err)
		}
		verb := "TABLE"
		if table == "events_stream" {
			verb = "INDEX"
		}
		tamper(t, strings.TrimPrefix(url, "file:"), "DROP "+verb+" "+table)
		if err := write(t.Context(), j); !errors.Is(err, journal.ErrFailed) {
			t.Errorf("without %s: %v, want ErrFailed", table, err)
		}
		if _, err := j.Append(t.Context(), "a", journal.Any, note("x")); !errors.Is(err, journal.ErrFailed) {
			t.Errorf("append after that: %v, want ErrFailed", err)
		}
	}
}
