package game_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/examples/game"
	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
)

// scene is what the refusals happen in.
type scene struct {
	*service
	running string    // column 3 is full and it is Red's turn
	tokens  [2]string // of the running game
	waiting string    // Ann sits on Red
	ann     string    // her token
	over    string
	won     [2]string // tokens of the game that is over
}

func newScene(t testing.TB) *scene {
	s := &scene{service: start(t, func(settings *chassis.Settings, cfg *game.Config) {
		settings.AccessLog.Path, settings.AccessLog.Format = "-", "%>s code=%{failure}x id=%{error_id}x"
		cfg.Limits.OpenGames, cfg.Limits.WatchersPerGame = 3, 1
	})}
	s.running, s.tokens = s.match(&gamev1.CreateGameRequest{})
	s.play(s.running, s.tokens, "333333")
	s.over, s.won = s.match(&gamev1.CreateGameRequest{})
	s.play(s.over, s.won, "0101010")
	created, err := s.CreateGame(s.ctx, &gamev1.CreateGameRequest{RequestId: "created"})
	if err != nil {
		t.Fatal(err)
	}
	s.waiting = created.Game.Id
	joined, err := s.JoinGame(s.ctx, &gamev1.JoinGameRequest{GameId: s.waiting, Name: "Ann", Side: 1, RequestId: "joined"})
	if err != nil {
		t.Fatal(err)
	}
	s.ann = joined.SeatToken
	return s
}

// full fills the place that is left for open games.
func (s *scene) full() {
	if _, err := s.CreateGame(s.ctx, &gamev1.CreateGameRequest{}); err != nil {
		s.t.Fatal(err)
	}
}

const (
	zeros     = "00000000000000000000000000"
	notFound  = http.StatusNotFound
	malformed = http.StatusBadRequest
	conflict  = http.StatusConflict
)

