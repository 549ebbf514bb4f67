package sqlite_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/journaltest"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
)

// open opens a journal that the test closes.
func open(t testing.TB, url string) journal.Journal {
	t.Helper()
	h := &journal.Local{}
	j, err := journal.Open(t.Context(), h, url, sqlite.Engine)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return j
}

// file returns the URL of a file that does not exist yet.
func file(t testing.TB) string { return "file:" + filepath.Join(t.TempDir(), "journal.db") }

func note(data string) journal.Event { return journal.Event{Type: "noted", Data: []byte(data)} }

// openAt opens a new journal at the URL with the clock.
func openAt(t *testing.T, c clock.Clock, url string) journal.Journal {
	t.Helper()
	j, err := journal.Open(t.Context(), &journal.Local{Time: c}, url, sqlite.Engine)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() }) // most tests have closed it, and then this does nothing
	return j
}

func TestMemoryKeepsThePromisesOfAJournal(t *testing.T) {
	journaltest.Run(t, func(t *testing.T) journal.Journal { return open(t, "mem:") },
		journaltest.Clocked(func(t *testing.T, c clock.Clock) journal.Journal { return openAt(t, c, "mem:") }))
}

func TestFileKeepsThePromisesOfAJournal(t *testing.T) {
	urls := map[journal.Journal]string{}
	again := func(t *testing.T, known journal.Journal) journal.Journal { return open(t, urls[known]) }
	journaltest.Run(t, func(t *testing.T) journal.Journal {
		url := file(t)
		j := open(t, url)
		urls[j] = url
		return j
	},
		journaltest.Reopen(again),
		journaltest.Peer(again),
		journaltest.Clocked(func(t *testing.T, c clock.Clock) journal.Journal { return openAt(t, c, file(t)) }))
}
