package arcade_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/retry"
	"github.com/seed-754044b3/roadworthy/examples/arcade"
	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
	"github.com/seed-754044b3/roadworthy/fake"
)

var (
	on          = fake.On
	unavailable = fake.HTTPStatus(http.StatusServiceUnavailable)
)

// quick has the arcade give up on the game service soon, and yet not while a busy machine takes its time.
func quick(c *arcade.Config) { c.Game.Timeout = 20 * time.Second }

// client speaks to the game service behind the arcade's back.
func (w *world) client() gamev1.GameServiceClient {
	w.t.Helper()
	conn, err := grpc.NewClient(w.game.Addr("grpc"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	return gamev1.NewGameServiceClient(conn)
}

// newGame makes a game behind the arcade's back and returns its id.
func (w *world) newGame(req *gamev1.CreateGameRequest) string {
	w.t.Helper()
	resp, err := w.client().CreateGame(w.t.Context(), req)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.GetGame().GetId()
}

// joinGame takes a seat behind the arcade's back.
func (w *world) joinGame(path, name string) {
	w.t.Helper()
	req := &gamev1.JoinGameRequest{GameId: strings.TrimPrefix(path, "/games/"), Name: name}
	if _, err := w.client().JoinGame(w.t.Context(), req); err != nil {
		w.t.Fatal(err)
	}
}

func TestWhatTheGameRefusesIsAPageThatSaysWhatToDo(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann, ben := w.visitor(), w.visitor()

	waiting := ann.create("Ann", "red", "human", "0").game()
	ann.post(waiting+"/drop", url.Values{"request_id": {"a"}, "column": {"1"}}).
		want(http.StatusConflict).says("The game has not begun", "Share the link")

	path := ann.create("Ann", "red", "human", "0").game()
	ben.join(path, "Ben", "yellow")
	ben.post(path+"/drop", url.Values{"request_id": {"b"}, "column": {"1"}}).
		want(http.StatusConflict).says("It is not your turn", "Wait for the other side", "Back to the game")
	w.visitor().post(path+"/join", url.Values{"request_id": {"c"}, "name": {"Cas"}, "side": {"red"}}).
		want(http.StatusConflict).says("The seat is taken", "Somebody was faster")
	w.visitor().post(path+"/drop", url.Values{"request_id": {"d"}, "column": {"1"}}).
		want(http.StatusForbidden).says("This browser has no seat in the game")
	w.visitor().get(path + "/resign").want(http.StatusForbidden).says("This browser has no seat in the game")

	for range 3 {
		ann.get(path).drop("1")
		ben.get(path).drop("1")
	}
	full := ann.get(path)
	if button := full.all("button", has("id", "column-1")); len(button) != 1 || !strings.Contains(full.content, "disabled") {
		t.Error("the button of the full column can be pressed")
	}
	full.submit(path+"/drop", url.Values{"column": {"1"}}).
		want(http.StatusConflict).says("The column is full", "Choose a column that has room")

	ann.get(path+"/resign").submit(path+"/resign", nil)
	ann.post(path+"/drop", url.Values{"request_id": {"e"}, "column": {"2"}}).
		want(http.StatusConflict).says("The game is over", "replay it move by move")

	for _, address := range []string{"/games/none", "/games/none/replay", "/games/%2e%2e", "/games/%8b"} {
		w.visitor().get(address).want(http.StatusNotFound).says("There is no such game", "To the lobby")
	}
	ann.post("/games/%8b/drop", url.Values{"request_id": {"e"}, "column": {"2"}}).want(http.StatusNotFound)
	ann.get("/?running=%8b").want(http.StatusBadRequest).says("Running: it is no page of this list")
	ann.post("/games", url.Values{"request_id": {"f"}, "name": {strings.Repeat("n", 41)}, "side": {"red"}, "opponent": {"easy"}, "limit": {"0"}}).
		want(http.StatusBadRequest).says("The name cannot be used", "1 to 40")
}

func TestAStolenSeatIsRefused(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann := w.visitor()
	path := ann.create("Ann", "red", "easy", "0").game()
	for _, cookie := range []string{"red.invented", "yellow.x.y"} {
		v := w.visitor()
		v.do(http.MethodPost, path+"/drop", url.Values{"request_id": {"a"}, "column": {"1"}}, http.Header{
			"Content-Type": {"application/x-www-form-urlencoded"}, "Cookie": {"seat=" + cookie},
		}).want(http.StatusForbidden).says("The seat is not yours")
	}
	for _, cookie := range []string{"", "red", "red.", "green.token", "red." + strings.Repeat("x", 300)} {
		w.visitor().do(http.MethodPost, path+"/drop", url.Values{"request_id": {"a"}, "column": {"1"}}, http.Header{
			"Content-Type": {"application/x-www-form-urlencoded"}, "Cookie": {"seat=" + cookie},
		}).want(http.StatusForbidden).says("This browser has no seat")
	}
}

func TestFormsThatAreFilledInWronglyAreRefusedWithTheField(t *testing.T) {
	t.Parallel()
	w := start(t)
	good := url.Values{"request_id": {"a"}, "name": {"Ann"}, "side": {"red"}, "opponent": {"easy"}, "limit": {"0"}, "column": {"4"}}
	for _, c := range []struct{ path, field, value, says string }{
		{"/games", "side", "green", "Side: choose red or yellow"},
		{"/games", "opponent", "", "Opponent: choose human, easy, medium or hard"},
		{"/games", "limit", "7", "Limit: choose one of the turn limits offered"},
		{"/games", "limit", "soon", "Limit: choose one of the turn limits offered"},
		{"/games", "limit", "9223372036854775807", "Limit: choose one of the turn limits offered"},
		{"/games", "request_id", "", "Request id: it must have 1 to 60"},
		{"/games", "request_id", strings.Repeat("i", 61), "Request id: it must have 1 to 60"},
		{"/games", "name", "A\x8b", "Name: it must be text in UTF-8"},
		{"/games/x/join", "side", "", "Side: choose red or yellow"},
		{"/games/x/drop", "column", "0", "Column: choose a column from 1 to 7"},
		{"/games/x/drop", "column", "8", "Column: choose a column from 1 to 7"},
		{"/games/x/drop", "column", "left", "Column: choose a column from 1 to 7"},
	} {
		fields := url.Values{}
		for key, values := range good {
			fields[key] = values
		}
		fields.Set(c.field, c.value)
		w.visitor().post(c.path, fields).want(http.StatusBadRequest).says("The form is not filled in correctly", c.says)
	}
	v := w.visitor()
	header := http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}
	v.do(http.MethodPost, "/games", good, header).want(http.StatusUnsupportedMediaType)
	header.Set("Content-Type", "application/x-www-form-urlencoded")
	v.do(http.MethodPost, "/games?%zz", good, header).want(http.StatusBadRequest).says("The form cannot be read")
	good.Set("name", strings.Repeat("n", 20<<10))
	v.do(http.MethodPost, "/games", good, header).want(http.StatusRequestEntityTooLarge)
	if n := len(w.game.Calls()); n != 0 {
		t.Errorf("%d of these forms reached the game service", n)
	}
}

func TestEachFailureOfTheGameServiceHasItsStatus(t *testing.T) {
	t.Parallel()
	w := start(t, quick)
	path := "/games/" + w.newGame(nil)
	for _, c := range []struct {
		name   string
		with   fake.Failure
		status int
		code   int
		says   string
		after  string
	}{
		{"no such game", fake.Code(1001), http.StatusNotFound, 2020, "There is no such game", ""},
		{"it drains", fake.Code(failure.Draining.Number()), http.StatusServiceUnavailable, 2002, "The game service cannot do this right now", "1"},
		{"it is overloaded", fake.Code(failure.Overloaded.Number()), http.StatusServiceUnavailable, 2002, "The game service cannot do this right now", "1"},
		{"its journal is gone", fake.Code(1201), http.StatusServiceUnavailable, 2002, "The game service cannot do this right now", "1"},
		{"too many play", fake.Code(1020), http.StatusServiceUnavailable, 2002, "The game service cannot do this right now", "60"},
		{"too many watch", fake.Code(1023), http.StatusServiceUnavailable, 2002, "The game service cannot do this right now", "10"},
		{"the seat token is lost", fake.Code(1030), http.StatusForbidden, 2026, "The seat is not yours", ""},
		{"the seat token is wrong", fake.Code(1031), http.StatusForbidden, 2026, "The seat is not yours", ""},
		{"nobody knows", fake.Code(1202), http.StatusServiceUnavailable, 2005, "It is not known whether this was done", ""},
		{"it is broken", fake.Code(failure.Unclassified.Number()), http.StatusBadGateway, 2004, "The game service failed", ""},
		{"a record is damaged", fake.Code(1203), http.StatusBadGateway, 2004, "The game service failed", ""},
		{"it is too late", fake.Code(failure.DeadlineExceeded.Number()), http.StatusGatewayTimeout, 2003, "did not answer in time", ""},
		{"it refuses otherwise", fake.Code(1043), http.StatusBadRequest, 2029, "The game service refused the request", ""},
	} {
		w.game.FailNext(1, c.with, on(getGame))
		page := w.visitor().get(path).want(c.status).says(c.says)
		if got := page.header.Get("Retry-After"); got != c.after {
			t.Errorf("%s: Retry-After is %q, want %q", c.name, got, c.after)
		}

		w.game.FailNext(1, c.with, on(getGame))
		resp, body := get(t, w.url+path, nil)
		var problem failure.Problem
		if err := json.Unmarshal([]byte(body), &problem); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != c.status || problem.Set != "arcade" || problem.Code != c.code || resp.Header.Get("Content-Type") != failure.ContentType {
			t.Errorf("%s: a program is answered %d %s with %s %d, want %d with arcade %d", c.name, resp.StatusCode,
				resp.Header.Get("Content-Type"), problem.Set, problem.Code, c.status, c.code)
		}
	}
}

func TestAGameServiceThatIsSlowIsNotWaitedForLongerThanConfigured(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *arcade.Config) { c.Game.Timeout = 2 * time.Second })
	path := "/games/" + w.newGame(nil)
	w.game.Latency(time.Minute, on(getGame))
	w.visitor().get(path).want(http.StatusGatewayTimeout).says("did not answer in time")
	w.game.Clear()
	w.visitor().get(path).want(http.StatusOK)
}