// refusals are the requests that are refused, whatever protocol they come by, and with what.
var refusals = []struct {
	name    string
	request func(s *scene) proto.Message
	code    int
	grpc    codes.Code
	http    int
	args    string // what the answer says beside the message
}{
	{"an unknown game", func(*scene) proto.Message { return &gamev1.GetGameRequest{GameId: zeros} }, 1001, codes.NotFound, notFound, ""},
	{"an id that no game can have", func(*scene) proto.Message { return &gamev1.GetGameRequest{GameId: "1"} }, 1001, codes.NotFound, notFound, ""},
	{"a move in an unknown game", func(s *scene) proto.Message {
		return &gamev1.DropDiscRequest{GameId: zeros, SeatToken: s.tokens[0], Column: new(int32(0))}
	}, 1001, codes.NotFound, notFound, ""},
	{"joining an unknown game", func(*scene) proto.Message { return &gamev1.JoinGameRequest{GameId: zeros, Name: "Eve"} }, 1001, codes.NotFound, notFound, ""},
	{"resigning an unknown game", func(*scene) proto.Message { return &gamev1.ResignRequest{GameId: zeros} }, 1001, codes.NotFound, notFound, ""},
	{"watching an unknown game", func(*scene) proto.Message { return &gamev1.WatchGameRequest{GameId: zeros} }, 1001, codes.NotFound, notFound, ""},

	{"no name", func(s *scene) proto.Message { return &gamev1.JoinGameRequest{GameId: s.waiting} }, 1002, codes.InvalidArgument, malformed, "name="},
	{"a name of 41 characters", func(s *scene) proto.Message {
		return &gamev1.JoinGameRequest{GameId: s.waiting, Name: strings.Repeat("é", 41)}
	}, 1002, codes.InvalidArgument, malformed, ""},
	{"a turn limit of no time", func(*scene) proto.Message { return &gamev1.CreateGameRequest{TurnLimit: &durationpb.Duration{}} }, 1003, codes.InvalidArgument, malformed, "turn_limit=0s"},
	{"a negative turn limit", func(*scene) proto.Message {
		return &gamev1.CreateGameRequest{TurnLimit: durationpb.New(-time.Second)}
	}, 1003, codes.InvalidArgument, malformed, "turn_limit=-1s"},
	{"a turn limit of 8 days", func(*scene) proto.Message {
		return &gamev1.CreateGameRequest{TurnLimit: durationpb.New(8 * 24 * time.Hour)}
	}, 1003, codes.InvalidArgument, malformed, "turn_limit=192h0m0s"},
	{"a bot of no strength", func(*scene) proto.Message { return &gamev1.CreateGameRequest{RedBot: &gamev1.Bot{}} }, 1004, codes.InvalidArgument, malformed, ""},
	{"a bot of unknown strength", func(*scene) proto.Message { return &gamev1.CreateGameRequest{YellowBot: &gamev1.Bot{Strength: 9}} }, 1004, codes.InvalidArgument, malformed, ""},
	{"an unknown side", func(s *scene) proto.Message {
		return &gamev1.JoinGameRequest{GameId: s.waiting, Name: "Eve", Side: -1}
	}, 1005, codes.InvalidArgument, malformed, ""},
	{"a request id of 65 characters", func(*scene) proto.Message {
		return &gamev1.CreateGameRequest{RequestId: strings.Repeat("r", 65)}
	}, 1006, codes.InvalidArgument, malformed, ""},
	{"a request id that cannot be printed", func(s *scene) proto.Message {
		return &gamev1.DropDiscRequest{GameId: s.running, SeatToken: s.tokens[0], RequestId: "a\x00b", Column: new(int32(0))}
	}, 1006, codes.InvalidArgument, malformed, ""},
	{"a page of 101 games", func(*scene) proto.Message { return &gamev1.ListGamesRequest{PageSize: 101} }, 1008, codes.InvalidArgument, malformed, "page_size=101"},
	{"a huge page", func(*scene) proto.Message { return &gamev1.ListGamesRequest{PageSize: 1<<31 - 1} }, 1008, codes.InvalidArgument, malformed, "page_size=2147483647"},
	{"a page of fewer than no games", func(*scene) proto.Message { return &gamev1.ListGamesRequest{PageSize: -1} }, 1008, codes.InvalidArgument, malformed, "page_size=-1"},
	{"a page token that was made up", func(*scene) proto.Message { return &gamev1.ListGamesRequest{PageToken: "next"} }, 1009, codes.InvalidArgument, malformed, ""},
	{"a request id of another game", func(*scene) proto.Message {
		return &gamev1.CreateGameRequest{RequestId: "created", RedBot: &gamev1.Bot{Strength: 1}}
	}, 1010, codes.AlreadyExists, conflict, ""},
	{"a request id of another wish", func(s *scene) proto.Message {
		return &gamev1.JoinGameRequest{GameId: s.waiting, Name: "Eve", RequestId: "joined"}
	}, 1010, codes.AlreadyExists, conflict, ""},

	{"one open game too many", func(s *scene) proto.Message { s.full(); return &gamev1.CreateGameRequest{} }, 1020, codes.Unavailable, 503, "limit=3"},
	{"a seat that is taken", func(s *scene) proto.Message {
		return &gamev1.JoinGameRequest{GameId: s.waiting, Name: "Eve", Side: gamev1.Side_SIDE_RED}
	}, 1021, codes.FailedPrecondition, conflict, "side=red"},
	{"any seat where none is open", func(s *scene) proto.Message { return &gamev1.JoinGameRequest{GameId: s.running, Name: "Eve"} }, 1021, codes.FailedPrecondition, conflict, "side=yellow"},
	{"joining a game that is over", func(s *scene) proto.Message { return &gamev1.JoinGameRequest{GameId: s.over, Name: "Eve"} }, 1044, codes.FailedPrecondition, conflict, "ending=four"},
	{"a position from the future", func(s *scene) proto.Message {
		return &gamev1.WatchGameRequest{GameId: s.running, AfterPosition: 1 << 60}
	}, 1022, codes.OutOfRange, malformed, "after_position=1152921504606846976"},
	{"a position after the end", func(s *scene) proto.Message {
		return &gamev1.WatchGameRequest{GameId: s.over, AfterPosition: 1<<64 - 1}
	}, 1022, codes.OutOfRange, malformed, "after_position=18446744073709551615"},
	{"one watcher too many", func(s *scene) proto.Message {
		first, err := s.WatchGame(s.ctx, &gamev1.WatchGameRequest{GameId: s.running})
		if err == nil {
			_, err = first.Recv()
		}
		if err != nil {
			s.t.Fatal(err)
		}
		return &gamev1.WatchGameRequest{GameId: s.running}
	}, 1023, codes.ResourceExhausted, 429, ""},

	{"a move without a column", func(s *scene) proto.Message {
		return &gamev1.DropDiscRequest{GameId: s.running, SeatToken: s.tokens[0]}
	}, 1043, codes.InvalidArgument, 400, "column=missing"},
	{"a move without token", func(s *scene) proto.Message { return &gamev1.DropDiscRequest{GameId: s.running, Column: new(int32(0))} }, 1030, codes.Unauthenticated, 401, ""},
	{"resigning without token", func(s *scene) proto.Message { return &gamev1.ResignRequest{GameId: s.running} }, 1030, codes.Unauthenticated, 401, ""},
	{"the token of another game", func(s *scene) proto.Message {
		return &gamev1.DropDiscRequest{GameId: s.running, SeatToken: s.won[0], Column: new(int32(0))}
	}, 1031, codes.PermissionDenied, 403, ""},
	{"a token that is no token", func(s *scene) proto.Message {
		return &gamev1.ResignRequest{GameId: s.running, SeatToken: strings.Repeat("x", 1000)}
	}, 1031, codes.PermissionDenied, 403, ""},
	{"a move before the other one came", func(s *scene) proto.Message {
		return &gamev1.DropDiscRequest{GameId: s.waiting, SeatToken: s.ann, Column: new(int32(0))}
	}, 1040, codes.FailedPrecondition, conflict, ""},
	{"resigning before the other one came", func(s *scene) proto.Message {
		return &gamev1.ResignRequest{GameId: s.waiting, SeatToken: s.ann}
	}, 1040, codes.FailedPrecondition, conflict, ""},
	{"a move out of turn", func(s *scene) proto.Message {
		return &gamev1.DropDiscRequest{GameId: s.running, SeatToken: s.tokens[1], Column: new(int32(0))}
	}, 1041, codes.FailedPrecondition, conflict, "turn=red"},
	{"a column that is full", func(s *scene) proto.Message {
		return &gamev1.DropDiscRequest{GameId: s.running, SeatToken: s.tokens[0], Column: new(int32(3))}
	}, 1042, codes.FailedPrecondition, conflict, "column=3"},
	{"column 7", func(s *scene) proto.Message {
		return &gamev1.DropDiscRequest{GameId: s.running, SeatToken: s.tokens[0], Column: new(int32(7))}
	}, 1043, codes.InvalidArgument, malformed, "column=7"},
	{"column -1", func(s *scene) proto.Message {
		return &gamev1.DropDiscRequest{GameId: s.running, SeatToken: s.tokens[0], Column: new(int32(-1))}
	}, 1043, codes.InvalidArgument, malformed, "column=-1"},
	{"a move after the end", func(s *scene) proto.Message {
		return &gamev1.DropDiscRequest{GameId: s.over, SeatToken: s.won[1], Column: new(int32(0))}
	}, 1044, codes.FailedPrecondition, conflict, "ending=four"},
	{"resigning after the end", func(s *scene) proto.Message {
		return &gamev1.ResignRequest{GameId: s.over, SeatToken: s.won[1]}
	}, 1044, codes.FailedPrecondition, conflict, "ending=four"},
}

