package spool_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/spool"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func file(t testing.TB) string { return filepath.Join(t.TempDir(), "test.spool") }

func open(t testing.TB, path string, cfg spool.Config) *spool.Spool {
	t.Helper()
	s, err := spool.Open(t.Context(), path, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func put(t testing.TB, s *spool.Spool, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := s.Put(t.Context(), spool.Record{ID: id, Kind: "test", Body: []byte("body of " + id)}); err != nil {
			t.Fatal(err)
		}
	}
}

func lease(t testing.TB, s *spool.Spool, n int, ttl time.Duration) []spool.Leased {
	t.Helper()
	l, err := s.Lease(t.Context(), n, ttl)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range l {
		if string(r.Body) != "body of "+r.ID || r.Kind != "test" {
			t.Errorf("record %q comes as %q of kind %q", r.ID, r.Body, r.Kind)
		}
	}
	return l
}

func names(leased []spool.Leased) string {
	var ids []string
	for _, l := range leased {
		ids = append(ids, l.ID)
	}
	return strings.Join(ids, " ")
}

func stats(t testing.TB, s *spool.Spool) spool.Stats {
	t.Helper()
	st, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sum := st.Total.Acked + uint64(st.Records)
	for _, n := range st.Total.Dropped {
		sum += n
	}
	if sum != st.Total.Put && st.Total.SetAsides == 0 {
		t.Errorf("figures do not add up: %+v", st)
	}
	return st
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRecordsComeInTheOrderInWhichTheyWerePutAndGoWhenAcknowledged(t *testing.T) {
	path := file(t)
	s := open(t, path, spool.Config{})
	put(t, s, "c", "a", "b")
	l := lease(t, s, 2, time.Minute)
	if names(l) != "c a" || l[0].Tries != 1 {
		t.Fatalf("leased %v", l)
	}
	if got := names(lease(t, s, 10, time.Minute)); got != "b" {
		t.Errorf("while two are held, %q is handed out, want b", got)
	}
	must(t, s.Ack(t.Context(), l...))
	must(t, s.Ack(t.Context(), l...)) // once more is no error
	must(t, s.Close())
	must(t, s.Close())
	if st := stats(t, open(t, path, spool.Config{})); st.Records != 1 || st.Held != 1 || st.Total.Acked != 2 || st.Here.Acked != 0 {
		t.Errorf("opened again: %+v", st)
	}
	for name, err := range map[string]error{
		"Put": s.Put(t.Context(), spool.Record{ID: "x"}), "Ack": s.Ack(t.Context(), l...),
	} {
		if !errors.Is(err, spool.ErrClosed) {
			t.Errorf("%s on a closed spool: %v, want ErrClosed", name, err)
		}
	}
}

func TestARecordIsKeptOnceWhileItIsThere(t *testing.T) {
	s := open(t, file(t), spool.Config{})
	put(t, s, "a", "a")
	l := lease(t, s, 10, time.Minute)
	put(t, s, "a")
	if names(l) != "a" || len(lease(t, s, 10, time.Minute)) != 0 {
		t.Errorf("leased %q", names(l))
	}
	must(t, s.Ack(t.Context(), l...))
	put(t, s, "a")
	if st := stats(t, s); st.Records != 1 || st.Total.Put != 2 || st.Total.Repeated != 2 {
		t.Errorf("%+v", st)
	}
}

func TestLeasesEndByTheClockAndAStaleHolderChangesNothing(t *testing.T) {
	c := clock.NewVirtual(epoch)
	s := open(t, file(t), spool.Config{Clock: c})
	put(t, s, "a")
	first := lease(t, s, 1, time.Minute)
	c.Advance(time.Minute - 1)
	if got := lease(t, s, 1, time.Minute); len(got) != 0 {
		t.Errorf("handed out during a lease: %v", got)
	}
	c.Advance(1)
	second := lease(t, s, 1, time.Minute)
	if names(second) != "a" || second[0].Tries != 2 || !second[0].Put.Equal(epoch) {
		t.Fatalf("after the lease: %v", second)
	}
	must(t, s.Nack(t.Context(), 0, first...))
	must(t, s.Release(t.Context(), 0, first...))
	must(t, s.Park(t.Context(), "x", first...))
	if st := stats(t, s); st.Held != 1 || st.Total.Nacked != 0 || st.Total.Expired != 1 {
		t.Errorf("a stale holder changed something: %+v", st)
	}
	must(t, s.Ack(t.Context(), first...)) // what was delivered was delivered
	if st := stats(t, s); st.Records != 0 {
		t.Errorf("%+v", st)
	}
}

func TestARecordThatIsGivenBackWaitsAndStandsInItsOldPlace(t *testing.T) {
	c := clock.NewVirtual(epoch)
	s := open(t, file(t), spool.Config{Clock: c})
	put(t, s, "a", "b")
	l := lease(t, s, 2, time.Minute)
	must(t, s.Nack(t.Context(), 10*time.Second, l[0]))
	must(t, s.Release(t.Context(), 0, l[1]))
	again := lease(t, s, 2, time.Minute)
	if names(again) != "b" || again[0].Tries != 1 {
		t.Errorf("while a waits: %v", again)
	}
	must(t, s.Release(t.Context(), 0, again...))
	c.Advance(10 * time.Second)
	again = lease(t, s, 2, time.Minute)
	if names(again) != "a b" || again[0].Tries != 2 || again[1].Tries != 1 {
		t.Errorf("after the wait: %v", again)
	}
}

func TestAPoisonRecordIsParkedListedAndRequeuedOrDiscarded(t *testing.T) {
	c := clock.NewVirtual(epoch)
	s := open(t, file(t), spool.Config{Clock: c, MaxTries: 2})
	put(t, s, "nacked", "expired", "refused", "good")
	for range 2 {
		l := lease(t, s, 2, time.Minute)
		must(t, s.Nack(t.Context(), 0, l[0]))
		c.Advance(time.Minute)
	}
	l := lease(t, s, 2, time.Minute)
	if names(l) != "refused good" {
		t.Fatalf("after two tries of two records: %v", l)
	}
	must(t, s.Park(t.Context(), strings.Repeat("bad ", 1000), l[0]))
	all, err := s.Parked(t.Context(), "", 10)
	if err != nil || len(all) != 3 {
		t.Fatalf("parked: %v, %v", all, err)
	}
	for i, want := range []string{"handed out 2 times; the last delivery failed", "handed out 2 times; the last lease ended without an answer", strings.Repeat("bad ", 250)} {
		if all[i].Reason != want || all[i].Parked.Before(epoch) || string(all[i].Body) != "body of "+all[i].ID {
			t.Errorf("parked: %+v, want the reason %q", all[i], want)
		}
	}
	rest, err := s.Parked(t.Context(), "expired", 10)
	if err != nil || len(rest) != 1 || rest[0].ID != "refused" {
		t.Errorf("after the second: %v, %v", rest, err)
	}
	if n, err := s.Requeue(t.Context(), "nacked", "good", "nobody"); n != 1 || err != nil {
		t.Errorf("requeued %d, %v; want 1", n, err)
	}
	if got := lease(t, s, 9, time.Minute); names(got) != "nacked" || got[0].Tries != 1 {
		t.Errorf("requeued: %v", got)
	}
	if n, err := s.Discard(t.Context(), "expired", "good"); n != 1 || err != nil {
		t.Errorf("discarded %d, %v; want 1", n, err)
	}
	if n, err := s.Requeue(t.Context()); n != 1 || err != nil {
		t.Errorf("requeued %d, %v; want all that is left, 1", n, err)
	}
	st := stats(t, s)
	if st.Parked != 0 || st.Total.Parkings != 3 || st.Total.Requeued != 2 || st.Total.Dropped[spool.Discarded] != 1 {
		t.Errorf("%+v", st)
	}
}

func TestTheOldestIsDroppedAndCountedWhenTheSpoolIsFull(t *testing.T) {
	s := open(t, file(t), spool.Config{Limit: spool.Limit{Bytes: 64 << 10, OnFull: spool.DropOldest}})
	body := make([]byte, 10_000)
	for i := range 3 {
		must(t, s.Put(t.Context(), spool.Record{ID: fmt.Sprint(i), Body: body}))
	}
	held, err := s.Lease(t.Context(), 1, time.Minute)
	must(t, err)
	for i := 3; i < 20; i++ {
		must(t, s.Put(t.Context(), spool.Record{ID: fmt.Sprint(i), Body: body}))
	}
	st := stats(t, s)
	if st.Records != 6 || st.Total.Dropped[spool.Full] != 14 || st.Bytes > st.Limit {
		t.Errorf("%+v", st)
	}
	rest, err := s.Lease(t.Context(), 10, time.Minute)
	if err != nil || names(held) != "0" || names(rest) != "15 16 17 18 19" {
		t.Errorf("left are %q under a lease and %q, %v", names(held), names(rest), err)
	}
	err = s.Put(t.Context(), spool.Record{ID: "none", Body: body})
	if !errors.Is(err, spool.ErrFull) {
		t.Errorf("put while all are under a lease: %v, want ErrFull", err)
	}
}

func TestAFullSpoolRejects(t *testing.T) {
	s := open(t, file(t), spool.Config{Limit: spool.Limit{Bytes: 64 << 10, OnFull: spool.Reject}})
	body := make([]byte, 30_000)
	put(t, s, "small")
	must(t, s.Put(t.Context(), spool.Record{ID: "1", Body: body}))
	must(t, s.Put(t.Context(), spool.Record{ID: "2", Body: body}))
	err := s.Put(t.Context(), spool.Record{ID: "3", Body: body})
	if !errors.Is(err, spool.ErrFull) || !strings.Contains(err.Error(), `"3"`) {
		t.Errorf("%v, want ErrFull with the record's ID", err)
	}
	must(t, s.Put(t.Context(), spool.Record{ID: "1", Body: body})) // it is there
	if st := stats(t, s); st.Total.Rejected != 1 || st.Records != 3 {
		t.Errorf("%+v", st)
	}
}

func TestAFullSpoolBlocksUntilThereIsRoom(t *testing.T) {
	path := file(t)
	cfg := spool.Config{Limit: spool.Limit{Bytes: 64 << 10}}
	s := open(t, path, cfg)
	other := open(t, path, cfg)
	body := make([]byte, 30_000)
	must(t, s.Put(t.Context(), spool.Record{ID: "1", Body: body}))
	must(t, s.Put(t.Context(), spool.Record{ID: "2", Body: body}))
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() { gone <- s.Put(ctx, spool.Record{ID: "gone", Body: body}) }()
	for stats(t, s).Blocked != 1 {
	}
	cancel()
	if err := <-gone; !errors.Is(err, spool.ErrFull) && !errors.Is(err, context.Canceled) {
		t.Errorf("a blocked put whose context ends: %v", err)
	}
	for i, from := range []*spool.Spool{s, other} { // room is made by this process, and by another
		done := make(chan error)
		go func() { done <- s.Put(t.Context(), spool.Record{ID: fmt.Sprint("waits", i), Body: body}) }()
		for stats(t, s).Blocked != 1 {
		}
		l, err := from.Lease(t.Context(), 1, time.Minute)
		must(t, err)
		must(t, from.Ack(t.Context(), l...))
		must(t, <-done)
	}
	closed := make(chan error)
	go func() { closed <- s.Put(t.Context(), spool.Record{ID: "late", Body: body}) }()
	for stats(t, s).Blocked != 1 {
	}
	must(t, s.Close())
	if err := <-closed; !errors.Is(err, spool.ErrClosed) {
		t.Errorf("a blocked put of a spool that is closed: %v, want ErrClosed", err)
	}
}

func TestOldRecordsAreDroppedAndCounted(t *testing.T) {
	c := clock.NewVirtual(epoch)
	s := open(t, file(t), spool.Config{Clock: c, Limit: spool.Limit{Age: time.Hour}})
	put(t, s, "held")
	held := lease(t, s, 1, 24*time.Hour)
	put(t, s, "old")
	c.Advance(time.Hour)
	put(t, s, "young")
	c.Advance(1)
	if got := names(lease(t, s, 10, time.Minute)); got != "young" {
		t.Errorf("leased %q, want young", got)
	}
	must(t, s.Ack(t.Context(), held...))
	if st := stats(t, s); st.Total.Dropped[spool.TooOld] != 1 || st.Total.Acked != 1 || st.Oldest != 1 {
		t.Errorf("%+v", st)
	}
}

func TestADamagedRecordIsDroppedAndNeverDelivered(t *testing.T) {
	s := open(t, file(t), spool.Config{})
	put(t, s, "a", "b", "c", "d")
	must(t, spool.Run(s, "UPDATE bodies SET body = x'00' WHERE seq = 1"))
	must(t, spool.Run(s, "UPDATE records SET kind = 'x' WHERE seq = 2"))
	must(t, spool.Run(s, "DELETE FROM bodies WHERE seq = 3"))
	if got := names(lease(t, s, 10, time.Minute)); got != "d" {
		t.Errorf("leased %q, want d", got)
	}
	if st := stats(t, s); st.Total.Dropped[spool.Damaged] != 3 {
		t.Errorf("%+v", st)
	}
}

func TestADamagedFileIsAnErrorOrSetAsideWhenAskedFor(t *testing.T) {
	path := file(t)
	s := open(t, path, spool.Config{})
	put(t, s, "a", "b")
	must(t, s.Close())
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt(make([]byte, 50), 4096+100) // the root of a table
	must(t, errors.Join(err, f.Close()))
	must(t, os.Truncate(path, 5*4096))
	_, err = spool.Open(t.Context(), path, spool.Config{})
	if !errors.Is(err, spool.ErrCorrupt) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "SetAside") {
		t.Fatalf("%v, want ErrCorrupt with the path and what to do", err)
	}
	s = open(t, path, spool.Config{SetAside: true})
	put(t, s, "new")
	if st := stats(t, s); st.Records != 1 || st.Total.SetAsides != 1 {
		t.Errorf("%+v", st)
	}
	kept, err := filepath.Glob(path + ".damaged-*")
	if err != nil || len(kept) == 0 {
		t.Errorf("the damaged file is gone: %v, %v", kept, err)
	}
}

func TestAFileThatSomebodyHasOpenIsNotSetAside(t *testing.T) {
	path := file(t)
	s := open(t, path, spool.Config{})
	put(t, s, "a")
	must(t, os.WriteFile(filepath.Join(t.TempDir(), "x"), nil, 0o600))
	must(t, s.Close())
	must(t, os.WriteFile(path, []byte(strings.Repeat("no database ", 1000)), 0o600))
	broken := spool.Config{SetAside: true}
	first := open(t, path, broken) // it sets the file aside, and shares the new one
	must(t, spool.Run(first, "PRAGMA writable_schema = 1"))
	must(t, spool.Run(first, "UPDATE sqlite_schema SET sql = 'CREATE TABLE bodies(x)' WHERE name = 'bodies'"))
	if _, err := spool.Open(t.Context(), path, broken); err == nil || !strings.Contains(err.Error(), "another process has it open") {
		t.Errorf("%v, want an error that says that the file is open", err)
	}
}

func TestOpenRefusesWhatIsNoSpool(t *testing.T) {
	dir := t.TempDir()
	newer := filepath.Join(dir, "newer")
	s := open(t, newer, spool.Config{})
	must(t, spool.Run(s, "PRAGMA user_version = 9"))
	must(t, s.Close())
	foreign := filepath.Join(dir, "foreign")
	s = open(t, foreign, spool.Config{})
	must(t, spool.Run(s, "PRAGMA application_id = 1"))
	must(t, s.Close())
	for name, c := range map[string]struct {
		path, want string
		cfg        spool.Config
	}{
		"newer":        {newer, "schema version 9", spool.Config{SetAside: true}},
		"foreign":      {foreign, "another application", spool.Config{SetAside: true}},
		"directory":    {dir, "is a directory", spool.Config{}},
		"no directory": {filepath.Join(dir, "no", "x"), "make it first", spool.Config{}},
		"bytes":        {filepath.Join(dir, "x"), "limit.bytes", spool.Config{Limit: spool.Limit{Bytes: 1, OnFull: 7, Age: -1}, MaxTries: -1, MaxRecord: -1}},
	} {
		if _, err := spool.Open(t.Context(), c.path, c.cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error about %q", name, err, c.want)
		}
	}
}

func TestInvalidArgumentsAreRefused(t *testing.T) {
	s := open(t, file(t), spool.Config{MaxRecord: 10})
	for name, err := range map[string]error{
		"no ID":     s.Put(t.Context(), spool.Record{}),
		"long ID":   s.Put(t.Context(), spool.Record{ID: strings.Repeat("x", 256)}),
		"long kind": s.Put(t.Context(), spool.Record{ID: "x", Kind: strings.Repeat("x", 256)}),
		"long body": s.Put(t.Context(), spool.Record{ID: "x", Body: make([]byte, 11)}),
	} {
		if !errors.Is(err, spool.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if _, err := s.Lease(t.Context(), 0, time.Minute); !errors.Is(err, spool.ErrInvalid) {
		t.Errorf("a lease of none: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Lease(ctx, 1, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("a lease whose context has ended: %v", err)
	}
}

func TestAFullDiskFailsPutsUntilThereIsRoom(t *testing.T) {
	s := open(t, file(t), spool.Config{})
	must(t, spool.SetMaxPages(s, 60))
	body := make([]byte, 10_000)
	var err error
	n := 0
	for ; err == nil; n++ {
		err = s.Put(t.Context(), spool.Record{ID: fmt.Sprint(n), Body: body})
	}
	if !errors.Is(err, spool.ErrDiskFull) {
		t.Fatalf("%v, want ErrDiskFull", err)
	}
	l, err := s.Lease(t.Context(), 100, time.Minute)
	if err != nil || len(l) != n-1 {
		t.Fatalf("%d of %d records that were acknowledged are there, %v", len(l), n-1, err)
	}
	must(t, s.Ack(t.Context(), l[:5]...)) // what makes room goes on
	must(t, s.Put(t.Context(), spool.Record{ID: "freed", Body: body}))
	must(t, spool.SetMaxPages(s, 1000))
	must(t, s.Put(t.Context(), spool.Record{ID: "more", Body: body}))
	stats(t, s)
}

func TestAFullDiskFailsWhatPutsAndNotWhatWaitsWithIt(t *testing.T) {
	path := file(t)
	s, other := open(t, path, spool.Config{}), open(t, path, spool.Config{})
	body := make([]byte, 10_000)
	for i := range 9 {
		must(t, s.Put(t.Context(), spool.Record{ID: fmt.Sprint(i), Body: body}))
	}
	l, err := s.Lease(t.Context(), 9, time.Minute)
	must(t, err)
	must(t, spool.SetMaxPages(s, 1)) // SQLite takes as many as there are
	must(t, spool.Run(other, "BEGIN IMMEDIATE"))
	var calls sync.WaitGroup
	for i, r := range l {
		calls.Go(func() {
			if err := s.Put(t.Context(), spool.Record{ID: fmt.Sprint("more", i), Body: make([]byte, 100_000)}); !errors.Is(err, spool.ErrDiskFull) {
				t.Errorf("put: %v, want ErrDiskFull", err)
			}
		})
		calls.Go(func() {
			if err := s.Ack(t.Context(), r); err != nil {
				t.Errorf("acknowledge: %v", err)
			}
		})
	}
	must(t, spool.Run(other, "ROLLBACK"))
	calls.Wait()
	if st := stats(t, s); st.Records != 0 || st.Total.Acked != 9 {
		t.Errorf("%+v, want all acknowledged", st)
	}
}

func TestTheReserveIsRoomOnTheDisk(t *testing.T) {
	path := file(t)
	s := open(t, path, spool.Config{Limit: spool.Limit{Bytes: 1 << 20}, MaxRecord: 1 << 10})
	size := func() int64 {
		info, err := os.Stat(path + "-reserve")
		must(t, err)
		return info.Size()
	}
	if size() != 0 {
		t.Errorf("%d bytes are taken before anything is put", size())
	}
	put(t, s, "a")
	const want = 2<<20 + 2<<10 + 256<<10
	if size() != want {
		t.Errorf("the reserve has %d bytes, want %d", size(), want)
	}
	must(t, spool.GiveReserve(s))
	if size() != 0 {
		t.Errorf("%d bytes are left of a reserve that was given up", size())
	}
	put(t, s, "b")
	if size() != want {
		t.Errorf("the reserve was not taken again with the next put: %d bytes", size())
	}
	f, err := os.OpenFile(path+"-reserve", os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	must(t, errors.Join(f.Truncate(0), spool.AllocateZeros(f, 100_001)))
	if got, err := os.ReadFile(path + "-reserve"); err != nil || len(got) != 100_001 || strings.Trim(string(got), "\x00") != "" {
		t.Errorf("%d bytes of zeros, %v; want 100,001", len(got), err)
	}
}

func TestTwoSpoolsOnAFileShareItWithoutLossOrDoubling(t *testing.T) {
	path := file(t)
	spools := []*spool.Spool{open(t, path, spool.Config{}), open(t, path, spool.Config{})}
	const each = 200
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[string]int{}
	for i, s := range spools {
		wg.Go(func() {
			for n := range each {
				id := fmt.Sprintf("%d-%d", i, n)
				if err := s.Put(t.Context(), spool.Record{ID: id, Kind: "test", Body: []byte("body of " + id)}); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Go(func() {
			for !t.Failed() {
				l, err := s.Lease(t.Context(), 7, time.Minute)
				if err == nil {
					err = s.Ack(t.Context(), l...)
				}
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				for _, r := range l {
					got[r.ID]++
				}
				n := len(got)
				mu.Unlock()
				if n == 2*each {
					return
				}
			}
		})
	}
	wg.Wait()
	for id, n := range got {
		if n != 1 {
			t.Errorf("record %s was handed out %d times", id, n)
		}
	}
	a, b := stats(t, spools[0]), stats(t, spools[1])
	if a.Total.Acked != 2*each || a.Here.Acked+b.Here.Acked != 2*each || a.Here.Put != each {
		t.Errorf("%+v\n%+v", a, b)
	}
}

func TestOnFullIsWrittenByName(t *testing.T) {
	for _, o := range []spool.OnFull{spool.Block, spool.DropOldest, spool.Reject} {
		text, err := o.MarshalText()
		var back spool.OnFull
		if err = errors.Join(err, back.UnmarshalText(text)); err != nil || back != o {
			t.Errorf("%v comes back as %v, %v", o, back, err)
		}
	}
	var o spool.OnFull
	if err := o.UnmarshalText([]byte("drop")); err == nil || spool.OnFull(9).String() != "OnFull(9)" {
		t.Error("an unknown name is taken")
	}
}

// pumped runs a pump in a bubble of virtual time until stop is called.
func pumped(t *testing.T, s *spool.Spool, cfg spool.PumpConfig, d spool.Deliver) (stop func()) {
	t.Helper()
	p, err := spool.NewPump(s, cfg, d)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	return func() { cancel(); must(t, <-done) }
}

func TestNothingIsDroppedWhereThatWouldNotMakeRoom(t *testing.T) {
	s := open(t, file(t), spool.Config{Limit: spool.Limit{Bytes: 64 << 10, OnFull: spool.DropOldest}})
	defer s.Close()
	for _, r := range []spool.Record{{ID: "held1", Kind: "test", Body: make([]byte, 26<<10)}, {ID: "held2", Kind: "test", Body: make([]byte, 26<<10)}} {
		if err := s.Put(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if held, err := s.Lease(t.Context(), 2, time.Hour); err != nil || len(held) != 2 {
		t.Fatal(held, err)
	}
	put(t, s, "small1", "small2", "small3")
	err := s.Put(t.Context(), spool.Record{ID: "large", Kind: "test", Body: make([]byte, 30<<10)})
	if st := stats(t, s); !errors.Is(err, spool.ErrFull) || st.Records != 5 {
		t.Errorf("%v, %d records are left, want 5", err, st.Records)
	}
}

func TestAnOutageOf24HoursDrainsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, file(t), spool.Config{MaxTries: 3})
		defer s.Close()
		up := time.Now().Add(24 * time.Hour)
		var got, want []string
		var calls atomic.Int64
		stop := pumped(t, s, spool.PumpConfig{Batch: 10}, func(_ context.Context, rs []spool.Record) []error {
			calls.Add(1)
			errs := make([]error, len(rs))
			for i, r := range rs {
				if time.Now().Before(up) {
					errs[i] = errors.New("down")
					continue
				}
				got = append(got, r.ID)
			}
			return errs
		})
		for i := range 48 {
			id := fmt.Sprint("r", i)
			put(t, s, id)
			want = append(want, id)
			time.Sleep(30 * time.Minute)
		}
		synctest.Wait()
		during := calls.Load()
		time.Sleep(10 * time.Minute)
		stop()
		if !slices.Equal(got, want) {
			t.Errorf("delivered %v, want all in order", got)
		}
		if during < 2*24*12 || during > 2*24*24+40 {
			t.Errorf("%d attempts during the outage, want one and a probe in 2.5 to 5 minutes", during)
		}
		if st := stats(t, s); st.Records != 0 || st.Total.Parkings+st.Total.Nacked != 0 || st.Total.Acked != 48 {
			t.Errorf("%+v", st)
		}
	})
}

func TestARecordThatFailsBesideOthersIsTriedLaterAndParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, file(t), spool.Config{MaxTries: 3})
		defer s.Close()
		put(t, s, "good", "poison", "refused")
		var told []error
		stop := pumped(t, s, spool.PumpConfig{Failed: func(err error) { told = append(told, err) }}, func(_ context.Context, rs []spool.Record) []error {
			errs := make([]error, len(rs))
			for i, r := range rs {
				switch r.ID {
				case "poison":
					errs[i] = errors.New("boom")
				case "refused":
					errs[i] = spool.Refused(errors.New("no such customer"))
				}
			}
			return errs
		})
		for i := range 20 {
			time.Sleep(time.Minute)
			put(t, s, fmt.Sprint("more", i))
		}
		time.Sleep(time.Minute)
		stop()
		all, err := s.Parked(t.Context(), "", 10)
		if err != nil || len(all) != 2 || all[1].Reason != "refused: no such customer" || all[0].Tries != 3 {
			t.Errorf("parked: %+v, %v", all, err)
		}
		if len(told) < 4 || !strings.Contains(told[0].Error(), `"poison"`) {
			t.Errorf("told of %v", told)
		}
		if st := stats(t, s); st.Total.Acked != 21 {
			t.Errorf("%+v", st)
		}
	})
}

func TestTheReceiversWishToWaitIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, file(t), spool.Config{})
		defer s.Close()
		put(t, s, "a")
		var at []time.Time
		stop := pumped(t, s, spool.PumpConfig{}, func(_ context.Context, rs []spool.Record) []error {
			at = append(at, time.Now())
			if len(at) == 1 {
				return []error{spool.Unavailable(errors.New("busy"), time.Hour)}
			}
			if len(at) == 2 {
				return []error{nil, nil, nil} // nonsense
			}
			return nil
		})
		time.Sleep(2 * time.Hour)
		stop()
		if len(at) != 3 || at[1].Sub(at[0]) < time.Hour || at[1].Sub(at[0]) > time.Hour+time.Minute {
			t.Errorf("tried at %v, want an hour between the first two", at)
		}
		if st := stats(t, s); st.Records != 0 || st.Total.Released != 2 {
			t.Errorf("%+v", st)
		}
	})
}

