package journaltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

var appendRules = []rule{
	{
		promise: "an append is stored only if the stream is as expected",
		why:     "a decision taken on an old version must not be stored",
		check:   checkExpectations,
	},
	{
		promise: "a conflict stores nothing and names the actual version",
		why:     "the caller decides again on the version it is told",
		check:   checkConflict,
	},
	{
		promise: "an append is stored whole or not at all",
		why:     "half a decision breaks the rules of the business",
		check:   checkAllOrNone,
	},
	{
		promise: "whoever appended reads what they wrote",
		why:     "a service answers from what it has just stored",
		check:   checkReadYourWrites,
	},
	{
		promise: "events come back as they were appended",
		why:     "data is opaque to the journal, from nothing to a mebibyte",
		check:   checkFidelity,
	},
	{
		promise: "the same IDs and content are stored once and answered alike",
		why:     "a caller that lost the answer repeats the append, with an expectation that is old by now",
		check:   checkRepetition,
	},
	{
		promise: "the same IDs with other content are refused",
		why:     "two decisions with one ID are a mistake that must not pass for a repetition",
		check:   checkReusedIDs,
	},
	{
		promise: "odd names are kept exactly",
		why:     "streams that look alike to people are different streams",
		check:   checkNames,
	},
	{
		promise: "arguments outside the limits are refused as invalid",
		why:     "an engine must not store what another could not",
		check:   checkLimits,
	},
	{
		promise: "an append whose context has ended stores nothing",
		why:     "its caller has told somebody that it failed",
		check:   checkEndedContext,
	},
}

func checkExpectations(p *probe) {
	const stream = "order-1"
	first := p.must(stream, journal.NoStream, event("a"))
	second := p.must(stream, journal.At(first), event("b"), event("c"))
	third := p.must(stream, journal.Any, event("d"))
	p.must("order-2", journal.Any, event("x"))
	p.must("order-3", journal.At(0), event("y"))
	if !(0 < first && first < second && second < third) {
		p.Errorf("versions of one stream are %d, %d, %d; want them growing", first, second, third)
	}
	for _, e := range []journal.Expect{journal.NoStream, journal.At(first), journal.At(second), journal.At(third + 1), journal.At(1 << 63)} {
		if v, err := p.Append(p.ctx, stream, e, event("never")); err == nil {
			p.Errorf("an append that expected %v was stored at version %d of a stream at version %d", e, v, third)
		}
	}
	if _, err := p.Append(p.ctx, "order-4", journal.At(third), event("never")); err == nil {
		p.Errorf("an append that expected version %d of a stream without events was stored", third)
	}
	if got, want := data(p.stream(stream)), []string{"a", "b", "c", "d"}; !slices.Equal(got, want) {
		p.Errorf("the stream holds %q, want %q", got, want)
	}
	if v := p.version("order-4"); v != 0 {
		p.Errorf("a refused append made a stream of version %d", v)
	}
}

func checkConflict(p *probe) {
	v := p.must("a", journal.NoStream, event("1"), event("2"))
	head := p.must("b", journal.NoStream, event("elsewhere"))
	for stream, actual := range map[string]journal.Version{"a": v, "none": 0} {
		_, err := p.Append(p.ctx, stream, journal.At(v+1000), event("3"))
		var conflict *journal.ConflictError
		if !errors.As(err, &conflict) {
			p.Fatalf("a conflict gives %v, want a *journal.ConflictError", err)
		}
		want := journal.ConflictError{Stream: stream, Expected: journal.At(v + 1000), Actual: actual}
		if *conflict != want {
			p.Errorf("the conflict is %+v, want %+v", *conflict, want)
		}
	}
	if got := p.head(); got != head {
		p.Errorf("conflicts moved the head from %d to %d", head, got)
	}
	p.must("a", journal.At(v), event("3"))
}

func checkAllOrNone(p *probe) {
	v := p.must("a", journal.NoStream, identified("taken", "1"))
	bad := map[string][]journal.Event{
		"second event without a type": {event("2"), {Data: []byte("3")}},
		"last ID taken":               {identified("free", "2"), identified("taken", "other")},
	}
	for name, events := range bad {
		if _, err := p.Append(p.ctx, "a", journal.At(v), events...); err == nil {
			p.Errorf("%s: stored", name)
		}
	}
	if got := data(p.stream("a")); !slices.Equal(got, []string{"1"}) {
		p.Errorf("after refused appends the stream holds %q", got)
	}
	many := numbered(journal.MaxEvents)
	last := p.must("a", journal.At(v), many...)
	got := p.stream("a")
	if len(got) != 1+len(many) || got[len(many)].Position != last {
		p.Fatalf("after an append of %d events to version %d a stream of one holds %d", len(many), last, len(got))
	}
	got = got[1:]
	for i := range got {
		if string(got[i].Data) != string(many[i].Data) {
			p.Fatalf("event %d of an append says %q, want %q", i, got[i].Data, many[i].Data)
		}
	}
}

