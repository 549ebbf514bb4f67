package jetstream_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/jetstream"
	"github.com/seed-754044b3/roadworthy/internal/natscluster"
)

// all is what the journal holds after a position.
func all(t *testing.T, j journal.Journal, after journal.Position, f journal.Filter) string {
	t.Helper()
	var data []string
	for e, err := range j.All(t.Context(), after, f) {
		if err != nil {
			t.Fatalf("after %q: %v", data, err)
		}
		data = append(data, string(e.Data))
	}
	return strings.Join(data, " ")
}

func must(t *testing.T, j journal.Journal, stream string, expect journal.Expect, events ...journal.Event) journal.Version {
	t.Helper()
	v, err := j.Append(t.Context(), stream, expect, events...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func wantAll(t *testing.T, j journal.Journal, want string) {
	t.Helper()
	if got := all(t, j, 0, journal.Filter{}); got != want {
		t.Errorf("the journal holds %q, want %q", got, want)
	}
}

func TestAnAppendWhoseAnswerIsLostIsStoredOnce(t *testing.T) {
	s := startScript(t)
	j := open(t, s.url)
	s.on(eventsOfJ, s.keep) // stored, and not said
	if v := must(t, j, "s", journal.NoStream, note("1", "a")); v != 1 {
		t.Errorf("the version is %d, want 1", v)
	}
	s.silence(eventsOfJ, 1) // lost on its way
	if v := must(t, j, "s", journal.At(1), journal.Event{Type: "noted", Data: []byte("b")}); v != 2 {
		t.Errorf("the version is %d, want 2", v)
	}
	// The first try comes late, behind the second, which it makes the leader refuse.
	s.silence(eventsOfJ, 1)
	s.on(eventsOfJ, func(m *nats.Msg) bool {
		s.keep(m)
		return s.fail(m, 10071, "wrong last sequence: 3")
	})
	if v := must(t, j, "s", journal.At(2), note("3", "c")); v != 3 {
		t.Errorf("the version is %d, want 3", v)
	}
	// Another process is faster, and the try is not stored.
	other := must(t, j, "other", journal.NoStream, note("x", "x"))
	s.on(eventsOfJ, func(m *nats.Msg) bool {
		thief := *s.stored["J"][other-1]
		thief.Subject = m.Subject
		s.store("J", &thief)
		return true
	})
	_, err := j.Append(t.Context(), "empty", journal.NoStream, note("1", "lost"))
	if !errors.Is(err, journal.ErrCorrupt) { // the thief's record is that of another stream
		t.Errorf("after a foreign record: %v, want ErrCorrupt", err)
	}
	if n := s.pending(); n != 0 {
		t.Errorf("%d answers were not asked for", n)
	}
}

func TestALeaderThatIsNotDoneWithAMessageIsAskedAgain(t *testing.T) {
	s := startScript(t)
	j := open(t, s.url)
	v := must(t, j, "s", journal.NoStream, note("1", "a"))
	for range 3 {
		s.refuse(eventsOfJ, 10164, "wrong last sequence")
	}
	v = must(t, j, "s", journal.At(v), note("2", "b"))
	s.refuse(eventsOfJ, 10071, "wrong last sequence: 1") // though it is right
	v = must(t, j, "s", journal.At(v), note("3", "c"), note("4", "d"))
	for _, code := range []int{10008, 10009, 10167, 10176, 10210} {
		s.refuse(eventsOfJ, code, "not now")
	}
	must(t, j, "s", journal.At(v), note("5", "e"))
	for _, code := range []int{10008, 10059, 10023} {
		s.refuse(messageGet, code, "not now")
	}
	wantAll(t, j, "a b c d e")
	if n := s.pending(); n != 0 {
		t.Errorf("%d refusals were not met", n)
	}
}

func TestARefusalSaysWhatItMeans(t *testing.T) {
	s := startScript(t)
	j := open(t, s.url)
	for code, c := range map[int]struct {
		why  string
		want error
	}{
		10002: {"resource limits exceeded for account", journal.ErrFull},
		10023: {"insufficient resources", journal.ErrFull},
		10047: {"insufficient storage resources available", journal.ErrFull},
		10077: {"maximum bytes exceeded", journal.ErrFull},
		10054: {"message size exceeds maximum allowed", nil},
	} {
		s.refuse(eventsOfJ, code, c.why)
		_, err := j.Append(t.Context(), "s", journal.NoStream, note("1", "a"))
		if err == nil || c.want != nil && !errors.Is(err, c.want) || errors.Is(err, journal.ErrUnknownOutcome) || !strings.Contains(err.Error(), c.why) || !strings.Contains(err.Error(), `append to stream "s"`) {
			t.Errorf("refusal %d: %v, want %v", code, err, c.want)
		}
	}
	// What the leader cannot say whether it has stored is looked for.
	s.refuse(eventsOfJ, 10077, "no such device")
	s.on(eventsOfJ, func(m *nats.Msg) bool { s.reply(m, "what?"); return true })
	s.on(eventsOfJ, func(m *nats.Msg) bool { s.reply(m, "{}"); return true })
	must(t, j, "s", journal.NoStream, note("1", "a"))
	wantAll(t, j, "a")
}

func TestAnAppendThatEndsBeforeItsAnswerHasAnUnknownOutcome(t *testing.T) {
	s := startScript(t)
	j := open(t, s.url)
	asked := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	s.on(eventsOfJ, func(*nats.Msg) bool { close(asked); return true })
	go func() { <-asked; cancel() }()
	_, err := j.Append(ctx, "s", journal.NoStream, note("1", "a"))
	if !errors.Is(err, journal.ErrUnknownOutcome) || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled while the answer was due: %v, want ErrUnknownOutcome and context.Canceled", err)
	}
	// When closing, the attempt on its way may end.
	asked = make(chan struct{})
	s.on(eventsOfJ, func(m *nats.Msg) bool {
		s.store("J", m)
		close(asked)
		go func() {
			for { // until Close has begun
				if _, err := j.Head(context.Background()); errors.Is(err, journal.ErrClosed) {
					s.reply(m, `{"stream":"J","seq":1}`)
					return
				}
			}
		}()
		return true
	})
	done := make(chan error, 1)
	go func() {
		_, err := j.Append(t.Context(), "s", journal.NoStream, note("1", "a"))
		done <- err
	}()
	<-asked
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Errorf("an append on its way when the journal was closed: %v", err)
	}
	j = open(t, s.url)
	asked = make(chan struct{})
	s.on(eventsOfJ, func(*nats.Msg) bool { close(asked); return true })
	go func() {
		_, err := j.Append(t.Context(), "s", journal.At(1), note("2", "b"))
		done <- err
	}()
	<-asked
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, journal.ErrUnknownOutcome) || !errors.Is(err, journal.ErrClosed) {
		t.Errorf("an append without an answer when the journal was closed: %v, want ErrUnknownOutcome and ErrClosed", err)
	}
}

