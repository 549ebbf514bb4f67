package bot_test

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/seed-754044b3/roadworthy/examples/game/internal/bot"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

// Red threatens to complete the bottom row on either side; Yellow has a win of
// its own and takes it.
func ExampleMove() {
	board, err := rules.Parse("2626364")
	if err != nil {
		fmt.Println(err)
		return
	}
	random := rand.New(rand.NewPCG(1, 2))
	column, err := bot.Move(context.Background(), board, bot.Medium, random)
	fmt.Println(column, err)
	// Output:
	// 6 <nil>
}

func ExampleStrength_UnmarshalText() {
	var strength bot.Strength
	fmt.Println(strength.UnmarshalText([]byte("hard")), strength)
	fmt.Println(strength.UnmarshalText([]byte("brutal")))
	// Output:
	// <nil> hard
	// decode the strength of a bot: "brutal" is none of easy, medium, hard
}