func TestAPumpThatIsStoppedFinishesWhatItDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, file(t), spool.Config{})
		defer s.Close()
		put(t, s, "a", "b")
		stop := pumped(t, s, spool.PumpConfig{}, func(ctx context.Context, rs []spool.Record) []error {
			time.Sleep(5 * time.Second)
			if ctx.Err() != nil {
				t.Error("the delivery was cut off")
			}
			return []error{errors.New("no"), nil}
		})
		time.Sleep(time.Second)
		stop()
		if st := stats(t, s); st.Records != 1 || st.Total.Acked != 1 || st.Total.Nacked != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestTwoPumpsDeliverNothingTwice(t *testing.T) {
	path := file(t)
	var mu sync.Mutex
	got := map[string]int{}
	all := make(chan struct{})
	const n = 500
	deliver := func(_ context.Context, rs []spool.Record) []error {
		mu.Lock()
		defer mu.Unlock()
		for _, r := range rs {
			if got[r.ID]++; len(got) == n && got[r.ID] == 1 {
				close(all)
			}
		}
		return nil
	}
	var stops []func()
	var first *spool.Spool
	for range 2 {
		first = open(t, path, spool.Config{})
		stops = append(stops, pumped(t, first, spool.PumpConfig{Batch: 5, Poll: time.Millisecond}, deliver))
	}
	for i := range n {
		put(t, first, fmt.Sprint(i))
	}
	<-all
	for _, stop := range stops {
		stop()
	}
	for id, n := range got {
		if n != 1 {
			t.Errorf("record %s was delivered %d times", id, n)
		}
	}
}

func TestAPumpEndsWhenItsSpoolDoes(t *testing.T) {
	s := open(t, file(t), spool.Config{})
	p, err := spool.NewPump(s, spool.PumpConfig{}, nil)
	must(t, err)
	must(t, s.Close())
	if err := p.Run(t.Context()); !errors.Is(err, spool.ErrClosed) {
		t.Errorf("%v, want ErrClosed", err)
	}
	_, err = spool.NewPump(s, spool.PumpConfig{Batch: -1, Lease: 1, Poll: -1, Backoff: -1, Breaker: -1, Patience: -1}, nil)
	for _, word := range []string{"batch", "lease", "poll", "backoff", "breaker", "patience"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%v, want an error about %s", err, word)
		}
	}
}
