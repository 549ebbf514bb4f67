package journal_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// stub is a journal that can only be closed.
type stub struct {
	journal.Journal
	close func() error
}

func (s stub) Close() error { return s.close() }

// backup is a stub that makes backups.
type backup struct {
	stub
	err error
}

func (b backup) Backup(context.Context, string) error { return b.err }

func TestExpectationsSayWhatTheyMean(t *testing.T) {
	var zero journal.Expect
	for _, c := range []struct {
		expect journal.Expect
		text   string
		met    []journal.Version
		unmet  []journal.Version
	}{
		{zero, "no stream", []journal.Version{0}, []journal.Version{1, 1 << 62}},
		{journal.NoStream, "no stream", []journal.Version{0}, []journal.Version{1}},
		{journal.At(0), "no stream", []journal.Version{0}, []journal.Version{1}},
		{journal.At(7), "version 7", []journal.Version{7}, []journal.Version{0, 6, 8}},
		{journal.Any, "any version", []journal.Version{0, 1, 1<<63 - 1}, nil},
		{journal.At(1<<64 - 1), "version 9223372036854775808", nil, []journal.Version{0, 1, 1<<63 - 1}},
	} {
		if got := c.expect.String(); got != c.text {
			t.Errorf("%d says %q, want %q", uint64(c.expect), got, c.text)
		}
		for _, v := range c.met {
			if !c.expect.Met(v) {
				t.Errorf("%v is not met by %d", c.expect, v)
			}
		}
		for _, v := range c.unmet {
			if c.expect.Met(v) {
				t.Errorf("%v is met by %d", c.expect, v)
			}
		}
	}
}

func TestFiltersMatchEveryFieldThatIsSet(t *testing.T) {
	for _, c := range []struct {
		filter journal.Filter
		want   bool
	}{
		{journal.Filter{}, true},
		{journal.Filter{Stream: "game-1"}, true},
		{journal.Filter{Stream: "game"}, false},
		{journal.Filter{StreamPrefix: "game"}, true},
		{journal.Filter{StreamPrefix: "ame"}, false},
		{journal.Filter{Types: []string{"a", "joined"}}, true},
		{journal.Filter{Types: []string{"a"}}, false},
		{journal.Filter{StreamPrefix: "x", Types: []string{"joined"}}, false},
	} {
		if got := c.filter.Match("game-1", "joined"); got != c.want {
			t.Errorf("%+v matches: %v", c.filter, got)
		}
	}
}

