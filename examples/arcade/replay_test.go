package arcade_test

import (
	"net/http"
	"testing"

	"golang.org/x/net/html"
)

// finished plays Ann, who is Red and wins in column 1, against Ben, who plays column 2.
func (w *world) finished() (path string) {
	w.t.Helper()
	ann, ben := w.visitor(), w.visitor()
	path = ann.create("Ann", "red", "human", "0").game()
	ben.join(path, "Ben", "yellow")
	for range 3 {
		ann.get(path).drop("1")
		ben.get(path).drop("2")
	}
	ann.get(path).drop("1").says("You won")
	return path
}

func TestAGameIsReplayedMoveByMove(t *testing.T) {
	t.Parallel()
	w := start(t)
	path := w.finished()
	v := w.visitor()
	link := func(p *view, name string) string {
		for _, a := range p.all("a", nil) {
			if textOf(a) == name {
				return attr(a, "href")
			}
		}
		return ""
	}

	page := v.get(path).want(http.StatusOK)
	page = v.get(link(page, "Replay")).want(http.StatusOK).says("The empty board", "Move 0 of 7")
	if link(page, "First") != "" || link(page, "Previous") != "" {
		t.Error("the empty board has links to earlier moves")
	}
	page = v.get(link(page, "Next")).says("Ann (Red) dropped in column 1", "Move 1 of 7")
	page = v.get(link(page, "Next")).says("Ben (Yellow) dropped in column 2", "Move 2 of 7")
	if got, want := page.board(), ".......\n.......\n.......\n.......\n.......\nRY.....\n"; got != want {
		t.Errorf("after two moves the board is\n%swant\n%s", got, want)
	}
	page = v.get(link(page, "Last")).says("Ann (Red) won with four in a row", "Move 7 of 7")
	if got, want := page.board(), ".......\n.......\nr......\nrY.....\nrY.....\nrY.....\n"; got != want {
		t.Errorf("at the end the board is\n%swant\n%s", got, want)
	}
	if link(page, "Next") != "" || link(page, "Last") != "" {
		t.Error("the last move has links to later ones")
	}
	page = v.get(link(page, "Previous")).says("Ben (Yellow) dropped in column 2", "Move 6 of 7")
	v.get(link(page, "First")).says("Move 0 of 7")
}

func TestAReplayOfMovesThatAreNotThereIsNotFound(t *testing.T) {
	t.Parallel()
	w := start(t)
	path := w.finished()
	for _, ply := range []string{"8", "-1", "x", "99999999999999999999"} {
		w.visitor().get(path+"/replay?ply="+ply).want(http.StatusNotFound).
			says("The game has no such move", "a number from 0, the empty board, to 7, the last move")
	}
	w.visitor().get("/games/none/replay").want(http.StatusNotFound).says("There is no such game")
}

func TestARunningGameIsReplayedAsFarAsItWent(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann, ben := w.visitor(), w.visitor()
	path := ann.create("Ann", "red", "human", "0").game()
	ben.join(path, "Ben", "yellow")
	ann.get(path).drop("4")
	ben.get(path+"/replay?ply=1").want(http.StatusOK).says("Ann (Red) dropped in column 4", "Move 1 of 1", "Back to the game")
}

func TestTheLobbyTurnsPages(t *testing.T) {
	t.Parallel()
	w := start(t)
	const games = 30
	for range games {
		w.newGame(nil)
	}
	v := w.visitor()
	seen := map[string]bool{}
	page := v.get("/")
	for pages := 1; ; pages++ {
		matches := page.all("a", has("class", "match"))
		if len(matches) > 12 {
			t.Fatalf("a page shows %d games", len(matches))
		}
		for _, a := range matches {
			if seen[attr(a, "href")] {
				t.Errorf("%s is shown twice", attr(a, "href"))
			}
			seen[attr(a, "href")] = true
		}
		older := page.all("a", func(n *html.Node) bool { return textOf(n) == "Older games" })
		if len(older) == 0 {
			break
		}
		if pages > games {
			t.Fatal("the pages never end")
		}
		page = v.get(attr(older[0], "href")).want(http.StatusOK).says("Back to the newest games")
	}
	if len(seen) != games {
		t.Errorf("the pages show %d games, want %d", len(seen), games)
	}
	v.get("/?open=rubbish").want(http.StatusBadRequest)
}