// call sends any request over gRPC.
func (s *scene) call(m proto.Message) error {
	var err error
	switch r := m.(type) {
	case *gamev1.CreateGameRequest:
		_, err = s.CreateGame(s.ctx, r)
	case *gamev1.JoinGameRequest:
		_, err = s.JoinGame(s.ctx, r)
	case *gamev1.DropDiscRequest:
		_, err = s.DropDisc(s.ctx, r)
	case *gamev1.ResignRequest:
		_, err = s.Resign(s.ctx, r)
	case *gamev1.GetGameRequest:
		_, err = s.GetGame(s.ctx, r)
	case *gamev1.ListGamesRequest:
		_, err = s.ListGames(s.ctx, r)
	case *gamev1.WatchGameRequest:
		var stream grpc.ServerStreamingClient[gamev1.WatchGameResponse]
		if stream, err = s.WatchGame(s.ctx, r); err == nil {
			_, err = stream.Recv()
		}
	}
	return err
}

// send sends any request over HTTP.
func (s *scene) send(m proto.Message) (*http.Response, string) {
	body, err := protojson.Marshal(m)
	if err != nil {
		s.t.Fatal(err)
	}
	switch r := m.(type) {
	case *gamev1.CreateGameRequest:
		return s.http("POST", "/v1/games", string(body))
	case *gamev1.JoinGameRequest:
		return s.http("POST", "/v1/games/"+r.GameId+"/join", string(body))
	case *gamev1.DropDiscRequest:
		return s.http("POST", "/v1/games/"+r.GameId+"/drop", string(body))
	case *gamev1.ResignRequest:
		return s.http("POST", "/v1/games/"+r.GameId+"/resign", string(body))
	case *gamev1.GetGameRequest:
		return s.http("GET", "/v1/games/"+r.GameId, "")
	case *gamev1.ListGamesRequest:
		return s.http("GET", fmt.Sprintf("/v1/games?state=%d&page_size=%d&page_token=%s", r.State, r.PageSize, r.PageToken), "")
	case *gamev1.WatchGameRequest:
		return s.http("GET", fmt.Sprintf("/v1/games/%s/events?after_position=%d", r.GameId, r.AfterPosition), "")
	}
	panic("unreachable")
}

