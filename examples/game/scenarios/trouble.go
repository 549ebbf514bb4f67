package scenarios

import (
	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/scenario"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
)

var exceptStayers = map[scenario.Mode]string{
	scenario.Retried:  "the second watcher is one too many",
	scenario.Replaced: "a service that is replaced sends its watchers elsewhere",
}

var trouble = Chapter{Title: "When the journal fails", Scenarios: []Scenario{
	{
		Name:  "a move that cannot be stored is refused",
		Given: played("33"),
		Fault: scenario.Fault{Appends: journal.ErrFull},
		When:  Drop{By: "ann", Column: 3},
		Then:  fails(1201),
	},
	{
		Name:  "no game is made that cannot be stored",
		Fault: scenario.Fault{Appends: journal.ErrFull},
		When:  Create{},
		Then:  fails(1201),
	},
	{
		Name:  "nobody gets a seat that cannot be stored",
		Given: created(record.Created{}),
		Fault: scenario.Fault{Appends: journal.ErrBusy},
		When:  Join{Name: "ann"},
		Then:  fails(1201),
	},
	{
		Name:  "whoever asks is told when it is not known whether a move was stored",
		Given: played("33"),
		Fault: scenario.Fault{Appends: journal.ErrUnknownOutcome},
		When:  Drop{By: "ann", Column: 3},
		Then:  fails(1202),
	},
	{
		Name:  "a move may have been stored though nobody knows",
		Given: played("33"),
		Fault: scenario.Fault{Appends: journal.ErrUnknownOutcome, Stored: true},
		When:  Drop{By: "ann", Column: 3},
		Then:  fails(1202, dropped(red, 3, 2)),
		Except: map[scenario.Mode]string{
			scenario.Retried: "the second time it is known",
		},
	},
	{
		Name:  "a damaged game is not shown",
		Given: played("33"),
		Fault: scenario.Fault{Reads: journal.ErrCorrupt},
		When:  Get{},
		Then:  fails(1203),
	},
	{
		Name:   "a move in a game that is damaged since the last look may have been stored",
		Given:  played("33"),
		Before: []Command{Get{}},
		Fault:  scenario.Fault{Reads: journal.ErrCorrupt},
		When:   Drop{By: "ann", Column: 3},
		Then:   fails(1202, dropped(red, 3, 2)),
		Except: map[scenario.Mode]string{
			scenario.Retried: "the second time it is known",
		},
	},
}}
