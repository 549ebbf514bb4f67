package aggregate_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/failure/aggregate"
)

// days is what failed on 1 March: two errors, a time-out, a caller's failure; one error on the day before too.
func days() []aggregate.Group {
	c := clock.NewVirtual(start.Add(-24 * time.Hour))
	a := aggregate.New(aggregate.Config{Clock: c})
	store, till := errStore.With("shard", failure.Safe("eu")), broken()
	add(a, c, store, "YESTERDAY")
	c.Advance(24 * time.Hour)
	for range 3 {
		add(a, c, store, "STORE")
	}
	add(a, c, till, "TILL")
	add(a, c, errSlow.New(), "SLOW")
	add(a, c, errFull.New(), "FULL")
	return a.Groups()
}

func TestADailyReportHasNewErrorsFirstAndTimeOutsApart(t *testing.T) {
	groups := days()
	store := ""
	for _, g := range groups {
		if g.Code.Number == 1002 {
			store = g.Key
		}
	}
	d := aggregate.DailyOf("shop", "2026-03-01", start, groups, func(key string) bool { return key == store })
	var b strings.Builder
	if err := d.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	at := 0
	for _, want := range []string{
		"Failures of shop on 2026-03-01 (UTC), as of 2026-03-01 12:00:00\n", "\nNew errors\n       1  shop 1003: the till is broken\n", "          TILL: the till is broken (till=3)\n",
		"\nKnown errors\n       3  shop 1002: the store does not answer\n", "since 2026-02-28 12:00:00", "\nTime-outs\n       1  shop 1004", "\nFailures of callers\n       1  shop 1001",
	} {
		i := strings.Index(text[at:], want)
		if i < 0 {
			t.Fatalf("the report does not have %q, or not there:\n%s", want, text)
		}
		at += i
	}
	if all := aggregate.DailyOf("shop", "2026-03-01", start, groups, nil); len(all.New) != 2 || all.New[0].Code.Number != 1002 || len(all.Groups()) != 4 {
		t.Errorf("with nothing known: %+v", all.New)
	}
	b.Reset()
	none := aggregate.DailyOf("shop", "2026-03-02", start, groups, nil)
	if err := none.WriteText(&b); err != nil || !none.Empty() || !strings.HasSuffix(b.String(), "\nNone.\n") {
		t.Errorf("of a day without failures: %q, %v", b.String(), err)
	}
}

func TestWhatFailedOnADayIsAddedUpOverProcesses(t *testing.T) {
	merged := aggregate.Merge(days(), days())
	for _, g := range merged {
		if g.Code.Number == 1002 && (g.On("2026-03-01") != 6 || g.On("2026-02-28") != 2 || len(g.Days) != 2 || g.Days[0].Day != "2026-03-01") {
			t.Errorf("days %v", g.Days)
		}
	}
	one := []aggregate.Group{{Key: "a", Days: []aggregate.Day{{"2026-03-09", 1}}}}
	for i := range 9 {
		one = aggregate.Merge(one, []aggregate.Group{{Key: "a", Days: []aggregate.Day{{fmt.Sprintf("2026-03-1%d", i), 1}}}})
	}
	if len(one[0].Days) != 8 || one[0].Days[7].Day != "2026-03-11" {
		t.Errorf("days %v", one[0].Days)
	}
}

func TestOneOfSeveralProcessesWritesTheReport(t *testing.T) {
	f := aggregate.Folder{Path: filepath.Join(t.TempDir(), "reports"), Service: "shop", Keep: 2}
	d := aggregate.DailyOf("shop", "2026-03-01", start, days(), nil)
	var n atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			written, err := f.Write(d, "")
			if err != nil {
				t.Error(err)
			}
			if written {
				n.Add(1)
			}
		})
	}
	wg.Wait()
	if n.Load() != 1 {
		t.Errorf("written %d times", n.Load())
	}
	entries, _ := os.ReadDir(f.Path)
	if len(entries) != 2 || entries[0].Name() != "shop-errors-2026-03-01.json" || entries[1].Name() != "shop-errors-2026-03-01.txt" {
		t.Errorf("files %v", entries)
	}
}

