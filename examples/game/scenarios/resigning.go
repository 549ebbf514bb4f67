package scenarios

import (
	"github.com/seed-754044b3/roadworthy/examples/game/internal/bot"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

func resigned(winner rules.Side) record.Fact {
	return record.Finished{Ending: record.Resigned, Winner: winner}
}

var resigning = Chapter{Title: "Giving up", Scenarios: []Scenario{
	{
		Name:  "whoever resigns loses",
		Given: played("33"),
		When:  Resign{By: "ann"},
		Then:  happens(over("33", record.Resigned, yellow), resigned(yellow)),
	},
	{
		Name:  "nobody has to wait for their turn to resign",
		Given: played("33"),
		When:  Resign{By: "bob"},
		Then:  happens(over("33", record.Resigned, red), resigned(red)),
	},
	{
		Name:  "a bot wins if its opponent resigns",
		Given: annAgainst(bot.Hard, "33"),
		When:  Resign{By: "ann"},
		Then:  then{Events: []record.Fact{resigned(yellow)}},
	},
	{
		Name:  "nobody resigns before both seats are taken",
		Given: created(record.Created{}, joined(red, "ann")),
		When:  Resign{By: "ann"},
		Then:  fails(1040),
	},
	{
		Name:  "nobody resigns when the game is over",
		Given: played("0101010"),
		When:  Resign{By: "bob"},
		Then:  fails(1044),
	},
	{
		Name:  "resigning needs a seat's token",
		Given: played(""),
		When:  Resign{By: nobody},
		Then:  fails(1030),
	},
	{
		Name:  "nobody resigns for others",
		Given: played(""),
		When:  Resign{By: stranger},
		Then:  fails(1031),
	},
	{
		Name: "nobody resigns from a game that does not exist",
		When: Resign{By: stranger},
		Then: fails(1001),
	},
	{
		Name:   "a repeated request resigns once",
		Given:  played("33"),
		Before: []Command{Resign{By: "ann", Request: "r"}},
		When:   Resign{By: "ann", Request: "r"},
		Then:   answers(over("33", record.Resigned, yellow)),
	},
	{
		Name:   "a request id that made a move resigns no game",
		Given:  played(""),
		Before: []Command{Drop{By: "ann", Column: 3, Request: "r"}},
		When:   Resign{By: "ann", Request: "r"},
		Then:   fails(1010),
	},
}}
