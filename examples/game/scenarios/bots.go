package scenarios

import (
	"github.com/seed-754044b3/roadworthy/examples/game/internal/bot"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
)

// annAgainst is a game of Ann and a bot after moves.
func annAgainst(yellow bot.Strength, columns string) []history {
	return created(record.Created{Yellow: yellow}, append([]record.Fact{joined(red, "ann")}, moves(columns)...)...)
}

var bots = Chapter{Title: "Bots", Scenarios: []Scenario{
	{
		Name:  "a hard bot that is red begins in the middle once somebody joins",
		Given: created(record.Created{Red: bot.Hard}),
		When:  Join{Name: "bob"},
		Then:  then{Events: []record.Fact{joined(yellow, "bob"), dropped(red, 3, 0)}},
	},
	{
		Name:  "a bot blocks four in a row",
		Given: annAgainst(bot.Medium, "0616"),
		When:  Drop{By: "ann", Column: 2},
		Then:  then{Events: []record.Fact{dropped(red, 2, 0), dropped(yellow, 3, 0)}},
	},
	{
		Name:  "a bot takes its win",
		Given: annAgainst(bot.Hard, "061636"),
		When:  Drop{By: "ann", Column: 4},
		Then: then{Events: []record.Fact{dropped(red, 4, 0), dropped(yellow, 6, 3),
			won(yellow, at(6, 0), at(6, 1), at(6, 2), at(6, 3))}},
	},
	{
		Name:  "a move is answered before the bot has moved",
		Given: annAgainst(bot.Medium, "0616"),
		When:  Drop{By: "ann", Column: 2},
		Then: happens(Move{at(2, 0), Game{State: record.Running, Red: "ann", Yellow: "[medium]", Moves: "06162", Turn: yellow}},
			dropped(red, 2, 0), dropped(yellow, 3, 0)),
	},
}}