func TestEveryCallThatTheGameServiceRefusesIsSentAgain(t *testing.T) {
	t.Parallel()
	// The clock stands still: a wait of more than nothing would not end.
	w := start(t, func(c *arcade.Config) { c.Game.Retry = retry.Config{Backoff: 1, MaxBackoff: 1, Throttle: -1} })
	ann := w.visitor()
	refused := func(route string) { w.game.FailNext(2, unavailable.After(0), on(route)) }
	for _, route := range []string{createGame, joinGame, getGame, listGames} {
		refused(route)
	}
	path := ann.create("Ann", "red", "human", "0").game()
	w.visitor().join(path, "Ben", "yellow")
	refused(dropDisc)
	ann.get(path).drop("4").says("Ben")
	refused(resignGame)
	ann.get(path+"/resign").submit(path+"/resign", nil).want(http.StatusOK).says("you resigned")
	for _, route := range []string{createGame, dropDisc, resignGame} {
		if n := len(w.calls(route)); n != 3 {
			t.Errorf("%s was called %d times, want two that were refused and one", route, n)
		}
	}
	for _, f := range w.game.Faults() {
		if f.Hits() != 2 {
			t.Errorf("%v struck %d calls, want 2", f.Rule(), f.Hits())
		}
	}
	resp, err := w.client().GetGame(t.Context(), &gamev1.GetGameRequest{GameId: strings.TrimPrefix(path, "/games/")})
	if err != nil || len(resp.GetGame().GetMoves()) != 1 {
		t.Errorf("the game has the moves %v, want one: %v", resp.GetGame().GetMoves(), err)
	}
}