func checkReadYourWrites(p *probe) {
	for i := range 20 {
		stream := fmt.Sprintf("s%d", i%3)
		v := p.must(stream, journal.Any, event(fmt.Sprint(i)))
		if got := p.version(stream); got != v {
			p.Fatalf("version of %s after append %d is %d, want %d", stream, i, got, v)
		}
		if got := p.head(); got != v {
			p.Fatalf("head after append %d is %d, want %d", i, got, v)
		}
		if s := p.stream(stream); len(s) != i/3+1 || s[len(s)-1].Position != v {
			p.Fatalf("stream %s has %d events after append %d", stream, len(s), i)
		}
		if a := p.all(v-1, journal.Filter{}); len(a) != 1 || string(a[0].Data) != fmt.Sprint(i) {
			p.Fatalf("after position %d there is %q, want event %d", v-1, data(a), i)
		}
	}
}

func checkFidelity(p *probe) {
	big := bytes.Repeat([]byte("\x00\xff0123456789abcd"), journal.MaxDataBytes/16)
	events := []journal.Event{
		{Type: "nothing"},
		{Type: "empty", Data: []byte{}},
		{Type: "zero bytes", Data: []byte{0, 0, 0}},
		{Type: "Größe 大", Data: []byte("not UTF-8: \xff\xfe")},
		{Type: "mebibyte", Data: big},
		{Type: strings.Repeat("t", journal.MaxTypeBytes), Data: []byte("x")},
	}
	p.must("plain", journal.NoStream, events...)
	withIDs := slices.Clone(events)
	for i := range withIDs {
		withIDs[i].ID = fmt.Sprintf("%d-%s", i, strings.Repeat("i", journal.MaxIDBytes-2))
	}
	p.must("with IDs", journal.NoStream, withIDs...)
	ids := map[string]bool{}
	for stream, want := range map[string][]journal.Event{"plain": events, "with IDs": withIDs} {
		got := p.stream(stream)
		if len(got) != len(want) {
			p.Fatalf("stream %q has %d events, want %d", stream, len(got), len(want))
		}
		for i, e := range got {
			if e.Stream != stream || e.Type != want[i].Type || !bytes.Equal(e.Data, want[i].Data) {
				p.Errorf("stream %q, event %d is of stream %q, type %q and %d bytes; want type %q and %d bytes", stream, i, e.Stream, e.Type, len(e.Data), want[i].Type, len(want[i].Data))
			}
			if want[i].ID != "" && e.ID != want[i].ID {
				p.Errorf("stream %q, event %d has ID %q, want %q", stream, i, e.ID, want[i].ID)
			}
			if e.ID == "" || ids[e.ID] {
				p.Errorf("stream %q, event %d has ID %q; want one that is its own", stream, i, e.ID)
			}
			ids[e.ID] = true
			if e.Time.Location() != time.UTC || e.Time.IsZero() {
				p.Errorf("stream %q, event %d has time %v; want one in UTC", stream, i, e.Time)
			}
		}
	}
}

func checkRepetition(p *probe) {
	one := []journal.Event{identified("1", "a")}
	two := []journal.Event{identified("2", "b"), identified("3", "c")}
	v1 := p.must("s", journal.NoStream, one...)
	v2 := p.must("s", journal.At(v1), two...)
	v3 := p.must("s", journal.At(v2), event("later"))
	for _, expect := range []journal.Expect{journal.NoStream, journal.At(v1), journal.At(v3), journal.Any} {
		if v := p.must("s", expect, one...); v != v1 {
			p.Errorf("repeating the first append, expecting %v, gives version %d, want %d", expect, v, v1)
		}
		if v := p.must("s", expect, two...); v != v2 {
			p.Errorf("repeating the second append, expecting %v, gives version %d, want %d", expect, v, v2)
		}
	}
	if got, want := data(p.stream("s")), []string{"a", "b", "c", "later"}; !slices.Equal(got, want) {
		p.Errorf("after repetitions the stream holds %q, want %q", got, want)
	}
	if head := p.head(); head != v3 {
		p.Errorf("repetitions moved the head from %d to %d", v3, head)
	}
	p.must("t", journal.NoStream, one...) // IDs are those of a stream
	if got := data(p.stream("t")); !slices.Equal(got, []string{"a"}) {
		p.Errorf("an ID used in another stream kept an event from being stored: %q", got)
	}
}

