package record_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/examples/game/internal/bot"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

var facts = []struct {
	fact record.Fact
	kind string
	data string
}{
	{record.Created{}, "created", `{"v":1}`},
	{
		record.Created{Red: bot.Easy, Yellow: bot.Hard, TurnLimit: 90 * time.Second},
		"created", `{"v":1,"red_bot":"easy","yellow_bot":"hard","turn_limit":"1m30s"}`,
	},
	{record.Joined{Side: rules.Yellow, Name: "Ann"}, "joined", `{"v":1,"side":"yellow","name":"Ann"}`},
	{record.Dropped{Side: rules.Red, Cell: rules.Cell{Column: 0, Row: 5}}, "dropped", `{"v":1,"side":"red","cell":[0,5]}`},
	{record.Finished{Ending: record.Draw}, "finished", `{"v":1,"ending":"draw"}`},
	{
		record.Finished{Ending: record.Four, Winner: rules.Red, Cells: []rules.Cell{{Column: 0, Row: 0}, {Column: 1, Row: 0}}},
		"finished", `{"v":1,"ending":"four","winner":"red","cells":[[0,0],[1,0]]}`,
	},
}

func TestFactsAreStoredAsWritten(t *testing.T) {
	for _, tt := range facts {
		kind, data, err := record.Encode(tt.fact)
		if err != nil || kind != tt.kind || string(data) != tt.data {
			t.Errorf("Encode(%+v) = %q, %s, %v, want %q, %s", tt.fact, kind, data, err, tt.kind, tt.data)
		}
		back, err := record.Decode(kind, data)
		if err != nil || !reflect.DeepEqual(back, tt.fact) {
			t.Errorf("Decode(%q, %s) = %+v, %v, want %+v", kind, data, back, err, tt.fact)
		}
	}
}

func TestWhatIsNoFactIsNotEncoded(t *testing.T) {
	for _, f := range []record.Fact{record.Created{Red: 9}, record.Finished{}, record.Finished{Ending: 77}} {
		if _, data, err := record.Encode(f); err == nil {
			t.Errorf("Encode(%+v) = %s, want an error", f, data)
		}
	}
}

func TestDamagedEventsAreRefused(t *testing.T) {
	for _, tt := range []struct {
		name, kind, data string
		newer            bool
	}{
		{"no JSON", "created", `{"v":1`, false},
		{"no version", "created", `{}`, false},
		{"a later version", "created", `{"v":2}`, true},
		{"a type of a later release", "applauded", `{"v":1}`, true},
		{"a bot of unknown strength", "created", `{"v":1,"red_bot":"divine"}`, false},
		{"a turn limit that is no time", "created", `{"v":1,"turn_limit":"soon"}`, false},
		{"nobody's side", "joined", `{"v":1,"name":"Ann"}`, false},
		{"a side that is none", "dropped", `{"v":1,"side":"blue","cell":[1,2]}`, false},
		{"a move without a cell", "dropped", `{"v":1,"side":"red"}`, false},
		{"no ending", "finished", `{"v":1}`, false},
		{"an ending that is none", "finished", `{"v":1,"ending":"earthquake"}`, false},
		{"a winner that is no side", "finished", `{"v":1,"ending":"four","winner":"blue"}`, false},
	} {
		f, err := record.Decode(tt.kind, []byte(tt.data))
		if err == nil || f != nil || errors.Is(err, record.ErrNewer) != tt.newer {
			t.Errorf("%s: Decode = %+v, %v (newer: %v), want an error that is newer: %v", tt.name, f, err, errors.Is(err, record.ErrNewer), tt.newer)
		}
	}
}

func TestEndingsHaveNames(t *testing.T) {
	for e, want := range map[record.Ending]string{
		record.NotEnded: "", record.Four: "four", record.Draw: "draw", record.Resigned: "resigned",
		record.Timeout: "timeout", record.Abandoned: "abandoned", 77: "Ending(77)",
	} {
		if e.String() != want {
			t.Errorf("Ending %d is %q, want %q", uint8(e), e, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, tt := range facts {
		f.Add(tt.kind, []byte(tt.data))
	}
	f.Fuzz(func(t *testing.T, kind string, data []byte) {
		fact, err := record.Decode(kind, data)
		if err != nil {
			return
		}
		kind2, data2, err := record.Encode(fact)
		if err != nil {
			t.Fatalf("%+v was decoded from %s and cannot be encoded: %v", fact, data, err)
		}
		if back, err := record.Decode(kind2, data2); err != nil || kind2 != kind || !reflect.DeepEqual(back, fact) {
			t.Fatalf("%s gave %+v, which is stored as %s and read as %+v, %v", data, fact, data2, back, err)
		}
	})
}