// counts are how often each failure was counted, by number and, with the class that it was counted under, by
// both.
func (s *service) counts() map[string]float64 {
	s.t.Helper()
	families, err := s.inst.Service().Registry().Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "failure_total" {
			continue
		}
		for _, m := range f.Metric {
			labels := map[string]string{}
			for _, l := range m.Label {
				labels[l.GetName()] = l.GetValue()
			}
			n := m.GetCounter().GetValue()
			counts[labels["code"]] += n
			counts[labels["code"]+" "+labels["class"]] = n
		}
	}
	return counts
}

func TestBadRequestsAreRefusedInBothProtocols(t *testing.T) {
	for _, tt := range refusals {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(t)
			m := tt.request(s)
			var before []*gamev1.Game
			for _, id := range []string{s.running, s.waiting, s.over} {
				r, err := s.GetGame(s.ctx, &gamev1.GetGameRequest{GameId: id})
				if err != nil {
					t.Fatal(err)
				}
				before = append(before, r.Game)
			}

			f := failureOf(s.call(m))
			if f.Set != "game" || f.Code != tt.code || f.Status != tt.grpc || f.ID == "" || !strings.Contains(f.Message, tt.args) {
				t.Errorf("over gRPC: %+v, want %v and code %d with %q", f, tt.grpc, tt.code, tt.args)
			}
			resp, text := s.send(m)
			p := problemOf(t, text)
			if resp.StatusCode != tt.http || p.Status != tt.http || p.Code != tt.code || p.Set != "game" || p.ID == "" || !strings.Contains(p.Detail, tt.args) ||
				resp.Header.Get("Content-Type") != failure.ContentType || resp.Header.Get("X-Request-Id") == "" {
				t.Errorf("over HTTP: %d %v %s, want %d and code %d with %q", resp.StatusCode, resp.Header, text, tt.http, tt.code, tt.args)
			}
			if p.Retryable != f.Retryable || (resp.Header.Get("Retry-After") != "") != (f.RetryAfter > 0) {
				t.Errorf("one says to try again after %q, the other %v (%v)", resp.Header.Get("Retry-After"), f.RetryAfter, f.Retryable)
			}
			if tt.http == 401 && resp.Header.Get("WWW-Authenticate") == "" {
				t.Errorf("the answer does not say how to authenticate: %v", resp.Header)
			}
			for _, id := range []string{p.ID, f.ID} {
				if !strings.Contains(s.log.String(), id) {
					t.Errorf("the log does not tell of error %s", id)
				}
			}
			code := declared(tt.code)
			if code == nil || p.Class != code.Class() || f.Class != code.Class() {
				t.Fatalf("the class is %v over HTTP, %v over gRPC, and %v is declared", p.Class, f.Class, code)
			}
			if n := s.counts()[fmt.Sprintf("%d %v", tt.code, code.Class())]; n != 2 {
				t.Errorf("failure %d was counted %v times as %v, want 2", tt.code, n, code.Class())
			}

			for _, g := range before {
				r, err := s.GetGame(s.ctx, &gamev1.GetGameRequest{GameId: g.Id})
				if err != nil || !proto.Equal(r.Game, g) {
					t.Errorf("the game was %v and is %v, %v", g, r, err)
				}
			}
			s.stop()
			for id, status := range map[string]int{p.ID: tt.http, f.ID: 200} {
				if line := fmt.Sprintf("%d code=%d id=%s\n", status, tt.code, id); strings.Count(s.lines.String(), line) != 1 {
					t.Errorf("the access log has not one line %q:\n%s", line, s.lines.String())
				}
			}
		})
	}
}