func TestArgumentsOutsideTheLimitsAreNamed(t *testing.T) {
	e := func(id, eventType string, n int) journal.Event {
		return journal.Event{ID: id, Type: eventType, Data: make([]byte, n)}
	}
	many := func(n, size int) []journal.Event {
		events := make([]journal.Event, n)
		for i := range events {
			events[i] = e("", "t", size)
		}
		return events
	}
	long := strings.Repeat("x", 256)
	for want, err := range map[string]error{
		"empty stream name":                           journal.ValidateAppend("", many(1, 0)),
		"stream name of 256 bytes; at most 255":       journal.ValidateAppend(long, many(1, 0)),
		`stream name "a\xff" is not valid UTF-8`:      journal.ValidateAppend("a\xff", many(1, 0)),
		"has a control character at byte 2":           journal.ValidateAppend("ab\x7f", many(1, 0)),
		"no events; give at least one":                journal.ValidateAppend("s", nil),
		"1001 events; at most 1000":                   journal.ValidateAppend("s", many(1001, 0)),
		"event 0: invalid argument: empty type":       journal.ValidateAppend("s", []journal.Event{{}}),
		"type of 256 bytes; at most 100":              journal.ValidateAppend("s", []journal.Event{e("", long, 0)}),
		"ID of 256 bytes; at most 100":                journal.ValidateAppend("s", []journal.Event{e(long, "t", 0)}),
		"1048577 bytes of data; an event has":         journal.ValidateAppend("s", many(1, 1<<20+1)),
		"9437184 bytes of data; at most 8388608 fit":  journal.ValidateAppend("s", many(9, 1<<20)),
		"event 1: invalid argument: give an ID to":    journal.ValidateAppend("s", []journal.Event{e("1", "t", 0), e("", "t", 0)}),
		`events 0 and 2 have the same ID "1"`:         journal.ValidateAppend("s", []journal.Event{e("1", "t", 0), e("2", "t", 0), e("1", "t", 0)}),
		"Stream and StreamPrefix exclude each other":  journal.ValidateFilter(journal.Filter{Stream: "a", StreamPrefix: "a"}),
		"filter: invalid argument: stream name of":    journal.ValidateFilter(journal.Filter{StreamPrefix: long}),
		"filter: invalid argument: empty type":        journal.ValidateFilter(journal.Filter{Types: []string{""}}),
		"no batches; give at least one":               journal.ValidateBatches(nil),
		"1001 batches; at most 1000 events":           journal.ValidateBatches(make([]journal.Batch, 1001)),
		"1002 events; at most 1000":                   journal.ValidateBatches([]journal.Batch{{Stream: "a", Events: many(501, 0)}, {Stream: "b", Events: many(501, 0)}}),
		"10485760 bytes of data; at most":             journal.ValidateBatches([]journal.Batch{{Stream: "a", Events: many(5, 1<<20)}, {Stream: "b", Events: many(5, 1<<20)}}),
		`stream "a" occurs twice; put its events`:     journal.ValidateBatches([]journal.Batch{{Stream: "a", Events: many(1, 0)}, {Stream: "a", Events: many(1, 0)}}),
		"streams: invalid argument: give an ID to":    journal.ValidateBatches([]journal.Batch{{Stream: "a", Events: many(1, 0)}, {Stream: "b", Events: []journal.Event{e("1", "t", 0)}}}),
		`append to stream "b": invalid argument: no`:  journal.ValidateBatches([]journal.Batch{{Stream: "a", Events: many(1, 0)}, {Stream: "b"}}),
		`snapshot of stream "s": invalid argument: v`: journal.ValidateSnapshot("s", journal.Snapshot{}),
		"version 9223372036854775808; give the":       journal.ValidateSnapshot("s", journal.Snapshot{Version: 1 << 63}),
		"bytes of data; a snapshot has at most":       journal.ValidateSnapshot("s", journal.Snapshot{Version: 1, Data: make([]byte, 1<<20+1)}),
		"invalid argument: empty stream name":         journal.ValidateSnapshot("", journal.Snapshot{Version: 1}),
		"empty checkpoint name":                       journal.ValidateMove("", 0, 0, 1),
		"move from 0 to 9223372036854775808 under":    journal.ValidateMove("c", 0, 0, 1<<63),
		"under fence 9223372036854775808":             journal.ValidateMove("c", 1<<63, 0, 1),
		"move from 9223372036854775808 to 1":          journal.ValidateMove("c", 0, 1<<63, 1),
		"empty lease name":                            journal.ValidateLease("", "h", 1),
		`lease "l": invalid argument: empty holder`:   journal.ValidateLease("l", "", 1),
		"for 0s; a lease is granted for more than":    journal.ValidateLease("l", "h", 0),
		"for 24h0m0.000000001s; a lease is granted":   journal.ValidateLease("l", "h", 24*time.Hour+1),
		"101 types; at most 100":                      journal.ValidateFilter(journal.Filter{Types: make([]string, 101)}),
	} {
		if !errors.Is(err, journal.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want ErrInvalid and %q", err, want)
		}
	}
	for _, err := range []error{
		journal.ValidateAppend(strings.Repeat("x", 255), []journal.Event{e("1", "t", 1<<20), e("2", "t", 0)}),
		journal.ValidateAppend("s", many(1000, 1000)),
		journal.ValidateFilter(journal.Filter{}),
		journal.ValidateFilter(journal.Filter{Stream: "a", Types: []string{"t"}}),
		journal.ValidateBatches([]journal.Batch{{Stream: "a", Events: many(500, 0)}, {Stream: "b", Events: many(500, 0)}}),
		journal.ValidateSnapshot("s", journal.Snapshot{Version: 1<<63 - 1, Schema: 1<<32 - 1, Data: make([]byte, 1<<20)}),
		journal.ValidateMove("c", 1<<63-1, 1<<63-1, 0),
		journal.ValidateLease("l", "h", 24*time.Hour),
	} {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestErrorsSayWhatWasExpectedAndFound(t *testing.T) {
	for want, err := range map[string]error{
		`stream "s": expected no stream, found version 3`:                                                        &journal.ConflictError{Stream: "s", Actual: 3},
		`stream "s": expected version 3, found no stream`:                                                        &journal.ConflictError{Stream: "s", Expected: journal.At(3)},
		`stream "s": event ID "i" is taken by the event at position 4, and this append does not repeat that one`: &journal.IDReusedError{Stream: "s", ID: "i", Position: 4},
		`position 9 is in the future: the journal ends at 4`:                                                     &journal.FutureError{After: 9, Head: 4},
		`checkpoint "c": expected at position 3, found at 5`:                                                     &journal.CheckpointError{Name: "c", From: 3, Actual: 5},
		`checkpoint "c": fence 1 is stale, the checkpoint was moved under fence 2`:                               &journal.FencedError{Name: "c", Fence: 1, Current: 2},
		`lease "l": held by "ann" until 2026-03-01T12:00:00Z`:                                                    &journal.HeldError{Name: "l", Holder: "ann", Expires: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)},
	} {
		if err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
	}
}

func TestOpenGivesTheEngineItsRequestAndTheHostTheClosing(t *testing.T) {
	c := clock.NewVirtual(time.Unix(0, 0))
	random := strings.NewReader("r")
	var got journal.Request
	closed := 0
	broken := errors.New("broken")
	engine := journal.Engine{Schemes: []string{"x", "y"}, Open: func(_ context.Context, r journal.Request) (journal.Journal, error) {
		if got = r; r.Rest == "bad" {
			return nil, broken
		}
		return stub{close: func() error { closed++; return broken }}, nil
	}}
	h := &journal.Local{Time: c, Random: random, DryOnly: true}
	if _, err := journal.Open(t.Context(), h, "Y://a:b", journal.Engine{Schemes: []string{"z"}}, engine); err != nil {
		t.Fatal(err)
	}
	if want := (journal.Request{Scheme: "y", Rest: "//a:b", Dry: true, Clock: c, Rand: random}); got != want {
		t.Errorf("the engine got %+v, want %+v", got, want)
	}
	if _, err := journal.Open(t.Context(), h, "x:bad", engine); !errors.Is(err, broken) {
		t.Errorf("a broken engine: %v", err)
	}
	if err := h.Close(t.Context()); !errors.Is(err, broken) || !strings.Contains(err.Error(), "close journal") || closed != 1 {
		t.Errorf("closing the host: %v; journals closed: %d", err, closed)
	}
	if err := h.Close(t.Context()); err != nil || closed != 1 {
		t.Errorf("closing the host again: %v; journals closed: %d", err, closed)
	}
	for url, want := range map[string]string{
		"":         "the URL has no scheme; this service knows x:, y:",
		"v:secret": `no engine for scheme "v"; this service knows x:, y:`,
	} {
		if _, err := journal.Open(t.Context(), h, url, engine); !errors.Is(err, journal.ErrInvalid) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%q: %v, want %q", url, err, want)
		}
	}
	if _, err := journal.Open(t.Context(), h, "x:"); err == nil || !strings.HasSuffix(err.Error(), "this service links no journal engine") {
		t.Errorf("without engines: %v", err)
	}
}

