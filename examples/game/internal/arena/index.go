package arena

import (
	"context"
	"sync"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

// index knows of every game that lists show where it stands: as much as a list needs and no
// more. It is fed by the journal alone.
type index struct {
	mu       sync.Mutex
	capacity int             // of finished games
	rows     []*row          // by position
	open     map[string]*row // of rows, those of games that are not over
	seen     journal.Position
	news     chan struct{} // closed when seen grows; nil unless somebody waits
	finished [6]uint64
}

// row is one game.
type row struct {
	id          string
	at          journal.Position // of its first event
	state       record.State
	red, yellow bool // whether the seat is taken
}

func (x *index) init(capacity int) {
	x.capacity = capacity
	x.open = map[string]*row{}
}

// take notes an event of a game, which follows the game's earlier ones.
func (x *index) take(id string, e record.Event) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.reach(e.Position)
	r := x.open[id]
	switch f := e.Fact.(type) {
	case record.Created:
		r = &row{id: id, at: e.Position, red: f.Red != 0, yellow: f.Yellow != 0}
		r.settle()
		x.rows = append(x.rows, r)
		x.open[id] = r
	case record.Joined:
		r.red = r.red || f.Side == rules.Red
		r.yellow = r.yellow || f.Side == rules.Yellow
		r.settle()
	case record.Finished:
		r.state = record.Over
		delete(x.open, id)
		x.finished[f.Ending]++
		x.trim()
	}
}

// knows reports whether the game's events so far leave it open.
func (x *index) knows(id string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.open[id] != nil
}

func (r *row) settle() {
	r.state = record.Waiting
	if r.red && r.yellow {
		r.state = record.Running
	}
}

// trim drops the oldest finished games when there are an eighth more than lists show, so that
// each is moved a bounded number of times. x.mu is held.
func (x *index) trim() {
	excess := len(x.rows) - len(x.open) - x.capacity
	if excess <= x.capacity/8 {
		return
	}
	kept := x.rows[:0]
	for _, r := range x.rows {
		if r.state == record.Over && excess > 0 {
			excess--
			continue
		}
		kept = append(kept, r)
	}
	clear(x.rows[len(kept):])
	x.rows = kept
}

// pass notes an event that is of no game.
func (x *index) pass(p journal.Position) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.reach(p)
}

// reach notes how far the journal was followed. x.mu is held.
func (x *index) reach(p journal.Position) {
	x.seen = p
	if x.news != nil {
		close(x.news)
		x.news = nil
	}
}

// position is how far the journal was followed.
func (x *index) position() journal.Position {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.seen
}

// wait returns when the journal was followed as far as p.
func (x *index) wait(ctx context.Context, p journal.Position) error {
	for {
		x.mu.Lock()
		if x.seen >= p {
			x.mu.Unlock()
			return nil
		}
		if x.news == nil {
			x.news = make(chan struct{})
		}
		news := x.news
		x.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// page returns at most n games before a position (0: all), the newest first, and whether there
// are more. state Missing selects all.
func (x *index) page(before journal.Position, state record.State, n int) (found []row, more bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := len(x.rows) - 1; i >= 0; i-- {
		r := x.rows[i]
		if before != 0 && r.at >= before || state != record.Missing && r.state != state {
			continue
		}
		if len(found) == n {
			return found, true
		}
		found = append(found, *r)
	}
	return found, false
}

// endings are how many games have ended, by how.
func (x *index) endings() [6]uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.finished
}