func TestAGameServiceThatRefusesAllIsNotAskedEachTime(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *arcade.Config) { c.Game.Retry = retry.Config{Attempts: 1} })
	w.game.Fail(fake.Code(failure.Overloaded.Number()), on(getGame))
	const pages = 100
	for range pages {
		w.visitor().get("/games/x").want(http.StatusServiceUnavailable).says("The game service cannot do this right now")
	}
	if n := len(w.calls(getGame)); n < 10 || n > pages/2 {
		t.Errorf("the game service was asked %d times for %d pages", n, pages)
	}
}

func TestTheLobbyStandsWhenTheGameServiceIsGone(t *testing.T) {
	t.Parallel()
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	w := startOn(t, nil, nobody.Addr().String(), quick)
	page := w.visitor().get("/").want(http.StatusServiceUnavailable).
		says("Lobby", "New game", "The game service cannot be reached", "Your game is safe", "Try again")
	if got := page.header.Get("Retry-After"); got != "5" {
		t.Errorf("Retry-After is %q, want 5", got)
	}
	w.visitor().get("/games/x").want(http.StatusServiceUnavailable).says("The game service cannot be reached", "Back to the game")
	if n := w.log.FilterField(codeField(2001)).Len(); n < 2 {
		t.Errorf("the log has %d lines of failure 2001, want one a page", n)
	}
	eventually(t, "the access log tells of the failures", func() bool {
		return strings.Count(w.access.String(), " 503 ") >= 2
	})
}

