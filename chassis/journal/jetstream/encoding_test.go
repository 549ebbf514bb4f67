package jetstream_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/jetstream"
)

func TestWrongURLsAreRefusedWithWhatWouldBeRight(t *testing.T) {
	for url, want := range map[string]string{
		"nats:a/GAMES":                        "two slashes",
		"nats://a":                            "names no stream",
		"nats://a/":                           "1 to 64 letters",
		"nats://a/GA.MES":                     "1 to 64 letters",
		"nats://a/" + strings.Repeat("x", 65): "1 to 64 letters",
		"nats:///GAMES":                       "host 1 is none",
		"nats://a,,b/GAMES":                   "host 2 is none",
		"nats://a,x:secret%@b/GAMES":          "host 2 is none",
		"nats://a:port/GAMES":                 "host 1 is none",
		"nats://a#b/GAMES":                    "host 1 is none",
		"nats://a/GAMES?replicas=2":           "want 1, 3 or 5",
		"nats://a/GAMES?creds=":               "creds names no file",
		"nats://a/GAMES?colour=red":           `no option "colour"`,
		"nats://a/GAMES?%":                    "no OPTION=VALUE",
	} {
		_, err := journal.Open(t.Context(), &journal.Local{DryOnly: true}, url, jetstream.Engine)
		if !errors.Is(err, journal.ErrInvalid) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}

func TestADryHostGetsAnEmptyJournalThatAsksNobody(t *testing.T) {
	var host = journal.Local{DryOnly: true}
	for _, url := range []string{"nats://nowhere.invalid/G", "tls://ann:secret@nowhere.invalid:4223,b/G_1-x?replicas=5&creds=/none"} {
		j, err := journal.Open(t.Context(), &host, url, jetstream.Engine)
		if err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		if head, err := j.Head(t.Context()); head != 0 || err != nil {
			t.Errorf("the head is %d, %v", head, err)
		}
	}
	if err := host.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func FuzzAddress(f *testing.F) {
	for _, rest := range []string{"//a/G", "//u:p%40@a:1,b/G?replicas=1", "//a/G?creds=x&replicas=3", "//[::1]:4222/G", "//a//G", "/G"} {
		f.Add(rest)
	}
	f.Fuzz(func(t *testing.T, rest string) {
		a, err := jetstream.ParseAddress("nats", rest)
		if err != nil {
			if !errors.Is(err, journal.ErrInvalid) {
				t.Errorf("%q: %v, want ErrInvalid", rest, err)
			}
			return
		}
		if a.Name() == "" || strings.ContainsAny(a.Name(), " .*>/\\") || a.Servers() == "" {
			t.Errorf("%q is taken for stream %q at %q", rest, a.Name(), a.Servers())
		}
	})
}

func FuzzToken(f *testing.F) {
	for _, s := range []string{"game-1", "a.b", "*", ">", "ä 大", "%41", "%4", "", "a%2Eb", "a%2eb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		token := jetstream.TokenOf(s)
		if strings.ContainsAny(token, " .*>\t\r\n") {
			t.Errorf("%q is written as %q, which is no token", s, token)
		}
		if back, ok := jetstream.StreamOf(token); !ok || back != s {
			t.Errorf("%q is written as %q and read as %q, %v", s, token, back, ok)
		}
		if stream, ok := jetstream.StreamOf(s); ok && jetstream.TokenOf(stream) != s {
			t.Errorf("the token %q is read as %q, which is not written like that", s, stream)
		}
	})
}

func TestEveryChangedBitOfARecordIsFound(t *testing.T) {
	e := journal.Event{ID: "id", Type: "noted", Data: []byte("data")}
	at := time.Date(2026, 3, 1, 12, 0, 0, 7, time.UTC)
	got, prev, err := jetstream.Record("s", 4, 0, at.UnixNano(), e, 9)
	if err != nil || prev != 4 || got.ID != "id" || got.Type != "noted" || string(got.Data) != "data" || got.Stream != "s" || got.Position != 9 || !got.Time.Equal(at) {
		t.Errorf("an event comes back as %+v after %d, %v", got, prev, err)
	}
	if _, prev, _ := jetstream.Record("s", 4, 3, 0, e, 9); prev != 8 {
		t.Errorf("the fourth event of an append comes after %d, want 8", prev)
	}
	b := jetstream.EncodeCell("x", [16]byte{}, bytes.Repeat([]byte{7}, 16))
	for i := range b {
		b[i] ^= 1
		if err := jetstream.DecodeState("x", b); !errors.Is(err, journal.ErrCorrupt) {
			t.Errorf("byte %d of a cell changed: %v, want ErrCorrupt", i, err)
		}
		b[i] ^= 1
	}
	if err := jetstream.DecodeState("y", b); !errors.Is(err, journal.ErrCorrupt) {
		t.Errorf("the cell of another subject: %v, want ErrCorrupt", err)
	}
}

func FuzzRecord(f *testing.F) {
	f.Add("s", uint64(1), 2, int64(3), "id", "type", []byte("data"))
	f.Add("", uint64(0), 0, int64(0), "", "", []byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 200, 200})
	f.Fuzz(func(t *testing.T, stream string, base uint64, i int, at int64, id, eventType string, data []byte) {
		if _, err := jetstream.DecodeRecord(stream, 5, data); err == nil {
			t.Errorf("%q passes for a record", data) // the sum of chance fits once in 2³² inputs
		} else if !errors.Is(err, journal.ErrCorrupt) {
			t.Errorf("%v, want ErrCorrupt", err)
		}
		if len(id) > journal.MaxIDBytes || len(eventType) > journal.MaxTypeBytes || i < 0 || i >= journal.MaxEvents {
			return
		}
		e := journal.Event{ID: id, Type: eventType, Data: data}
		got, _, err := jetstream.Record(stream, journal.Version(base), i, at, e, 5)
		if err != nil || got.ID != id || got.Type != eventType || !bytes.Equal(got.Data, data) || got.Time.UnixNano() != at {
			t.Errorf("%+v comes back as %+v, %v", e, got, err)
		}
	})
}

func FuzzState(f *testing.F) {
	for _, body := range []string{"", "x", strings.Repeat("x", 12), strings.Repeat("x", 16), strings.Repeat("x", 30)} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, b := range [][]byte{body, jetstream.EncodeCell("x", [16]byte{1}, body)} {
			if err := jetstream.DecodeState("x", b); err != nil && !errors.Is(err, journal.ErrCorrupt) {
				t.Errorf("%q: %v, want ErrCorrupt", b, err)
			}
		}
	})
}
