package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/seed-754044b3/roadworthy/examples/game/internal/bot"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

// A Fact is something that happened in a game: a [Created], [Joined], [Dropped] or [Finished].
type Fact interface{ kind() string }

// Created opens a game. A side without a bot has a seat for a human.
type Created struct {
	Red, Yellow bot.Strength  // 0: a human's seat
	TurnLimit   time.Duration // 0: none
}

// Joined is a human taking a seat.
type Joined struct {
	Side rules.Side
	Name string
}

// Dropped is a move.
type Dropped struct {
	Side rules.Side
	Cell rules.Cell
}

// Finished is the end of a game.
type Finished struct {
	Ending Ending
	Winner rules.Side   // None after a draw and for an abandoned game
	Cells  []rules.Cell // of the winning lines after Four, else none
}

// Ending is how a game ended. The zero value is a game that has not.
type Ending uint8

// The endings.
const (
	NotEnded  Ending = iota
	Four             // four in a row
	Draw             // the board is full
	Resigned         // the loser gave up
	Timeout          // the loser did not move within the turn limit
	Abandoned        // nobody joined or moved for too long
)

var endings = []string{"", "four", "draw", "resigned", "timeout", "abandoned"}

// String is the ending in lower case, empty for NotEnded.
func (e Ending) String() string {
	if int(e) < len(endings) {
		return endings[e]
	}
	return fmt.Sprintf("Ending(%d)", uint8(e))
}

// MarshalText is String, and an error for what is no ending.
func (e Ending) MarshalText() ([]byte, error) {
	if e == NotEnded || int(e) >= len(endings) {
		return nil, fmt.Errorf("%q is no ending of a game", e)
	}
	return []byte(e.String()), nil
}

// UnmarshalText takes what MarshalText gives. After an error e is as it was.
func (e *Ending) UnmarshalText(text []byte) error {
	for i := Four; int(i) < len(endings); i++ {
		if endings[i] == string(text) {
			*e = i
			return nil
		}
	}
	return fmt.Errorf("%q is no ending of a game", text)
}

func (Created) kind() string  { return "created" }
func (Joined) kind() string   { return "joined" }
func (Dropped) kind() string  { return "dropped" }
func (Finished) kind() string { return "finished" }

// ErrNewer says that an event was written by a release that this one does not understand.
var ErrNewer = errors.New("it was written by a newer release")

// version is that of the encoding below. A change that older releases would misread counts it up.
const version = 1

// stored is a fact as JSON. Absent members have their zero value.
type stored struct {
	Version   int           `json:"v"`
	Red       *bot.Strength `json:"red_bot,omitempty"`
	Yellow    *bot.Strength `json:"yellow_bot,omitempty"`
	TurnLimit string        `json:"turn_limit,omitempty"`
	Side      string        `json:"side,omitempty"`
	Name      string        `json:"name,omitempty"`
	Cell      *[2]int       `json:"cell,omitempty"` // column, row
	Ending    *Ending       `json:"ending,omitempty"`
	Winner    string        `json:"winner,omitempty"`
	Cells     [][2]int      `json:"cells,omitempty"`
}

// Encode gives the type and the data of the journal's event for f.
func Encode(f Fact) (kind string, data []byte, err error) {
	s := stored{Version: version}
	switch f := f.(type) {
	case Created:
		s.Red, s.Yellow = strength(f.Red), strength(f.Yellow)
		if f.TurnLimit != 0 {
			s.TurnLimit = f.TurnLimit.String()
		}
	case Joined:
		s.Side, s.Name = f.Side.String(), f.Name
	case Dropped:
		s.Side, s.Cell = f.Side.String(), &[2]int{f.Cell.Column, f.Cell.Row}
	case Finished:
		s.Ending = &f.Ending
		if f.Winner != rules.None {
			s.Winner = f.Winner.String()
		}
		for _, c := range f.Cells {
			s.Cells = append(s.Cells, [2]int{c.Column, c.Row})
		}
	}
	if data, err = json.Marshal(s); err != nil {
		return "", nil, fmt.Errorf("encode %s event: %w", f.kind(), err)
	}
	return f.kind(), data, nil
}

func strength(s bot.Strength) *bot.Strength {
	if s == 0 {
		return nil
	}
	return &s
}

// Decode is the reverse of [Encode]. Its error wraps [ErrNewer] for an unknown type or version.
func Decode(kind string, data []byte) (Fact, error) {
	f, err := decode(kind, data)
	if err != nil {
		return nil, fmt.Errorf("decode %q event: %w", kind, err)
	}
	return f, nil
}

func decode(kind string, data []byte) (Fact, error) {
	var s stored
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, err
	}
	if s.Version > version {
		return nil, fmt.Errorf("%w: version %d, this release knows up to %d", ErrNewer, s.Version, version)
	}
	if s.Version < 1 {
		return nil, fmt.Errorf("version %d; versions start at 1", s.Version)
	}
	switch kind {
	case "created":
		return s.created()
	case "joined":
		side, err := parseSide(s.Side)
		return Joined{side, s.Name}, err
	case "dropped":
		side, err := parseSide(s.Side)
		if err == nil && s.Cell == nil {
			err = errors.New("it names no cell")
		}
		if err != nil {
			return nil, err
		}
		return Dropped{side, rules.Cell{Column: s.Cell[0], Row: s.Cell[1]}}, nil
	case "finished":
		return s.finished()
	}
	return nil, fmt.Errorf("%w: unknown type", ErrNewer)
}

func (s *stored) created() (Fact, error) {
	var f Created
	if s.Red != nil {
		f.Red = *s.Red
	}
	if s.Yellow != nil {
		f.Yellow = *s.Yellow
	}
	if s.TurnLimit == "" {
		return f, nil
	}
	var err error
	f.TurnLimit, err = time.ParseDuration(s.TurnLimit)
	return f, err
}

func (s *stored) finished() (Fact, error) {
	if s.Ending == nil {
		return nil, errors.New("it names no ending")
	}
	f := Finished{Ending: *s.Ending}
	if s.Winner != "" {
		var err error
		if f.Winner, err = parseSide(s.Winner); err != nil {
			return nil, err
		}
	}
	for _, c := range s.Cells {
		f.Cells = append(f.Cells, rules.Cell{Column: c[0], Row: c[1]})
	}
	return f, nil
}

func parseSide(s string) (rules.Side, error) {
	switch s {
	case "red":
		return rules.Red, nil
	case "yellow":
		return rules.Yellow, nil
	}
	return rules.None, fmt.Errorf("%q is no side", s)
}
