package game_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/grpcclient"
	"github.com/seed-754044b3/roadworthy/examples/game"
	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
)

var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// service is a running instance and its clients.
type service struct {
	gamev1.GameServiceClient
	t     testing.TB
	ctx   context.Context
	base  string // of URLs
	conn  *grpc.ClientConn
	clock *clock.Virtual
	inst  *chassis.Instance
	stop  func()
	log   *buffer
	lines *buffer // of the access log
}

// start runs the service on free ports, in memory and with a virtual clock unless configure
// says otherwise.
func start(t testing.TB, configure func(*chassis.Settings, *game.Config)) *service {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // only ends what hangs
	s := &service{t: t, ctx: ctx, clock: clock.NewVirtual(began), log: &buffer{}, lines: &buffer{}}
	var err error
	s.inst, err = chassis.Start(ctx, game.Spec, func(settings *chassis.Settings, cfg *game.Config) {
		settings.AccessLog.Path = "off"
		cfg.HTTP.Addr, cfg.GRPC.Addr, cfg.Journal = "127.0.0.1:0", "127.0.0.1:0", "mem:"
		if configure != nil {
			configure(settings, cfg)
		}
	}, chassis.World{Clock: s.clock, Stderr: s.log, Stdout: s.lines})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	s.conn = dial(t, s.inst.Addr("grpc").String())
	s.GameServiceClient = gamev1.NewGameServiceClient(s.conn)
	s.base = "http://" + s.inst.Addr("http").String()
	s.stop = sync.OnceFunc(func() {
		defer cancel()
		_ = s.conn.Close()
		if err := s.inst.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(s.stop)
	return s
}

func dial(t testing.TB, addr string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// buffer is a log that may be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}

// http sends a request and returns the answer with its body.
func (s *service) http(method, path, body string, header ...string) (*http.Response, string) {
	s.t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(s.ctx, method, s.base+path, r)
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, string(all)
}

// post sends JSON and reads the answer into m.
func (s *service) post(path, body string, m proto.Message) {
	s.t.Helper()
	resp, text := s.http("POST", path, body)
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("POST %s %s: %d %s", path, body, resp.StatusCode, text)
	}
	if err := protojson.Unmarshal([]byte(text), m); err != nil {
		s.t.Fatal(err)
	}
}

// match makes a game of two people and returns it with their tokens, Red's first.
func (s *service) match(r *gamev1.CreateGameRequest) (id string, tokens [2]string) {
	s.t.Helper()
	created, err := s.CreateGame(s.ctx, r)
	if err != nil {
		s.t.Fatal(err)
	}
	id = created.Game.Id
	for i, name := range []string{"Ann", "Bob"} {
		joined, err := s.JoinGame(s.ctx, &gamev1.JoinGameRequest{GameId: id, Name: name, Side: gamev1.Side(1 + i)})
		if err != nil {
			s.t.Fatal(err)
		}
		tokens[i] = joined.SeatToken
	}
	return id, tokens
}

// play drops discs in turn, Red first.
func (s *service) play(id string, tokens [2]string, columns string) *gamev1.Game {
	s.t.Helper()
	var g *gamev1.Game
	for i, c := range columns {
		r, err := s.DropDisc(s.ctx, &gamev1.DropDiscRequest{GameId: id, SeatToken: tokens[i%2], Column: new(c - '0')})
		if err != nil {
			s.t.Fatalf("move %d of %s: %v", i+1, columns, err)
		}
		g = r.Game
	}
	return g
}

// watch is every event of a game from a position on, until it is over.
func (s *service) watch(id string, after uint64) []*gamev1.Event {
	s.t.Helper()
	stream, err := s.WatchGame(s.ctx, &gamev1.WatchGameRequest{GameId: id, AfterPosition: after})
	if err != nil {
		s.t.Fatal(err)
	}
	var all []*gamev1.Event
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			s.t.Fatalf("watch game %s: %v after %s", id, err, story(all))
		}
		all = append(all, r.Event)
	}
}

// story is what happened, in short.
func story(events []*gamev1.Event) string {
	var words []string
	for _, e := range events {
		switch w := e.What.(type) {
		case *gamev1.Event_Created_:
			words = append(words, "created")
		case *gamev1.Event_Joined_:
			words = append(words, w.Joined.Name)
		case *gamev1.Event_Dropped_:
			words = append(words, fmt.Sprint(w.Dropped.Cell.Column))
		case *gamev1.Event_Finished_:
			words = append(words, strings.ToLower(strings.TrimPrefix(w.Finished.Ending.String(), "ENDING_")))
		}
	}
	return strings.Join(words, " ")
}

