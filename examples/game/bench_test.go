package game_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/examples/game"
	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
)

const drawn = "510465540343244065342100053663125613621221"

// BenchmarkMove makes moves one after another, in games that are drawn.
func BenchmarkMove(b *testing.B) {
	for _, journal := range []string{"mem", "file"} {
		for _, protocol := range []string{"grpc", "json"} {
			b.Run(journal+"/"+protocol, func(b *testing.B) {
				s := start(b, func(settings *chassis.Settings, cfg *game.Config) {
					settings.Log.Level = "error"
					if journal == "file" {
						cfg.Journal = "file:" + filepath.Join(b.TempDir(), "games.db")
					}
				})
				var id string
				var tokens [2]string
				move := 0
				for b.Loop() {
					if move == 0 {
						b.StopTimer()
						id, tokens = s.match(&gamev1.CreateGameRequest{})
						b.StartTimer()
					}
					r := &gamev1.DropDiscRequest{GameId: id, SeatToken: tokens[move%2], Column: new(int32(drawn[move] - '0'))}
					if protocol == "grpc" {
						if _, err := s.DropDisc(s.ctx, r); err != nil {
							b.Fatal(err)
						}
					} else {
						s.post("/v1/games/"+id+"/drop", fmt.Sprintf(`{"seatToken": %q, "column": %d}`, r.SeatToken, *r.Column), &gamev1.DropDiscResponse{})
					}
					move = (move + 1) % len(drawn)
				}
			})
		}
	}
}

// BenchmarkStart is how long the service takes from nothing to ready, and back.
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		start(b, nil).stop()
	}
}