// declared is the service's failure code of a number; nil for none.
func declared(number int) *failure.Code {
	for _, code := range game.Spec.Failures.Codes() {
		if code.Number() == number {
			return code
		}
	}
	return nil
}

func TestWhatIsNoRequestIsRefusedOverHTTP(t *testing.T) {
	s := newScene(t)
	game, drop := "/v1/games/"+s.running, "/v1/games/"+s.running+"/drop"
	for _, tt := range []struct {
		name, method, path, body string
		header                   []string
		status, code             int
		detail                   string
	}{
		{"half a document", "POST", "/v1/games", `{"redBot":`, nil, 400, 400, "unexpected EOF"},
		{"no document", "POST", "/v1/games", `hello`, nil, 400, 400, "invalid value hello"},
		{"two documents", "POST", "/v1/games", `{} {}`, nil, 400, 400, "line 1:4"},
		{"an unknown field", "POST", "/v1/games", "{\n \"colour\": 1}", nil, 400, 400, `unknown field \"colour\"`},
		{"a field twice", "POST", "/v1/games", `{"requestId": "a", "request_id": "b"}`, nil, 400, 400, "duplicate field"},
		{"a field of the wrong type", "POST", drop, `{"column": "left"}`, nil, 400, 400, "column"},
		{"a column that is no whole number", "POST", drop, `{"column": 2.5}`, nil, 400, 400, "column"},
		{"a column beyond 32 bits", "POST", drop, `{"column": 4294967296}`, nil, 400, 400, "column"},
		{"an unknown word", "POST", game + "/join", `{"side": "SIDE_BLUE"}`, nil, 400, 400, "SIDE_BLUE"},
		{"a time that is none", "POST", "/v1/games", `{"turnLimit": "soon"}`, nil, 400, 400, "soon"},
		{"text that is not UTF-8", "POST", game + "/join", "{\"name\": \"\xff\"}", nil, 400, 400, "UTF-8"},
		{"nesting without end", "POST", "/v1/games", strings.Repeat(`{"redBot":`, 20_000), nil, 400, 400, ""},
		{"a document that is too large", "POST", "/v1/games", `{"requestId": "` + strings.Repeat("r", 2<<20) + `"}`, nil, 413, 413, "1048576"},
		{"the id of another game in the body", "POST", drop, `{"gameId": "` + s.over + `"}`, nil, 400, 400, "contradicts the path"},
		{"a form", "POST", "/v1/games", `red=1`, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, 415, "application/json"},
		{"no type", "POST", "/v1/games", `{}`, []string{"Content-Type", ""}, 415, 415, "application/json"},
		{"a type that is none", "POST", "/v1/games", `{}`, []string{"Content-Type", ";;"}, 415, 415, "application/json"},
		{"another alphabet", "POST", "/v1/games", `{}`, []string{"Content-Type", "application/json; charset=latin1"}, 415, 415, "latin1"},
		{"a compressed document", "POST", "/v1/games", `{}`, []string{"Content-Encoding", "gzip"}, 415, 415, "gzip"},
		{"an unknown parameter", "GET", "/v1/games?size=3", "", nil, 400, 400, "size"},
		{"a parameter of a method without any", "POST", "/v1/games?requestId=3", "{}", nil, 400, 400, "requestId"},
		{"a parameter that is in the path", "GET", game + "?gameId=3", "", nil, 400, 400, "gameId"},
		{"a parameter of the wrong type", "GET", "/v1/games?page_size=many", "", nil, 400, 400, "page_size"},
		{"a page size beyond 32 bits", "GET", "/v1/games?page_size=4294967296", "", nil, 400, 400, "page_size"},
		{"a state that is none", "GET", "/v1/games?state=STATE_SOLID", "", nil, 400, 400, "STATE_SOLID"},
		{"a state's number that is none's", "GET", "/v1/games?state=9", "", nil, 400, 400, "9"},
		{"a parameter that cannot be read", "GET", "/v1/games?page_size=%zz", "", nil, 400, 400, "%zz"},
		{"a position that is no number", "GET", game + "/events?after_position=now", "", nil, 400, 400, "after_position"},
		{"a position that cannot be read", "GET", game + "/events?after_position=%zz", "", nil, 400, 400, "%zz"},
		{"a position beyond 64 bits", "GET", game + "/events?afterPosition=18446744073709551616", "", nil, 400, 400, "after_position"},
		{"an event id that is no number", "GET", game + "/events", "", []string{"Last-Event-ID", "x"}, 400, 400, "Last-Event-ID"},
		{"an unknown parameter of a stream", "GET", game + "/events?from=3", "", nil, 400, 400, "from"},
		{"a path that is none", "GET", "/v1/game", "", nil, 404, 404, "/v1/game"},
		{"a slash in an id", "GET", "/v1/games/a%2Fb", "", nil, 404, 404, "a/b"},
		{"a method that is none", "PUT", "/v1/games", "{}", nil, 405, 405, "PUT"},
		{"a method in disguise", "POST", "/v1/games", "", []string{"X-HTTP-Method-Override", "DELETE", "Content-Type", "application/x-www-form-urlencoded"}, 200, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.t = t
			resp, text := s.http(tt.method, tt.path, tt.body, tt.header...)
			if tt.code == 0 {
				if resp.StatusCode != tt.status {
					t.Errorf("%d %s", resp.StatusCode, text)
				}
				return
			}
			p := problemOf(t, text)
			if resp.StatusCode != tt.status || p.Set != "chassis" || p.Code != tt.code || !strings.Contains(text, tt.detail) {
				t.Errorf("%d %s, want %d and code %d with %q", resp.StatusCode, text, tt.status, tt.code, tt.detail)
			}
		})
	}
	s.t = t
	if r, err := s.GetGame(s.ctx, &gamev1.GetGameRequest{GameId: s.running}); err != nil || len(r.Game.Moves) != 6 {
		t.Errorf("the game is %v, %v", r, err)
	}
}

