package sqlitefile_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"zombiezen.com/go/sqlite"

	"github.com/seed-754044b3/roadworthy/internal/sqlitefile"
)

func TestBeginGetsTheLockWhenTheOtherLetsGoOfIt(t *testing.T) {
	path := newPath(t)
	holder, c := open(t, path), open(t, path)
	exec(t, holder, "BEGIN IMMEDIATE", "INSERT INTO names VALUES ('a')")
	busy := 0
	must(t, sqlitefile.Begin(t.Context(), c, time.Hour, func() {
		if busy++; busy == 3 {
			exec(t, holder, "COMMIT")
		}
	}))
	if n := count(t, c); busy != 3 || n != 1 {
		t.Errorf("found busy %d times, %d names; want 3 and 1", busy, n)
	}
	sqlitefile.Rollback(c.Conn)
}

func TestALockThatStaysTakenIsWaitedForAsLongAsPatienceLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, tries := time.Now(), 0
		err := sqlitefile.UntilFree(t.Context(), time.Second, nil, func() error {
			tries++
			return sqlite.ResultBusy.ToError()
		})
		wants(t, newKind().Mark(err), errBusy, "no lock within 1s")
		if took := time.Since(start); took < time.Second || took > time.Second+time.Millisecond || tries < 1000 {
			t.Errorf("%d tries in %v, want many in a second", tries, took)
		}
	})
}

func TestTheWaitForALockEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		err := sqlitefile.UntilFree(ctx, time.Hour, nil, sqlite.ResultBusy.ToError)
		wants(t, err, context.DeadlineExceeded)
		if took := time.Since(start); took < 100*time.Millisecond || took > 101*time.Millisecond {
			t.Errorf("after %v, want 100ms", took)
		}
	})
}

func TestAnErrorThatIsNotAboutALockIsReturnedAtOnce(t *testing.T) {
	why, tries := errors.New("why"), 0
	err := sqlitefile.UntilFree(t.Context(), time.Hour, func() { t.Error("found busy") }, func() error { tries++; return why })
	if !errors.Is(err, why) || tries != 1 {
		t.Errorf("%d tries, %v", tries, err)
	}
}