func checkReusedIDs(p *probe) {
	v := p.must("s", journal.NoStream, identified("1", "a"), identified("2", "b"))
	made := p.must("s", journal.At(v), event("no ID"))
	stored := p.stream("s")
	if len(stored) != 3 {
		p.Fatalf("the stream holds %q", data(stored))
	}
	bad := map[string][]journal.Event{
		"other data":         {identified("1", "A"), identified("2", "b")},
		"other type":         {{ID: "1", Type: "other", Data: []byte("a")}, identified("2", "b")},
		"other order":        {identified("2", "b"), identified("1", "a")},
		"one more":           {identified("1", "a"), identified("2", "b"), identified("3", "c")},
		"one before":         {identified("0", "z"), identified("1", "a")},
		"an ID of journal's": {identified(stored[2].ID, "other")},
	}
	for name, events := range bad {
		_, err := p.Append(p.ctx, "s", journal.Any, events...)
		var reused *journal.IDReusedError
		if !errors.As(err, &reused) {
			p.Errorf("%s: %v, want a *journal.IDReusedError", name, err)
			continue
		}
		at := slices.IndexFunc(stored, func(e journal.Recorded) bool { return e.ID == reused.ID })
		if reused.Stream != "s" || at < 0 || stored[at].Position != reused.Position {
			p.Errorf("%s: the error blames %+v, which is not stored", name, *reused)
		}
	}
	if head := p.head(); head != made {
		p.Errorf("refused appends moved the head from %d to %d", made, head)
	}
}

// oddNames are good names, of streams and of whatever follows their rule, that are easily mixed up.
func oddNames() []string {
	return []string{
		"a", "A", " a", "a ", "a b", "a/b", "a.b", "a.*", "a>", "*", "%", "a_b", "?", "#", "'", `"`, `\`, "-", "--",
		"null", "0", "é", "e\u0301", "ﬁ", "日本", "🂡", "\u202e", strings.Repeat("x", journal.MaxStreamBytes),
	}
}

func checkNames(p *probe) {
	names := oddNames()
	for _, name := range names {
		p.must(name, journal.NoStream, identified("same", name))
	}
	for _, name := range names {
		got := p.stream(name)
		if len(got) != 1 || string(got[0].Data) != name || got[0].Stream != name {
			p.Errorf("stream %q holds %q", name, data(got))
		}
		if got := p.all(0, journal.Filter{Stream: name}); len(got) != 1 || got[0].Stream != name {
			p.Errorf("the filter for stream %q selects %q", name, data(got))
		}
	}
	for _, e := range p.all(0, journal.Filter{StreamPrefix: "a."}) {
		if !strings.HasPrefix(e.Stream, "a.") {
			p.Errorf("stream %q is said to begin with a.", e.Stream)
		}
	}
}

func checkLimits(p *probe) {
	long := strings.Repeat("x", 256)
	half := make([]byte, journal.MaxDataBytes)
	heavy := make([]journal.Event, journal.MaxAppendBytes/journal.MaxDataBytes+1)
	for i := range heavy {
		heavy[i] = journal.Event{Type: "noted", Data: half}
	}
	for name, call := range map[string]struct {
		stream string
		events []journal.Event
	}{
		"no stream name":       {"", numbered(1)},
		"long stream name":     {long, numbered(1)},
		"control character":    {"a\nb", numbered(1)},
		"no UTF-8":             {"a\xff", numbered(1)},
		"no events":            {"s", nil},
		"too many events":      {"s", numbered(journal.MaxEvents + 1)},
		"no type":              {"s", []journal.Event{{}}},
		"long type":            {"s", []journal.Event{{Type: long}}},
		"long ID":              {"s", []journal.Event{identified(long, "")}},
		"ID on one of two":     {"s", []journal.Event{identified("1", ""), event("")}},
		"the same ID twice":    {"s", []journal.Event{identified("1", ""), identified("1", "")}},
		"more than a mebibyte": {"s", []journal.Event{{Type: "noted", Data: append(half, 0)}}},
		"too much at once":     {"s", heavy},
	} {
		if _, err := p.Append(p.ctx, call.stream, journal.Any, call.events...); !errors.Is(err, journal.ErrInvalid) {
			p.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if _, err := p.Version(p.ctx, ""); !errors.Is(err, journal.ErrInvalid) {
		p.Errorf("version of no stream: %v, want ErrInvalid", err)
	}
	if _, err := collect(p.Read(p.ctx, "a\x00b", 0)); !errors.Is(err, journal.ErrInvalid) {
		p.Errorf("read of a bad stream: %v, want ErrInvalid", err)
	}
	twice := journal.Filter{Stream: "a", StreamPrefix: "a"}
	if _, err := collect(p.All(p.ctx, 0, twice)); !errors.Is(err, journal.ErrInvalid) {
		p.Errorf("all with a bad filter: %v, want ErrInvalid", err)
	}
	if _, err := collect(p.Subscribe(p.ctx, 0, twice)); !errors.Is(err, journal.ErrInvalid) {
		p.Errorf("subscribe with a bad filter: %v, want ErrInvalid", err)
	}
	if head := p.head(); head != 0 {
		p.Errorf("refused arguments moved the head to %d", head)
	}
}

func checkEndedContext(p *probe) {
	ctx, cancel := context.WithCancel(p.ctx)
	cancel()
	for call, err := range p.everything(ctx) {
		if !errors.Is(err, context.Canceled) {
			p.Errorf("%s: %v, want context.Canceled", call, err)
		}
	}
	if head := p.head(); head != 0 {
		p.Errorf("an append with an ended context moved the head to %d", head)
	}
}