func TestAppendsToOneStreamWaitForEachOtherNoLongerThanTheirContext(t *testing.T) {
	s := startScript(t)
	j := open(t, s.url)
	asked, answer := make(chan *nats.Msg, 1), make(chan struct{})
	s.on(eventsOfJ, func(m *nats.Msg) bool { s.store("J", m); asked <- m; return true })
	done := make(chan error, 1)
	go func() {
		_, err := j.Append(t.Context(), "s", journal.NoStream, note("1", "a"))
		done <- err
	}()
	m := <-asked
	ctx, cancel := context.WithCancel(t.Context())
	cancelled := context.AfterFunc(ctx, func() { close(answer) })
	defer cancelled()
	go cancel()
	if _, err := j.AppendMany(ctx, journal.Batch{Stream: "s", Events: []journal.Event{note("2", "b")}}, journal.Batch{Stream: "a", Events: []journal.Event{note("2", "b")}}); !errors.Is(err, context.Canceled) || errors.Is(err, journal.ErrUnknownOutcome) {
		t.Errorf("waiting for another append: %v, want context.Canceled", err)
	}
	<-answer
	s.reply(m, `{"stream":"J","seq":1}`)
	if err := <-done; err != nil {
		t.Error(err)
	}
	leave := jetstream.Crowd(j)
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := j.Append(ctx, "t", journal.NoStream, note("1", "a"), note("2", "b")); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, journal.ErrUnknownOutcome) {
		t.Errorf("without a place for a batch: %v, want context.DeadlineExceeded", err)
	}
	leave()
	must(t, j, "t", journal.NoStream, note("1", "a"), note("2", "b"))
}

