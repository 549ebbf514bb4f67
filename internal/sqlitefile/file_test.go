package sqlitefile_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zombiezen.com/go/sqlite"

	"github.com/seed-754044b3/roadworthy/internal/sqlitefile"
)

var (
	errInvalid = errors.New("invalid")
	errCorrupt = errors.New("corrupt")
	errBusy    = errors.New("busy")
	errFull    = errors.New("full")
	errFailed  = errors.New("failed")
)

// newKind is the kind of file of these tests: a table of names with an index.
func newKind() *sqlitefile.Kind {
	return &sqlitefile.Kind{
		Noun: "ledger", ApplicationID: 0x7e57, Version: 2, Remedy: "restore it from a backup",
		Schema: []sqlitefile.Object{
			{Name: "names", SQL: "CREATE TABLE names (name TEXT NOT NULL)"},
			{Name: "by_name", SQL: "CREATE INDEX by_name ON names (name)"},
		},
		Invalid: errInvalid, Corrupt: errCorrupt, Busy: errBusy, Full: errFull, Failed: errFailed,
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wants checks that err wraps target and says what it should.
func wants(t *testing.T, err, target error, says ...string) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("%v, want an error that wraps %q", err, target)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%q does not say %q", err, s)
		}
	}
}

// hasCode checks that err is an error of SQLite with this code.
func hasCode(t *testing.T, err error, code sqlite.ResultCode) {
	t.Helper()
	if got := sqlite.ErrCode(err).ToPrimary(); err == nil || got != code {
		t.Fatalf("%v with code %v, want %v", err, got, code)
	}
}

// connect opens a connection that is closed at the end of the test.
func connect(t *testing.T, path string) sqlitefile.Conn {
	t.Helper()
	c, err := newKind().Connect(path, sqlite.OpenCreate)
	must(t, err)
	t.Cleanup(func() { _ = c.Close() }) // a test may have closed it before
	return c
}

// open opens the file at path as a room does, and makes it if need be.
func open(t *testing.T, path string) sqlitefile.Conn {
	t.Helper()
	k, c := newKind(), connect(t, path)
	must(t, k.Prepare(t.Context(), c))
	must(t, k.Migrate(t.Context(), c, func(c *sqlite.Conn) error { return k.Create(c) }))
	return c
}

func newPath(t *testing.T) string { return filepath.Join(t.TempDir(), "a.db") }

func exec(t *testing.T, c sqlitefile.Conn, statements ...string) {
	t.Helper()
	must(t, sqlitefile.Exec(c.Conn, statements...))
}

func count(t *testing.T, c sqlitefile.Conn) int64 {
	t.Helper()
	n, err := sqlitefile.Number(c.Conn, "SELECT count(*) FROM names")
	must(t, err)
	return n
}

// deny has SQLite refuse an action on this connection, as an error in the middle of things.
func deny(t *testing.T, c sqlitefile.Conn, denied func(sqlite.Action) bool) {
	t.Helper()
	must(t, c.SetAuthorizer(sqlite.AuthorizeFunc(func(a sqlite.Action) sqlite.AuthResult {
		if denied(a) {
			return sqlite.AuthResultDeny
		}
		return sqlite.AuthResultOK
	})))
}

func denyPragma(name string) func(sqlite.Action) bool {
	return func(a sqlite.Action) bool { return a.Pragma() == name }
}

func denyTransaction(operation string) func(sqlite.Action) bool {
	return func(a sqlite.Action) bool {
		return a.Type() == sqlite.OpTransaction && a.Operation() == operation
	}
}

func TestInspectTellsTheSizeOfARegularFileAndZeroForNone(t *testing.T) {
	path := newPath(t)
	if n, err := newKind().Inspect(path); n != 0 || err != nil {
		t.Errorf("no file: %d, %v", n, err)
	}
	must(t, os.WriteFile(path, make([]byte, 77), 0o600))
	if n, err := newKind().Inspect(path); n != 77 || err != nil {
		t.Errorf("a file of 77 bytes: %d, %v", n, err)
	}
}

func TestInspectRefusesWhatCannotBeADatabaseFile(t *testing.T) {
	dir := t.TempDir()
	_, err := newKind().Inspect(filepath.Join(dir, "none", "a.db"))
	wants(t, err, os.ErrNotExist, filepath.Join(dir, "none"), "make it first")
	_, err = newKind().Inspect(dir)
	wants(t, err, errInvalid, "it is a directory", filepath.Join(dir, "ledger.db"))
	_, err = newKind().Inspect("a\x00b")
	if err == nil || !strings.Contains(err.Error(), "look at ledger file") {
		t.Errorf("a name that no file can have: %v", err)
	}
	t.Chdir(dir) // the path of a socket has to be short
	l, err := net.Listen("unix", "socket")
	must(t, err)
	defer l.Close()
	_, err = newKind().Inspect("socket")
	wants(t, err, errInvalid, "no regular file")
}

