package sqlitefile_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"zombiezen.com/go/sqlite"

	"github.com/seed-754044b3/roadworthy/internal/sqlitefile"
)

func TestEachErrorIsSortedByWhatItMeansForATransaction(t *testing.T) {
	for code, want := range map[sqlite.ResultCode]sqlitefile.Fault{
		sqlite.ResultConstraint:       sqlitefile.Request,
		sqlite.ResultConstraintUnique: sqlitefile.Request,
		sqlite.ResultTooBig:           sqlitefile.Request,
		sqlite.ResultMismatch:         sqlitefile.Request,
		sqlite.ResultRange:            sqlitefile.Request,
		sqlite.ResultBusy:             sqlitefile.Busy,
		sqlite.ResultBusySnapshot:     sqlitefile.Busy,
		sqlite.ResultFull:             sqlitefile.Full,
		sqlite.ResultIOErr:            sqlitefile.Storage,
		sqlite.ResultCorrupt:          sqlitefile.Storage,
		sqlite.ResultAuth:             sqlitefile.Storage,
	} {
		if got := sqlitefile.Diagnose(fmt.Errorf("put: %w", code.ToError())); got != want {
			t.Errorf("%v is fault %d, want %d", code, got, want)
		}
	}
	if got := sqlitefile.Diagnose(errors.New("not of SQLite")); got != sqlitefile.Storage {
		t.Errorf("an error of something else is fault %d, want %d", got, sqlitefile.Storage)
	}
}

func TestAMarkedErrorIsTheOneOfTheKindAndKeepsItsCause(t *testing.T) {
	marks := []error{errInvalid, errCorrupt, errBusy, errFull, errFailed}
	for code, want := range map[sqlite.ResultCode][]error{
		sqlite.ResultBusy:    {errBusy},
		sqlite.ResultFull:    {errFull},
		sqlite.ResultIOErr:   {errFailed},
		sqlite.ResultCorrupt: {errFailed, errCorrupt},
		sqlite.ResultNotADB:  {errFailed, errCorrupt},
	} {
		err := newKind().Mark(code.ToError())
		hasCode(t, err, code)
		for _, mark := range marks {
			wanted := false
			for _, w := range want {
				wanted = wanted || w == mark
			}
			if errors.Is(err, mark) != wanted {
				t.Errorf("%v: is it %q? want %v", err, mark, wanted)
			}
		}
	}
}

func TestAnErrorOfOpeningIsExplained(t *testing.T) {
	const path = "/data/a.db"
	for code, says := range map[sqlite.ResultCode]string{
		sqlite.ResultNotADB:   "it is not a SQLite database; restore it from a backup, or name a file",
		sqlite.ResultCorrupt:  "corrupt: restore it from a backup",
		sqlite.ResultReadOnly: "its directory /data",
		sqlite.ResultCantOpen: "its directory /data",
		sqlite.ResultPerm:     "its directory /data",
		sqlite.ResultBusy:     "busy: ",
		sqlite.ResultFull:     "full: ",
		sqlite.ResultIOErr:    "",
	} {
		err := newKind().Explain(path, code.ToError())
		hasCode(t, err, code)
		if !strings.HasPrefix(err.Error(), path+": ") || !strings.Contains(err.Error(), says) {
			t.Errorf("%q, want %q and %q", err, path, says)
		}
	}
}

func TestADatabaseWithoutRoomIsFullAndUndoesTheTransaction(t *testing.T) {
	c := open(t, newPath(t))
	exec(t, c, "PRAGMA max_page_count = 1") // SQLite takes the pages that there are, if they are more
	must(t, sqlitefile.Begin(t.Context(), c, 0, nil))
	err := c.Query("INSERT INTO names VALUES (hex(zeroblob(?)))").Number(1, 100_000).Run()
	wants(t, newKind().Mark(err), errFull)
	sqlitefile.Rollback(c.Conn)
	if !c.AutocommitEnabled() {
		t.Error("a transaction was left open")
	}
	sqlitefile.Rollback(c.Conn) // of nothing is nothing
	exec(t, c, "PRAGMA max_page_count = 1000", "INSERT INTO names VALUES (hex(zeroblob(100000)))")
	if n := count(t, c); n != 1 {
		t.Errorf("%d names, want 1", n)
	}
}
