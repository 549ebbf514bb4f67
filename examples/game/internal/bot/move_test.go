package bot_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/seed-754044b3/roadworthy/examples/game/internal/bot"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

var strengths = []bot.Strength{bot.Easy, bot.Medium, bot.Hard}

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 4)) }

// move returns the board after a bot has moved.
func move(t testing.TB, b rules.Board, strength bot.Strength, random *rand.Rand) (rules.Board, int) {
	t.Helper()
	column, err := bot.Move(t.Context(), b, strength, random)
	if err != nil {
		t.Fatal(err)
	}
	next, err := b.Drop(column)
	if err != nil {
		t.Fatalf("%v chose an illegal move: %v\n%v", strength, err, b)
	}
	return next, column
}

// game lets two bots play from b to the end.
func game(t testing.TB, b rules.Board, red, yellow bot.Strength, random *rand.Rand) rules.Board {
	t.Helper()
	for b.Outcome() == rules.Ongoing {
		strength := red
		if b.Turn() == rules.Yellow {
			strength = yellow
		}
		b, _ = move(t, b, strength, random)
	}
	return b
}

// randomPosition returns an unfinished position after at most the given number of
// random plies.
func randomPosition(t testing.TB, plies int, random *rand.Rand) rules.Board {
	t.Helper()
	var b rules.Board
	for b.Ply() < plies {
		moves := b.Moves()
		next, err := b.Drop(moves[random.IntN(len(moves))])
		if err != nil {
			t.Fatal(err)
		}
		if next.Outcome() != rules.Ongoing {
			break
		}
		b = next
	}
	return b
}

// completing returns the columns in which a disc of side would make four in line
// if it were that side's turn, found by looking at cells one by one.
func completing(b rules.Board, side rules.Side) (columns []int) {
	for _, column := range b.Moves() {
		row := b.Height(column)
		for _, step := range []rules.Cell{{Column: 1}, {Row: 1}, {Column: 1, Row: 1}, {Column: 1, Row: -1}} {
			length := 1
			for _, sign := range []int{1, -1} {
				for i := 1; b.At(column+sign*i*step.Column, row+sign*i*step.Row) == side; i++ {
					length++
				}
			}
			if length >= 4 {
				columns = append(columns, column)
				break
			}
		}
	}
	return columns
}

func TestMoveRefuses(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	won, err := rules.Parse("0101010")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name     string
		ctx      context.Context
		board    rules.Board
		strength bot.Strength
		random   *rand.Rand
		want     error
		text     string
	}{
		{"a finished game", t.Context(), won, bot.Hard, seeded(1), rules.ErrGameOver,
			"choose a move: the game is over (red wins)"},
		{"a context that has ended", ended, rules.Board{}, bot.Hard, seeded(1), context.Canceled,
			"choose a move: context canceled"},
		{"no strength", t.Context(), rules.Board{}, 0, seeded(1), nil,
			"choose a move: Strength(0) is none of easy, medium, hard"},
		{"an unknown strength", t.Context(), rules.Board{}, 4, seeded(1), nil,
			"choose a move: Strength(4) is none of easy, medium, hard"},
		{"no source of randomness", t.Context(), rules.Board{}, bot.Easy, nil, nil,
			"choose a move: no source of randomness was given"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := bot.Move(test.ctx, test.board, test.strength, test.random)
			if err == nil || err.Error() != test.text {
				t.Errorf("got %v, want %q", err, test.text)
			}
			if test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("%v does not wrap %v", err, test.want)
			}
		})
	}
}

// expiring is a context that ends when it is asked for the nth time.
type expiring struct {
	context.Context
	asked, n int
}

func (c *expiring) Err() error {
	c.asked++
	if c.asked >= c.n {
		return context.DeadlineExceeded
	}
	return nil
}

func TestASearchThatIsCutShortReturnsTheBestMoveSoFar(t *testing.T) {
	for n := 2; n < 20; n++ {
		ctx := &expiring{Context: t.Context(), n: n}
		column, err := bot.Move(ctx, rules.Board{}, bot.Hard, seeded(uint64(n)))
		if err != nil {
			t.Fatalf("ended at look %d: %v", n, err)
		}
		if column != 3 {
			t.Errorf("ended at look %d: chose column %d, want the centre", n, column)
		}
		if ctx.asked != n {
			t.Errorf("the search went on to look %d after the context had ended at look %d", ctx.asked, n)
		}
	}
}

