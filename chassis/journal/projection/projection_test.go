package projection_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/projection"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
)

// openJournal opens a journal that the test closes.
func openJournal(t testing.TB, url string) journal.Journal {
	t.Helper()
	j, err := journal.Open(t.Context(), &journal.Local{}, url, sqlite.Engine)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() }) // some tests close it themselves
	return j
}

// open opens a projection that the test closes, or closes itself by calling done.
func open(t testing.TB, c clock.Clock, url string, j journal.Journal, s projection.Spec) (p *projection.Projection, done func()) {
	t.Helper()
	h := &journal.Local{Time: c}
	p, err := projection.Open(t.Context(), h, url, j, s)
	if err != nil {
		t.Fatal(err)
	}
	done = func() {
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(done)
	return p, done
}

// run has the projection follow its journal until stop is called, which returns how that ended.
func run(t testing.TB, p *projection.Projection) (stop func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { _ = stop() })
	return stop
}

// file is the URL of a file that does not exist yet.
func file(t testing.TB) string { return "file:" + filepath.Join(t.TempDir(), "projection.db") }

// fill appends events "0", "1" and so on to three streams in turn, types a and b in turn.
func fill(t testing.TB, j journal.Journal, from, to int) (last journal.Position) {
	t.Helper()
	for from < to {
		n := min(to-from, journal.MaxEvents)
		events := make([]journal.Event, n)
		for i := range events {
			events[i] = journal.Event{Type: string(rune('a' + (from+i)%2)), Data: []byte(fmt.Sprint(from + i))}
		}
		var err error
		if last, err = j.Append(t.Context(), fmt.Sprint("s", from%3), journal.Any, events...); err != nil {
			t.Fatal(err)
		}
		from += n
	}
	return last
}

// seen counts how often each event was applied.
func seen(version int) projection.Spec {
	return projection.Spec{
		Name: "seen", Version: version,
		Columns: "data TEXT PRIMARY KEY, n INTEGER NOT NULL",
		Apply: func(tx *projection.Tx, e journal.Recorded) error {
			return tx.Exec(`INSERT INTO {table} VALUES(?, 1) ON CONFLICT DO UPDATE SET n = n + 1`, string(e.Data))
		},
	}
}

// totals are how many events were applied, and how often altogether.
func totals(t testing.TB, p *projection.Projection) (events, times int64) {
	t.Helper()
	rows, err := projection.Query(t.Context(), p, func(r projection.Row) [2]int64 { return [2]int64{r.Int(0), r.Int(1)} },
		`SELECT count(*), total(n) FROM {table}`)
	if err != nil {
		t.Fatal(err)
	}
	return rows[0][0], rows[0][1]
}

