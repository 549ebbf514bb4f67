package sqlite_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
)

func TestSubscribersSeeWhatOthersAppendToTheFile(t *testing.T) {
	url := file(t)
	mine, other := open(t, url), open(t, url)
	const n = 10
	if _, err := other.Append(t.Context(), "s", journal.NoStream, note("x")); err != nil {
		t.Fatal(err)
	}
	for e, err := range mine.Subscribe(t.Context(), 0, journal.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Position == n {
			break
		}
		if _, err := other.Append(t.Context(), "s", journal.At(e.Position), note("x")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadersAreBounded(t *testing.T) {
	for _, url := range []string{"mem:", file(t)} {
		j := open(t, url)
		first, err := sqlite.Borrow(t.Context(), j)
		if err != nil {
			t.Fatal(err)
		}
		releases := []func(){first}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		for {
			release, err := sqlite.Borrow(ctx, j)
			if err != nil {
				break
			}
			releases = append(releases, release)
		}
		if n := len(releases); n > 8 || url == "mem:" && n > 1 {
			t.Errorf("%s lends %d connections", url, len(releases))
		}
		for _, release := range releases {
			release()
		}
		if _, err := j.Head(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestAWaitingReaderGivesUpWithItsContextOrTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, err := journal.Open(t.Context(), &journal.Local{}, "mem:", sqlite.Engine)
		if err != nil {
			t.Fatal(err)
		}
		release, err := sqlite.Borrow(t.Context(), j)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		head := make(chan error)
		appended := make(chan error)
		go func() { _, err := j.Head(ctx); head <- err }()
		go func() { _, err := j.Append(t.Context(), "s", journal.Any, note("x")); appended <- err }()
		synctest.Wait()
		cancel()
		if err := <-head; !errors.Is(err, context.Canceled) {
			t.Errorf("Head that waits, cancelled: %v", err)
		}
		closed := make(chan error)
		go func() { closed <- j.Close() }()
		if err := <-appended; !errors.Is(err, journal.ErrClosed) {
			t.Errorf("Append that waits, closed: %v", err)
		}
		release()
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
}

func TestSubscriptionsLeaveNothingBehind(t *testing.T) {
	j := open(t, file(t))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	for range 3 {
		go func() {
			for _, err := range j.Subscribe(ctx, 0, journal.Filter{}) {
				ended <- err
			}
		}()
	}
	cancel()
	for range 3 {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	for sqlite.Watchers(j) > 0 { // the loops end right after their last pair
		runtime.Gosched()
	}
}

func TestAReplacedFileIsNotReadAsTheSameJournal(t *testing.T) {
	url := file(t)
	path := strings.TrimPrefix(url, "file:")
	j := open(t, url)
	replaced := errors.Join(os.Rename(filled(t, 5), path), os.Remove(path+"-wal"), os.Remove(path+"-shm"))
	if replaced != nil {
		t.Fatal(replaced)
	}
	first, err := sqlite.Borrow(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	defer first()
	if _, err := sqlite.Borrow(t.Context(), j); !errors.Is(err, journal.ErrFailed) {
		t.Errorf("a connection to another journal at the same path: %v, want ErrFailed", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Borrow(t.Context(), j); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a connection to a file that is gone: %v, want an error that names it", err)
	}
}

func TestSubscribersAreToldWhenTheFileCannotBeRead(t *testing.T) {
	url := file(t)
	j := open(t, url)
	if _, err := j.Append(t.Context(), "s", journal.NoStream, note("x")); err != nil {
		t.Fatal(err)
	}
	var release func()
	for e, err := range j.Subscribe(t.Context(), 0, journal.Filter{}) {
		if e.Position == 1 {
			// From now on looking at the file takes another connection, and that cannot be made.
			if release, err = sqlite.Borrow(t.Context(), j); err != nil {
				t.Fatal(err)
			}
			defer release()
			if err := os.Remove(strings.TrimPrefix(url, "file:")); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "journal.db") {
			t.Errorf("the subscription yields %+v, %v", e, err)
		}
	}
}

func TestASubscriptionIsNotToldOfTroubleBeforeItsTime(t *testing.T) {
	j := open(t, file(t))
	if _, err := j.Append(t.Context(), "s", journal.NoStream, note("x")); err != nil {
		t.Fatal(err)
	}
	sqlite.FailLook(j, errors.New("long ago"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for _, err := range j.Subscribe(ctx, 0, journal.Filter{}) {
		if err == nil {
			cancel() // it has read all there is and will wait
		} else if !errors.Is(err, context.Canceled) {
			t.Errorf("the subscription ends with %v, want context.Canceled", err)
		}
	}
}
