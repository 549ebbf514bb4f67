package scenarios

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/scenario"
	"github.com/seed-754044b3/roadworthy/chassis/journal/scenario/wire"
	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/arena"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/bot"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/rules"
)

// A Command is something that somebody asks of the service.
type Command interface {
	fmt.Stringer
	// call makes the call and says what is answered, and the id of the game that it made.
	call(ctx context.Context, s *sender) (answer Answer, made string, err error)
}

// Create asks for a new game.
type Create struct {
	Red, Yellow bot.Strength // 0: a human's seat
	Random      bool         // Yellow is a bot without a strength
	Limit       time.Duration
	Request     string // the request id; empty is one that is used once
}

// Join asks for a seat.
type Join struct {
	Name    string
	Side    rules.Side // None: any
	Game    string     // the subject
	Unknown bool       // in place of Game: one that nobody made
	Request string
}

// NoColumn is the column of a Drop that names none.
const NoColumn = math.MinInt32

// Drop makes a move.
type Drop struct {
	By      string // who joined under this name; nobody has no token, a stranger one of no game
	Column  int
	Game    string
	Request string
}

// Resign gives up.
type Resign struct {
	By      string
	Game    string
	Request string
}

// Who does not sit at the board.
const (
	nobody   = "nobody"
	stranger = "a stranger"
)

// Get asks for a game as it stands.
type Get struct {
	Game string
	ID   string // in place of Game's: an id that is no game's
}

// List asks for a list of games.
type List struct {
	State record.State // Missing: all
	Size  int
	Page  string // a page token
	Next  bool   // the page after the one that was asked for last
}

// Watch asks for what happens in a game.
type Watch struct {
	Game  string
	ID    string // in place of Game's: an id that is no game's
	After int    // the events that were seen already
	Ahead bool   // in place of After: a position that the game has not reached
	Take  int    // how many events are waited for; 0 is all until the game is over
	Stay  bool   // go on watching until the scenario ends
}

// String says who asks for what.
func (c Create) String() string {
	words := "somebody creates a game"
	if c.Red != 0 {
		words += fmt.Sprintf(" with a bot (%v) as red", c.Red)
	}
	if c.Yellow != 0 {
		words += fmt.Sprintf(" with a bot (%v) as yellow", c.Yellow)
	}
	if c.Random {
		words += " with a bot of no strength as yellow"
	}
	if c.Limit != 0 {
		words += " with a turn limit of " + scenario.Span(c.Limit)
	}
	return words + by(c.Request)
}

// String says who asks for what.
func (c Join) String() string {
	words := c.Name + " joins"
	if c.Name == "" || strings.TrimSpace(c.Name) != c.Name || strings.ContainsAny(c.Name, "\n") {
		words = fmt.Sprintf("somebody called %q joins", c.Name)
	}
	if c.Unknown {
		words += " a game that nobody made"
	}
	if c.Side != rules.None {
		words += fmt.Sprintf(" as %v", c.Side)
	}
	return words + in(c.Game) + by(c.Request)
}

// String says who does what.
func (c Drop) String() string {
	where := fmt.Sprintf("into column %d", c.Column)
	if c.Column == NoColumn {
		where = "without saying into which column"
	}
	return fmt.Sprintf("%s drops %s", c.By, where) + in(c.Game) + by(c.Request)
}

// String says who does what.
func (c Resign) String() string { return c.By + " resigns" + in(c.Game) + by(c.Request) }

// String says what is asked for.
func (c Get) String() string {
	if c.ID != "" {
		return fmt.Sprintf("somebody looks at game %q", c.ID)
	}
	return "somebody looks at the game" + in(c.Game)
}

// String says what is asked for.
func (c List) String() string {
	words := "somebody lists "
	switch {
	case c.Next:
		return words + "the next page"
	case c.State == record.Missing:
		words += "all games"
	case c.State <= record.Over:
		words += []string{"", "waiting games", "running games", "finished games"}[c.State]
	default:
		words += fmt.Sprintf("games in state %d", c.State)
	}
	if c.Size != 0 {
		words += fmt.Sprintf(", %d on a page", c.Size)
	}
	if c.Page != "" {
		words += fmt.Sprintf(", from page %q", c.Page)
	}
	return words
}