func TestConnectDoesNotMakeAFileUnlessToldTo(t *testing.T) {
	path := newPath(t)
	_, err := newKind().Connect(path, 0)
	hasCode(t, err, sqlite.ResultCantOpen)
	if want := "let this process write the file and its directory " + filepath.Dir(path); !strings.Contains(err.Error(), want) {
		t.Errorf("%q does not say %q", err, want)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a file: %v", err)
	}
}

func TestSyncDirSyncsADirectoryAndTellsOfOneThatIsNotThere(t *testing.T) {
	dir := t.TempDir()
	must(t, sqlitefile.SyncDir(dir))
	wants(t, sqlitefile.SyncDir(filepath.Join(dir, "none")), os.ErrNotExist, "open directory")
}

func TestAFileThatWasMadeIsOpenedAgainWithWhatWasCommitted(t *testing.T) {
	path := newPath(t)
	c := open(t, path)
	exec(t, c, "INSERT INTO names VALUES ('a'), ('b')")
	must(t, c.Close())
	c = open(t, path)
	if n := count(t, c); n != 2 {
		t.Errorf("%d names, want 2", n)
	}
	for pragma, want := range map[string]int64{"application_id": 0x7e57, "user_version": 2, "synchronous": 2} {
		if n, err := sqlitefile.Number(c.Conn, "PRAGMA "+pragma); n != want || err != nil {
			t.Errorf("%s is %d, %v; want %d", pragma, n, err, want)
		}
	}
	if mode, err := sqlitefile.Text(c.Conn, "PRAGMA journal_mode"); mode != "wal" || err != nil {
		t.Errorf("journal mode %q, %v", mode, err)
	}
	must(t, newKind().Check(c.Conn))
}

func TestCreateRunsTheStatementsOfItsCallerAfterTheSchema(t *testing.T) {
	c := connect(t, ":memory:")
	must(t, newKind().Create(c.Conn, "INSERT INTO names VALUES ('first')"))
	if n := count(t, c); n != 1 {
		t.Errorf("%d names, want 1", n)
	}
}

func TestIdentifyTellsAnEmptyDatabaseFromOneOfTheKind(t *testing.T) {
	k, c := newKind(), connect(t, ":memory:")
	if empty, err := k.Identify(c.Conn); !empty || err != nil {
		t.Errorf("nothing in it: empty %v, %v", empty, err)
	}
	must(t, k.Create(c.Conn))
	if empty, err := k.Identify(c.Conn); empty || err != nil {
		t.Errorf("with its schema: empty %v, %v", empty, err)
	}
	if !c.AutocommitEnabled() {
		t.Error("a transaction was left open")
	}
}

func TestIdentifyRefusesWhatIsNotOfTheKindAndVersion(t *testing.T) {
	for name, test := range map[string]struct {
		change string
		target error
		says   string
	}{
		"another application":          {"PRAGMA application_id = 0x99", errInvalid, "application_id 0x99, 2 tables and indexes"},
		"tables of an application":     {"PRAGMA application_id = 0", errInvalid, "another application"},
		"a newer schema":               {"PRAGMA user_version = 3", errInvalid, "made by a newer release; this one knows versions up to 2"},
		"a version that never was":     {"PRAGMA user_version = 0", errCorrupt, "versions start at 1"},
		"an index that is missing":     {"DROP INDEX by_name", errCorrupt, `schema of by_name is ""`},
		"a table with another column":  {"ALTER TABLE names ADD COLUMN x", errCorrupt, "schema of names is"},
		"a negative version of schema": {"PRAGMA user_version = -1", errCorrupt, "schema version -1"},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			c := open(t, path)
			exec(t, c, test.change)
			must(t, c.Close())
			c = connect(t, path)
			wants(t, newKind().Prepare(t.Context(), c), test.target, test.says)
			must(t, c.Close())
		})
	}
}

func TestAnOlderSchemaOfTheKindIsTaken(t *testing.T) {
	c := open(t, newPath(t))
	exec(t, c, "PRAGMA user_version = 1")
	if empty, err := newKind().Identify(c.Conn); empty || err != nil {
		t.Errorf("empty %v, %v", empty, err)
	}
}

func TestAFileThatIsNoDatabaseIsRefusedAndLeftAsItIs(t *testing.T) {
	path, text := newPath(t), bytes.Repeat([]byte("dear diary, "), 1000)
	must(t, os.WriteFile(path, text, 0o600))
	k, c := newKind(), connect(t, path)
	err := k.Prepare(t.Context(), c)
	hasCode(t, err, sqlite.ResultNotADB)
	wants(t, k.Explain(path, err), errCorrupt, path, "it is not a SQLite database", k.Remedy)
	must(t, c.Close())
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, text) {
		t.Errorf("the file changed, %v", err)
	}
}

