//go:build linux

package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/grpcclient"
	"github.com/seed-754044b3/roadworthy/chassis/reload"
	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
)

var reloads = flag.Int("reloads", 4, "how often the daemon is reloaded under games")

const (
	tables          = 50
	watchersAtTable = 4 // two by gRPC, two by Server-Sent Events
)

// TestGamesGoOnOverReloads plays at all tables all the time, game after game, with watchers who
// continue where a stream ended. Nobody tries a request again.
func TestGamesGoOnOverReloads(t *testing.T) {
	dir := t.TempDir()
	d := launch(t, "-journal", "file:"+filepath.Join(dir, "games.db"), "-admin.addr", "127.0.0.1:0")
	run := d.runDir()
	h := &hall{t: t, d: d, stop: make(chan struct{})}
	var playing sync.WaitGroup
	for i := range tables {
		playing.Go(func() { h.play(i) })
	}
	for i := range *reloads {
		before := h.events.Load()
		for h.events.Load() < before+200 && !t.Failed() {
			time.Sleep(time.Millisecond)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		o, _, err := reload.Ask(ctx, run, reload.CommandReload)
		cancel()
		if err != nil || o.Error != "" {
			t.Fatalf("reload %d: %+v, %v", i, o, err)
		}
	}
	close(h.stop)
	playing.Wait()
	if searched := uint64(d.metric("game_bot_searches_total")); searched != h.botMoves.Load() {
		t.Errorf("bots searched for %d moves and made %d", searched, h.botMoves.Load())
	}
	t.Logf("%d reloads, %d games, %d events, each seen once by %d watchers, %d moves of bots, streams opened again %d times",
		*reloads, h.games.Load(), h.events.Load(), watchersAtTable, h.botMoves.Load(), h.reopened.Load())
	d.stop(syscall.SIGTERM)
}

// hall is where the games are played.
type hall struct {
	t    *testing.T
	d    *daemon
	stop chan struct{}

	games, events, botMoves, reopened atomic.Uint64
}

// play plays at one table until the hall closes. At every fifth, bots play each other.
func (h *hall) play(table int) {
	conn, err := grpc.NewClient(h.d.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableRetry())
	if err != nil {
		h.t.Error(err)
		return
	}
	defer conn.Close()
	client := gamev1.NewGameServiceClient(conn)
	for n := 0; !h.t.Failed(); n++ {
		select {
		case <-h.stop:
			return
		default:
		}
		if err := h.game(client, table, n); err != nil {
			h.t.Errorf("table %d, game %d: %v", table, n, err)
		}
	}
}

var easy = &gamev1.Bot{Strength: gamev1.Strength_STRENGTH_EASY}

func (h *hall) game(client gamev1.GameServiceClient, table, n int) error {
	ctx, cancel := context.WithTimeout(h.t.Context(), 2*time.Minute)
	defer cancel()
	request := &gamev1.CreateGameRequest{YellowBot: easy, RequestId: fmt.Sprintf("table-%d-%d", table, n)}
	human := table%5 != 0
	if !human {
		request.RedBot = easy
	}
	created, err := client.CreateGame(ctx, request)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	h.games.Add(1)
	id := created.Game.Id
	var watching sync.WaitGroup
	seen := make([][]uint64, watchersAtTable)
	errs := make([]error, watchersAtTable)
	for i := range seen {
		watching.Go(func() {
			if i%2 == 0 {
				seen[i], errs[i] = h.watchGRPC(ctx, client, id)
			} else {
				seen[i], errs[i] = h.watchSSE(ctx, id)
			}
		})
	}
	var played error
	if human {
		played = playRed(ctx, client, id)
	}
	if played != nil {
		cancel()
	}
	watching.Wait()
	if err := errors.Join(append(errs, played)...); err != nil {
		return err
	}
	whole, err := h.whole(ctx, client, id, human)
	if err != nil {
		return fmt.Errorf("the whole game: %w", err)
	}
	for i := range seen {
		if !slices.Equal(seen[i], whole) {
			return fmt.Errorf("watcher %d saw %v, the journal has %v", i, seen[i], whole)
		}
	}
	return nil
}

// playRed joins and moves when it is red's turn.
func playRed(ctx context.Context, client gamev1.GameServiceClient, id string) error {
	joined, err := client.JoinGame(ctx, &gamev1.JoinGameRequest{GameId: id, Side: gamev1.Side_SIDE_RED, Name: "ann", RequestId: "join"})
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	for move := 0; ; {
		got, err := client.GetGame(ctx, &gamev1.GetGameRequest{GameId: id})
		if err != nil {
			return fmt.Errorf("get: %w", err)
		}
		switch g := got.Game; {
		case g.State == gamev1.State_STATE_FINISHED:
			return nil
		case g.Turn != gamev1.Side_SIDE_RED:
			time.Sleep(2 * time.Millisecond) // the pace of the player
			continue
		case len(g.Moves) != 2*move:
			return fmt.Errorf("before red's move %d there are %d moves: one was lost", move, len(g.Moves))
		default:
			column := free(g.Moves)
			if _, err := client.DropDisc(ctx, &gamev1.DropDiscRequest{
				GameId: id, SeatToken: joined.SeatToken, Column: &column, RequestId: fmt.Sprint("move-", move),
			}); err != nil {
				return fmt.Errorf("move %d: %w", move, err)
			}
			move++
		}
	}
}

// free is a column that is not full.
func free(moves []int32) int32 {
	var height [7]int
	for _, c := range moves {
		height[c]++
	}
	for {
		if c := rand.Int32N(7); height[c] < 6 {
			return c
		}
	}
}

// watchGRPC returns the positions of all events of a game that a watcher sees who goes on where a
// stream has ended because the service moves.
func (h *hall) watchGRPC(ctx context.Context, client gamev1.GameServiceClient, id string) (seen []uint64, err error) {
	var after uint64
	for {
		stream, err := client.WatchGame(ctx, &gamev1.WatchGameRequest{GameId: id, AfterPosition: after})
		if err != nil {
			return seen, fmt.Errorf("watch: %w", err)
		}
		for {
			r, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return seen, nil
			}
			if f, ok := grpcclient.FailureOf(err); ok && f.Set == failure.Draining.Set() && f.Code == failure.Draining.Number() {
				h.reopened.Add(1)
				break
			}
			if err != nil {
				return seen, fmt.Errorf("watch: %w", err)
			}
			after = r.Event.Position
			seen = append(seen, after)
			h.events.Add(1)
		}
	}
}