func TestAGameOverGRPC(t *testing.T) {
	s := start(t, nil)
	id, tokens := s.match(&gamev1.CreateGameRequest{TurnLimit: durationpb.New(time.Minute)})
	s.clock.Advance(time.Second)
	s.play(id, tokens, "010101")
	last, err := s.DropDisc(s.ctx, &gamev1.DropDiscRequest{GameId: id, SeatToken: tokens[0], Column: new(int32(0))})
	if err != nil {
		t.Fatal(err)
	}
	if last.Cell.Column != 0 || last.Cell.Row != 3 {
		t.Errorf("the disc came to rest in %v", last.Cell)
	}
	want := &gamev1.Game{}
	err = protojson.Unmarshal([]byte(`{
		"state": "STATE_FINISHED", "ending": "ENDING_FOUR", "winner": "SIDE_RED",
		"red": {"human": {"name": "Ann"}, "taken": true}, "yellow": {"human": {"name": "Bob"}, "taken": true},
		"moves": [0, 1, 0, 1, 0, 1, 0], "turnLimit": "60s", "createdAt": "2026-03-01T12:00:00Z", "position": "12",
		"winningCells": [{"column": 0, "row": 0}, {"column": 0, "row": 1}, {"column": 0, "row": 2}, {"column": 0, "row": 3}]
	}`), want)
	if err != nil {
		t.Fatal(err)
	}
	want.Id = id
	if !proto.Equal(last.Game, want) {
		t.Errorf("the game is %v, want %v", last.Game, want)
	}
	got, err := s.GetGame(s.ctx, &gamev1.GetGameRequest{GameId: id})
	if err != nil || !proto.Equal(got.Game, want) {
		t.Errorf("GetGame: %v, %v", got, err)
	}
	list, err := s.ListGames(s.ctx, &gamev1.ListGamesRequest{State: gamev1.State_STATE_FINISHED})
	if err != nil || len(list.Games) != 1 || !proto.Equal(list.Games[0], want) || list.NextPageToken != "" {
		t.Errorf("ListGames: %v, %v", list, err)
	}
	if got := story(s.watch(id, 0)); got != "created Ann Bob 0 1 0 1 0 1 0 four" {
		t.Errorf("WatchGame: %s", got)
	}
}

func TestTheSameGameAsJSON(t *testing.T) {
	s := start(t, nil)
	var created gamev1.CreateGameResponse
	s.post("/v1/games", `{"turnLimit": "90s", "requestId": "c"}`, &created)
	path := "/v1/games/" + created.Game.Id
	if created.Game.State != gamev1.State_STATE_WAITING || created.Game.TurnLimit.AsDuration() != 90*time.Second {
		t.Errorf("the new game is %v", &created)
	}
	var again gamev1.CreateGameResponse
	if s.post("/v1/games", `{"turn_limit": "90s", "request_id": "c"}`, &again); !proto.Equal(&created, &again) {
		t.Errorf("repeated it is %v", &again)
	}
	var ann, bob gamev1.JoinGameResponse
	s.post(path+"/join", `{"name": "Ann"}`, &ann)
	s.post(path+"/join", `{"name": "Bob", "side": "SIDE_YELLOW", "gameId": "`+created.Game.Id+`"}`, &bob)
	var dropped gamev1.DropDiscResponse
	s.post(path+"/drop", `{"seatToken": "`+ann.SeatToken+`", "column": 3}`, &dropped)
	if dropped.Cell.Column != 3 || dropped.Game.Turn != gamev1.Side_SIDE_YELLOW || !dropped.Game.TurnDeadline.AsTime().Equal(began.Add(90*time.Second)) {
		t.Errorf("after a move: %v", &dropped)
	}
	var resigned gamev1.ResignResponse
	s.post(path+"/resign", `{"seatToken": "`+ann.SeatToken+`"}`, &resigned)

	_, text := s.http("GET", path, "")
	var got gamev1.GetGameResponse
	if err := protojson.Unmarshal([]byte(text), &got); err != nil || !proto.Equal(got.Game, resigned.Game) || got.Game.Winner != gamev1.Side_SIDE_YELLOW {
		t.Errorf("GET %s: %s, %v", path, text, err)
	}
	_, text = s.http("GET", "/v1/games?state=STATE_FINISHED&pageSize=1", "")
	var list gamev1.ListGamesResponse
	if err := protojson.Unmarshal([]byte(text), &list); err != nil || len(list.Games) != 1 || !proto.Equal(list.Games[0], got.Game) {
		t.Errorf("GET /v1/games: %s, %v", text, err)
	}
	// A game can also be made without a body; what is zero is said.
	s.post("/v1/games", "", &created)
	_, text = s.http("GET", "/v1/games/"+created.Game.Id, "")
	for _, want := range []string{`"moves":[]`, `"turn":"SIDE_UNSPECIFIED"`, `"taken":false`} {
		if !strings.Contains(strings.ReplaceAll(text, " ", ""), want) {
			t.Errorf("%s does not say %s", text, want)
		}
	}
	if resp, _ := s.http("HEAD", path, ""); resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("HEAD gives %v", resp)
	}
}