func TestTheSameSeedGivesTheSameGame(t *testing.T) {
	for _, strength := range strengths {
		a := game(t, rules.Board{}, strength, strength, seeded(7))
		b := game(t, rules.Board{}, strength, strength, seeded(7))
		if a != b {
			t.Errorf("%v played two games from one seed:\n%v\n%v", strength, a, b)
		}
	}
}

func TestDifferentSeedsGiveDifferentGames(t *testing.T) {
	for _, strength := range strengths {
		seen := map[rules.Board]bool{}
		for seed := range uint64(10) {
			seen[game(t, rules.Board{}, strength, bot.Easy, seeded(seed))] = true
		}
		if len(seen) < 5 {
			t.Errorf("%v played only %d different games from 10 seeds", strength, len(seen))
		}
	}
}

func TestMediumAndHardAlwaysTakeAWinAndBlockALoss(t *testing.T) {
	random := seeded(1)
	wins, blocks := 0, 0
	for wins < 1000 || blocks < 1000 {
		b := randomPosition(t, 5+random.IntN(37), random)
		winning := completing(b, b.Turn())
		losing := completing(b, b.Turn().Opponent())
		for _, strength := range []bot.Strength{bot.Medium, bot.Hard} {
			switch {
			case len(winning) > 0:
				wins++
				if _, column := move(t, b, strength, random); !slices.Contains(winning, column) {
					t.Fatalf("%v chose column %d, but %v win:\n%v", strength, column, winning, b)
				}
			case len(losing) > 0:
				blocks++
				if _, column := move(t, b, strength, random); !slices.Contains(losing, column) {
					t.Fatalf("%v chose column %d, but %v lose:\n%v", strength, column, losing, b)
				}
			}
		}
	}
}

func TestEasyUsuallyTakesAWinAndBlocksALoss(t *testing.T) {
	for _, test := range []struct {
		name, moves string
		column      int
	}{
		{"a win", "010101", 0},
		{"a block", "0101052", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, err := rules.Parse(test.moves)
			if err != nil {
				t.Fatal(err)
			}
			random := seeded(3)
			seen := 0
			for range 1000 {
				if _, column := move(t, b, bot.Easy, random); column == test.column {
					seen++
				}
			}
			// Three times in four it looks, and else it hits the column by chance.
			if seen < 750 || seen > 830 {
				t.Errorf("chose column %d %d times in 1000, want about 790:\n%v", test.column, seen, b)
			}
		})
	}
}

func TestTheStrongerBotWins(t *testing.T) {
	for _, test := range []struct {
		strong, weak bot.Strength
		games, want  int // as Red and as Yellow alike
	}{
		{bot.Medium, bot.Easy, 100, 80},
		{bot.Hard, bot.Easy, 50, 48},
	} {
		for _, side := range []rules.Side{rules.Red, rules.Yellow} {
			t.Run(test.strong.String()+" as "+side.String()+" against "+test.weak.String(), func(t *testing.T) {
				random := seeded(uint64(side))
				red, yellow := test.strong, test.weak
				if side == rules.Yellow {
					red, yellow = yellow, red
				}
				games, want := test.games, test.want
				if testing.Short() {
					games, want = games/5, want/5
				}
				won := 0
				for range games {
					if game(t, rules.Board{}, red, yellow, random).Winner() == side {
						won++
					}
				}
				t.Logf("won %d of %d", won, games)
				if won < want {
					t.Errorf("won %d of %d games, want at least %d", won, games, want)
				}
			})
		}
	}
}

// Each byte is a move; illegal ones are skipped. Every strength must answer any
// unfinished position with a legal move.
func FuzzMove(f *testing.F) {
	f.Add("", uint64(0))
	f.Add("333333222222444444", uint64(1))
	f.Add("336114413045645343650210532640065222065", uint64(2))
	f.Fuzz(func(t *testing.T, moves string, seed uint64) {
		var b rules.Board
		for i := range min(len(moves), 2*rules.Cells) {
			next, err := b.Drop(int(moves[i]) % rules.Columns)
			if err == nil && next.Outcome() == rules.Ongoing {
				b = next
			}
		}
		for _, strength := range strengths {
			move(t, b, strength, seeded(seed))
		}
	})
}