// String says what is asked for.
func (c Watch) String() string {
	words := "somebody watches"
	switch {
	case c.ID != "":
		words += fmt.Sprintf(" game %q", c.ID)
	case c.Ahead:
		words += " from a position that the game has not reached"
	case c.After > 0:
		words += fmt.Sprintf(" after having seen %d events", c.After)
	}
	switch {
	case c.Stay:
		words += " and stays"
	case c.Take > 0:
		words += fmt.Sprintf(" until there are %d", c.Take)
	}
	return words + in(c.Game)
}

func by(request string) string {
	switch {
	case request == "":
		return ""
	case len(request) > 10 || strings.Contains(request, "\n"):
		return fmt.Sprintf(" by a request id of %d characters, such as %q", 27+len(request), request[:min(len(request), 4)])
	}
	return " by request " + request
}

func in(game string) string {
	if game == "" {
		return ""
	}
	return " in game " + game
}

// Do carries out commands by c. It is what [System] needs.
func Do(c wire.Caller) func(context.Context, *scenario.Run, string, Command) scenario.Result[Answer] {
	return func(ctx context.Context, r *scenario.Run, key string, command Command) scenario.Result[Answer] {
		answer, made, err := command.call(ctx, &sender{c, r, key})
		failed := wire.Failure(err)
		if failed != 0 {
			return scenario.Result[Answer]{Failure: failed}
		}
		return scenario.Result[Answer]{Answer: answer, Made: made, Err: err}
	}
}

// sender sends one command.
type sender struct {
	caller wire.Caller
	run    *scenario.Run
	key    string
}

const service = "/game.v1.GameService/"

// send makes a call that has one answer.
func send[M proto.Message](ctx context.Context, s *sender, method string, request proto.Message) (answer M, err error) {
	m, err := wire.Call(ctx, s.caller, service+method, request)
	if err != nil {
		return answer, err
	}
	answer, ok := m.(M)
	if !ok {
		return answer, fmt.Errorf("%s answered with a %T", method, m)
	}
	return answer, nil
}

// request is the request id of a command: its own, made unique to the scenario, or the key.
func (s *sender) request(own string) string {
	if own != "" {
		return s.run.Unique() + "-" + own
	}
	return s.key
}

// id is that of the game with a subject. One that does not exist has an id that nobody made.
func (s *sender) id(subject string) string {
	if id := s.run.ID(subject); id != "" {
		return id
	}
	return newID(s.run.Unique() + " was never made")
}

// token is that of the seat that somebody took.
func (s *sender) token(ctx context.Context, game, who string) (string, error) {
	switch who {
	case nobody:
		return "", nil
	case stranger:
		return strings.Repeat("0", 32), nil
	}
	if token := s.run.Kept(game + "/" + who); token != "" {
		return token, nil
	}
	for e, err := range s.run.Journal().Read(ctx, Suite.Stream(s.id(game)), 0) {
		if err != nil {
			return "", err
		}
		fact, err := record.Decode(e.Type, e.Data)
		if err != nil {
			return "", err
		}
		if j, ok := fact.(record.Joined); ok && j.Name == who {
			token, err := arena.Token(ctx, s.run.Journal(), s.id(game), j.Side)
			s.run.Keep(game+"/"+who, token)
			return token, err
		}
	}
	return strings.Repeat("1", 32), nil // whoever does not sit there has no good token
}

func botOf(s bot.Strength) *gamev1.Bot {
	if s == 0 {
		return nil
	}
	return &gamev1.Bot{Strength: gamev1.Strength(s)}
}

func (c Create) call(ctx context.Context, s *sender) (Answer, string, error) {
	request := &gamev1.CreateGameRequest{RedBot: botOf(c.Red), YellowBot: botOf(c.Yellow), RequestId: s.request(c.Request)}
	if c.Random {
		request.YellowBot = &gamev1.Bot{}
	}
	if c.Limit != 0 {
		request.TurnLimit = durationpb.New(c.Limit)
	}
	a, err := send[*gamev1.CreateGameResponse](ctx, s, "CreateGame", request)
	if err != nil {
		return nil, "", err
	}
	return gameOf(a.Game), a.Game.GetId(), nil
}

func (c Join) call(ctx context.Context, s *sender) (Answer, string, error) {
	game := c.Game
	if c.Unknown {
		game = "which nobody made"
	}
	a, err := send[*gamev1.JoinGameResponse](ctx, s, "JoinGame",
		&gamev1.JoinGameRequest{GameId: s.id(game), Side: gamev1.Side(c.Side), Name: c.Name, RequestId: s.request(c.Request)})
	if err != nil {
		return nil, "", err
	}
	s.run.Keep(c.Game+"/"+c.Name, a.SeatToken)
	return Seat{rules.Side(a.Side), gameOf(a.Game)}, "", nil
}

