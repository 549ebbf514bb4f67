package rules

import "strconv"

// Side is one of the two players, or None for neither. The zero value is None.
type Side uint8

// The sides. Red makes the first move of every game.
const (
	None Side = iota
	Red
	Yellow
)

// Opponent returns the other player; the opponent of None is None.
func (s Side) Opponent() Side {
	switch s {
	case Red:
		return Yellow
	case Yellow:
		return Red
	}
	return None
}

// String returns "none", "red" or "yellow".
func (s Side) String() string {
	switch s {
	case None:
		return "none"
	case Red:
		return "red"
	case Yellow:
		return "yellow"
	}
	return "Side(" + strconv.Itoa(int(s)) + ")"
}

// Outcome is how a game stands. The zero value is Ongoing.
type Outcome uint8

// The outcomes. All but Ongoing are final.
const (
	Ongoing Outcome = iota
	RedWins
	YellowWins
	Draw
)

// String returns "ongoing", "red wins", "yellow wins" or "draw".
func (o Outcome) String() string {
	switch o {
	case Ongoing:
		return "ongoing"
	case RedWins:
		return "red wins"
	case YellowWins:
		return "yellow wins"
	case Draw:
		return "draw"
	}
	return "Outcome(" + strconv.Itoa(int(o)) + ")"
}