func TestAServerThatIsBehindKeepsNobodyFromReading(t *testing.T) {
	s := startScript(t)
	j := open(t, s.url)
	for i := range 5 {
		must(t, j, fmt.Sprint("s", i%2), journal.Any, note(fmt.Sprint(i), fmt.Sprint(i)))
	}
	for _, lag := range []int{1, 2, 5} {
		s.mu.Lock()
		s.lag = lag
		s.mu.Unlock()
		wantAll(t, j, "0 1 2 3 4")
		if got := all(t, j, 1, journal.Filter{Stream: "s0"}); got != "2 4" {
			t.Errorf("behind by %d, a stream holds %q", lag, got)
		}
	}
	s.mu.Lock()
	s.lag = 0
	s.mu.Unlock()
	// An answer older than what the process knows is not taken.
	s.on(messageGet, func(m *nats.Msg) bool { s.answer(m, "J", 2); return true })
	s.on(messageGet, func(m *nats.Msg) bool { return s.fail(m, 10037, "no message found") })
	if head, err := j.Head(t.Context()); head != 5 || err != nil {
		t.Errorf("the head is %d, %v, want 5", head, err)
	}
	s.on(messageGet, func(m *nats.Msg) bool { s.answer(m, "J", 1); return true })
	if v, err := j.Version(t.Context(), "s0"); v != 5 || err != nil {
		t.Errorf("the version is %d, %v, want 5", v, err)
	}
}

func TestAnswersThatMissEventsAreAskedForAgain(t *testing.T) {
	s := startScript(t)
	j := open(t, s.url)
	for i := range 4 {
		must(t, j, "s", journal.Any, note(fmt.Sprint(i), fmt.Sprint(i)))
	}
	send := func(m *nats.Msg, seq, before int) { s.send(m, s.stored["J"][seq-1], seq, before) }
	s.on(directGet, func(m *nats.Msg) bool { // the second is lost on its way
		send(m, 1, 0)
		send(m, 3, 2)
		send(m, 4, 3)
		s.status(m, "204", "EOB")
		return true
	})
	wantAll(t, j, "0 1 2 3")
	s.on(directGet, func(m *nats.Msg) bool { // as if there were no second
		send(m, 1, 0)
		send(m, 3, 1)
		s.status(m, "204", "EOB")
		return true
	})
	wantAll(t, j, "0 1 2 3")
	s.on(directGet, func(m *nats.Msg) bool { s.status(m, "503", ""); return true })
	s.on(directGet, func(m *nats.Msg) bool { send(m, 1, 0); return true }) // the end is lost
	wantAll(t, j, "0 1 2 3")
	s.on(directGet, func(m *nats.Msg) bool { s.status(m, "408", "Bad Request"); return true })
	for _, err := range j.All(t.Context(), 0, journal.Filter{}) {
		if err == nil || !strings.Contains(err.Error(), "408 Bad Request") {
			t.Errorf("refused to read: %v", err)
		}
	}
	// A hole that the leader knows of is one.
	s.on(messageGet, func(m *nats.Msg) bool { s.answer(m, "J", 4); return true }) // the head
	s.on(directGet, func(m *nats.Msg) bool {
		send(m, 3, 0)
		send(m, 4, 3)
		s.status(m, "204", "EOB")
		return true
	})
	s.on(messageGet, func(m *nats.Msg) bool { s.answer(m, "J", 3); return true })
	wantAll(t, j, "2 3")
	if n := s.pending(); n != 0 {
		t.Errorf("%d answers were not asked for", n)
	}
}