// raw sends bytes in place of a message.
type raw struct{}

func (raw) Marshal(v any) ([]byte, error)   { return v.([]byte), nil }
func (raw) Unmarshal(b []byte, v any) error { *v.(*[]byte) = b; return nil }
func (raw) Name() string                    { return "proto" }

func TestWhatIsNoRequestIsRefusedOverGRPC(t *testing.T) {
	s := newScene(t)
	for _, tt := range []struct {
		name, method string
		data         []byte
		grpc         codes.Code
		code         int // 0: grpc-go refuses it before it is read
	}{
		{"half a message", "DropDisc", []byte{0x0a, 0x20, 'x'}, codes.InvalidArgument, 400},
		{"text that is not UTF-8", "GetGame", []byte{0x0a, 1, 0xff}, codes.InvalidArgument, 400},
		{"half a message to a stream", "WatchGame", []byte{0x0a, 0x20, 'x'}, codes.InvalidArgument, 400},
		{"a message that is too large", "DropDisc", make([]byte, 5<<20), codes.ResourceExhausted, 0},
		{"an unknown method", "Cheat", nil, codes.Unimplemented, 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stream, err := s.conn.NewStream(s.ctx, &grpc.StreamDesc{ServerStreams: true}, "/game.v1.GameService/"+tt.method, grpc.ForceCodec(raw{}))
			if err != nil {
				t.Fatal(err)
			}
			_ = stream.SendMsg(tt.data) // what is wrong is said to whoever receives
			_ = stream.CloseSend()
			err = stream.RecvMsg(new([]byte))
			if f := failureOf(err); status.Code(err) != tt.grpc || f.Code != tt.code || tt.code != 0 && (f.Set != "chassis" || f.ID == "") {
				t.Errorf("%v (%+v), want %v and code %d", err, f, tt.grpc, tt.code)
			}
		})
	}
	for code, want := range map[string]float64{"400": 3, "404": 1, "413": 1} {
		if n := s.counts()[code]; n != want {
			t.Errorf("failure %s was counted %v times, want %v", code, n, want)
		}
	}
	// A duration whose parts contradict each other has no words in JSON, nor have states that the
	// contract does not name.
	if f := failureOf(s.call(&gamev1.CreateGameRequest{TurnLimit: &durationpb.Duration{Seconds: 5, Nanos: -5}})); f.Code != 1003 {
		t.Errorf("a contradictory turn limit: %+v", f)
	}
	if f := failureOf(s.call(&gamev1.ListGamesRequest{State: 9})); f.Code != 1007 || f.Status != codes.InvalidArgument {
		t.Errorf("games in an unknown state: %+v", f)
	}
	// What a later contract adds is no error.
	var answer []byte
	data := append([]byte{0x0a, 26}, s.running...)
	data = append(data, 0x98, 0x06, 1) // field 99
	if err := s.conn.Invoke(s.ctx, "/game.v1.GameService/GetGame", data, &answer, grpc.ForceCodec(raw{})); err != nil {
		t.Errorf("a message with an unknown field: %v", err)
	}
}

func TestEveryFailureOfTheServiceIsProvoked(t *testing.T) {
	seen := map[int]bool{
		1007: true,                         // over gRPC only, above
		1201: true, 1202: true, 1203: true, // by a journal that fails, in the arena's own tests
	}
	for _, tt := range refusals {
		seen[tt.code] = true
	}
	for _, code := range game.Spec.Failures.Codes() {
		if !seen[code.Number()] {
			t.Errorf("no request is refused with %v", code)
		}
	}
}
