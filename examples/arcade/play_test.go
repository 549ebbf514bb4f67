package arcade_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestTwoPeoplePlayAWholeGameWithoutJavaScript(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann, ben, cas := w.visitor(), w.visitor(), w.visitor()

	path := ann.create("Ann", "red", "human", "0").game()
	ann.get(path).says("Waiting for somebody to play against", "Ann", "Open seat", "Link to this game")
	if link := ann.get(path).all("input", has("id", "share")); len(link) != 1 || attr(link[0], "value") != w.url+path {
		t.Error("there is no link to share")
	}
	cas.get("/").says("Open games", "Ann waits for an opponent")

	ben.join(path, "Ben", "yellow").says("Ann against Ben", "Ann (Red) to move")
	cas.get("/").says("Being played", "Ann against Ben", "0 moves")

	for _, column := range []string{"1", "2", "3"} {
		ann.get(path).says("Your turn: you play Red").drop(column).says("Ben (Yellow) to move")
		if form := ann.get(path).form(path + "/drop"); form != nil {
			t.Error("Ann is offered a move though it is Ben's turn")
		}
		ben.get(path).says("Your turn: you play Yellow", "Ann dropped in column "+column).drop(column)
	}
	won := ann.get(path).drop("4").says("You won with four in a row")
	if got, want := won.board(), ".......\n.......\n.......\n.......\nYYY....\nrrrr...\n"; got != want {
		t.Errorf("the board is\n%swant\n%s", got, want)
	}
	ben.get(path).says("Ann (Red) won with four in a row", "Replay", "New game")
	cas.get(path).says("Ann (Red) won with four in a row")
	cas.get("/").says("Finished", "Ann against Ben", "Ann (Red) won")
}

func TestABotAnswersAMove(t *testing.T) {
	t.Parallel()
	for _, strength := range []string{"easy", "medium", "hard"} {
		t.Run(strength, func(t *testing.T) {
			t.Parallel()
			w := start(t)
			ann := w.visitor()
			page := ann.create("Ann", "red", strength, "0")
			path := page.game()
			page.says(strings.ToUpper(strength[:1])+strength[1:]+" bot", "Your turn").drop("4")
			eventually(t, "the bot has moved", func() bool {
				return strings.Contains(ann.get(path).text(), "Your turn")
			})
			ann.get(path).says("Move 2", "bot dropped in column")
		})
	}
}

func TestABotThatPlaysRedMovesFirst(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann := w.visitor()
	path := ann.create("Ann", "yellow", "easy", "0").game()
	eventually(t, "the bot has moved", func() bool {
		return strings.Contains(ann.get(path).text(), "Your turn: you play Yellow")
	})
	ann.get(path).says("Move 1", "Easy bot dropped in column")
}

func TestWhoDoesNotMoveInTimeLoses(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann, ben := w.visitor(), w.visitor()
	path := ann.create("Ann", "red", "human", "60").says("Turn limit: 1 minute").game()
	ben.join(path, "Ben", "yellow")

	w.game.Advance(50 * time.Second)
	ann.get(path).says("0:10", "Your turn")
	w.game.Advance(10 * time.Second)
	ann.get(path).says("Ben (Yellow) won: you ran out of time")
	ben.get(path).says("You won: Ann ran out of time")
}

func TestResigningAsksFirst(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann, ben := w.visitor(), w.visitor()
	path := ann.create("Ann", "red", "human", "0").game()
	ben.join(path, "Ben", "yellow")

	question := ben.get(path+"/resign").want(http.StatusOK).says("Resign?", "Ann against Ben", "Play on")
	ann.get(path).says("Your turn")
	question.submit(path+"/resign", nil).want(http.StatusOK).says("Ann (Red) won: you resigned")
	ann.get(path).says("You won: Ben resigned")
	ben.get(path + "/resign").want(http.StatusConflict).says("The game is over")
}

func TestTheSameFormSentTwiceCountsOnce(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann, ben := w.visitor(), w.visitor()

	lobby := ann.get("/")
	fill := url.Values{"name": {"Ann"}, "side": {"red"}, "opponent": {"human"}, "limit": {"0"}}
	path := lobby.submit("/games", fill).want(http.StatusOK).game()
	if again := lobby.submit("/games", fill).want(http.StatusOK).game(); again != path {
		t.Errorf("the form sent twice made two games, %s and %s", path, again)
	}

	page := ben.get(path)
	for range 2 {
		page.submit(path+"/join", url.Values{"name": {"Ben"}, "side": {"yellow"}}).want(http.StatusOK).says("Ann against Ben")
	}

	page = ann.get(path)
	for range 2 {
		page.submit(path+"/drop", url.Values{"column": {"4"}}).want(http.StatusOK).says("Move 1: Ann dropped in column 4")
	}
	page.submit(path+"/drop", url.Values{"column": {"5"}}).want(http.StatusConflict).says("The form has been used already")

	question := ann.get(path + "/resign")
	for range 2 {
		question.submit(path+"/resign", nil).want(http.StatusOK).says("you resigned")
	}
}

func TestAnAnswerThatWasLostIsAskedForAgain(t *testing.T) {
	t.Parallel()
	w := start(t, quick)
	ann := w.visitor()
	lobby := ann.get("/")
	fill := url.Values{"name": {"Ann"}, "side": {"red"}, "opponent": {"easy"}, "limit": {"0"}}
	w.game.FailNext(1, unavailable, on(joinGame))
	lobby.submit("/games", fill).want(http.StatusServiceUnavailable)
	path := lobby.submit("/games", fill).want(http.StatusOK).says("Your turn").game()
	if games := ann.get("/").all("a", has("href", path)); len(games) != 1 {
		t.Errorf("the lobby shows the game %d times", len(games))
	}
	if n := len(ann.get("/").all("a", has("class", "match"))); n != 1 {
		t.Errorf("the lobby shows %d games, want the one", n)
	}
}

func TestTheNameIsRememberedForTheNextGame(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann := w.visitor()
	ann.create("  Ánn & Ö ", "red", "easy", "0").says("Ánn & Ö")
	lobby := ann.get("/")
	if got := lobby.fields(lobby.form("/games")).Get("name"); got != "Ánn & Ö" {
		t.Errorf("the form offers the name %q", got)
	}
}

func TestAGameMadeElsewhereOffersBothSeats(t *testing.T) {
	t.Parallel()
	w := start(t)
	path := "/games/" + w.newGame(nil)
	ann, ben := w.visitor(), w.visitor()
	ann.get(path).says("A seat is free", "Play Red", "Play Yellow")
	ann.join(path, "Ann", "yellow").says("Waiting for somebody")
	ben.join(path, "Ben", "red").says("Your turn: you play Red")
}
