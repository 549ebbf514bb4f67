package main_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
	"github.com/seed-754044b3/roadworthy/internal/natscluster"
)

var clusterRounds = flag.Int("cluster_rounds", 1, "how often a JetStream leader and a game node are killed")

// A tournament is game nodes that share a journal, and the games played there.
type tournament struct {
	t   *testing.T
	ctx context.Context // of the whole test
	url string

	mu    sync.Mutex
	nodes []*daemon

	over  chan struct{} // one for each game that is over
	ended atomic.Bool   // no more games
	moves atomic.Int64  // acknowledged
	again atomic.Int64  // calls that failed and were repeated
	moved atomic.Int64  // watchers that went to another node
}

// enter starts a game node in the place of number i.
func (h *tournament) enter(i int) {
	d := launch(h.t, "-journal", h.url, "-inprocess")
	h.mu.Lock()
	defer h.mu.Unlock()
	h.nodes[i] = d
}

// node is one of the nodes.
func (h *tournament) node(i int) *daemon {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.nodes[i%len(h.nodes)]
}

// passing reports whether an error may be due to a node or a server that has just died.
func passing(err error) bool {
	code := status.Code(err)
	return code == codes.Unavailable || code == codes.DeadlineExceeded || code == codes.Canceled
}

// call makes a call to node i, and goes on to the next one and repeats it until it is answered.
func (h *tournament) call(i int, f func(ctx context.Context, d *daemon) error) error {
	for ; ; i++ {
		ctx, cancel := context.WithTimeout(h.ctx, 10*time.Second)
		err := f(ctx, h.node(i))
		cancel()
		if err == nil || h.ctx.Err() != nil || !passing(err) {
			return err
		}
		h.again.Add(1)
	}
}

// play plays games until there are no more: red at one node, yellow at another.
func (h *tournament) play(table int) error {
	for n := 0; !h.ended.Load(); n++ {
		if err := h.game(fmt.Sprintf("%d-%d", table, n), table+n); err != nil {
			return fmt.Errorf("game %d of table %d: %w", n, table, err)
		}
		select {
		case h.over <- struct{}{}:
		case <-h.ctx.Done():
			return h.ctx.Err()
		}
	}
	return nil
}

// columns make four of red's discs in column 0.
var columns = []int32{0, 1, 0, 1, 0, 1, 0}

// game plays one game that two people watch, at one node each, and compares what everybody saw.
func (h *tournament) game(name string, i int) error {
	var id string
	err := h.call(i, func(ctx context.Context, d *daemon) error {
		r, err := d.CreateGame(ctx, &gamev1.CreateGameRequest{RequestId: name})
		id = r.GetGame().GetId()
		return err
	})
	if err != nil {
		return err
	}
	var seen [2][]*gamev1.Event
	var errs [2]error
	var watchers sync.WaitGroup
	for k := range seen {
		watchers.Go(func() { seen[k], errs[k] = h.watch(i+k, id) })
	}
	err = h.moveAll(name, i, id)
	watchers.Wait()
	if err := errors.Join(err, errs[0], errs[1]); err != nil {
		return err
	}
	if a, b := fmt.Sprint(seen[0]), fmt.Sprint(seen[1]); a != b {
		return fmt.Errorf("one watcher saw %s, the other %s", a, b)
	}
	var dropped []int32
	last := uint64(0)
	for _, e := range seen[0] {
		if e.Position <= last {
			return fmt.Errorf("position %d comes after %d", e.Position, last)
		}
		last = e.Position
		if d := e.GetDropped(); d != nil {
			dropped = append(dropped, d.Cell.Column)
		}
	}
	if !slices.Equal(dropped, columns) || len(seen[0]) != len(columns)+4 {
		return fmt.Errorf("the watchers saw %d events with the moves %v, want %d with %v", len(seen[0]), dropped, len(columns)+4, columns)
	}
	return nil
}

// moveAll takes both seats and makes all moves, each acknowledged before the next.
func (h *tournament) moveAll(name string, i int, id string) error {
	var tokens [2]string
	for k, side := range []gamev1.Side{gamev1.Side_SIDE_RED, gamev1.Side_SIDE_YELLOW} {
		err := h.call(i+k, func(ctx context.Context, d *daemon) error {
			r, err := d.JoinGame(ctx, &gamev1.JoinGameRequest{GameId: id, Side: side, Name: side.String(), RequestId: name + side.String()})
			tokens[k] = r.GetSeatToken()
			return err
		})
		if err != nil {
			return err
		}
	}
	for n, column := range columns {
		err := h.call(i+n, func(ctx context.Context, d *daemon) error {
			r, err := d.DropDisc(ctx, &gamev1.DropDiscRequest{GameId: id, SeatToken: tokens[n%2], Column: &column, RequestId: fmt.Sprint(name, ".", n)})
			if err == nil && len(r.Game.Moves) != n+1 {
				err = fmt.Errorf("the game has the moves %v after the %d", r.Game.Moves, n+1)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("move %d: %w", n, err)
		}
		h.moves.Add(1)
	}
	return nil
}

// watch is all events of a game, from node i and, when that fails, from the others.
func (h *tournament) watch(i int, id string) (events []*gamev1.Event, err error) {
	last := uint64(0)
	err = h.call(i, func(_ context.Context, d *daemon) error {
		if last > 0 {
			h.moved.Add(1)
		}
		// Not the context of a call, as a game takes longer.
		stream, err := d.WatchGame(h.ctx, &gamev1.WatchGameRequest{GameId: id, AfterPosition: last})
		if err != nil {
			return err
		}
		for {
			r, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			events = append(events, r.Event)
			last = r.Event.Position
		}
	})
	return events, err
}

func TestTwoNodesOnJetStreamLoseNoMoveAndNoWatcherMissesOne(t *testing.T) {
	cluster := natscluster.Start(t)
	h := &tournament{t: t, url: "nats://" + cluster.Hosts() + "/GAMES", nodes: make([]*daemon, 2), over: make(chan struct{})}
	h.enter(0)
	h.enter(1)
	// It ends what hangs; a round takes about 10 seconds.
	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(*clusterRounds)*4*time.Minute)
	defer cancel()
	h.ctx = ctx
	const tables = 4
	done := make(chan error, tables)
	for table := range tables {
		go func() { done <- h.play(table) }()
	}
	// games waits for the end of some: with all tables under way, what was done before has its effect on
	// games that had begun and on those that begin after it.
	games := func(n int) {
		for range n {
			select {
			case <-h.over:
			case err := <-done:
				t.Fatalf("a table ended: %v", err)
			}
		}
	}
	for round := range *clusterRounds {
		games(tables)
		began := time.Now()
		leader := cluster.Leader(t, "GAMES")
		cluster.Kill(t, leader)
		games(2 * tables)
		t.Logf("a leader was killed; after %v all tables had played on", time.Since(began).Round(time.Millisecond))
		cluster.Up(t, leader)

		dead := h.node(round % 2)
		if err := dead.cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = dead.cmd.Wait() // says that it was killed
		games(tables)
		h.enter(round % 2)
		games(tables)
		cluster.AwaitHealth(t)
	}
	h.ended.Store(true)
	for range tables {
		for ended := false; !ended; {
			select {
			case <-h.over:
			case err := <-done:
				if ended = true; err != nil {
					t.Error(err)
				}
			}
		}
	}
	t.Logf("%d moves acknowledged, none lost; %d calls repeated, %d watchers moved to another node", h.moves.Load(), h.again.Load(), h.moved.Load())
}