func TestDamageIsFoundAndNotYielded(t *testing.T) {
	s := startScript(t)
	j := open(t, s.url)
	must(t, j, "s", journal.NoStream, note("1", "a"), note("2", "b"), note("3", "c"))
	read := func(f journal.Filter) (n int, err error) {
		for _, e := range j.All(t.Context(), 0, f) {
			if e != nil {
				return n, e
			}
			n++
		}
		return n, nil
	}
	want := func(what string, f journal.Filter, good int) {
		t.Helper()
		if n, err := read(f); n != good || !errors.Is(err, journal.ErrCorrupt) {
			t.Errorf("%s: %d events and %v, want %d and ErrCorrupt", what, n, err, good)
		}
	}
	change := func(seq int, with func(m *nats.Msg) *nats.Msg) (undo func()) {
		s.mu.Lock()
		defer s.mu.Unlock()
		old := s.stored["J"][seq-1]
		m := *old
		m.Data = slices.Clone(m.Data)
		s.stored["J"][seq-1] = with(&m)
		return func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.stored["J"][seq-1] = old
		}
	}
	undo := change(2, func(m *nats.Msg) *nats.Msg { m.Data[len(m.Data)-1]++; return m })
	want("a changed byte", journal.Filter{}, 1)
	undo()
	undo = change(2, func(m *nats.Msg) *nats.Msg { m.Data = nil; return m })
	want("no body", journal.Filter{Stream: "s"}, 1)
	undo()
	undo = change(2, func(m *nats.Msg) *nats.Msg { m.Subject = eventsOfJ + "%zz"; return m })
	want("a subject that is none", journal.Filter{}, 1)
	want("an event of the stream that is gone", journal.Filter{Stream: "s"}, 1)
	undo()
	s.on(messageGet, func(m *nats.Msg) bool { s.answer(m, "J", 3); return true }) // the version
	s.mu.Lock()
	s.stored["J"] = s.stored["J"][:2]
	s.mu.Unlock()
	j = open(t, s.url)
	s.hooks[0].answer = func(m *nats.Msg) bool {
		s.reply(m, `{"message":{"subject":"journal.J.event.s","seq":3,"data":""}}`)
		return true
	}
	want("the end is gone", journal.Filter{Stream: "s"}, 2)
	// An append that repeats what is damaged stores nothing.
	j = open(t, s.url)
	must(t, j, "t", journal.NoStream, note("1", "a"))
	undo = change(3, func(m *nats.Msg) *nats.Msg { m.Data[len(m.Data)-1]++; return m })
	if _, err := j.Append(t.Context(), "t", journal.NoStream, note("1", "a")); !errors.Is(err, journal.ErrCorrupt) {
		t.Errorf("a repetition of a damaged event: %v, want ErrCorrupt", err)
	}
	undo()
	s.on(messageGet, func(m *nats.Msg) bool { return s.fail(m, 10037, "no message found") })
	if _, err := j.Append(t.Context(), "t", journal.At(3), note("1", "a")); !errors.Is(err, journal.ErrCorrupt) {
		t.Errorf("a repetition of an event that is gone: %v, want ErrCorrupt", err)
	}
	for _, answer := range []string{"what?", "{}"} {
		s.on(messageGet, func(m *nats.Msg) bool { s.reply(m, answer); return true })
		if _, err := j.Head(t.Context()); err == nil {
			t.Errorf("the answer %q is taken for a head", answer)
		}
	}
}

