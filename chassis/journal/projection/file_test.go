package projection_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/projection"
)

// tamper runs SQL on the file behind the projection's back and returns the texts that it finds.
func tamper(t *testing.T, url, sql string) (found []string) {
	t.Helper()
	c, err := zombiezen.OpenConn(strings.TrimPrefix(url, "file:"), zombiezen.OpenReadWrite)
	must(t, err)
	defer c.Close()
	must(t, sqlitex.ExecuteTransient(c, sql, &sqlitex.ExecOptions{ResultFunc: func(stmt *zombiezen.Stmt) error {
		found = append(found, stmt.ColumnText(0))
		return nil
	}}))
	return found
}

func tables(t *testing.T, url string) string {
	t.Helper()
	return strings.Join(tamper(t, url, `SELECT name FROM sqlite_schema WHERE name LIKE 'p\_%' ESCAPE '\' ORDER BY name`), " ")
}

// tryOpen says how opening fails.
func tryOpen(t *testing.T, url string, s projection.Spec) error {
	t.Helper()
	h := &journal.Local{}
	_, err := projection.Open(t.Context(), h, url, openJournal(t, "mem:"), s)
	return errors.Join(err, h.Close(context.Background()))
}

func TestASpecThatIsNoneIsRefusedWithWhatWouldBeRight(t *testing.T) {
	for want, change := range map[string]func(*projection.Spec){
		`projection "Seen": invalid argument: name; want a letter`: func(s *projection.Spec) { s.Name = "Seen" },
		`projection "": invalid argument: name`:                    func(s *projection.Spec) { s.Name = "" },
		`projection "a b": invalid`:                                func(s *projection.Spec) { s.Name = "a b" },
		"version 0; want 1 or more":                                func(s *projection.Spec) { s.Version = 0 },
		"version 1073741825; want":                                 func(s *projection.Spec) { s.Version = 1<<30 + 1 },
		"no columns; give":                                         func(s *projection.Spec) { s.Columns = "" },
		"no Apply; give":                                           func(s *projection.Spec) { s.Apply = nil },
		"Stream and StreamPrefix":                                  func(s *projection.Spec) { s.Filter = journal.Filter{Stream: "a", StreamPrefix: "a"} },
		`CREATE TABLE p_seen_v1(data VARCHAR(7)) STRICT: `:         func(s *projection.Spec) { s.Columns = "data VARCHAR(7)" },
	} {
		spec := seen(1)
		change(&spec)
		for _, url := range []string{"mem:", file(t)} {
			err := tryOpen(t, url, spec)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", url, err, want)
			}
			if !errors.Is(err, journal.ErrInvalid) && !strings.HasPrefix(want, "CREATE") {
				t.Errorf("%s: %v, want ErrInvalid", url, err)
			}
		}
	}
}

func TestPlacesThatAreNoneAreRefused(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	must(t, os.WriteFile(text, bytes.Repeat([]byte("dear diary, "), 1000), 0o600))
	foreign := filepath.Join(dir, "journal.db")
	fill(t, openJournal(t, "file:"+foreign), 0, 1)
	for url, want := range map[string]string{
		"":                      "write mem: or file:PATH",
		"standings.db":          "write mem: or file:PATH",
		"mem:x":                 "write mem: or file:PATH",
		"file:":                 "write mem: or file:PATH",
		"file:a?b":              "write mem: or file:PATH",
		"file://host/a":         "write mem: or file:PATH",
		"file:" + dir:           "it is a directory; name a file in it",
		"file:" + dir + "/no/a": "make it first",
		"file:" + text:          "it is not a SQLite database; remove it, and it is built again from the journal",
		"file:" + foreign:       "another application",
	} {
		err := tryOpen(t, url, seen(1))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "open projection seen: ") {
			t.Errorf("%q: %v, want %q", url, err, want)
		}
	}
}

func TestAChangeWithoutANewVersionIsRefused(t *testing.T) {
	wider := seen(1)
	wider.Columns += ", at INTEGER"
	filtered := seen(1)
	filtered.Filter.StreamPrefix = "game-"
	for _, spec := range []projection.Spec{wider, filtered} {
		url := file(t)
		must(t, tryOpen(t, url, seen(1)))
		must(t, tryOpen(t, url, seen(1)))
		if err := tryOpen(t, url, spec); !errors.Is(err, journal.ErrInvalid) || !strings.HasSuffix(err.Error(), "count up the version") {
			t.Errorf("%v, want ErrInvalid", err)
		}
		spec.Version = 2
		must(t, tryOpen(t, url, spec))
	}
}

