package scenarios

import "github.com/seed-754044b3/roadworthy/examples/game/internal/record"

// Games that fill the board, but for the last move.
const (
	almostDrawn = "51046554034324406534210005366312561362122" // column 1 makes it a draw
	almostWon   = "33611441304564534365021053264006522206511" // column 2 wins with the last disc
)

var dropping = Chapter{Title: "Moves", Scenarios: []Scenario{
	{
		Name:  "a disc falls to the bottom",
		Given: played(""),
		When:  Drop{By: "ann", Column: 3},
		Then:  happens(Move{at(3, 0), running("3")}, dropped(red, 3, 0)),
	},
	{
		Name:  "a disc comes to rest on the one below",
		Given: played("33"),
		When:  Drop{By: "ann", Column: 3},
		Then:  happens(Move{at(3, 2), running("333")}, dropped(red, 3, 2)),
	},
	{
		Name:  "the outermost columns are 0 and 6",
		Given: played("0"),
		When:  Drop{By: "bob", Column: 6},
		Then:  happens(Move{at(6, 0), running("06")}, dropped(yellow, 6, 0)),
	},
	{
		Name:  "a column takes six discs",
		Given: played("33333"),
		When:  Drop{By: "bob", Column: 3},
		Then:  happens(Move{at(3, 5), running("333333")}, dropped(yellow, 3, 5)),
	},
	{
		Name:  "a full column takes no disc",
		Given: played("333333"),
		When:  Drop{By: "ann", Column: 3},
		Then:  fails(1042),
	},
	{
		Name:  "there is no column left of the first",
		Given: played(""),
		When:  Drop{By: "ann", Column: -1},
		Then:  fails(1043),
	},
	{
		Name:  "there is no column right of the last",
		Given: played(""),
		When:  Drop{By: "ann", Column: 7},
		Then:  fails(1043),
	},
	{
		Name:  "a move names its column",
		Given: played(""),
		When:  Drop{By: "ann", Column: NoColumn},
		Then:  fails(1043),
	},
	{
		Name:  "a move needs a seat's token",
		Given: played(""),
		When:  Drop{By: nobody},
		Then:  fails(1030),
	},
	{
		Name:  "a move needs the token of this game",
		Given: played(""),
		When:  Drop{By: stranger},
		Then:  fails(1031),
	},
	{
		Name:  "the token of another game is none of this one",
		Given: named(played(""), created(record.Created{}, joined(red, "eve"), joined(yellow, "joe"))),
		When:  Drop{By: "eve", Game: "A"},
		Then:  fails(1031),
	},
	{
		Name:  "nobody moves before both seats are taken",
		Given: created(record.Created{}, joined(red, "ann")),
		When:  Drop{By: "ann"},
		Then:  fails(1040),
	},
	{
		Name:  "yellow does not begin",
		Given: played(""),
		When:  Drop{By: "bob"},
		Then:  fails(1041),
	},
	{
		Name:  "nobody moves twice in a row",
		Given: played("3"),
		When:  Drop{By: "ann", Column: 3},
		Then:  fails(1041),
	},
	{
		Name:  "four in a column win",
		Given: played("010101"),
		When:  Drop{By: "ann", Column: 0},
		Then: happens(Move{at(0, 3), over("0101010", record.Four, red)},
			dropped(red, 0, 3), won(red, at(0, 0), at(0, 1), at(0, 2), at(0, 3))),
	},
	{
		Name:  "four in a row win",
		Given: played("001122"),
		When:  Drop{By: "ann", Column: 3},
		Then: happens(Move{at(3, 0), over("0011223", record.Four, red)},
			dropped(red, 3, 0), won(red, at(0, 0), at(1, 0), at(2, 0), at(3, 0))),
	},
	{
		Name:  "yellow wins too",
		Given: played("6010101"),
		When:  Drop{By: "bob", Column: 0},
		Then: happens(Move{at(0, 3), over("60101010", record.Four, yellow)},
			dropped(yellow, 0, 3), won(yellow, at(0, 0), at(0, 1), at(0, 2), at(0, 3))),
	},
	{
		Name:  "four on a rising diagonal win",
		Given: played("1213022033"),
		When:  Drop{By: "ann", Column: 3},
		Then: happens(Move{at(3, 3), over("12130220333", record.Four, red)},
			dropped(red, 3, 3), won(red, at(0, 0), at(1, 1), at(2, 2), at(3, 3))),
	},
	{
		Name:  "four on a falling diagonal win",
		Given: played("3465435344"),
		When:  Drop{By: "ann", Column: 3},
		Then: happens(Move{at(3, 3), over("34654353443", record.Four, red)},
			dropped(red, 3, 3), won(red, at(3, 3), at(4, 2), at(5, 1), at(6, 0))),
	},
	{
		Name:  "more than four in a row win too",
		Given: played("001122445566"),
		When:  Drop{By: "ann", Column: 3},
		Then: happens(Move{at(3, 0), over("0011224455663", record.Four, red)},
			dropped(red, 3, 0), won(red, at(0, 0), at(1, 0), at(2, 0), at(3, 0), at(4, 0), at(5, 0), at(6, 0))),
	},
	{
		Name:  "one disc may complete two lines",
		Given: played("351545544434"),
		When:  Drop{By: "ann", Column: 2},
		Then: happens(Move{at(2, 0), over("3515455444342", record.Four, red)},
			dropped(red, 2, 0), won(red, at(1, 0), at(2, 0), at(3, 0), at(3, 1), at(4, 0), at(4, 2), at(5, 3))),
	},
	{
		Name:  "the last disc may win",
		Given: played(almostWon),
		When:  Drop{By: "bob", Column: 2},
		Then:  happens(Move{at(2, 5), over(almostWon+"2", record.Four, yellow)}, dropped(yellow, 2, 5), won(yellow, at(2, 5), at(3, 4), at(4, 3), at(5, 2))),
	},
	{
		Name:  "a full board without four in a row is a draw",
		Given: played(almostDrawn),
		When:  Drop{By: "bob", Column: 1},
		Then: happens(Move{at(1, 5), over(almostDrawn+"1", record.Draw, 0)},
			dropped(yellow, 1, 5), record.Finished{Ending: record.Draw}),
	},
	{
		Name:  "nobody moves when the game is over",
		Given: played("0101010"),
		When:  Drop{By: "bob", Column: 3},
		Then:  fails(1044),
	},
	{
		Name:   "a repeated request drops one disc",
		Given:  played(""),
		Before: []Command{Drop{By: "ann", Column: 3, Request: "r"}},
		When:   Drop{By: "ann", Column: 3, Request: "r"},
		Then:   answers(Move{at(3, 0), running("3")}),
	},
	{
		Name:   "a repeated request is answered as at first, whatever happened since",
		Given:  played(""),
		Before: []Command{Drop{By: "ann", Column: 3, Request: "r"}, Drop{By: "bob", Column: 3}},
		When:   Drop{By: "ann", Column: 3, Request: "r"},
		Then:   answers(Move{at(3, 0), running("3")}),
	},
	{
		Name:   "a request id drops no other disc",
		Given:  played(""),
		Before: []Command{Drop{By: "ann", Column: 3, Request: "r"}},
		When:   Drop{By: "ann", Column: 4, Request: "r"},
		Then:   fails(1010),
	},
}}