func wantTotals(t testing.TB, p *projection.Projection, want int64) {
	t.Helper()
	if events, times := totals(t, p); events != want || times != want {
		t.Errorf("%d events were applied %d times altogether, want %d once each", events, times, want)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAProjectionFollowsItsJournal(t *testing.T) {
	for _, url := range []string{"mem:", file(t)} {
		j := openJournal(t, "mem:")
		fill(t, j, 0, 1100)
		p, done := open(t, nil, url, j, seen(1))
		_, err := projection.Query(t.Context(), p, func(projection.Row) int { return 0 }, `SELECT 1 FROM {table}`)
		if !errors.Is(err, projection.ErrNotBuilt) {
			t.Errorf("asked before it was built: %v, want ErrNotBuilt", err)
		}
		stop := run(t, p)
		must(t, p.Ready(t.Context()))
		wantTotals(t, p, 1100)
		must(t, p.Wait(t.Context(), fill(t, j, 1100, 1101)))
		wantTotals(t, p, 1101)
		must(t, stop())
		last := fill(t, j, 1101, 1200)
		stop = run(t, p)
		must(t, p.Wait(t.Context(), last))
		wantTotals(t, p, 1200)
		g := p.Progress()
		if g.Events != 1200 || g.Applied != 1200 || !g.Complete || g.Position != last || g.Head != last || g.Trouble != nil {
			t.Errorf("the progress at the head is %+v", g)
		}
		done() // while it runs
		must(t, stop())
		if err := p.Wait(t.Context(), last); err != nil {
			t.Errorf("waiting for what was applied, closed: %v", err)
		}
		if err := p.Run(t.Context()); err != nil {
			t.Errorf("running when closed: %v", err)
		}
		_, err = projection.Query(t.Context(), p, func(projection.Row) int { return 0 }, `SELECT 1 FROM {table}`)
		if !errors.Is(err, journal.ErrClosed) {
			t.Errorf("asked when closed: %v, want ErrClosed", err)
		}
	}
}

func TestAProjectionSeesWhatItsFilterSelectsAndWaitsForNothingElse(t *testing.T) {
	j := openJournal(t, "mem:")
	spec := seen(1)
	spec.Filter = journal.Filter{Types: []string{"b"}}
	p, _ := open(t, nil, "mem:", j, spec)
	run(t, p)
	for i := range 5 {
		must(t, p.Wait(t.Context(), fill(t, j, 2*i, 2*i+1))) // of type a
		wantTotals(t, p, int64(i))
		must(t, p.Wait(t.Context(), fill(t, j, 2*i+1, 2*i+2)))
		wantTotals(t, p, int64(i+1))
	}
}

func TestANewVersionIsBuiltBesideTheOldOne(t *testing.T) {
	j, url := openJournal(t, "mem:"), file(t)
	fill(t, j, 0, 100)
	p1, done1 := open(t, nil, url, j, seen(1))
	stop1 := run(t, p1)
	must(t, p1.Ready(t.Context()))

	second := seen(2)
	second.Filter.Types = []string{"a"}
	p2, _ := open(t, nil, url, j, second)
	wantTotals(t, p2, 100) // asks the old one
	must(t, p1.Wait(t.Context(), fill(t, j, 100, 120)))
	wantTotals(t, p2, 120) // which the old process keeps up to date
	if g := p2.Progress(); g.Complete || g.Events != 0 {
		t.Errorf("before it runs the new version's progress is %+v", g)
	}
	run(t, p2)
	must(t, p2.Ready(t.Context()))
	wantTotals(t, p2, 60)
	wantTotals(t, p1, 120) // the old process asks its own as long as it lives

	// Back to the old version: nothing was lost.
	must(t, stop1())
	done1()
	fill(t, j, 120, 140)
	p1, _ = open(t, nil, url, j, seen(1))
	run(t, p1)
	must(t, p1.Wait(t.Context(), 140))
	wantTotals(t, p1, 140)
}

func TestAVersionThatNobodyNeedsIsDropped(t *testing.T) {
	j, url := openJournal(t, "mem:"), file(t)
	fill(t, j, 0, 10)
	complete := func(version int) (*projection.Projection, func()) {
		p, done := open(t, nil, url, j, seen(version))
		stop := run(t, p)
		must(t, p.Ready(t.Context()))
		must(t, stop())
		return p, done
	}
	p1, _ := complete(1)
	_, done2 := complete(2) // version 1 may be needed by another process, or to go back to
	wantTables(t, url, "p_seen_v1 p_seen_v2")
	done2()
	complete(2)
	wantTables(t, url, "p_seen_v2")
	fill(t, j, 10, 11)
	stop := run(t, p1)
	for p1.Progress().Trouble == nil {
		must(t, t.Context().Err())
		runtime.Gosched()
	}
	if err := p1.Progress().Trouble; err.Error() != "a process with another version has dropped it" {
		t.Errorf("running a version that was dropped: %v", err)
	}
	must(t, stop())
	wantTotals(t, p1, 10) // it asks version 2 now
	complete(3)
	wantTables(t, url, "p_seen_v2 p_seen_v3")
}

func wantTables(t *testing.T, url, want string) {
	t.Helper()
	if got := tables(t, url); got != want {
		t.Errorf("the file has the tables %s, want %s", got, want)
	}
}

func TestTwoThatRunOneProjectionApplyEachEventOnce(t *testing.T) {
	j, url := openJournal(t, "mem:"), file(t)
	var last journal.Position
	var ps []*projection.Projection
	for range 2 {
		p, _ := open(t, nil, url, j, seen(1))
		run(t, p)
		ps = append(ps, p)
	}
	for i := range 40 {
		last = fill(t, j, i*50, i*50+50)
	}
	for _, p := range ps {
		must(t, p.Wait(t.Context(), last))
		wantTotals(t, p, 2000)
	}
	if a, b := ps[0].Progress(), ps[1].Progress(); a.Applied+b.Applied != 2000 || a.Events != 2000 || b.Events != 2000 {
		t.Errorf("the two say that they applied %d and %d of %d and %d events, want 2000 together", a.Applied, b.Applied, a.Events, b.Events)
	}
}

func TestAnEventThatCannotBeAppliedEndsTheRunAndLeavesNothing(t *testing.T) {
	j := openJournal(t, "mem:")
	fill(t, j, 0, 10)
	broken := true
	spec := seen(1)
	apply := spec.Apply
	bad := errors.New("not a number that we know")
	spec.Apply = func(tx *projection.Tx, e journal.Recorded) error {
		if err := apply(tx, e); err != nil {
			return err
		}
		if broken && string(e.Data) == "7" {
			return bad
		}
		return nil
	}
	p, _ := open(t, nil, file(t), j, spec)
	err := p.Run(t.Context())
	if !errors.Is(err, bad) || !strings.Contains(err.Error(), `projection seen, version 1: apply the event at position 8, "b" of stream "s0"`) {
		t.Errorf("running it: %v", err)
	}
	if g := p.Progress(); g.Events != 0 || !errors.Is(g.Trouble, bad) {
		t.Errorf("after that the progress is %+v", g)
	}
	broken = false
	run(t, p)
	must(t, p.Ready(t.Context()))
	wantTotals(t, p, 10)
	if g := p.Progress(); g.Trouble != nil {
		t.Errorf("the trouble is over, and the progress is %+v", g)
	}
}

func TestSQLThatIsWrongEndsTheRun(t *testing.T) {
	for sql, want := range map[string]string{
		`INSERT INTO {table} VALUES(?, 1)`:           "UNIQUE constraint failed: p_seen_v1.data",
		`INSERT INTO nowhere VALUES(?)`:              "no such table: nowhere",
		`INSERT INTO {table} VALUES(?, ?)`:           "1 arguments for 2 parameters",
		`INSERT INTO {table} VALUES(?, 'no number')`: "cannot store TEXT value in INTEGER column",
	} {
		j := openJournal(t, "mem:")
		fill(t, j, 0, 1)
		spec := seen(1)
		spec.Apply = func(tx *projection.Tx, e journal.Recorded) error {
			return errors.Join(tx.Exec(sql, "twice"), tx.Exec(sql, "twice"))
		}
		p, _ := open(t, nil, "mem:", j, spec)
		if err := p.Run(t.Context()); err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, journal.ErrFailed) {
			t.Errorf("%s: %v, want %q", sql, err, want)
		}
	}
}
