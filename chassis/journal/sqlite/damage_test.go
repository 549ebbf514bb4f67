package sqlite_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
)

// contents reads everything in both ways: in order, and stream by stream.
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
	return b.String(), nil
}

func TestAFlippedByteIsFoundWhenOpeningAndNeverServed(t *testing.T) {
	path := filled(t, 300)
	pristine, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	j := open(t, "file:"+path)
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
		"data":          {"UPDATE events SET record = CAST(substr(record, 1, length(record) - 1) || 'X' AS BLOB) WHERE pos = 8", true, true, true},
		"header":        {"UPDATE events SET record = zeroblob(5) WHERE pos = 8", true, true, true},
		"lengths":       {"UPDATE events SET record = CAST(substr(record, 1, 21) || x'ffff' || substr(record, 24) AS BLOB) WHERE pos = 8", true, true, true},
		"missing":       {"DELETE FROM events WHERE pos = 8", true, true, true},
		"wrong stream":  {"UPDATE events SET stream = stream % 7 + 1 WHERE pos = 8", true, true, true},
		"stream name":   {"UPDATE streams SET name = 'S0' WHERE name = 's0'", true, false, false},
		"nameless":      {"DELETE FROM streams WHERE name = 's0'", true, false, false},
		"wrong ID list": {"UPDATE ids SET pos = 9 WHERE pos = 8", false, false, true},
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
		if _, err := j.Append(t.Context(), "s", journal.Any, note("x")); err != nil {
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
