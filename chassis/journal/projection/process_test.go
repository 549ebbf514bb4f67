package projection_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/projection"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
)

// The test binary is its own victim: with this variable set to a directory it builds the projection
// there until it is killed.
const victimVariable = "PROJECTION_TEST_DIR"

func TestMain(m *testing.M) {
	dir := os.Getenv(victimVariable)
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// build runs the projection and says, before each event, that it applies it.
func build(dir string) error {
	ctx := context.Background()
	var h journal.Local
	j, err := journal.Open(ctx, &h, "file:"+filepath.Join(dir, "journal.db"), sqlite.Engine)
	if err != nil {
		return err
	}
	spec := seen(1)
	apply := spec.Apply
	spec.Apply = func(tx *projection.Tx, e journal.Recorded) error {
		fmt.Printf("%100s\n", e.Data) // wide, so that a pipe holds few and it cannot run far ahead
		return apply(tx, e)
	}
	p, err := projection.Open(ctx, &h, "file:"+filepath.Join(dir, "projection.db"), j, spec)
	if err != nil {
		return err
	}
	return p.Run(ctx)
}

// kill lets a process build in dir until it has applied n events, kills it at once, and returns the
// first and the last event that it began with.
func kill(t *testing.T, dir string, n int) (first, last int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), victimVariable+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	first = -1
	count := 0
	for lines := bufio.NewScanner(out); lines.Scan(); count++ {
		if _, err := fmt.Sscan(lines.Text(), &last); err != nil {
			continue // the kill cut it short
		}
		if first < 0 {
			first = last
		}
		if count == n {
			must(t, cmd.Process.Kill())
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.Exited() {
		t.Fatalf("the process ended with %v before it was killed", err)
	}
	return first, last
}

func TestAKilledBuildGoesOnAtItsCheckpoint(t *testing.T) {
	dir := t.TempDir()
	j := openJournal(t, "file:"+filepath.Join(dir, "journal.db"))
	const events = 8000
	last := fill(t, j, 0, events)
	from := 0
	for _, n := range []int{1500, 1300, 1100} { // it is killed at most 700 events later, in a batch
		first, at := kill(t, dir, n)
		if first < from || first%1000 != 0 {
			t.Errorf("the build went on at event %d, and had come to %d", first, from)
		}
		from = at / 1000 * 1000 // all batches before the one that it was in are kept
	}
	p, _ := open(t, nil, "file:"+filepath.Join(dir, "projection.db"), j, seen(1))
	if g := p.Progress(); int(g.Events) < from || int(g.Events) != int(g.Position) || g.Complete {
		t.Errorf("after three kills the progress is %+v, want at least %d events", g, from)
	}
	run(t, p)
	must(t, p.Wait(t.Context(), last))
	wantTotals(t, p, events)
}
