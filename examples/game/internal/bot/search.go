package bot

import (
	"context"
	"math/bits"

	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

// winAt is the value of a position for the side that will win with the disc
// that makes the given ply: an early win is worth more than a late one, and any
// win more than the best estimate. It depends on where the game ends and not on
// where the search began, so the table can share it between lines of play.
func winAt(ply int) int { return 10_000 - ply }

// isDecided reports whether value is a proven win or loss and not an estimate.
func isDecided(value int) bool {
	return value >= winAt(rules.Cells) || value <= -winAt(rules.Cells)
}

// endOf returns the ply at which the game ends according to a decided value.
func endOf(value int) int { return 10_000 - max(value, -value) }

// search is one run of best.
type search struct {
	ctx    context.Context
	depth  int     // plies to look ahead at most
	budget int     // positions to visit at most
	table  []entry // empty for none; else a power of two
	taste  uint64  // an odd number that makes one run differ from another

	visited int
	stopped bool
}

// checkEvery is the number of positions between looks at the context: about
// 0.1 ms. The first round of deepening is far below it, so that best always has
// a move to return.
const checkEvery = 1 << 10

// spend counts a position and reports whether there was one left to spend.
func (s *search) spend() bool {
	s.visited++
	if s.visited >= s.budget || s.visited%checkEvery == 0 && s.ctx.Err() != nil {
		s.stopped = true
	}
	return !s.stopped
}

// whim returns 0 to 7, to be added to the estimate of p: enough to choose now
// one and now another of several good moves, yet no more than the weight of a
// single cell. It is the same whenever p comes up in one search.
func (s *search) whim(p position) int { return int(p.key() * s.taste >> 61) }

// best returns the cell to play in p, in which neither side can win at once and
// a cell is free. It looks one ply ahead, then two and so on, each time beginning
// with the best move of the round before, until it has seen the end of the game or
// must stop; a round that was cut short does not count.
func (s *search) best(p position) uint64 {
	ordered := p.ordered(p.open(), 0)
	cells := ordered[:bits.OnesCount64(p.open())]

	ply := p.ply()
	for depth := 1; depth <= min(s.depth, rules.Cells-ply); depth++ {
		best, bestValue := 0, -winAt(0)
		for i, cell := range cells {
			value := -s.value(p.after(cell), -winAt(0), -bestValue, depth-1)
			if s.stopped {
				return cells[0]
			}
			if value > bestValue {
				best, bestValue = i, value
			}
		}
		cell := cells[best]
		copy(cells[1:best+1], cells[:best])
		cells[0] = cell
		if isDecided(bestValue) && endOf(bestValue) <= ply+depth {
			break
		}
	}
	return cells[0]
}

// value returns the value of p for the side to move: exact if it lies between
// alpha and beta, else a bound on that side. Neither side has four in line.
//
// A win or loss that value returns is proven. If it comes within depth plies, it
// is also the earliest win or the latest loss that can be forced.
func (s *search) value(p position, alpha, beta, depth int) int {
	if !s.spend() {
		return 0
	}
	ply, open := p.ply(), p.open()
	if p.threats(p.mover)&open != 0 {
		return winAt(ply + 1)
	}
	if open == 0 {
		return 0
	}
	theirs := p.threats(p.opponent())
	if forced := theirs & open; forced != 0 {
		if forced&(forced-1) != 0 {
			return -winAt(ply + 2)
		}
		open = forced
	}
	// A disc just below a threat hands the opponent the game.
	open &^= theirs >> 1
	if open == 0 {
		return -winAt(ply + 2)
	}
	if depth <= 0 {
		return p.evaluate() + s.whim(p)
	}

	key := p.key()
	known, ok := s.lookup(key)
	if ok && int(known.depth) >= depth {
		value := int(known.value)
		if known.bound == exact || known.bound == atLeast && value >= beta || known.bound == atMost && value <= alpha {
			return value
		}
	}
	first := uint64(0)
	if ok {
		first = columnCells(int(known.move))
	}

	best := entry{key: key, value: int16(-winAt(0)), depth: int8(depth), bound: atMost}
	for _, cell := range p.ordered(open, first) {
		if cell == 0 {
			break
		}
		value := -s.value(p.after(cell), -beta, -max(alpha, int(best.value)), depth-1)
		if s.stopped {
			return 0
		}
		if value <= int(best.value) {
			continue
		}
		best.value, best.move = int16(value), int8(columnOf(cell))
		if value >= beta {
			best.bound = atLeast
			break
		}
		if value > alpha {
			best.bound = exact
		}
	}
	s.store(best)
	return int(best.value)
}
