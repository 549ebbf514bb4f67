package sqlite_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	zombiezen "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
)

// tryOpen opens a journal and reports how that failed; it closes what it opened.
func tryOpen(t *testing.T, url string) error {
	t.Helper()
	j, err := journal.Open(t.Context(), &journal.Local{}, url, sqlite.Engine)
	if err == nil {
		err = j.Close()
	}
	return err
}

// tamper runs SQL on a file behind the journal's back.
func tamper(t *testing.T, path string, statements ...string) {
	t.Helper()
	c, err := zombiezen.OpenConn(path, zombiezen.OpenReadWrite, zombiezen.OpenCreate)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, s := range statements {
		if err := sqlitex.ExecuteTransient(c, s, nil); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// filled makes a journal of n small events in a new file and returns its path.
func filled(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "journal.db")
	h := &journal.Local{}
	j, err := journal.Open(t.Context(), h, "file:"+path, sqlite.Engine)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if _, err := j.Append(t.Context(), fmt.Sprint("s", i%7), journal.Any, note(fmt.Sprint("event ", i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWrongURLsAreRefusedWithWhatWouldBeRight(t *testing.T) {
	for url, want := range map[string]string{
		"":                     "the URL has no scheme; this service knows file:, mem:",
		"games.db":             "the URL has no scheme (did you mean file:games.db?); this service knows file:, mem:",
		"postgres://a:secret@": `no engine for scheme "postgres"`,
		"mem:games":            "mem: takes nothing after the colon",
		"file:":                "write file:PATH",
		"file::memory:":        "use the URL mem: instead",
		"file:dir/":            "names a directory",
		"file://host/games.db": "names a host",
		"file:a?mode=ro":       "cannot contain '?'",
		"file:a\x00b":          `cannot contain '\x00'`,
	} {
		err := tryOpen(t, url)
		if !errors.Is(err, journal.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want ErrInvalid and %q", url, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error tells the password: %v", url, err)
		}
		dry := &journal.Local{DryOnly: true}
		if _, err := journal.Open(t.Context(), dry, url, sqlite.Engine); !errors.Is(err, journal.ErrInvalid) {
			t.Errorf("%q on a dry host: %v, want ErrInvalid", url, err)
		}
	}
}

func TestADryHostTouchesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "no", "such", "dir", "journal.db")
	h := &journal.Local{DryOnly: true}
	j, err := journal.Open(t.Context(), h, "file:"+path, sqlite.Engine)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close(context.Background())
	if _, err := j.Append(t.Context(), "s", journal.NoStream, note("x")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Dir(path)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a dry opening made %s", filepath.Dir(path))
	}
}

func TestPathsStandAsTheyAre(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for url, name := range map[string]string{
		"file:a b%20.db":                   "a b%20.db",
		"FILE:upper.db":                    "upper.db",
		"file://" + dir + "/three-slashes": "three-slashes",
		"file:./rel.db":                    "rel.db",
	} {
		if err := tryOpen(t, url); err != nil {
			t.Errorf("%s: %v", url, err)
		}
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestFilesThatAreNoJournalAreRefusedUntouched(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	write := func(name string, data []byte) {
		if err := os.WriteFile(in(name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("text", bytes.Repeat([]byte("not a database\n"), 500))
	write("zeros", make([]byte, 8192))
	write("short", []byte("SQLite format 3"))
	tamper(t, in("foreign"), "CREATE TABLE accounts(id INTEGER)")
	tamper(t, in("marked"), "PRAGMA user_version = 7")
	newer := filled(t, 1)
	tamper(t, newer, "PRAGMA user_version = 99")
	older := filled(t, 1)
	tamper(t, older, "PRAGMA user_version = 0")
	altered := filled(t, 1)
	tamper(t, altered, "DROP INDEX events_stream")
	foreigner := filled(t, 1)
	tamper(t, foreigner, "DROP TABLE leases", "CREATE TABLE leases(tenant TEXT)")
	unsalted := filled(t, 1)
	tamper(t, unsalted, "DELETE FROM meta")
	broken := filled(t, 1)
	tamper(t, broken, "PRAGMA writable_schema = 1", "UPDATE sqlite_schema SET sql = 'CREATE TABLE nonsense' WHERE name = 'events'")

	for path, want := range map[string]string{
		dir:                        "it is a directory; name a file in it, such as",
		in("missing/sub/games.db"): "make it first",
		in("text/games.db"):        "not a directory",
		os.DevNull:                 "it is no regular file",
		in("text"):                 "it is not a SQLite database",
		in("zeros"):                "it is not a SQLite database",
		in("short"):                "it is not a SQLite database",
		in("foreign"):              "another application",
		in("marked"):               "another application",
		newer:                      "schema version 99, made by a newer release; this one knows versions up to 1",
		older:                      "versions start at 1",
		altered:                    "schema of events_stream",
		foreigner:                  "schema of leases",
		unsalted:                   "salt of event IDs",
		broken:                     "restore it from a backup",
	} {
		before, _ := os.ReadFile(path)
		err := tryOpen(t, "file:"+path)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want the path and %q", path, err, want)
		}
		if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
			t.Errorf("%s was changed", path)
		}
	}
}

func TestAnEmptyFileBecomesAJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	j := open(t, "file:"+path)
	if _, err := j.Append(t.Context(), "s", journal.NoStream, note("x")); err != nil {
		t.Error(err)
	}
}

func TestOpeningStopsWithItsContext(t *testing.T) {
	path := filled(t, 10)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := journal.Open(ctx, &journal.Local{}, "file:"+path, sqlite.Engine); !errors.Is(err, context.Canceled) {
		t.Errorf("opening with an ended context: %v", err)
	}
}

func TestWithoutRandomnessNoJournalIsMade(t *testing.T) {
	h := &journal.Local{Random: strings.NewReader("abc")}
	for _, url := range []string{"mem:", file(t)} {
		if _, err := journal.Open(t.Context(), h, url, sqlite.Engine); err == nil || !strings.Contains(err.Error(), "salt") {
			t.Errorf("%s: %v, want an error about the salt", url, err)
		}
	}
}

func TestEveryMemoryJournalIsItsOwn(t *testing.T) {
	a, b := open(t, "mem:"), open(t, "mem:")
	if _, err := a.Append(t.Context(), "s", journal.NoStream, note("x")); err != nil {
		t.Fatal(err)
	}
	if head, err := b.Head(t.Context()); head != 0 || err != nil {
		t.Errorf("the head of the other journal is %d, %v", head, err)
	}
}

func TestSeveralOpenANewFileAtOnce(t *testing.T) {
	dir := t.TempDir()
	for round := range 60 {
		url := "file:" + filepath.Join(dir, fmt.Sprint(round))
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				if err := tryOpen(t, url); err != nil {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		group.Wait()
	}
}

func TestAJournalOfAnEarlierReleaseIsTakenOver(t *testing.T) {
	path := filled(t, 3)
	tamper(t, path, "DROP TABLE snapshots", "DROP TABLE checkpoints", "DROP TABLE leases") // as the first release made it
	j := open(t, "file:"+path)
	if err := j.Checkpoints().Move(t.Context(), "reader", 0, 0, 3); err != nil {
		t.Error(err)
	}
	if n := count(t, j); n != 3 {
		t.Errorf("%d events, want 3", n)
	}
}

func TestAFileOfAnEarlierBuildIsRefusedAsThatAndNotAsDamaged(t *testing.T) {
	path := filled(t, 9)
	tamper(t, path, "UPDATE events SET record = CAST(x'01' || substr(record, 2) AS BLOB)")
	err := tryOpen(t, "file:"+path)
	if !errors.Is(err, journal.ErrInvalid) || errors.Is(err, journal.ErrCorrupt) || !strings.Contains(err.Error(), path+": ") || !strings.Contains(err.Error(), "position 1 has a record of format 1, which builds before the first release wrote") {
		t.Errorf("%v, want ErrInvalid with the file, the format and who wrote it", err)
	}
}