func TestWhatIsForgottenIsReadAgain(t *testing.T) {
	s := startScript(t)
	j := open(t, s.url)
	jetstream.Forgetful(j, 2, 3)
	for round := range 2 {
		for i := range 4 {
			v := must(t, j, fmt.Sprint("s", i), journal.Any, note("1", "a"), note("2", "b"))
			if want := journal.Version(2*i + 2); v != want {
				t.Errorf("round %d: the version of stream %d is %d, want %d", round, i, v, want)
			}
		}
	}
	if streams, ids := jetstream.Remembered(j); streams > 2 || ids > 3 {
		t.Errorf("%d streams and %d IDs are remembered, want at most 2 and 3", streams, ids)
	}
	long := must(t, j, "long", journal.NoStream, note("1", "a"), note("2", "b"), note("3", "c"), note("4", "d"))
	if v := must(t, j, "long", journal.Any, note("3", "c"), note("4", "d")); v != long {
		t.Errorf("a repetition in a stream that is too long to remember has version %d, want %d", v, long)
	}
	// IDs with one hash are not taken for each other.
	j = open(t, s.url)
	jetstream.Confuse(j)
	v := must(t, j, "c", journal.NoStream, note("1", "a"))
	v2 := must(t, j, "c", journal.At(v), note("2", "b"))
	if again := must(t, j, "c", journal.At(v), note("2", "b")); again != v2 || v2 == v {
		t.Errorf("a repetition has version %d, want %d", again, v2)
	}
}

func TestSubscriptionsMissNothingWhenNoticesAreLost(t *testing.T) {
	s := startScript(t)
	writer, reader := open(t, s.url), open(t, s.url)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	watch := func(f journal.Filter) chan string {
		seen := make(chan string, 100)
		go func() {
			defer close(seen)
			for e, err := range reader.Subscribe(ctx, 0, f) {
				if err != nil {
					return
				}
				seen <- string(e.Data)
			}
		}()
		return seen
	}
	everything, one, again := watch(journal.Filter{}), watch(journal.Filter{Stream: "one"}), watch(journal.Filter{Stream: "one"})
	want := func(data string, watches ...chan string) {
		t.Helper()
		for i, w := range watches {
			if got := <-w; got != data {
				t.Errorf("subscription %d yields %q, want %q", i, got, data)
			}
		}
	}
	// Without any notice, they ask.
	must(t, writer, "one", journal.NoStream, note("1", "a"))
	want("a", everything, one, again)
	must(t, writer, "two", journal.NoStream, note("1", "b"))
	s.notice("two", 2)
	want("b", everything)
	// The notices of 3 and 4 are lost; that of 5 shows it.
	must(t, writer, "one", journal.Any, note("2", "c"))
	must(t, writer, "one", journal.Any, note("3", "d"))
	must(t, writer, "two", journal.Any, note("2", "e"))
	s.notice("two", 5)
	s.notice("two", 4) // late
	s.notice("%zz", 6) // no notice
	for _, d := range []string{"c", "d"} {
		want(d, everything, one, again)
	}
	want("e", everything)
	s.silence(messageGet, 1) // the poll, or the look that a notice causes
	must(t, writer, "one", journal.Any, note("4", "f"))
	s.notice("one", 6)
	want("f", everything, one, again)
	if err := reader.Close(); err != nil {
		t.Error(err)
	}
	for _, w := range []chan string{everything, one, again} {
		if e, open := <-w; open {
			t.Errorf("a subscription yields %q when the journal is closed", e)
		}
	}
}