func TestADamagedFileIsNotAsked(t *testing.T) {
	j, url := openJournal(t, "mem:"), file(t)
	fill(t, j, 0, 1500)
	p, done := open(t, nil, url, j, seen(1))
	stop := run(t, p)
	must(t, p.Ready(t.Context()))
	must(t, stop())
	done()
	path := strings.TrimPrefix(url, "file:")
	b, err := os.ReadFile(path)
	must(t, err)
	copy(b[len(b)/2:], bytes.Repeat([]byte{0xff}, 4096))
	must(t, os.WriteFile(path, b, 0o600))
	if err := tryOpen(t, url, seen(1)); !errors.Is(err, journal.ErrCorrupt) || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("opening a damaged file: %v, want ErrCorrupt", err)
	}
}

func TestADryHostTouchesNothing(t *testing.T) {
	url := file(t)
	h := &journal.Local{DryOnly: true}
	_, err := projection.Open(t.Context(), h, url, openJournal(t, "mem:"), seen(1))
	must(t, errors.Join(err, h.Close(context.Background())))
	if _, err := os.Stat(strings.TrimPrefix(url, "file:")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a dry opening made the file: %v", err)
	}
}

func TestATableAheadOfItsJournalIsRefused(t *testing.T) {
	j, url := openJournal(t, "mem:"), file(t)
	fill(t, j, 0, 10)
	p, done := open(t, nil, url, j, seen(1))
	stop := run(t, p)
	must(t, p.Ready(t.Context()))
	must(t, stop())
	done()
	p, _ = open(t, nil, url, openJournal(t, "mem:"), seen(1))
	err := p.Run(t.Context())
	var future *journal.FutureError
	if !errors.As(err, &future) || !strings.Contains(err.Error(), "ahead of its journal") {
		t.Errorf("running on an older journal: %v, want a *journal.FutureError", err)
	}
}

func TestAFullDiskIsWaitedOut(t *testing.T) {
	c := clock.NewVirtual(time.Unix(0, 0))
	j := openJournal(t, "mem:")
	fill(t, j, 0, 1200)
	p, _ := open(t, c, file(t), j, seen(1))
	projection.SetMaxPages(t, p, 1) // or as small as it is
	stop := run(t, p)
	for p.Progress().Trouble == nil { // until then the run neither ends nor waits
		must(t, t.Context().Err())
		runtime.Gosched()
	}
	if err := p.Progress().Trouble; !errors.Is(err, journal.ErrFull) {
		t.Fatalf("a full disk is %v, want ErrFull", err)
	}
	projection.SetMaxPages(t, p, 1<<20)
	ready := make(chan error, 1)
	go func() { ready <- p.Ready(t.Context()) }()
	for {
		select {
		case err := <-ready:
			must(t, err)
			wantTotals(t, p, 1200)
			must(t, stop())
			return
		default:
			c.Advance(time.Second)
			runtime.Gosched()
		}
	}
}

func TestWaitingForALockedFileEndsWithTheRun(t *testing.T) {
	j, url := openJournal(t, "mem:"), file(t)
	fill(t, j, 0, 10)
	p, _ := open(t, nil, url, j, seen(1))
	locker, err := zombiezen.OpenConn(strings.TrimPrefix(url, "file:"), zombiezen.OpenReadWrite)
	must(t, err)
	defer locker.Close()
	must(t, sqlitex.ExecuteTransient(locker, "BEGIN IMMEDIATE", nil))
	stop := run(t, p)
	for p.Progress().Head == 0 { // it has looked at the journal, and goes for the lock
		must(t, t.Context().Err())
		runtime.Gosched()
	}
	must(t, stop())
	must(t, sqlitex.ExecuteTransient(locker, "ROLLBACK", nil))
	run(t, p)
	must(t, p.Ready(t.Context()))
	wantTotals(t, p, 10)
}
