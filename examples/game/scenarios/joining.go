package scenarios

import (
	"strings"

	"github.com/seed-754044b3/roadworthy/examples/game/internal/bot"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
)

var annWaits = Game{State: record.Waiting, Red: "ann"}

var joining = Chapter{Title: "Taking a seat", Scenarios: []Scenario{
	{
		Name:  "whoever comes first plays red",
		Given: created(record.Created{}),
		When:  Join{Name: "ann"},
		Then:  happens(Seat{red, annWaits}, joined(red, "ann")),
	},
	{
		Name:  "whoever comes second plays yellow, and the game begins",
		Given: created(record.Created{}, joined(red, "ann")),
		When:  Join{Name: "bob"},
		Then:  happens(Seat{yellow, running("")}, joined(yellow, "bob")),
	},
	{
		Name:  "a side can be chosen",
		Given: created(record.Created{}),
		When:  Join{Name: "bob", Side: yellow},
		Then:  happens(Seat{yellow, Game{State: record.Waiting, Yellow: "bob"}}, joined(yellow, "bob")),
	},
	{
		Name:  "red may come last",
		Given: created(record.Created{}, joined(yellow, "bob")),
		When:  Join{Name: "ann"},
		Then:  happens(Seat{red, running("")}, joined(red, "ann")),
	},
	{
		Name:  "both sides may have the same name",
		Given: created(record.Created{}, joined(red, "ann")),
		When:  Join{Name: "ann"},
		Then: happens(Seat{yellow, Game{State: record.Running, Red: "ann", Yellow: "ann", Turn: red}},
			joined(yellow, "ann")),
	},
	{
		Name:  "a seat is taken once",
		Given: created(record.Created{}, joined(red, "ann")),
		When:  Join{Name: "eve", Side: red},
		Then:  fails(1021),
	},
	{
		Name:  "nobody takes a seat when both are taken",
		Given: played(""),
		When:  Join{Name: "eve"},
		Then:  fails(1021),
	},
	{
		Name:  "nobody takes a bot's seat",
		Given: created(record.Created{Yellow: bot.Hard}),
		When:  Join{Name: "eve", Side: yellow},
		Then:  fails(1021),
	},
	{
		Name:  "nobody joins a game that is over",
		Given: played("0101010"),
		When:  Join{Name: "eve"},
		Then:  fails(1044),
	},
	{
		Name: "nobody joins a game that does not exist",
		When: Join{Name: "ann", Unknown: true},
		Then: fails(1001),
	},
	{
		Name:  "a side is one of two",
		Given: created(record.Created{}),
		When:  Join{Name: "ann", Side: 3},
		Then:  fails(1005),
	},
	{
		Name:  "a name is needed",
		Given: created(record.Created{}),
		When:  Join{},
		Then:  fails(1002),
	},
	{
		Name:  "a name has no space around it",
		Given: created(record.Created{}),
		When:  Join{Name: " ann"},
		Then:  fails(1002),
	},
	{
		Name:  "a name is one line",
		Given: created(record.Created{}),
		When:  Join{Name: "an\nn"},
		Then:  fails(1002),
	},
	{
		Name:  "a name is not too long",
		Given: created(record.Created{}),
		When:  Join{Name: strings.Repeat("ñ", 41)},
		Then:  fails(1002),
	},
	{
		Name:  "a name may have 40 characters of any script",
		Given: created(record.Created{}),
		When:  Join{Name: strings.Repeat("ñ", 40)},
		Then: happens(Seat{red, Game{State: record.Waiting, Red: strings.Repeat("ñ", 40)}},
			joined(red, strings.Repeat("ñ", 40))),
	},
	{
		Name:   "a repeated request takes one seat",
		Given:  created(record.Created{}),
		Before: []Command{Join{Name: "ann", Request: "r"}},
		When:   Join{Name: "ann", Request: "r"},
		Then:   answers(Seat{red, annWaits}),
	},
	{
		Name:   "a request id takes no other seat",
		Given:  created(record.Created{}),
		Before: []Command{Join{Name: "ann", Request: "r"}},
		When:   Join{Name: "bob", Request: "r"},
		Then:   fails(1010),
	},
}}
