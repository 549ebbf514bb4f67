package api

import (
	"math"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/bot"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

// enum is a number of the contract as one of ours: the enumerations have the same numbers, which
// a test makes sure of. One that is out of the range of ours becomes the highest, which is as
// unknown.
func enum[Ours ~uint8, Theirs ~int32](v Theirs) Ours {
	if v < 0 || v > math.MaxUint8 {
		return math.MaxUint8
	}
	return Ours(v)
}

// strengthOf is the bot that is asked for, 0 for none.
func strengthOf(b *gamev1.Bot) bot.Strength {
	if b == nil {
		return 0
	}
	if b.Strength == gamev1.Strength_STRENGTH_UNSPECIFIED {
		return math.MaxUint8 // asking for a bot of no strength is not asking for none
	}
	return enum[bot.Strength](b.Strength)
}

// limitOf is the turn limit that is asked for, nil for none.
func limitOf(d *durationpb.Duration) *time.Duration {
	if d == nil {
		return nil
	}
	limit := d.AsDuration()
	if d.CheckValid() != nil {
		limit = -1
	}
	return &limit
}

func game(g *record.Game) *gamev1.Game {
	m := &gamev1.Game{
		Id: g.ID, State: gamev1.State(g.State()), Red: player(g.Red), Yellow: player(g.Yellow),
		Turn: gamev1.Side(g.Turn()), TurnLimit: duration(g.TurnLimit),
		Ending: gamev1.Ending(g.End.Ending), Winner: gamev1.Side(g.End.Winner), WinningCells: cells(g.End.Cells),
		CreatedAt: timestamppb.New(g.Created()), Position: uint64(g.Position()),
	}
	for _, column := range g.Moves {
		m.Moves = append(m.Moves, int32(column))
	}
	if at, ok := g.TurnDeadline(); ok {
		m.TurnDeadline = timestamppb.New(at)
	}
	return m
}

// Event is an event as watchers see it.
func Event(e record.Event) *gamev1.Event {
	m := &gamev1.Event{Position: uint64(e.Position), Time: timestamppb.New(e.Time)}
	switch f := e.Fact.(type) {
	case record.Created:
		m.What = &gamev1.Event_Created_{Created: &gamev1.Event_Created{
			Red: player(record.Seat{Bot: f.Red}), Yellow: player(record.Seat{Bot: f.Yellow}), TurnLimit: duration(f.TurnLimit),
		}}
	case record.Joined:
		m.What = &gamev1.Event_Joined_{Joined: &gamev1.Event_Joined{Side: gamev1.Side(f.Side), Name: f.Name}}
	case record.Dropped:
		m.What = &gamev1.Event_Dropped_{Dropped: &gamev1.Event_Dropped{Side: gamev1.Side(f.Side), Cell: cell(f.Cell)}}
	case record.Finished:
		m.What = &gamev1.Event_Finished_{Finished: &gamev1.Event_Finished{
			Ending: gamev1.Ending(f.Ending), Winner: gamev1.Side(f.Winner), WinningCells: cells(f.Cells),
		}}
	}
	return m
}

func player(s record.Seat) *gamev1.Player {
	if s.Bot != 0 {
		return &gamev1.Player{Kind: &gamev1.Player_Bot{Bot: &gamev1.Bot{Strength: gamev1.Strength(s.Bot)}}, Taken: true}
	}
	return &gamev1.Player{Kind: &gamev1.Player_Human{Human: &gamev1.Human{Name: s.Name}}, Taken: s.Taken()}
}

func duration(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

func cell(c rules.Cell) *gamev1.Cell {
	return &gamev1.Cell{Column: int32(c.Column), Row: int32(c.Row)}
}

func cells(all []rules.Cell) []*gamev1.Cell {
	var m []*gamev1.Cell
	for _, c := range all {
		m = append(m, cell(c))
	}
	return m
}