func TestPagesOfGames(t *testing.T) {
	s := start(t, nil)
	var ids []string
	for range 5 {
		created, err := s.CreateGame(s.ctx, &gamev1.CreateGameRequest{})
		if err != nil {
			t.Fatal(err)
		}
		ids = append([]string{created.Game.Id}, ids...)
	}
	var got []string
	for token := ""; ; {
		_, text := s.http("GET", "/v1/games?page_size=2&state=STATE_WAITING&page_token="+token, "")
		var page gamev1.ListGamesResponse
		if err := protojson.Unmarshal([]byte(text), &page); err != nil {
			t.Fatal(text, err)
		}
		for _, g := range page.Games {
			got = append(got, g.Id)
		}
		if token = page.NextPageToken; token == "" {
			break
		}
	}
	if !slices.Equal(got, ids) {
		t.Errorf("the pages have %v, want %v", got, ids)
	}
}

func TestBotsPlayEachOther(t *testing.T) {
	s := start(t, nil)
	for _, strength := range []gamev1.Strength{1, 2, 3} {
		created, err := s.CreateGame(s.ctx, &gamev1.CreateGameRequest{
			RedBot: &gamev1.Bot{Strength: strength}, YellowBot: &gamev1.Bot{Strength: gamev1.Strength_STRENGTH_EASY},
		})
		if err != nil {
			t.Fatal(err)
		}
		events := s.watch(created.Game.Id, 0)
		if got := story(events); !strings.HasSuffix(got, " four") && !strings.HasSuffix(got, " draw") {
			t.Errorf("%v against easy: %s", strength, got)
		}
		if events[0].GetCreated().Red.GetBot().Strength != strength {
			t.Errorf("the first event is %v", events[0])
		}
	}
}

func TestTurnsAreTimed(t *testing.T) {
	s := start(t, nil)
	id, tokens := s.match(&gamev1.CreateGameRequest{TurnLimit: durationpb.New(30 * time.Second)})
	s.play(id, tokens, "3")
	s.clock.Advance(30 * time.Second)
	events := s.watch(id, 0)
	end := events[len(events)-1]
	if f := end.GetFinished(); f.GetEnding() != gamev1.Ending_ENDING_TIMEOUT || f.Winner != gamev1.Side_SIDE_RED || !end.Time.AsTime().Equal(began.Add(30*time.Second)) {
		t.Errorf("the last event is %v", end)
	}
}

func TestTheDocumentAndThePage(t *testing.T) {
	s := start(t, nil)
	resp, text := s.http("GET", "/openapi.json", "")
	var doc struct {
		Swagger string
		Info    struct{ Title, Version string }
		Paths   map[string]map[string]any
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil || doc.Swagger != "2.0" || doc.Info.Title != "Game" || resp.Header.Get("Content-Type") != "application/json" {
		t.Errorf("the OpenAPI document is %.100s, %v", text, err)
	}
	description, err := s.inst.Service().Description()
	if err != nil {
		t.Fatal(err)
	}
	routes := description.Listeners[slices.IndexFunc(description.Listeners, func(l chassis.ListenerDescription) bool { return l.Name == "http" })].Routes
	for path, methods := range doc.Paths {
		for method := range methods {
			if !slices.Contains(routes, strings.ToUpper(method)+" "+strings.ReplaceAll(path, "{gameId}", "{game_id}")) {
				t.Errorf("%s %s is in the document and no route", method, path)
			}
		}
	}
	_, page := s.http("GET", "/", "")
	for _, route := range routes {
		method, path, _ := strings.Cut(route, " ")
		if path != "/{$}" && !strings.Contains(page, fmt.Sprintf("%-4s %s ", method, path)) {
			t.Errorf("the page does not say that there is %s", route)
		}
	}
}

func TestFiguresAreShown(t *testing.T) {
	s := start(t, nil)
	id, tokens := s.match(&gamev1.CreateGameRequest{})
	s.play(id, tokens, "0101010")
	if _, err := s.CreateGame(s.ctx, &gamev1.CreateGameRequest{}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ListGames(s.ctx, &gamev1.ListGamesRequest{}); err != nil {
		t.Fatal(err)
	}
	families, err := s.inst.Service().Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			got[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	for name, want := range map[string]float64{"game_open_games": 1, "game_watchers": 0, "game_finished_games four": 1, "game_finished_games draw": 0,
		"games_started_total": 2, "games_ended_total four": 1, "games_ended_total draw": 0} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v, %v, want %v", name, v, ok, want)
		}
	}
}

// failureOf is what the service says of a failed call.
func failureOf(err error) grpcclient.Failure {
	f, _ := grpcclient.FailureOf(err)
	return f
}

// problemOf is what the service says in an answer.
func problemOf(t testing.TB, text string) failure.Problem {
	t.Helper()
	var p failure.Problem
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatalf("%s is no problem document: %v", text, err)
	}
	return p
}