func TestAJournalThatDoesNotCloseDoesNotKeepTheHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		engine := journal.Engine{Schemes: []string{"x"}, Open: func(context.Context, journal.Request) (journal.Journal, error) {
			return stub{close: func() error { <-release; return nil }}, nil
		}}
		var h journal.Local
		if _, err := journal.Open(t.Context(), &h, "x:", engine); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := h.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("closing a journal that hangs: %v", err)
		}
		close(release)
	})
}

func TestLocalClosesInReverseAndHasRealDefaults(t *testing.T) {
	var h journal.Local
	var order []string
	for _, name := range []string{"a", "b", "c"} {
		h.OnClose(name, func(context.Context) error {
			order = append(order, name)
			if name == "b" {
				return io.ErrUnexpectedEOF
			}
			return nil
		})
	}
	err := h.Close(t.Context())
	if fmt.Sprint(order) != "[c b a]" || !errors.Is(err, io.ErrUnexpectedEOF) || err.Error() != "close b: unexpected EOF" {
		t.Errorf("closed %v, %v", order, err)
	}
	if h.Clock() != clock.Real() || h.Dry() {
		t.Error("the zero Local has no real clock, or is dry")
	}
	if n, err := io.ReadFull(h.Rand(), make([]byte, 8)); n != 8 || err != nil {
		t.Errorf("the zero Local gives %d random bytes, %v", n, err)
	}
}

func TestBackupIsForEnginesThatCan(t *testing.T) {
	j := stub{}
	if err := journal.Backup(t.Context(), j, "x"); !errors.Is(err, journal.ErrUnsupported) {
		t.Errorf("an engine without backups: %v, want ErrUnsupported", err)
	}
	if err := journal.Backup(t.Context(), backup{}, ""); !errors.Is(err, journal.ErrInvalid) {
		t.Errorf("no path: %v, want ErrInvalid", err)
	}
	if err := journal.Backup(t.Context(), backup{err: io.EOF}, "x.db"); !errors.Is(err, io.EOF) || err.Error() != "back up journal to x.db: EOF" {
		t.Errorf("a backup that fails: %v", err)
	}
	if err := journal.Backup(t.Context(), backup{}, "x.db"); err != nil {
		t.Error(err)
	}
}

func TestALeaseIsHeldUntilItsEndAndNeverForLongerThanTwiceItsTime(t *testing.T) {
	end := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	l := journal.Lease{TTL: time.Minute, Expires: end}
	for before, want := range map[time.Duration]bool{
		-1:                   false,
		0:                    false,
		1:                    true,
		time.Minute:          true,
		2 * time.Minute:      true,
		2*time.Minute + 1:    false,
		24 * 365 * time.Hour: false,
	} {
		if got := l.Held(end.Add(-before)); got != want {
			t.Errorf("%v before its end a lease of a minute is held: %v", before, got)
		}
	}
	if (journal.Lease{}).Held(end) {
		t.Error("the zero lease is held")
	}
}

func TestAURLIsShownWithoutItsPassword(t *testing.T) {
	for url, want := range map[string]string{
		"mem:":                        "mem:",
		"file:/a@b/games.db":          "file:/a@b/games.db",
		"nats://a,b/GAMES":            "nats://a,b/GAMES",
		"nats://ann:secret@a/GAMES":   "nats://…@a/GAMES",
		"nats://x:p@a,x:p@b:1/G":      "nats://…@b:1/G",
		"nats://x:p//q@a/G?creds=a@b": "nats://…@b",
	} {
		if got := journal.Redact(url); got != want {
			t.Errorf("%s is shown as %s, want %s", url, got, want)
		}
	}
}
