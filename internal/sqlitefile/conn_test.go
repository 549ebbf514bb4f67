package sqlitefile_test

import (
	"bytes"
	"strings"
	"testing"

	"zombiezen.com/go/sqlite"

	"github.com/seed-754044b3/roadworthy/internal/sqlitefile"
)

func TestAQueryTakesItsValuesAndReturnsItsRows(t *testing.T) {
	c := connect(t, ":memory:")
	q := c.Query("SELECT ?1 + 1, ?2 || '!', ?3 UNION ALL SELECT 2, 'b', x'00'").Number(1, 41).Text(2, "a").Blob(3, []byte{1, 2})
	row, err := q.Next()
	if !row || err != nil {
		t.Fatalf("first row: %v, %v", row, err)
	}
	blob := make([]byte, 2)
	q.Stmt.ColumnBytes(2, blob)
	if n, s := q.Stmt.ColumnInt64(0), q.Stmt.ColumnText(1); n != 42 || s != "a!" || !bytes.Equal(blob, []byte{1, 2}) {
		t.Errorf("%d, %q, %v", n, s, blob)
	}
	if row, err = q.Next(); !row || err != nil {
		t.Errorf("second row: %v, %v", row, err)
	}
	if row, err = q.Next(); row || err != nil {
		t.Errorf("after the last: %v, %v", row, err)
	}
	q.End()
}

func TestAQueryCanBeRunAgainAfterItsEnd(t *testing.T) {
	c := open(t, newPath(t))
	for _, name := range []string{"a", "b", "c"} {
		must(t, c.Query("INSERT INTO names VALUES (?)").Text(1, name).Run())
	}
	for bound, want := range map[string]int64{"a": 3, "b": 2, "d": 0} {
		if n, err := c.Query("SELECT count(*) FROM names WHERE name >= ?").Text(1, bound).One(); n != want || err != nil {
			t.Errorf("from %s: %d, %v; want %d", bound, n, err, want)
		}
	}
	if n, err := c.Query("SELECT 7 FROM names WHERE name = 'z'").One(); n != 0 || err != nil {
		t.Errorf("no row: %d, %v; want 0", n, err)
	}
}

func TestAnErrorOfPreparingAQueryWaitsForItsEnd(t *testing.T) {
	c := connect(t, ":memory:")
	q := c.Query("SELECT FROM nowhere").Number(1, 1).Text(2, "").Blob(3, nil)
	for range 2 {
		row, err := q.Next()
		if row {
			t.Error("there is a row")
		}
		hasCode(t, err, sqlite.ResultError)
		q.End()
	}
	hasCode(t, q.Run(), sqlite.ResultError)
	_, err := q.One()
	hasCode(t, err, sqlite.ResultError)
}

func TestAnErrorOfRunningAQueryIsReturnedOnceAndDoesNotSpoilTheNext(t *testing.T) {
	c := open(t, newPath(t))
	exec(t, c, "CREATE UNIQUE INDEX once ON names (name)", "INSERT INTO names VALUES ('a')")
	hasCode(t, c.Query("INSERT INTO names VALUES (?)").Text(1, "a").Run(), sqlite.ResultConstraint)
	must(t, c.Query("INSERT INTO names VALUES (?)").Text(1, "b").Run())
	if n := count(t, c); n != 2 {
		t.Errorf("%d names, want 2", n)
	}
}

func TestNumberAndTextAreZeroWhenThereIsNothing(t *testing.T) {
	c := connect(t, ":memory:")
	for _, test := range []struct {
		query  string
		number int64
		text   string
	}{{"SELECT 12", 12, "12"}, {"SELECT 12 WHERE 0", 0, ""}} {
		if n, err := sqlitefile.Number(c.Conn, test.query); n != test.number || err != nil {
			t.Errorf("%s: %d, %v", test.query, n, err)
		}
		if s, err := sqlitefile.Text(c.Conn, test.query); s != test.text || err != nil {
			t.Errorf("%s: %q, %v", test.query, s, err)
		}
	}
	_, err := sqlitefile.Number(c.Conn, "SELECT x")
	hasCode(t, err, sqlite.ResultError)
}

func TestExecStopsAtTheStatementThatFailsAndNamesIt(t *testing.T) {
	c := connect(t, ":memory:")
	err := sqlitefile.Exec(c.Conn, "CREATE TABLE names (name)", "INSERT INTO nowhere VALUES (1)", "INSERT INTO names VALUES (1)")
	hasCode(t, err, sqlite.ResultError)
	if !strings.HasPrefix(err.Error(), "INSERT INTO nowhere VALUES (1): ") {
		t.Error(err)
	}
	if n := count(t, c); n != 0 {
		t.Errorf("%d names, want 0", n)
	}
}
