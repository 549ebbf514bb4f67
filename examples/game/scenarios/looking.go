package scenarios

import (
	"time"

	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
)

var looking = Chapter{Title: "Looking at a game", Scenarios: []Scenario{
	{
		Name:  "a game shows whose turn it is",
		Given: played("343"),
		When:  Get{},
		Then:  answers(running("343")),
	},
	{
		Name:  "a game that is over shows who won and how",
		Given: played("0101010"),
		When:  Get{},
		Then:  answers(over("0101010", record.Four, red)),
	},
	{
		Name:  "a game stays as it ended",
		Given: ago(52*week, record.Created{}, append(seats(), moves("0101010")...)...),
		When:  Get{},
		Then:  answers(over("0101010", record.Four, red)),
	},
	{
		Name: "a game that nobody made is not found",
		When: Get{},
		Then: fails(1001),
	},
	{
		Name: "what is no id is no game's",
		When: Get{ID: "chess"},
		Then: fails(1001),
	},
}}

var (
	over7 = played("0101010")
	open  = created(record.Created{})
)

var listing = Chapter{Title: "Lists", Scenarios: []Scenario{
	{
		Name:  "the newest game comes first",
		Given: named(open, played(""), open),
		When:  List{},
		Then:  answers(Page{"C B A"}),
	},
	{
		Name:  "a list may be of games that wait",
		Given: named(open, played(""), over7),
		When:  List{State: record.Waiting},
		Then:  answers(Page{"A"}),
	},
	{
		Name:  "a list may be of games that are played",
		Given: named(open, played("33"), over7),
		When:  List{State: record.Running},
		Then:  answers(Page{"B"}),
	},
	{
		Name:  "a list may be of games that are over",
		Given: named(open, played(""), over7),
		When:  List{State: record.Over},
		Then:  answers(Page{"C"}),
	},
	{
		Name:  "a list comes in pages",
		Given: named(open, open, open),
		When:  List{Size: 2},
		Then:  answers(Page{"C B"}),
	},
	{
		Name:   "the next page goes on where the last one ended",
		Given:  named(open, open, open),
		Before: []Command{List{Size: 2}},
		When:   List{Next: true},
		Then:   answers(Page{"A"}),
	},
	{
		Name: "a state is one that there is",
		When: List{State: 4},
		Then: fails(1007),
	},
	{
		Name: "a page has not too many games",
		When: List{Size: 101},
		Then: fails(1008),
	},
	{
		Name: "a page has no negative size",
		When: List{Size: -1},
		Then: fails(1008),
	},
	{
		Name: "a page token is one that a list gave",
		When: List{Page: "next"},
		Then: fails(1009),
	},
}}

var watching = Chapter{Title: "Watching", Scenarios: []Scenario{
	{
		Name:  "a watcher sees all that happened, to the end",
		Given: played("0101010"),
		When:  Watch{},
		Then: answers(News{"a game was created; ann joined as red; bob joined as yellow; moves in columns 0101010; " +
			"red won with 0/0 0/1 0/2 0/3"}),
	},
	{
		Name:  "a watcher goes on where the stream was cut",
		Given: played("0101010"),
		When:  Watch{After: 9},
		Then:  answers(News{"red dropped into column 0, row 3; red won with 0/0 0/1 0/2 0/3"}),
	},
	{
		Name:  "a watcher who has seen everything sees nothing more",
		Given: played("0101010"),
		When:  Watch{After: 11},
		Then:  answers(News{}),
	},
	{
		Name:  "a game that goes on can be watched",
		Given: ago(time.Minute, record.Created{}, append(seats(), moves("33")...)...),
		When:  Watch{Take: 5},
		Then:  answers(News{"a game was created; ann joined as red; bob joined as yellow; 2 moves in column 3"}),
	},
	{
		Name:  "nobody watches from the future",
		Given: played("33"),
		When:  Watch{Ahead: true},
		Then:  fails(1022),
	},
	{
		Name: "nobody watches a game that does not exist",
		When: Watch{ID: "chess"},
		Then: fails(1001),
	},
	{
		Name:    "there are not too many watchers",
		Setting: OneWatcher,
		Given:   played("33"),
		Before:  []Command{Watch{Stay: true}},
		When:    Watch{Take: 1},
		Then:    fails(1023),
		Except:  exceptStayers,
	},
}}
