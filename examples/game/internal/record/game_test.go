package record_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/bot"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// play is the game in which these facts happened, ten positions and a second apart.
func play(t testing.TB, facts ...record.Fact) *record.Game {
	t.Helper()
	g := record.New("g")
	for i, f := range facts {
		var err error
		if g, err = g.With(at(i, f)); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

func at(i int, f record.Fact) record.Event {
	return record.Event{ID: fmt.Sprint(i), Position: journal.Position(10 + 10*i), Time: start.Add(time.Duration(i) * time.Second), Fact: f}
}

func drop(side rules.Side, column, row int) record.Fact {
	return record.Dropped{Side: side, Cell: rules.Cell{Column: column, Row: row}}
}

var (
	humans = record.Created{TurnLimit: time.Minute}
	ann    = record.Joined{Side: rules.Red, Name: "Ann"}
	bob    = record.Joined{Side: rules.Yellow, Name: "Bob"}
)

func TestAGameIsTheFoldOfItsEvents(t *testing.T) {
	empty := record.New("g")
	if empty.State() != record.Missing || empty.Position() != 0 || !empty.Created().IsZero() || !empty.Touched().IsZero() {
		t.Errorf("a game in which nothing happened is %+v", empty)
	}
	g := play(t, humans)
	if g.State() != record.Waiting || g.Turn() != rules.None || g.Red.Taken() {
		t.Errorf("a new game is in state %v, turn %v", g.State(), g.Turn())
	}
	if at, ok := g.TurnDeadline(); ok {
		t.Errorf("a game that waits has a turn deadline, %v", at)
	}
	g = play(t, humans, bob, ann)
	if g.State() != record.Running || g.Turn() != rules.Red || g.Seat(rules.Red).Name != "Ann" || g.Seat(rules.Yellow).Name != "Bob" {
		t.Errorf("a game that began is %+v", g)
	}
	if at, ok := g.TurnDeadline(); !ok || !at.Equal(start.Add(2*time.Second+time.Minute)) {
		t.Errorf("the deadline of the first turn is %v, %v", at, ok)
	}
	g = play(t, humans, bob, ann, drop(rules.Red, 3, 0), drop(rules.Yellow, 3, 1))
	if fmt.Sprint(g.Moves) != "[3 3]" || g.Board.At(3, 1) != rules.Yellow || g.Turn() != rules.Red || g.Position() != 50 {
		t.Errorf("a game after two moves is %+v", g)
	}
	over := record.Finished{Ending: record.Resigned, Winner: rules.Yellow}
	g = play(t, humans, bob, ann, over)
	if g.State() != record.Over || g.Turn() != rules.None || g.End.Winner != rules.Yellow {
		t.Errorf("a game that was given up is %+v", g)
	}
	if g := play(t, record.Created{Red: bot.Easy, Yellow: bot.Hard}); g.State() != record.Running {
		t.Errorf("a game of two bots is in state %v", g.State())
	}
	if _, ok := play(t, record.Created{Red: bot.Easy, Yellow: bot.Hard}).TurnDeadline(); ok {
		t.Error("a game without turn limit has a turn deadline")
	}
}

func TestEventsThatCannotHaveHappenedAreRefused(t *testing.T) {
	begun := []record.Fact{humans, ann, bob}
	over := append(begun[:3:3], record.Finished{Ending: record.Draw})
	for _, tt := range []struct {
		name  string
		after []record.Fact
		fact  record.Fact
	}{
		{"a game that is created twice", begun, humans},
		{"joining before the game is created", nil, ann},
		{"joining a seat that is taken", []record.Fact{humans, ann}, ann},
		{"joining a bot's seat", []record.Fact{record.Created{Red: bot.Easy}}, ann},
		{"joining without a name", []record.Fact{humans}, record.Joined{Side: rules.Red}},
		{"moving before both are there", []record.Fact{humans, ann}, drop(rules.Red, 0, 0)},
		{"moving out of turn", begun, drop(rules.Yellow, 0, 0)},
		{"a disc that floats", begun, drop(rules.Red, 0, 1)},
		{"a column beyond the board", begun, drop(rules.Red, 7, 0)},
		{"moving after the end", over, drop(rules.Red, 0, 0)},
		{"a second end", over, record.Finished{Ending: record.Draw}},
		{"an end before the beginning", nil, record.Finished{Ending: record.Draw}},
	} {
		g := play(t, tt.after...)
		if after, err := g.With(at(len(tt.after), tt.fact)); err == nil {
			t.Errorf("%s is accepted and gives %+v", tt.name, after)
		}
	}
	if _, err := play(t, humans).With(record.Event{Position: 10, Fact: ann}); err == nil {
		t.Error("an event at the position of the one before is accepted")
	}
}

func TestAGameCanBeSeenAsItWas(t *testing.T) {
	g := play(t, humans, ann, bob, drop(rules.Red, 3, 0))
	if was := g.Prefix(2); was.State() != record.Waiting || len(was.Events) != 2 || len(was.Moves) != 0 || was.Position() != 20 {
		t.Errorf("the game after two events was %+v", was)
	}
	if g.Prefix(4) != g {
		t.Error("the game after all events is another one")
	}
	for after, want := range map[journal.Position]int{0: 4, 9: 4, 10: 3, 25: 2, 40: 0, 99: 0} {
		if got := len(g.After(after)); got != want {
			t.Errorf("there are %d events after position %d, want %d", got, after, want)
		}
	}
	if g.Find("2") != 2 || g.Find("x") != -1 {
		t.Errorf("events 2 and x are at %d and %d", g.Find("2"), g.Find("x"))
	}
}

func TestTwoGamesMadeFromOneDoNotShareWhatFollows(t *testing.T) {
	g := play(t, humans, ann, bob)
	left, err1 := g.With(at(3, drop(rules.Red, 0, 0)))
	right, err2 := g.With(at(3, drop(rules.Red, 6, 0)))
	if err1 != nil || err2 != nil || left.Moves[0] != 0 || right.Moves[0] != 6 || len(g.Moves) != 0 {
		t.Errorf("the games have moves %v and %v, and that before them %v", left.Moves, right.Moves, g.Moves)
	}
}

func TestABoardSaysHowItsGameEnds(t *testing.T) {
	for moves, want := range map[string]record.Finished{
		"0":       {},
		"0101010": {Ending: record.Four, Winner: rules.Red, Cells: []rules.Cell{{Column: 0, Row: 0}, {Column: 0, Row: 1}, {Column: 0, Row: 2}, {Column: 0, Row: 3}}},
		"510465540343244065342100053663125613621221": {Ending: record.Draw},
	} {
		b, err := rules.Parse(moves)
		if err != nil {
			t.Fatal(err)
		}
		end, over := record.Outcome(b)
		if over != (want.Ending != record.NotEnded) || fmt.Sprint(end) != fmt.Sprint(want) {
			t.Errorf("after %s the end is %+v, %v, want %+v", moves, end, over, want)
		}
	}
}