func (c Drop) call(ctx context.Context, s *sender) (Answer, string, error) {
	token, err := s.token(ctx, c.Game, c.By)
	if err != nil {
		return nil, "", err
	}
	request := &gamev1.DropDiscRequest{GameId: s.id(c.Game), SeatToken: token, RequestId: s.request(c.Request)}
	if c.Column != NoColumn {
		request.Column = new(int32(c.Column))
	}
	a, err := send[*gamev1.DropDiscResponse](ctx, s, "DropDisc", request)
	if err != nil {
		return nil, "", err
	}
	return Move{cellOf(a.Cell), gameOf(a.Game)}, "", nil
}

func (c Resign) call(ctx context.Context, s *sender) (Answer, string, error) {
	token, err := s.token(ctx, c.Game, c.By)
	if err != nil {
		return nil, "", err
	}
	a, err := send[*gamev1.ResignResponse](ctx, s, "Resign",
		&gamev1.ResignRequest{GameId: s.id(c.Game), SeatToken: token, RequestId: s.request(c.Request)})
	if err != nil {
		return nil, "", err
	}
	return gameOf(a.Game), "", nil
}

func (c Get) call(ctx context.Context, s *sender) (Answer, string, error) {
	id := c.ID
	if id == "" {
		id = s.id(c.Game)
	}
	a, err := send[*gamev1.GetGameResponse](ctx, s, "GetGame", &gamev1.GetGameRequest{GameId: id})
	if err != nil {
		return nil, "", err
	}
	return gameOf(a.Game), "", nil
}

// nextPage is what the run keeps the last list's next page under.
const nextPage = "next page"

func (c List) call(ctx context.Context, s *sender) (Answer, string, error) {
	request := &gamev1.ListGamesRequest{State: gamev1.State(c.State), PageSize: int32(c.Size), PageToken: c.Page}
	if c.Next {
		request.PageToken = s.run.Kept(nextPage)
		request.PageSize = 2
	}
	a, err := send[*gamev1.ListGamesResponse](ctx, s, "ListGames", request)
	if err != nil {
		return nil, "", err
	}
	if !c.Next {
		s.run.Keep(nextPage, a.NextPageToken)
	}
	var names []string
	for _, g := range a.Games {
		for _, name := range []string{"A", "B", "C"} {
			if s.run.ID(name) == g.Id {
				names = append(names, name)
			}
		}
	}
	return Page{strings.Join(names, " ")}, "", nil
}

func (c Watch) call(ctx context.Context, s *sender) (Answer, string, error) {
	request := &gamev1.WatchGameRequest{GameId: c.ID}
	if c.ID == "" {
		request.GameId = s.id(c.Game)
		after, err := c.position(ctx, s)
		if err != nil {
			return nil, "", err
		}
		request.AfterPosition = uint64(after)
	}
	if c.Stay {
		return nil, "", s.stay(ctx, request)
	}
	take := c.Take
	if take == 0 {
		take = math.MaxInt
	}
	answers, err := wire.Take(ctx, s.caller, service+"WatchGame", request, take)
	if err != nil {
		return nil, "", err
	}
	var facts []record.Fact
	for _, a := range answers {
		fact, err := factOf(a.(*gamev1.WatchGameResponse).Event)
		if err != nil {
			return nil, "", err
		}
		facts = append(facts, fact)
	}
	return News{strings.Join(tell(facts), "; ")}, "", nil
}

// position is that of the last event which was seen.
func (c Watch) position(ctx context.Context, s *sender) (after journal.Position, err error) {
	n := 0
	for e, err := range s.run.Journal().Read(ctx, Suite.Stream(s.id(c.Game)), 0) {
		if err != nil {
			return 0, err
		}
		if n++; n <= c.After || c.Ahead {
			after = e.Position
		}
	}
	if c.Ahead {
		after += 1_000_000
	}
	return after, nil
}

// stay watches until the scenario is over.
func (s *sender) stay(ctx context.Context, request proto.Message) error {
	stream, err := s.caller.Open(ctx, service+"WatchGame", request)
	if err != nil {
		return err
	}
	s.run.OnEnd(func() { _ = stream.Close() })
	if _, err := stream.Next(); err != nil {
		return errors.Join(errors.New("the first event did not come"), err)
	}
	return nil
}