func TestAFileCutShortIsFoundCorrupt(t *testing.T) {
	path := newPath(t)
	c := open(t, path)
	exec(t, c, "INSERT INTO names VALUES ('a')")
	must(t, c.Close())
	must(t, os.Truncate(path, 5000))
	k := newKind()
	c = connect(t, path)
	err := k.Prepare(t.Context(), c)
	if err == nil {
		err = k.Check(c.Conn)
	}
	wants(t, k.Explain(path, k.Damage(err)), errCorrupt, path)
}

func TestAFlippedByteInAnIndexIsFoundByTheCheck(t *testing.T) {
	path := newPath(t)
	c := open(t, path)
	exec(t, c, "INSERT INTO names VALUES ('needle')")
	must(t, c.Close())
	b, err := os.ReadFile(path)
	must(t, err)
	at := bytes.LastIndex(b, []byte("needle"))
	if at < 0 {
		t.Fatal("the name is not in the file")
	}
	b[at] ^= 1
	must(t, os.WriteFile(path, b, 0o600))
	c = open(t, path)
	wants(t, newKind().Check(c.Conn), errCorrupt, "by_name", "restore it from a backup")
}

func TestAnErrorWhileLookingAtTheFileIsReturned(t *testing.T) {
	for name, denied := range map[string]func(sqlite.Action) bool{
		"begin":           denyTransaction("BEGIN"),
		"application":     denyPragma("application_id"),
		"version":         denyPragma("user_version"),
		"schema":          func(a sqlite.Action) bool { return a.Type() == sqlite.OpRead && a.Table() == "sqlite_master" },
		"journal mode":    denyPragma("journal_mode"),
		"synchronous":     denyPragma("synchronous"),
		"callers' pragma": denyPragma("cache_size"),
	} {
		t.Run(name, func(t *testing.T) {
			c := connect(t, newPath(t))
			deny(t, c, denied)
			hasCode(t, newKind().Prepare(t.Context(), c, "PRAGMA cache_size = -100"), sqlite.ResultAuth)
			if !c.AutocommitEnabled() {
				t.Error("a transaction was left open")
			}
		})
	}
}

func TestADatabaseThatCannotLogAheadIsRefused(t *testing.T) {
	c := connect(t, ":memory:")
	wants(t, newKind().Prepare(t.Context(), c), errInvalid, `journal mode is "memory"`, "local disk")
}

func TestAMigrationThatFailsLeavesTheFileEmpty(t *testing.T) {
	why := errors.New("why")
	k := newKind()
	for name, create := range map[string]func(*sqlite.Conn) error{
		"of its own": func(c *sqlite.Conn) error { return errors.Join(k.Create(c), why) },
		"at its end": func(c *sqlite.Conn) error { return k.Create(c) },
		"in between": func(c *sqlite.Conn) error { return k.Create(c, "INSERT INTO nowhere VALUES (1)") },
	} {
		t.Run(name, func(t *testing.T) {
			c := connect(t, newPath(t))
			must(t, k.Prepare(t.Context(), c))
			deny(t, c, denyTransaction("COMMIT"))
			err := k.Migrate(t.Context(), c, create)
			if err == nil {
				t.Fatal("no error")
			}
			if name == "of its own" {
				wants(t, err, why)
			}
			must(t, c.SetAuthorizer(nil))
			if empty, err := k.Identify(c.Conn); !empty || err != nil {
				t.Errorf("empty %v, %v", empty, err)
			}
		})
	}
}

func TestAMigrationLooksAgainAtWhatIsInTheFile(t *testing.T) {
	path := newPath(t)
	k, c := newKind(), connect(t, path)
	must(t, k.Prepare(t.Context(), c))
	exec(t, open(t, path), "PRAGMA user_version = 3") // by a process with newer code
	err := k.Migrate(t.Context(), c, func(*sqlite.Conn) error { t.Error("made again"); return nil })
	wants(t, err, errInvalid, "newer release")
	if !c.AutocommitEnabled() {
		t.Error("a transaction was left open")
	}
}

func TestAMigrationNoticesAFileThatCannotBeWritten(t *testing.T) {
	c := open(t, newPath(t))
	exec(t, c, "PRAGMA query_only = 1")
	k := newKind()
	err := k.Migrate(t.Context(), c, func(*sqlite.Conn) error { t.Error("made again"); return nil })
	hasCode(t, err, sqlite.ResultReadOnly)
	if err := k.Explain("a.db", err); !strings.Contains(err.Error(), "a.db: cannot be written") {
		t.Error(err)
	}
}

func TestAMigrationGivesUpWaitingWhenItsContextEnds(t *testing.T) {
	path := newPath(t)
	holder, c := open(t, path), open(t, path)
	exec(t, holder, "BEGIN IMMEDIATE")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wants(t, newKind().Migrate(ctx, c, nil), context.Canceled)
}
