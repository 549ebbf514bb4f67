package arena

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/queue"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
)

// Limits bound what an arena holds. A zero field means its default.
type Limits struct {
	OpenGames       int           `config:"open_games" doc:"games that are not over; more are refused"`
	CachedGames     int           `config:"cached_games" doc:"finished games kept in memory; others are read again when asked for"`
	ListedGames     int           `config:"listed_games" doc:"finished games that lists show; older ones are found by id only"`
	Watchers        int           `config:"watchers" doc:"watchers altogether"`
	WatchersPerGame int           `config:"watchers_per_game" doc:"watchers of one game"`
	Idle            time.Duration `config:"idle" doc:"when a game without a turn limit in which nothing happens is abandoned"`
}

// SetDefaults fills what is zero.
func (l *Limits) SetDefaults() {
	for _, d := range []struct {
		field *int
		value int
	}{
		{&l.OpenGames, 10_000}, {&l.CachedGames, 1_000}, {&l.ListedGames, 100_000},
		{&l.Watchers, 20_000}, {&l.WatchersPerGame, 2_000},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if l.Idle == 0 {
		l.Idle = 14 * 24 * time.Hour
	}
}

// Validate refuses limits below 1 and an idle time under a second.
func (l *Limits) Validate() error {
	for _, f := range []struct {
		key   string
		value int
	}{
		{"open_games", l.OpenGames}, {"cached_games", l.CachedGames}, {"listed_games", l.ListedGames},
		{"watchers", l.Watchers}, {"watchers_per_game", l.WatchersPerGame},
	} {
		if f.value < 1 {
			return config.Invalid(f.key, "want 1 or more, got %d", f.value)
		}
	}
	if l.Idle < time.Second {
		return config.Invalid("idle", "want 1s or more, got %v", l.Idle)
	}
	return nil
}

// Options are what an arena is built on. All fields but Written are needed.
type Options struct {
	Journal journal.Journal
	Clock   clock.Clock
	Rand    io.Reader    // safe for concurrent use
	Bots    *queue.Queue // where bots think
	Log     *zap.Logger
	Limits  Limits // zero fields get their defaults
	// Written is called with each fact that this arena has put into the journal, which others may
	// do as well. It must not block and is called by several goroutines at once.
	Written func(record.Fact)
}

// Arena is the games of one journal. Make one with [Open], set it going with [Arena.Wake] and
// [Arena.Run], end it with [Arena.Close]. It is safe for concurrent use.
type Arena struct {
	Options
	key   key // what ids and tokens are made with
	index index

	base   context.Context // ends when the arena closes
	cancel context.CancelFunc
	broken context.Context // ends when the journal takes no more appends, with why
	giveUp context.CancelCauseFunc
	awake  atomic.Bool // timers and bots run

	mu       sync.Mutex
	tables   map[string]*table
	finished lru // of the tables above, those whose games are over
	closed   bool
	busy     sync.WaitGroup // timers and bots at work

	watchers atomic.Int64
	searches atomic.Uint64 // for bots' moves
}

// Open reads the journal and returns the arena of the games in it. Timers and bots sleep until
// Wake.
// The journal's host closes the journal; ctx bounds the reading only.
func Open(ctx context.Context, o Options) (*Arena, error) {
	o.Limits.SetDefaults()
	a := &Arena{Options: o, tables: map[string]*table{}}
	a.base, a.cancel = context.WithCancel(context.Background())
	a.broken, a.giveUp = context.WithCancelCause(context.Background())
	a.index.init(o.Limits.ListedGames)
	a.finished.capacity = o.Limits.CachedGames
	var err error
	if a.key, err = readKey(ctx, o.Journal, o.Rand); err != nil {
		return nil, err
	}
	for e, err := range o.Journal.All(ctx, 0, journal.Filter{}) {
		if err != nil {
			return nil, fmt.Errorf("read the games: %w", err)
		}
		if err := a.follow(&e); err != nil {
			return nil, fmt.Errorf("read the games: %w", err)
		}
	}
	return a, nil
}

// Run follows the journal until ctx ends, which is no error. It fails when the journal cannot be
// followed or has failed for good: the process should then exit and open it anew.
func (a *Arena) Run(ctx context.Context) error {
	follow, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(a.broken, cancel)()
	for e, err := range a.Journal.Subscribe(follow, a.index.position(), journal.Filter{}) {
		if follow.Err() != nil {
			break
		}
		if err == nil {
			err = a.follow(&e)
		}
		if err != nil {
			return fmt.Errorf("follow the games: %w", err)
		}
	}
	if ctx.Err() == nil {
		return context.Cause(a.broken)
	}
	return nil
}

// Sleep stops timers and bots and waits for those at work, or for the end of ctx: another arena on
// the same journal takes them over. Wake sets them going again.
func (a *Arena) Sleep(ctx context.Context) error {
	a.mu.Lock()
	a.awake.Store(false)
	tables := slices.Collect(maps.Values(a.tables))
	a.mu.Unlock()
	return a.rest(ctx, tables)
}

// Close stops timers and bots and waits for those at work, or for the end of ctx.
func (a *Arena) Close(ctx context.Context) error {
	a.mu.Lock()
	a.closed = true
	tables := a.tables
	a.tables = map[string]*table{}
	a.mu.Unlock()
	a.cancel()
	return a.rest(ctx, slices.Collect(maps.Values(tables)))
}

// rest stops what waits at tables and waits for what is at work.
func (a *Arena) rest(ctx context.Context, tables []*table) error {
	for _, t := range tables {
		t.mu.Lock()
		t.disarm()
		t.mu.Unlock()
	}
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		a.busy.Wait()
	}()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("timers and bots are still at work: %w", ctx.Err())
	}
}

