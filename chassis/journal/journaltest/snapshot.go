package journaltest

import (
	"bytes"
	"errors"
	"strings"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

var snapshotRules = []rule{
	{
		promise: "a snapshot is loaded as it was saved, by its schema only",
		why:     "a release that encodes states differently must not read those of another one",
		check:   checkSnapshot,
	},
	{
		promise: "an older snapshot does not replace a newer one",
		why:     "who was slow would make everybody read more",
		check:   checkOlderSnapshot,
	},
	{
		promise: "snapshots outside the limits, and of what has not happened, are refused",
		why:     "whoever starts at a version that never was misses what comes before it",
		check:   checkSnapshotLimits,
	},
}

// save saves a snapshot and fails the rule when that fails.
func (p *probe) save(stream string, version journal.Version, schema uint32, data string) {
	p.Helper()
	if err := p.Snapshots().Save(p.ctx, stream, journal.Snapshot{Version: version, Schema: schema, Data: []byte(data)}); err != nil {
		p.Fatalf("save a snapshot of stream %q at version %d: %v", stream, version, err)
	}
}

// wantSnapshot checks what is loaded; version 0 means that there is none.
func (p *probe) wantSnapshot(stream string, schema uint32, version journal.Version, data string) {
	p.Helper()
	s, ok, err := p.Snapshots().Load(p.ctx, stream, schema)
	if err != nil {
		p.Fatalf("load the snapshot of stream %q: %v", stream, err)
	}
	if ok != (version != 0) || !ok && (s.Version != 0 || s.Data != nil) {
		p.Errorf("stream %q has a snapshot of schema %d: %v (version %d); want %v", stream, schema, ok, s.Version, version != 0)
	} else if ok && (s.Schema != schema || s.Version != version || string(s.Data) != data) {
		p.Errorf("the snapshot of stream %q is of schema %d, version %d and %d bytes; want %d, %d and %d", stream, s.Schema, s.Version, len(s.Data), schema, version, len(data))
	}
}

func checkSnapshot(p *probe) {
	const last = 1<<32 - 1
	big := strings.Repeat("\x00\xff0123456789abcd", journal.MaxDataBytes/16)
	names := []string{"plain", "Plain", "a.*", "日本", strings.Repeat("x", journal.MaxStreamBytes)}
	versions := map[string]journal.Version{}
	for _, name := range names {
		p.wantSnapshot(name, 0, 0, "")
		versions[name] = p.must(name, journal.NoStream, event("1"), event("2"))
		p.wantSnapshot(name, 0, 0, "")
	}
	for _, name := range names {
		p.save(name, versions[name], 7, name)
	}
	head := p.head()
	for _, name := range names {
		p.wantSnapshot(name, 7, versions[name], name)
		p.wantSnapshot(name, 6, 0, "")
		p.wantSnapshot(name, 8, 0, "")
	}
	p.save("plain", versions["plain"], last, big)
	p.wantSnapshot("plain", last, versions["plain"], big)
	p.wantSnapshot("plain", 7, 0, "")
	p.save("plain", versions["plain"], 0, "")
	p.wantSnapshot("plain", 0, versions["plain"], "")
	if now := p.head(); now != head {
		p.Errorf("snapshots moved the head from %d to %d", head, now)
	}
	p.must("plain", journal.At(versions["plain"]), event("3"))
	p.wantSnapshot("plain", 0, versions["plain"], "")
}

func checkOlderSnapshot(p *probe) {
	first := p.must("s", journal.NoStream, event("1"))
	second := p.must("s", journal.At(first), event("2"))
	p.save("s", second, 1, "two")
	p.save("s", first, 1, "one")
	p.wantSnapshot("s", 1, second, "two")
	p.save("s", second, 1, "two again")
	p.wantSnapshot("s", 1, second, "two again")
	p.save("s", first, 2, "one, encoded otherwise")
	p.wantSnapshot("s", 2, first, "one, encoded otherwise")
	p.wantSnapshot("s", 1, 0, "")
}

func checkSnapshotLimits(p *probe) {
	v := p.must("s", journal.NoStream, event("1"))
	p.must("t", journal.NoStream, event("1"), event("2"))
	for name, c := range map[string]struct {
		stream   string
		snapshot journal.Snapshot
	}{
		"no stream name":       {"", journal.Snapshot{Version: v}},
		"no version":           {"s", journal.Snapshot{}},
		"a later version":      {"s", journal.Snapshot{Version: v + 1}},
		"a version from above": {"s", journal.Snapshot{Version: 1 << 63}},
		"no such stream":       {"none", journal.Snapshot{Version: v}},
		"more than a mebibyte": {"s", journal.Snapshot{Version: v, Data: bytes.Repeat([]byte{1}, journal.MaxDataBytes+1)}},
	} {
		if err := p.Snapshots().Save(p.ctx, c.stream, c.snapshot); !errors.Is(err, journal.ErrInvalid) {
			p.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if _, _, err := p.Snapshots().Load(p.ctx, "a\nb", 0); !errors.Is(err, journal.ErrInvalid) {
		p.Errorf("load of a bad stream: %v, want ErrInvalid", err)
	}
	p.wantSnapshot("s", 0, 0, "")
	p.wantSnapshot("none", 0, 0, "")
}
