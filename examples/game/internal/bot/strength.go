package bot

import (
	"fmt"
	"strconv"
)

// Strength is how well a computer player plays. The zero value is no strength,
// and [Move] refuses it.
type Strength uint8

// The strengths, from weak to strong.
const (
	// Easy plays at random, except that it usually (three times in four) takes
	// a win that is one move away and usually blocks one of the opponent's.
	Easy Strength = iota + 1

	// Medium looks four plies ahead. It always takes a win and always blocks a
	// loss that is one move away, and falls for longer traps.
	Medium

	// Hard looks ahead as far as it gets by searching 100,000 positions, about
	// 10 ms on a current processor: ten plies and more, which takes it to the
	// end of the game from about the twentieth ply on. From where it sees the
	// end it plays perfectly: it wins what can be won, as early as possible,
	// holds a draw, and delays a loss as long as possible. It uses 1 MiB of
	// memory while it searches.
	Hard
)

var names = [...]string{Easy: "easy", Medium: "medium", Hard: "hard"}

func (s Strength) valid() bool { return s >= Easy && s <= Hard }

// String returns "easy", "medium" or "hard".
func (s Strength) String() string {
	if !s.valid() {
		return "Strength(" + strconv.Itoa(int(s)) + ")"
	}
	return names[s]
}

// MarshalText returns what String does, and an error for a value that is none
// of the strengths. It implements encoding.TextMarshaler for JSON and
// configuration.
func (s Strength) MarshalText() ([]byte, error) {
	if !s.valid() {
		return nil, fmt.Errorf("encode the strength of a bot: %w", unknown(s.String()))
	}
	return []byte(names[s]), nil
}

// UnmarshalText sets s to the strength of that name; upper case is not
// accepted. After an error s is as it was.
func (s *Strength) UnmarshalText(text []byte) error {
	for strength := Easy; strength <= Hard; strength++ {
		if names[strength] == string(text) {
			*s = strength
			return nil
		}
	}
	return fmt.Errorf("decode the strength of a bot: %w", unknown(strconv.Quote(string(text))))
}

func unknown(what string) error {
	return fmt.Errorf("%s is none of easy, medium, hard", what)
}
