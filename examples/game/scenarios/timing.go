package scenarios

import (
	"time"

	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

func timeout(winner rules.Side) record.Fact {
	return record.Finished{Ending: record.Timeout, Winner: winner}
}

var (
	minute    = record.Created{TurnLimit: time.Minute}
	abandoned = record.Finished{Ending: record.Abandoned}
)

var timing = Chapter{Title: "Time", Scenarios: []Scenario{
	{
		Name:  "whoever thinks for too long loses",
		Given: ago(61*time.Second, minute, seats()...),
		When:  Get{},
		Then:  then{Events: []record.Fact{timeout(yellow)}},
	},
	{
		Name:  "time runs for yellow too",
		Given: ago(61*time.Second, minute, append(seats(), moves("3")...)...),
		When:  Get{},
		Then:  then{Events: []record.Fact{timeout(red)}},
	},
	{
		Name:  "a move that comes too late does not count",
		Given: ago(2*time.Minute, minute, seats()...),
		When:  Drop{By: "ann", Column: 3},
		Then:  fails(1044, timeout(yellow)),
	},
	{
		Name:  "whoever resigns too late has lost by time",
		Given: ago(2*time.Minute, minute, seats()...),
		When:  Resign{By: "ann"},
		Then:  fails(1044, timeout(yellow)),
	},
	{
		Name:  "a turn that is not over yet goes on",
		Given: ago(30*time.Minute, record.Created{TurnLimit: time.Hour}, seats()...),
		When:  Drop{By: "ann", Column: 3},
		Then:  happens(Move{at(3, 0), running("3")}, dropped(red, 3, 0)),
	},
	{
		Name:  "no turn is timed before both seats are taken",
		Given: ago(2*time.Minute, minute, joined(red, "ann")),
		When:  Get{},
		Then:  answers(annWaits),
	},
	{
		Name:  "a game without a turn limit is not lost in a day",
		Given: ago(24*time.Hour, record.Created{}, append(seats(), moves("33")...)...),
		When:  Get{},
		Then:  answers(running("33")),
	},
	{
		Name:  "a game that nobody joins is given up after two weeks",
		Given: ago(2*week, record.Created{}, joined(red, "ann")),
		When:  Get{},
		Then:  then{Events: []record.Fact{abandoned}},
	},
	{
		Name:  "a game in which nobody moves is given up after two weeks",
		Given: ago(2*week, record.Created{}, append(seats(), moves("33")...)...),
		When:  Get{},
		Then:  then{Events: []record.Fact{abandoned}},
	},
	{
		Name:  "nobody joins a game that is due to be given up",
		Given: ago(15*24*time.Hour, record.Created{}),
		When:  Join{Name: "ann"},
		Then:  fails(1044, abandoned),
	},
}}