func TestANoticeCountsForMoreThanALeaderThatDoesNotKnowOfTheEventYet(t *testing.T) {
	s := startScript(t)
	writer, reader := open(t, s.url), open(t, s.url)
	must(t, writer, "one", journal.NoStream, note("1", "a"))
	seen := make(chan string, 1)
	go func() {
		defer close(seen)
		for e, err := range reader.Subscribe(t.Context(), 0, journal.Filter{Stream: "one"}) {
			if err != nil {
				return
			}
			seen <- string(e.Data)
		}
	}()
	if got := <-seen; got != "a" {
		t.Errorf("the subscription yields %q, want a", got)
	}
	asked := make(chan bool, 1)
	stale := func(m *nats.Msg) bool {
		if !strings.Contains(string(m.Data), eventsOfJ+"one") {
			return false
		}
		s.answer(m, "J", 1)
		asked <- true
		return true
	}
	s.on(messageGet, stale) // whether the notice comes first or the poll
	must(t, writer, "one", journal.Any, note("2", "b"))
	s.notice("one", 2)
	<-asked
	if got := <-seen; got != "b" {
		t.Errorf("the subscription yields %q, want b", got)
	}
	if err := reader.Close(); err != nil {
		t.Error(err)
	}
	if e, open := <-seen; open {
		t.Errorf("the subscription yields %q when the journal is closed", e)
	}
}

func TestACheckpointWhoseAnswerIsLostMovesOnce(t *testing.T) {
	s := startScript(t)
	j := open(t, s.url)
	move := func(from, to journal.Position) error { return j.Checkpoints().Move(t.Context(), "c", 0, from, to) }
	s.on(stateOfJ, s.keep)
	if err := move(0, 1); err != nil {
		t.Error(err)
	}
	s.silence(stateOfJ, 1)
	if err := move(1, 2); err != nil {
		t.Error(err)
	}
	// Others replace it before it is looked for.
	s.on(stateOfJ, func(m *nats.Msg) bool {
		s.store("J-state", m, &nats.Msg{Subject: m.Subject, Data: jetstream.EncodeCell(m.Subject, [16]byte{1}, make([]byte, 16))})
		return true
	})
	if err := move(2, 3); !errors.Is(err, journal.ErrUnknownOutcome) {
		t.Errorf("replaced before its answer: %v, want ErrUnknownOutcome", err)
	}
	s.refuse(stateOfJ, 10071, "wrong last sequence: 0")
	if err := move(0, 4); err != nil {
		t.Error(err)
	}
	s.refuse(stateOfJ, 10077, "maximum bytes exceeded")
	if err := move(4, 5); !errors.Is(err, journal.ErrFull) {
		t.Errorf("without room: %v, want ErrFull", err)
	}
	if n := s.pending(); n != 0 {
		t.Errorf("%d answers were not asked for", n)
	}
	// Damage.
	for _, kind := range []string{"checkpoint", "lease", "snapshot"} {
		subject := stateOfJ + kind + ".d"
		for _, body := range [][]byte{nil, jetstream.EncodeCell(subject, [16]byte{}, []byte("short"))} {
			s.mu.Lock()
			s.store("J-state", &nats.Msg{Subject: subject, Data: body})
			s.mu.Unlock()
			errs := map[string]error{}
			switch kind {
			case "checkpoint":
				_, errs["load"] = j.Checkpoints().Load(t.Context(), "d")
				errs["move"] = j.Checkpoints().Move(t.Context(), "d", 0, 0, 1)
			case "lease":
				_, errs["acquire"] = j.Leases().Acquire(t.Context(), "d", "ann", time.Hour)
			case "snapshot":
				v := must(t, j, "d", journal.Any, note("1", "a"))
				_, _, errs["load"] = j.Snapshots().Load(t.Context(), "d", 0)
				errs["save"] = j.Snapshots().Save(t.Context(), "d", journal.Snapshot{Version: v})
			}
			for verb, err := range errs {
				if !errors.Is(err, journal.ErrCorrupt) {
					t.Errorf("%s a damaged %s: %v, want ErrCorrupt", verb, kind, err)
				}
			}
		}
	}
}

