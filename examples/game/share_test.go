package game_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/examples/game"
	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
)

// on has a service keep its games in a file.
func on(path string) func(*chassis.Settings, *game.Config) {
	return func(_ *chassis.Settings, cfg *game.Config) { cfg.Journal = "file:" + path }
}

func TestTwoServicesShareOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "games.db")
	a, b := start(t, on(path)), start(t, on(path))
	created, err := a.CreateGame(a.ctx, &gamev1.CreateGameRequest{RequestId: "one"})
	if err != nil {
		t.Fatal(err)
	}
	again, err := b.CreateGame(b.ctx, &gamev1.CreateGameRequest{RequestId: "one"})
	if err != nil || !proto.Equal(created, again) {
		t.Fatalf("the same wish elsewhere gives %v, %v, want %v", again, err, created)
	}
	id := created.Game.Id
	seen := make(chan string, 2)
	for _, s := range []*service{a, b} {
		go func() { seen <- story(s.watch(id, 0)) }()
	}
	ann, err := a.JoinGame(a.ctx, &gamev1.JoinGameRequest{GameId: id, Name: "Ann", RequestId: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	annAgain, err := b.JoinGame(b.ctx, &gamev1.JoinGameRequest{GameId: id, Name: "Ann", RequestId: "ann"})
	if err != nil || !proto.Equal(ann, annAgain) {
		t.Fatalf("joining again elsewhere gives %v, %v, want %v", annAgain, err, ann)
	}
	bob, err := b.JoinGame(b.ctx, &gamev1.JoinGameRequest{GameId: id, Name: "Bob"})
	if err != nil {
		t.Fatal(err)
	}
	for i, column := range []int32{0, 1, 0, 1, 0, 1, 0} {
		s := []*service{b, a}[i%2]
		_, err := s.DropDisc(s.ctx, &gamev1.DropDiscRequest{GameId: id, SeatToken: []string{ann.SeatToken, bob.SeatToken}[i%2], Column: new(column)})
		if err != nil {
			t.Fatalf("move %d: %v", i+1, err)
		}
	}
	for range 2 {
		if got := <-seen; got != "created Ann Bob 0 1 0 1 0 1 0 four" {
			t.Errorf("a watcher saw %s", got)
		}
	}
	list, err := b.ListGames(b.ctx, &gamev1.ListGamesRequest{})
	if err != nil || len(list.Games) != 1 || list.Games[0].State != gamev1.State_STATE_FINISHED {
		t.Errorf("the list elsewhere is %v, %v", list, err)
	}
}

func TestBotsOfTwoServicesMoveOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "games.db")
	a, b := start(t, on(path)), start(t, on(path))
	created, err := a.CreateGame(a.ctx, &gamev1.CreateGameRequest{
		RedBot: &gamev1.Bot{Strength: gamev1.Strength_STRENGTH_EASY}, YellowBot: &gamev1.Bot{Strength: gamev1.Strength_STRENGTH_MEDIUM},
	})
	if err != nil {
		t.Fatal(err)
	}
	one, other := story(a.watch(created.Game.Id, 0)), story(b.watch(created.Game.Id, 0))
	if one != other || strings.Count(one, " ") > 43 {
		t.Errorf("one service saw %s, the other %s", one, other)
	}
}

func TestGamesBotsAndTimersSurviveARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "games.db")
	s := start(t, on(path))
	id, tokens := s.match(&gamev1.CreateGameRequest{TurnLimit: durationpb.New(time.Minute)})
	played := s.play(id, tokens, "34")
	bots, err := s.CreateGame(s.ctx, &gamev1.CreateGameRequest{RedBot: &gamev1.Bot{Strength: 1}, YellowBot: &gamev1.Bot{Strength: 1}})
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := s.CreateGame(s.ctx, &gamev1.CreateGameRequest{RequestId: "waiting"})
	if err != nil {
		t.Fatal(err)
	}
	s.stop()

	s = start(t, on(path))
	got, err := s.GetGame(s.ctx, &gamev1.GetGameRequest{GameId: id})
	if err != nil || !proto.Equal(got.Game, played) {
		t.Errorf("the game is %v, %v, want %v", got, err, played)
	}
	if again, err := s.CreateGame(s.ctx, &gamev1.CreateGameRequest{RequestId: "waiting"}); err != nil || !proto.Equal(again, waiting) {
		t.Errorf("a repeated wish gives %v, %v, want %v", again, err, waiting)
	}
	if got := story(s.watch(bots.Game.Id, 0)); !strings.HasSuffix(got, " four") && !strings.HasSuffix(got, " draw") {
		t.Errorf("the bots' game was %s", got)
	}
	s.play(id, tokens, "3")
	s.clock.Advance(time.Minute)
	if got := story(s.watch(id, 0)); !strings.HasSuffix(got, "3 4 3 timeout") {
		t.Errorf("the game was %s", got)
	}
}

func TestAServiceThatCannotStartSaysWhy(t *testing.T) {
	for name, tt := range map[string]struct {
		configure func(*game.Config)
		want      string
	}{
		"no journal":          {func(cfg *game.Config) { cfg.Journal = "" }, "journal"},
		"an unknown journal":  {func(cfg *game.Config) { cfg.Journal = "tape:7" }, "tape"},
		"no workers":          {func(cfg *game.Config) { cfg.Bots.Workers = -1 }, "bots.workers"},
		"no place":            {func(cfg *game.Config) { cfg.Bots.Capacity = -1 }, "bots.capacity"},
		"no games":            {func(cfg *game.Config) { cfg.Limits.OpenGames = -1 }, "limits.open_games"},
		"an address too many": {func(cfg *game.Config) { cfg.GRPC.Addr = "127.0.0.1:99999" }, "grpc.addr"},
		"no such interface":   {func(cfg *game.Config) { cfg.HTTP.Addr = "192.0.2.1:80" }, "192.0.2.1:80"},
	} {
		_, err := chassis.Start(t.Context(), game.Spec, func(settings *chassis.Settings, cfg *game.Config) {
			settings.AccessLog.Path = "off"
			cfg.HTTP.Addr, cfg.GRPC.Addr, cfg.Journal = "127.0.0.1:0", "127.0.0.1:0", "mem:"
			tt.configure(cfg)
		}, chassis.World{Stderr: &buffer{}})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, tt.want)
		}
	}
	if _, err := chassis.Start(t.Context(), game.Spec, func(settings *chassis.Settings, cfg *game.Config) {
		settings.AccessLog.Path = "off"
		cfg.Journal = "mem:"
	}, chassis.World{Stderr: &buffer{}, Rand: brokenRand{}}); err == nil || !strings.Contains(err.Error(), "no chance") {
		t.Errorf("without randomness: %v", err)
	}
}

type brokenRand struct{}

func (brokenRand) Read([]byte) (int, error) { return 0, errors.New("no chance") }