func TestPagesThatAreNotThere(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.visitor().get("/nowhere").want(http.StatusNotFound).says("No such route", "To the lobby")
	w.visitor().get("/assets/none.css").want(http.StatusNotFound)
	w.visitor().do(http.MethodDelete, "/games/x", nil, nil).want(http.StatusMethodNotAllowed).says("Method not allowed")
	resp, body := get(t, w.url+"/nowhere", http.Header{"Accept": {"text/html;q=0, */*"}})
	if resp.StatusCode != http.StatusNotFound || resp.Header.Get("Content-Type") != failure.ContentType {
		t.Errorf("a program is answered %d %s: %s", resp.StatusCode, resp.Header.Get("Content-Type"), body)
	}
}

func TestTheRequestIDReachesTheGameService(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *arcade.Config) { c.HTTP.TrustRequestID = true })
	w.game.FailNext(1, fake.Code(1001), on(getGame))
	header := asBrowser.Clone()
	header.Set("X-Request-Id", "wish-4711")
	resp, body := get(t, w.url+"/games/x", header)
	if got := resp.Header.Get("X-Request-Id"); got != "wish-4711" || !strings.Contains(body, "wish-4711") {
		t.Errorf("the answer's request id is %q", got)
	}
	calls := w.calls(getGame)
	if len(calls) != 1 || calls[0].RequestID != "wish-4711" {
		t.Errorf("the game service was called with %+v, want one call with the request's id", calls)
	}
}

// TestOnlyTheContractIsImported keeps the arcade a client: of the game it may know the
// contract, and its tests the network fake.
func TestOnlyTheContractIsImported(t *testing.T) {
	t.Parallel()
	const game = "github.com/seed-754044b3/roadworthy/examples/game"
	list := func(args ...string) []string {
		out, err := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...).Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		var found []string
		for line := range strings.Lines(string(out)) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, game) {
				found = append(found, line)
			}
		}
		return found
	}
	for _, path := range list("-deps", "./...") {
		if path != game+"/gamev1" {
			t.Errorf("the arcade links %s", path)
		}
	}
	for _, path := range list("-f", `{{range .TestImports}}{{println .}}{{end}}{{range .XTestImports}}{{println .}}{{end}}`, "./...") {
		if path != game+"/gamev1" && path != game+"/gamefake" {
			t.Errorf("the arcade's tests import %s", path)
		}
	}
}

