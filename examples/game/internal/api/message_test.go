package api_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/api"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/bot"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

func TestEnumerationsHaveTheNumbersOfTheContract(t *testing.T) {
	for name, numbers := range map[string][2]int{
		"no side":     {int(gamev1.Side_SIDE_UNSPECIFIED), int(rules.None)},
		"red":         {int(gamev1.Side_SIDE_RED), int(rules.Red)},
		"yellow":      {int(gamev1.Side_SIDE_YELLOW), int(rules.Yellow)},
		"no strength": {int(gamev1.Strength_STRENGTH_UNSPECIFIED), 0},
		"easy":        {int(gamev1.Strength_STRENGTH_EASY), int(bot.Easy)},
		"medium":      {int(gamev1.Strength_STRENGTH_MEDIUM), int(bot.Medium)},
		"hard":        {int(gamev1.Strength_STRENGTH_HARD), int(bot.Hard)},
		"no state":    {int(gamev1.State_STATE_UNSPECIFIED), int(record.Missing)},
		"waiting":     {int(gamev1.State_STATE_WAITING), int(record.Waiting)},
		"running":     {int(gamev1.State_STATE_RUNNING), int(record.Running)},
		"finished":    {int(gamev1.State_STATE_FINISHED), int(record.Over)},
		"no ending":   {int(gamev1.Ending_ENDING_UNSPECIFIED), int(record.NotEnded)},
		"four":        {int(gamev1.Ending_ENDING_FOUR), int(record.Four)},
		"draw":        {int(gamev1.Ending_ENDING_DRAW), int(record.Draw)},
		"resigned":    {int(gamev1.Ending_ENDING_RESIGNED), int(record.Resigned)},
		"timeout":     {int(gamev1.Ending_ENDING_TIMEOUT), int(record.Timeout)},
		"abandoned":   {int(gamev1.Ending_ENDING_ABANDONED), int(record.Abandoned)},
	} {
		if numbers[0] != numbers[1] {
			t.Errorf("%s is %d in the contract and %d here", name, numbers[0], numbers[1])
		}
	}
}

func TestEventsAsWatchersSeeThem(t *testing.T) {
	for _, tt := range []struct {
		fact record.Fact
		want string
	}{
		{record.Created{Red: bot.Hard, TurnLimit: time.Minute}, `"created": {
			"red": {"bot": {"strength": "STRENGTH_HARD"}, "taken": true}, "yellow": {"human": {}}, "turnLimit": "60s"
		}`},
		{record.Created{}, `"created": {"red": {"human": {}}, "yellow": {"human": {}}}`},
		{record.Joined{Side: rules.Yellow, Name: "Ann"}, `"joined": {"side": "SIDE_YELLOW", "name": "Ann"}`},
		{record.Dropped{Side: rules.Red, Cell: rules.Cell{Column: 6, Row: 5}}, `"dropped": {"side": "SIDE_RED", "cell": {"column": 6, "row": 5}}`},
		{record.Finished{Ending: record.Abandoned}, `"finished": {"ending": "ENDING_ABANDONED"}`},
		{record.Finished{Ending: record.Four, Winner: rules.Red, Cells: []rules.Cell{{Column: 1, Row: 0}}},
			`"finished": {"ending": "ENDING_FOUR", "winner": "SIDE_RED", "winningCells": [{"column": 1, "row": 0}]}`},
	} {
		var want gamev1.Event
		if err := protojson.Unmarshal([]byte(`{"position": "7", "time": "2026-03-01T12:00:00Z", `+tt.want+`}`), &want); err != nil {
			t.Fatal(err)
		}
		// The event's id is made from the request's: it is nobody else's business.
		e := record.Event{ID: "secret", Position: 7, Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Fact: tt.fact}
		if got := api.Event(e); !proto.Equal(got, &want) {
			t.Errorf("%+v is shown as %v, want %v", tt.fact, got, &want)
		}
	}
}
