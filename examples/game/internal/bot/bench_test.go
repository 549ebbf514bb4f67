package bot_test

import (
	"testing"

	"github.com/seed-754044b3/roadworthy/examples/game/internal/bot"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

func BenchmarkMove(b *testing.B) {
	for _, position := range []struct{ name, moves string }{
		{"ply=0", ""},
		{"ply=8", "32333322"},
		{"ply=16", "3233332222464444"},
		{"ply=24", "323333222246444432466666"},
	} {
		board, err := rules.Parse(position.moves)
		if err != nil {
			b.Fatal(err)
		}
		for _, strength := range strengths {
			b.Run(strength.String()+"/"+position.name, func(b *testing.B) {
				random := seeded(1)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := bot.Move(b.Context(), board, strength, random); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