func TestTheFailureCodesAreToldApart(t *testing.T) {
	t.Parallel()
	for _, c := range arcade.Spec.Failures.Codes() {
		if n := c.Number(); n < 2001 || n > 2099 {
			t.Errorf("code %d is not one of the arcade's, 2001 to 2099", n)
		}
	}
	if _, ok := arcade.Spec.Failures.Lookup(2001); !ok {
		t.Error("code 2001 is not declared: " + strconv.Itoa(len(arcade.Spec.Failures.Codes())) + " are")
	}
}

func TestEveryPageSaysSoWhenTheGameServiceFails(t *testing.T) {
	t.Parallel()
	w := start(t, quick)
	ann := w.visitor()
	path := ann.create("Ann", "red", "human", "0").game()
	w.visitor().join(path, "Ben", "yellow")
	fields := url.Values{
		"request_id": {"a"}, "name": {"Ann"}, "side": {"red"}, "opponent": {"easy"}, "limit": {"30"}, "column": {"1"},
	}
	for _, c := range []struct{ method, path, fails string }{
		{"GET", "/", listGames}, {"GET", path, getGame}, {"GET", path + "/resign", getGame}, {"GET", path + "/replay", getGame},
		{"GET", path + "/events", getGame}, {"POST", "/games", createGame}, {"POST", "/games", joinGame},
		{"POST", path + "/join", joinGame}, {"POST", path + "/drop", dropDisc}, {"POST", path + "/resign", resignGame},
	} {
		w.game.FailNext(1, unavailable, on(c.fails))
		page := ann.do(c.method, c.path, fields, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
		if page.status != http.StatusServiceUnavailable || !strings.Contains(page.text(), "The game service cannot do this right now") {
			t.Errorf("%s %s is answered %d while %s fails: %s", c.method, c.path, page.status, c.fails, page.text())
		}
	}
	w.visitor().post(path+"/resign", fields).want(http.StatusForbidden)
}

func TestWhoLeavesBeforeTheAnswerIsNotCountedAsAFailure(t *testing.T) {
	t.Parallel()
	w := start(t, quick)
	path := "/games/" + w.newGame(nil)
	slow := w.game.Latency(time.Minute, on(getGame))
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan error)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			err = resp.Body.Close()
		}
		answered <- err
	}()
	eventually(t, "the game service is asked", func() bool { return slow.Hits() == 1 })
	leave()
	if err := <-answered; !errors.Is(err, context.Canceled) {
		t.Errorf("who left was answered %v", err)
	}
	eventually(t, "the log tells that the caller left", func() bool { return w.log.FilterField(codeField(499)).Len() == 1 })
	if n := w.log.FilterField(codeField(2003)).Len(); n != 0 {
		t.Error("it is counted as a failure of the game service")
	}
}

// FuzzNothingSentBreaksAPage sends what no browser would.
func FuzzNothingSentBreaksAPage(f *testing.F) {
	f.Add("/games/x/events", "after=1", "seat=red.token; name=Ann", "text/html", "7")
	f.Add("/games/x/replay", "ply=-1", "seat=yellow.", "text/html;q=0.5,*/*", "")
	f.Add("/games/\x8b", "open=%8b", "seat=red.\x8b", "", "")
	f.Add("/", "open=%8b", "", "text/html", "")
	f.Add("/", "open=x&finished=%00", "name=%zz", ",,;q=;", "-1")
	w := start(f, quick)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	f.Fuzz(func(t *testing.T, path, query, cookie, accept, last string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Path, req.URL.RawQuery = path, query
		req.Header = http.Header{"Cookie": {cookie}, "Accept": {accept}, "Last-Event-ID": {last}}
		resp, err := client.Do(req)
		if err != nil {
			t.Skip() // it cannot be sent
		}
		defer resp.Body.Close()
		if resp.StatusCode >= http.StatusInternalServerError {
			t.Errorf("status %d", resp.StatusCode)
		}
	})
}