func TestTheOldestReportsAreDeleted(t *testing.T) {
	f := aggregate.Folder{Path: t.TempDir(), Service: "shop", Keep: 2}
	other := filepath.Join(f.Path, "shop-errors-of-others-2026-01-01.json")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, day := range []string{"2026-03-01", "2026-02-27", "2026-03-02"} {
		d := aggregate.DailyOf("shop", day, start, days(), nil)
		if _, err := f.Write(d, ""); err != nil {
			t.Fatal(err)
		}
	}
	all, err := f.Read()
	if err != nil || len(all) != 2 || all[0].Day != "2026-03-02" || all[1].Day != "2026-03-01" || len(all[1].New) != 2 {
		t.Errorf("%d reports, %v", len(all), err)
	}
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(f.Path); len(entries) != 5 {
		t.Errorf("files %v", entries)
	}
}

func TestReportsOfPartsOfDaysPushNoWholeDayOut(t *testing.T) {
	f := aggregate.Folder{Path: t.TempDir(), Service: "shop", Keep: 2}
	write := func(day, as string) {
		t.Helper()
		if written, err := f.Write(aggregate.DailyOf("shop", day, start, days(), nil), as); err != nil || !written {
			t.Fatal(written, err)
		}
	}
	write("2026-02-27", "")
	write("2026-02-28", "")
	for _, as := range []string{"-090000", "-100000", "-110000"} {
		write("2026-03-01", as)
	}
	entries, _ := os.ReadDir(f.Path)
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".json"); ok {
			names = append(names, name)
		}
	}
	want := "shop-errors-2026-02-27 shop-errors-2026-02-28 shop-errors-2026-03-01-100000 shop-errors-2026-03-01-110000"
	if got := strings.Join(names, " "); got != want || len(entries) != 8 {
		t.Errorf("%d files, reports %s, want %s", len(entries), got, want)
	}
	if all, err := f.Read(); err != nil || len(all) != 4 || !f.Has("2026-02-27") || !f.Has("2026-03-01-110000") || f.Has("2026-03-01-090000") {
		t.Errorf("%d reports are read, %v", len(all), err)
	}
}

func TestAReportWithoutRoomForAllOfItLeavesNothing(t *testing.T) {
	f := aggregate.Folder{Path: t.TempDir(), Service: "shop"}
	d := aggregate.DailyOf("shop", "2026-03-01", start, days(), nil)
	d.Made = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) // a time that JSON cannot have
	if written, err := f.Write(d, ""); err == nil || written {
		t.Errorf("written: %v, %v", written, err)
	}
	if entries, _ := os.ReadDir(f.Path); len(entries) != 0 {
		t.Errorf("files %v", entries)
	}
}

func TestAFolderIsMadeAndLeftEmpty(t *testing.T) {
	f := aggregate.Folder{Path: filepath.Join(t.TempDir(), "var", "reports"), Service: "shop"}
	if err := f.Prepare(); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(f.Path); len(entries) != 0 || err != nil {
		t.Errorf("%v, %v", entries, err)
	}
	f.Path = "/proc"
	if err := f.Prepare(); err == nil || !strings.HasPrefix(err.Error(), "reports of failures: open /proc/.report-") {
		t.Errorf("where no file can be made: %v", err)
	}
}

func TestAFolderThatCannotBeUsedIsToldOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := aggregate.Folder{Path: path, Service: "shop"}
	if _, err := f.Write(aggregate.Daily{Day: "2026-03-01"}, ""); err == nil {
		t.Error("a file is taken for a directory")
	}
	if _, err := f.Read(); err == nil {
		t.Error("a file is read as a directory")
	}
	if err := f.Prepare(); err == nil || !strings.Contains(err.Error(), path+": not a directory") {
		t.Errorf("a file is prepared: %v", err)
	}
	f.Path = t.TempDir()
	if err := os.WriteFile(filepath.Join(f.Path, "shop-errors-2026-03-01.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(f.Path, "shop-errors-2026-03-02.json")); err != nil {
		t.Fatal(err)
	}
	if all, err := f.Read(); len(all) != 0 || !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "2026-03-01.json: unexpected EOF") {
		t.Errorf("%v, %v", all, err)
	}
	if all, err := (aggregate.Folder{Path: filepath.Join(f.Path, "none")}).Read(); all != nil || err != nil {
		t.Errorf("a directory that is not there: %v, %v", all, err)
	}
}
