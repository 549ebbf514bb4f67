package bot

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"

	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

// How far a strength looks.
const (
	mediumDepth = 4       // plies
	hardBudget  = 100_000 // positions; Medium gets by with far fewer
	hardTable   = 1 << 16 // entries of 16 bytes
)

// Move returns the column, 0 to 6, in which a player of the given strength
// drops the next disc in b.
//
// All chance comes from random, which no one else may use meanwhile; with a
// random in the same state Move returns the same column. Where several moves
// look about equally good chance decides, so games differ.
//
// If ctx has ended when Move is called, the error wraps ctx.Err(). If it ends
// during the search, Move returns the best move found so far and no error. On a
// finished game the error wraps [rules.ErrGameOver].
func Move(ctx context.Context, b rules.Board, strength Strength, random *rand.Rand) (column int, err error) {
	switch {
	case !strength.valid():
		return 0, fmt.Errorf("choose a move: %w", unknown(strength.String()))
	case random == nil:
		return 0, errors.New("choose a move: no source of randomness was given")
	case b.Outcome() != rules.Ongoing:
		return 0, fmt.Errorf("choose a move: %w (%v)", rules.ErrGameOver, b.Outcome())
	case ctx.Err() != nil:
		return 0, fmt.Errorf("choose a move: %w", ctx.Err())
	}
	p := positionOf(b)
	if strength == Easy {
		return columnOf(easy(p, random)), nil
	}
	open := p.open()
	if cell := p.win(open); cell != 0 {
		return columnOf(cell), nil
	}
	if cell := p.block(open); cell != 0 {
		return columnOf(cell), nil
	}
	s := search{ctx: ctx, depth: mediumDepth, budget: hardBudget, taste: random.Uint64() | 1}
	if strength == Hard {
		s.depth, s.table = rules.Cells, make([]entry, hardTable)
	}
	return columnOf(s.best(p)), nil
}

// easy returns the cell Easy plays.
func easy(p position, random *rand.Rand) uint64 {
	open := p.open()
	if cell := p.win(open); cell != 0 && attentive(random) {
		return cell
	}
	if cell := p.block(open); cell != 0 && attentive(random) {
		return cell
	}
	for skip := random.IntN(bits.OnesCount64(open)); skip > 0; skip-- {
		open &= open - 1
	}
	return lowest(open)
}

func attentive(random *rand.Rand) bool { return random.IntN(4) != 0 }
