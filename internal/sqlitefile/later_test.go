package sqlitefile_test

import (
	"testing"

	"zombiezen.com/go/sqlite"

	"github.com/seed-754044b3/roadworthy/internal/sqlitefile"
)

// grown is the kind of file that newKind is, of a release that has added a table.
func grown() *sqlitefile.Kind {
	k := newKind()
	k.Later = []sqlitefile.Object{{Name: "nicknames", SQL: "CREATE TABLE nicknames (name TEXT NOT NULL)"}}
	return k
}

// migrate opens the file at path as a room of that kind does.
func migrate(t *testing.T, k *sqlitefile.Kind, path string) error {
	t.Helper()
	c := connect(t, path)
	must(t, k.Prepare(t.Context(), c))
	err := k.Migrate(t.Context(), c, func(c *sqlite.Conn) error { return k.Create(c) })
	must(t, c.Close())
	return err
}

func TestWhatCameLaterIsMadeInNewFilesAndInThoseThatLackIt(t *testing.T) {
	for name, first := range map[string]*sqlitefile.Kind{"a file of an earlier release": newKind(), "a new file": grown()} {
		path := newPath(t)
		must(t, migrate(t, first, path))
		must(t, migrate(t, grown(), path))
		must(t, migrate(t, grown(), path))
		must(t, migrate(t, newKind(), path)) // the earlier release goes on with it
		c := connect(t, path)
		if n, err := sqlitefile.Number(c.Conn, "SELECT count(*) FROM nicknames"); n != 0 || err != nil {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
}

func TestWhatCameLaterAndIsSomethingElseIsRefused(t *testing.T) {
	path := newPath(t)
	must(t, migrate(t, newKind(), path))
	c := connect(t, path)
	exec(t, c, "CREATE TABLE nicknames (x)")
	must(t, c.Close())
	c = connect(t, path)
	wants(t, grown().Prepare(t.Context(), c), errCorrupt, "schema of nicknames is")
}

func TestAFailureToAddWhatCameLaterUndoesTheMigration(t *testing.T) {
	path := newPath(t)
	must(t, migrate(t, newKind(), path))
	c := connect(t, path)
	must(t, grown().Prepare(t.Context(), c))
	deny(t, c, func(a sqlite.Action) bool { return a.Type() == sqlite.OpCreateTable })
	hasCode(t, grown().Migrate(t.Context(), c, nil), sqlite.ResultAuth)
	if !c.AutocommitEnabled() {
		t.Error("a transaction was left open")
	}
	must(t, c.SetAuthorizer(nil))
	must(t, grown().Migrate(t.Context(), c, nil))
}
