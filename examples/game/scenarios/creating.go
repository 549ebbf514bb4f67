package scenarios

import (
	"strings"
	"time"

	"github.com/seed-754044b3/roadworthy/examples/game/internal/bot"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
)

const week = 7 * 24 * time.Hour

var waiting = Game{State: record.Waiting}

var creating = Chapter{Title: "Creating a game", Scenarios: []Scenario{
	{
		Name: "a new game has an open seat for each side",
		When: Create{},
		Then: happens(waiting, record.Created{}),
	},
	{
		Name: "a bot's seat is taken at once",
		When: Create{Yellow: bot.Medium},
		Then: happens(Game{State: record.Waiting, Yellow: "[medium]"}, record.Created{Yellow: bot.Medium}),
	},
	{
		Name: "a bot may play red",
		When: Create{Red: bot.Easy},
		Then: happens(Game{State: record.Waiting, Red: "[easy]"}, record.Created{Red: bot.Easy}),
	},
	{
		Name: "a turn may be limited to a second",
		When: Create{Limit: time.Second},
		Then: happens(waiting, record.Created{TurnLimit: time.Second}),
	},
	{
		Name: "a turn may be limited to a week",
		When: Create{Limit: week},
		Then: happens(waiting, record.Created{TurnLimit: week}),
	},
	{
		Name: "a turn cannot be limited to less than a second",
		When: Create{Limit: 999 * time.Millisecond},
		Then: fails(1003),
	},
	{
		Name: "a turn cannot be limited to more than a week",
		When: Create{Limit: week + time.Second},
		Then: fails(1003),
	},
	{
		Name: "a turn cannot be limited to less than nothing",
		When: Create{Limit: -time.Minute},
		Then: fails(1003),
	},
	{
		Name: "a bot needs a strength that there is",
		When: Create{Red: 4},
		Then: fails(1004),
	},
	{
		Name: "a bot needs a strength at all",
		When: Create{Random: true},
		Then: fails(1004),
	},
	{
		Name: "a request id has no line break",
		When: Create{Request: "a\nb"},
		Then: fails(1006),
	},
	{
		Name: "a request id is not too long",
		When: Create{Request: strings.Repeat("x", 65-27)},
		Then: fails(1006),
	},
	{
		Name: "a request id may be as long as 64 characters",
		When: Create{Request: strings.Repeat("x", 64-27)},
		Then: happens(waiting, record.Created{}),
	},
	{
		Name:   "a repeated request makes one game",
		Before: []Command{Create{Request: "r"}},
		When:   Create{Request: "r"},
		Then:   answers(waiting),
	},
	{
		Name:   "a repeated request is answered with the game as it was",
		Before: []Command{Create{Request: "r"}, Join{Name: "ann"}},
		When:   Create{Request: "r"},
		Then:   answers(waiting),
	},
	{
		Name:   "a request id makes no other game",
		Before: []Command{Create{Request: "r"}},
		When:   Create{Yellow: bot.Hard, Request: "r"},
		Then:   fails(1010),
	},
	{
		Name:    "there are not too many open games",
		Setting: OneOpenGame,
		Given:   created(record.Created{}),
		Before:  []Command{Get{}},
		When:    Create{},
		Then:    fails(1020),
	},
}}