func TestWithoutChanceNothingIsStored(t *testing.T) {
	s := startScript(t)
	j, err := journal.Open(t.Context(), &journal.Local{Random: strings.NewReader("short")}, s.url, jetstream.Engine)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if _, err := j.Append(t.Context(), "s", journal.Any, journal.Event{Type: "noted"}); err == nil || !strings.Contains(err.Error(), "read randomness") {
		t.Errorf("an append without IDs: %v", err)
	}
	if err := j.Checkpoints().Move(t.Context(), "s", 0, 0, 1); err == nil || !strings.Contains(err.Error(), "read randomness") {
		t.Errorf("a checkpoint: %v", err)
	}
	wantAll(t, j, "")
}

func TestOpeningSaysWhatIsWrongWithTheServers(t *testing.T) {
	small := natscluster.StartPlain(t, 1<<20)
	_, err := journal.Open(t.Context(), &journal.Local{}, "nats://"+small+"/J", jetstream.Engine)
	if !errors.Is(err, journal.ErrUnsupported) || !strings.Contains(err.Error(), "max_payload: 2MB") {
		t.Errorf("a server that takes a mebibyte: %v, want ErrUnsupported", err)
	}
	s := startScript(t)
	// What it does not have at first, a process makes in the same moment.
	s.on(createJ, func(m *nats.Msg) bool {
		s.configs["J"] = slices.Clone(json.RawMessage(m.Data))
		return s.fail(m, 10058, "stream name already in use with a different configuration")
	})
	s.refuse(infoJ, 10008, "JetStream system temporarily unavailable")
	if err := open(t, s.url).Close(); err != nil {
		t.Error(err)
	}
	for field, c := range map[string]struct{ value, want string }{
		"subjects":             {`["x"]`, "subjects is [x], want [journal.J.event.*]"},
		"max_age":              {`1000`, "max_age is 1µs, want 0s"},
		"max_msgs":             {`9`, "max_msgs is 9, want -1"},
		"max_msg_size":         {`9`, "max_msg_size is 9, want -1 or at least"},
		"num_replicas":         {`1`, "num_replicas is 1, want 3"},
		"deny_delete":          {`false`, "deny_delete is false, want true"},
		"max_msgs_per_subject": {`7`, "max_msgs_per_subject is 7, want -1"},
		"storage":              {`"memory"`, "storage is Memory, want File"},
		"republish":            {`null`, "republish is"},
	} {
		var config map[string]json.RawMessage
		if err := json.Unmarshal(s.configs["J"], &config); err != nil {
			t.Fatal(err)
		}
		config[field] = json.RawMessage(c.value)
		body, err := json.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		s.on(infoJ+"J", func(m *nats.Msg) bool {
			s.reply(m, fmt.Sprintf(`{"type":"io.nats.jetstream.api.v1.stream_info_response","config":%s,"state":{}}`, body))
			return true
		})
		_, err = journal.Open(t.Context(), &journal.Local{}, s.url, jetstream.Engine)
		if !errors.Is(err, journal.ErrInvalid) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s is %s: %v, want %q", field, c.value, err, c.want)
		}
	}
	s.refuse(infoJ, 10003, "bad request")
	if _, err := journal.Open(t.Context(), &journal.Local{}, s.url, jetstream.Engine); err == nil || !strings.Contains(err.Error(), "bad request") {
		t.Errorf("a server that refuses: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = journal.Open(ctx, &journal.Local{}, "nats://ann:secret@127.0.0.1:1/J", jetstream.Engine)
	if !errors.Is(err, journal.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "secret") {
		t.Errorf("nobody answers: %v, want ErrUnavailable", err)
	}
	if _, err := journal.Open(t.Context(), &journal.Local{}, s.url+"?creds=/no/such/file", jetstream.Engine); err == nil || !strings.Contains(err.Error(), "/no/such/file") {
		t.Errorf("no credentials: %v", err)
	}
}