// begin says that a timer or a bot is at work, until end; false when the arena is closed or asleep.
func (a *Arena) begin() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed || !a.awake.Load() {
		return false
	}
	a.busy.Add(1)
	return true
}

func (a *Arena) end() { a.busy.Done() }

// streams of games begin with this; the rest is the game's id.
const streamPrefix = "game-"

// CheckEvent refuses what is no event that an arena keeps in a stream of its journal.
func CheckEvent(stream, kind string, data []byte) error {
	if stream == keyStream {
		return nil // Open reads it
	}
	if !strings.HasPrefix(stream, streamPrefix) {
		return fmt.Errorf("stream %q is of no game: want %sID", stream, streamPrefix)
	}
	_, err := record.Decode(kind, data)
	return err
}

// follow takes in one event of the journal.
func (a *Arena) follow(recorded *journal.Recorded) error {
	id, ok := strings.CutPrefix(recorded.Stream, streamPrefix)
	if !ok {
		a.index.pass(recorded.Position)
		return nil
	}
	e, err := eventOf(recorded)
	if err != nil {
		return err
	}
	t, err := a.tableFor(id, e)
	if err != nil {
		return err
	}
	if t == nil && !a.index.knows(id) {
		return fmt.Errorf("%w: stream %s, position %d: the game was never created, or is over", journal.ErrCorrupt, recorded.Stream, recorded.Position)
	}
	if t != nil {
		if err := a.advance(t, e); err != nil {
			return err
		}
	}
	a.index.take(id, e)
	return nil
}

// tableFor is the table at which e happened. It is nil for a game that is over and forgotten,
// which happens to an open one when others look at the journal ahead of the feed.
func (a *Arena) tableFor(id string, e record.Event) (*table, error) {
	a.mu.Lock()
	t := a.tables[id]
	_, first := e.Fact.(record.Created)
	if t != nil || !first {
		a.mu.Unlock()
		return t, nil
	}
	// Nobody finds a table at which nothing has happened.
	g, err := record.New(id).With(e)
	if err != nil {
		a.mu.Unlock()
		return nil, fmt.Errorf("%w: %w", journal.ErrCorrupt, err)
	}
	t = newTable(g)
	a.tables[id] = t
	a.mu.Unlock()
	a.attend(t)
	return t, nil
}

// eventOf reads what the journal keeps.
func eventOf(r *journal.Recorded) (record.Event, error) {
	fact, err := record.Decode(r.Type, r.Data)
	if errors.Is(err, record.ErrNewer) {
		return record.Event{}, fmt.Errorf("stream %s, position %d: %w", r.Stream, r.Position, err)
	}
	if err != nil {
		return record.Event{}, fmt.Errorf("%w: stream %s, position %d: %w", journal.ErrCorrupt, r.Stream, r.Position, err)
	}
	return record.Event{ID: r.ID, Position: r.Position, Time: r.Time, Fact: fact}, nil
}

// Stats are an arena's figures at one moment.
type Stats struct {
	Open     int // games that are not over
	Watchers int
	Searches uint64    // for moves of bots, by this arena
	Finished [6]uint64 // games that ended since the start, by record.Ending
}

// Stats returns the figures now.
func (a *Arena) Stats() Stats {
	return Stats{Open: a.openGames(), Watchers: int(a.watchers.Load()), Searches: a.searches.Load(), Finished: a.index.endings()}
}

// openGames is how many games are not over.
func (a *Arena) openGames() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.tables) - a.finished.order.Len()
}