// watchSSE is watchGRPC over HTTP, on a connection that is kept between two streams.
func (h *hall) watchSSE(ctx context.Context, id string) (seen []uint64, err error) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	last := ""
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+h.d.http+"/v1/games/"+id+"/events", nil)
		if err != nil {
			return nil, err
		}
		if last != "" {
			req.Header.Set("Last-Event-ID", last)
		}
		res, err := client.Do(req)
		if err != nil {
			return seen, fmt.Errorf("events: %w", err)
		}
		over, err := h.frames(res, func(id string, position uint64) { last, seen = id, append(seen, position) })
		if err != nil || over {
			return seen, err
		}
		h.reopened.Add(1)
	}
}

// frames reads a stream to its end, and reports whether the game is over.
func (h *hall) frames(res *http.Response, event func(id string, position uint64)) (over bool, err error) {
	defer res.Body.Close()
	if res.StatusCode == http.StatusNoContent {
		return true, nil // there is nothing after the last event
	}
	if res.StatusCode != http.StatusOK {
		return false, fmt.Errorf("events: status %s", res.Status)
	}
	lines := bufio.NewScanner(res.Body)
	for id, kind := "", ""; lines.Scan(); {
		switch key, value, _ := strings.Cut(lines.Text(), ": "); key {
		case "id":
			id = value
		case "event":
			kind = value
			over = over || kind == "finished"
		case "data":
			if kind == "moving" {
				continue
			}
			position, err := strconv.ParseUint(id, 10, 64)
			if err != nil {
				return over, fmt.Errorf("events: %w", err)
			}
			event(id, position)
			h.events.Add(1)
		}
	}
	return over, lines.Err()
}

// whole reads a game that is over from its beginning, and counts the moves of its bots.
func (h *hall) whole(ctx context.Context, client gamev1.GameServiceClient, id string, human bool) (positions []uint64, err error) {
	for after := uint64(0); ; h.reopened.Add(1) {
		stream, err := client.WatchGame(ctx, &gamev1.WatchGameRequest{GameId: id, AfterPosition: after})
		if err != nil {
			return nil, err
		}
		for err == nil {
			var r *gamev1.WatchGameResponse
			if r, err = stream.Recv(); err == nil {
				after = r.Event.Position
				positions = append(positions, after)
				if m := r.Event.GetDropped(); m != nil && (!human || m.Side == gamev1.Side_SIDE_YELLOW) {
					h.botMoves.Add(1)
				}
			}
		}
		if errors.Is(err, io.EOF) {
			return positions, nil
		}
		if f, ok := grpcclient.FailureOf(err); !ok || f.Code != failure.Draining.Number() {
			return nil, err
		}
	}
}

// runDir is the daemon's run directory.
func (d *daemon) runDir() string {
	for _, kv := range d.cmd.Env {
		if dir, ok := strings.CutPrefix(kv, "GAME_RUN_DIR="); ok {
			return dir
		}
	}
	return ""
}

// metric reads a figure without labels from the admin listener.
func (d *daemon) metric(name string) float64 {
	d.t.Helper()
	res, err := http.Get("http://" + d.admin() + "/metrics")
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				d.t.Fatal(err)
			}
			return n
		}
	}
	d.t.Fatalf("no metric %s", name)
	return 0
}

// admin is the address of the admin listener, from the log.
func (d *daemon) admin() string {
	d.stderr.mu.Lock()
	defer d.stderr.mu.Unlock()
	for _, text := range d.stderr.all {
		var line struct{ Listener, Addr string }
		if json.Unmarshal([]byte(text), &line) == nil && line.Listener == "admin" {
			return line.Addr
		}
	}
	d.t.Fatal("the log names no admin listener")
	return ""
}
