package projection_test

import (
	"context"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/projection"
)

// built is a projection of n events that is complete.
func built(t *testing.T, url string, n int) *projection.Projection {
	t.Helper()
	j := openJournal(t, "mem:")
	fill(t, j, 0, n)
	p, _ := open(t, nil, url, j, seen(1))
	stop := run(t, p)
	must(t, p.Ready(t.Context()))
	must(t, stop())
	return p
}

func TestValuesComeBackAsTheyWereGiven(t *testing.T) {
	type row struct {
		Int   int64
		Float float64
		Text  string
		Bytes []byte
		Null  bool
	}
	all := func(r projection.Row) row { return row{r.Int(0), r.Float(0), r.Text(0), r.Bytes(0), r.Null(0)} }
	p := built(t, "mem:", 1)
	for _, c := range []struct {
		arg  any
		want row
	}{
		{nil, row{Bytes: []byte{}, Null: true}},
		{true, row{1, 1, "1", []byte("1"), false}},
		{7, row{7, 7, "7", []byte("7"), false}},
		{int64(math.MaxInt64), row{math.MaxInt64, math.MaxInt64, "9223372036854775807", []byte("9223372036854775807"), false}},
		{journal.Position(9), row{9, 9, "9", []byte("9"), false}},
		{1.5, row{1, 1.5, "1.5", []byte("1.5"), false}},
		{"größer", row{0, 0, "größer", []byte("größer"), false}},
		{[]byte("a\xff"), row{0, 0, "a\xff", []byte("a\xff"), false}},
	} {
		rows, err := projection.Query(t.Context(), p, all, `SELECT ?`, c.arg)
		if err != nil || len(rows) != 1 || !reflect.DeepEqual(rows[0], c.want) {
			t.Errorf("%v comes back as %+v, %v; want %+v", c.arg, rows, err, c.want)
		}
	}
}

func TestAQueryThatIsWrongSaysWhy(t *testing.T) {
	for _, url := range []string{"mem:", file(t)} {
		p := built(t, url, 100)
		for want, c := range map[string]struct {
			sql  string
			args []any
		}{
			"more than 10000 rows; give it a LIMIT": {"SELECT a.n FROM {table} a, {table} b, {table} c", nil},
			"0 arguments for 1 parameters":          {"SELECT ?", nil},
			"no value of a column: time.Time":       {"SELECT ?", []any{time.Time{}}},
			"syntax error":                          {"SELECT FROM", nil},
		} {
			_, err := projection.Query(t.Context(), p, func(projection.Row) int { return 0 }, c.sql, c.args...)
			if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "projection seen: ") {
				t.Errorf("%s: %v, want %q", c.sql, err, want)
			}
		}
		rows, err := projection.Query(t.Context(), p, func(r projection.Row) int64 { return r.Int(0) }, "SELECT a.n FROM {table} a, {table} b LIMIT 10000")
		if len(rows) != projection.MaxRows || err != nil {
			t.Errorf("%d rows, %v; want 10000", len(rows), err)
		}
		wantTotals(t, p, 100) // what failed left nothing in the way
	}
}

func TestAQueryInAFileCannotWrite(t *testing.T) {
	p := built(t, file(t), 1)
	if _, err := projection.Query(t.Context(), p, func(projection.Row) int { return 0 }, "DELETE FROM {table}"); err == nil {
		t.Error("a query has deleted")
	}
	wantTotals(t, p, 1)
}

func TestAQueryEndsWithItsContext(t *testing.T) {
	for _, url := range []string{"mem:", file(t)} {
		p := built(t, url, 1)
		ctx, cancel := context.WithCancel(t.Context())
		count := 0
		endless := "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(?) + i FROM n WHERE i < 3 OR i > 1e18"
		_, err := projection.Query(ctx, p, func(projection.Row) int {
			if count++; count == 2 {
				cancel()
			}
			return 0
		}, strings.Replace(endless, "max(?)", "?", 1), 1)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("an endless query, cancelled: %v, want context.Canceled", err)
		}
		if _, err := projection.Query(ctx, p, func(projection.Row) int { return 0 }, "SELECT 1"); !errors.Is(err, context.Canceled) {
			t.Errorf("asked with an ended context: %v", err)
		}
		wantTotals(t, p, 1)
	}
}

func TestApplyReadsWhatItHasWritten(t *testing.T) {
	j := openJournal(t, "mem:")
	fill(t, j, 0, 10)
	p, _ := open(t, nil, "mem:", j, projection.Spec{
		Name: "runs", Version: 1, Columns: "stream TEXT PRIMARY KEY, n INTEGER NOT NULL",
		Apply: func(tx *projection.Tx, e journal.Recorded) error {
			n, found, err := projection.First(tx, func(r projection.Row) int64 { return r.Int(0) }, `SELECT n FROM {table} WHERE stream = ?`, e.Stream)
			if err != nil {
				return err
			}
			if !found {
				return tx.Exec(`INSERT INTO {table} VALUES(?, 1)`, e.Stream)
			}
			if _, _, err := projection.First(tx, func(projection.Row) int { return 0 }, `SELECT nothing`); err == nil {
				t.Error("a wrong query found something")
			}
			return tx.Exec(`UPDATE {table} SET n = ? WHERE stream = ?`, n+1, e.Stream)
		},
	})
	run(t, p)
	must(t, p.Ready(t.Context()))
	rows, err := projection.Query(t.Context(), p, func(r projection.Row) int64 { return r.Int(0) }, `SELECT n FROM {table} ORDER BY stream`)
	if err != nil || !reflect.DeepEqual(rows, []int64{10}) {
		t.Errorf("the table holds %d, %v; want 10", rows, err)
	}
}

func TestWaitingEndsWithItsContextAndTheProjection(t *testing.T) {
	j := openJournal(t, "mem:")
	last := fill(t, j, 0, 1)
	p, done := open(t, nil, "mem:", j, seen(1))
	var future *journal.FutureError
	if err := p.Wait(t.Context(), last+1); !errors.As(err, &future) || future.Head != last {
		t.Errorf("waiting for a position that the journal has not: %v, want a *journal.FutureError", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- p.Wait(ctx, last) }()
	go func() { ended <- p.Ready(ctx) }()
	cancel()
	for range 2 {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("waiting, cancelled: %v", err)
		}
	}
	go func() { ended <- p.Wait(t.Context(), last) }()
	go func() { ended <- p.Ready(t.Context()) }()
	done()
	for range 2 {
		if err := <-ended; !errors.Is(err, journal.ErrClosed) {
			t.Errorf("waiting, closed: %v, want ErrClosed", err)
		}
	}
	must(t, j.Close())
	if err := p.Wait(t.Context(), last); !errors.Is(err, journal.ErrClosed) {
		t.Errorf("waiting for a closed journal: %v, want ErrClosed", err)
	}
}
