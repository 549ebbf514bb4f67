package arcade_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// TestInARealBrowser plays in Chromium. One browser serves all parts, each in contexts of its
// own.
func TestInARealBrowser(t *testing.T) {
	t.Parallel()
	browser := chromium(t)

	t.Run("two people see each other's moves live", func(t *testing.T) {
		w := start(t)
		ann, ben := w.open(browser), w.open(browser)
		path := ann.create("Ann", "red", "human")
		ann.shows("Waiting for somebody to play against")
		annStays := ann.stays()
		ben.join(path, "Ben")
		benStays := ben.stays()
		ann.shows("Your turn")
		for range 3 {
			ann.drop("4")
			ben.drop("5")
		}
		ann.shows("Your turn")
		if title, _ := eval[string](ann, "document.title"); !strings.HasPrefix(title, "● ") {
			t.Errorf("the title does not say whose turn it is: %q", title)
		}
		ann.drop("4")
		ann.shows("You won with four in a row")
		ben.shows("Ann (Red) won with four in a row")
		annStays()
		benStays()
		if n, _ := eval[int](ben, `document.querySelectorAll(".board .won").length`); n != 4 {
			t.Errorf("%d discs are marked as winning, want 4", n)
		}
		ann.holds(`document.getElementById("game").dataset.live === "false"`)
	})

	t.Run("a person plays a bot", func(t *testing.T) {
		w := start(t)
		ann := w.open(browser)
		ann.create("Ann", "yellow", "easy")
		stays := ann.stays()
		ann.shows("Move 1: Easy bot")
		ann.drop("1")
		ann.shows("Move 3: Easy bot")
		stays()
	})

	t.Run("a game is played with the keyboard only", func(t *testing.T) {
		w := start(t)
		ann := w.open(browser)
		ann.goTo("/")
		tabs := func(n int) {
			for range n {
				ann.do(chromedp.KeyEvent(kb.Tab))
			}
		}
		tabs(1)
		ann.holds(`document.activeElement.textContent === "Skip to the content"`)
		tabs(4) // the name of the site, two links, the player's name
		ann.holds(`document.activeElement.id === "name"`)
		ann.do(chromedp.KeyEvent("Kim"))
		tabs(2) // the side, the opponent
		ann.do(chromedp.KeyEvent(kb.ArrowRight))
		ann.holds(`document.activeElement.value === "easy" && document.activeElement.checked`)
		tabs(2) // the limit, the button
		ann.do(chromedp.KeyEvent(kb.Enter))
		ann.shows("Your turn: you play Red")

		ann.do(chromedp.KeyEvent("3"))
		ann.shows("Move 2: Easy bot")
		ann.shows("Your turn")
		ann.holds(`document.activeElement.id === "column-3"`)
		ann.do(chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent(kb.ArrowRight))
		ann.holds(`document.activeElement.id === "column-5"`)
		ann.do(chromedp.KeyEvent(kb.ArrowLeft), chromedp.KeyEvent(kb.ArrowDown))
		ann.shows("Move 4: Easy bot")
		if outline, _ := eval[string](ann, `getComputedStyle(document.querySelector("#column-4"), "::after").outlineStyle`); outline != "solid" {
			t.Errorf("the focus on a column is not seen: outline %q", outline)
		}
		ann.do(chromedp.KeyEvent(kb.Enter))
		ann.shows("Move 6: Easy bot")
	})

	t.Run("a replay is stepped through with the keys", func(t *testing.T) {
		w := start(t)
		path := w.finished()
		ann := w.open(browser)
		ann.goTo(path + "/replay")
		ann.shows("Move 0 of 7")
		for _, step := range []struct{ key, shows string }{
			{kb.ArrowRight, "Move 1 of 7"}, {kb.ArrowRight, "Move 2 of 7"}, {kb.End, "Move 7 of 7"},
			{kb.ArrowLeft, "Move 6 of 7"}, {kb.Home, "Move 0 of 7"},
		} {
			ann.do(chromedp.KeyEvent(step.key))
			ann.shows(step.shows)
		}
		ann.do(chromedp.Click(chromedp.CSS(`[data-key="End"]`)))
		ann.shows("Ann (Red) won with four in a row")
	})

	t.Run("a phone shows every page without scrolling sideways", func(t *testing.T) {
		w := start(t)
		long := strings.Repeat("W", 40)
		finished := w.finished()
		ann, ben := w.visitor(), w.visitor()
		running := ann.create(long, "red", "human", "60").game()
		ben.join(running, "Benedikt Theophil of the Northern Isles", "yellow")
		phone := w.open(browser)
		phone.do(chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile, chromedp.EmulateTouch))
		waiting := phone.create(long, "red", "human")
		for _, path := range []string{"/", waiting, running, finished, finished + "/replay?ply=3", waiting + "/resign", "/games/none"} {
			phone.goTo(path)
			if wide, _ := eval[int](phone, "document.documentElement.scrollWidth"); wide > 360 {
				t.Errorf("%s is %d pixels wide", path, wide)
			}
		}
		w.visitor().join(waiting, "Ben", "yellow")
		phone.goTo(waiting)
		const least = 44 // pixels, for a finger
		if size, _ := eval[float64](phone, `Math.min(...[...document.querySelectorAll("td")].map((c) => c.offsetWidth))`); size < 42 {
			t.Errorf("a column is %v pixels wide", size)
		}
		for _, selector := range []string{".actions .button"} {
			if size, _ := eval[float64](phone, `Math.min(...[...document.querySelectorAll("`+selector+`")].map((c) => c.offsetHeight))`); size < least {
				t.Errorf("%s is %v pixels high", selector, size)
			}
		}
		phone.do(chromedp.Tap(chromedp.CSS("tbody tr:last-child td:nth-child(6)"))) // anywhere in the column
		phone.shows("Move 1: " + long + " dropped in column 6")
	})

	t.Run("everything works with JavaScript switched off", func(t *testing.T) {
		w := start(t)
		ann, ben := w.open(browser), w.open(browser)
		ann.switchOff()
		ben.switchOff()
		path := ann.create("Ann", "red", "human")
		ben.join(path, "Ben")
		ann.shows("Your turn") // the page loads itself again
		for range 3 {
			ann.drop("1")
			ann.shows("Ben (Yellow) to move")
			ben.goTo(path)
			ben.drop("2")
			ben.shows("Ann (Red) to move")
			ann.goTo(path)
		}
		ann.drop("1")
		ann.shows("You won with four in a row")
	})

	t.Run("a refused move is said aloud, and the page stays", func(t *testing.T) {
		w := start(t)
		ann := w.open(browser)
		path := ann.create("Ann", "red", "human")
		w.visitor().join(path, "Ben", "yellow")
		ann.shows("Your turn")
		stays := ann.stays()
		w.game.FailNext(1, unavailable, on(dropDisc))
		ann.drop("4")
		ann.shows("The game service cannot do this right now")
		ann.holds(`document.querySelector("[role=alert]").hidden === false`)
		ann.drop("4")
		ann.shows("Move 1: Ann dropped in column 4")
		ann.holds(`document.querySelector("[role=alert]").hidden`)
		stays()
	})

	t.Run("a page whose stream was cut catches up", func(t *testing.T) {
		w := start(t)
		ann := w.open(browser)
		path := ann.create("Ann", "red", "human")
		stays := ann.stays()
		w.game.FailNext(1, unavailable, on(getGame))
		// The stream breaks on this event, and the browser asks for what it missed.
		w.joinGame(path, "Ben")
		ann.shows("Your turn")
		stays()
	})

	t.Run("the lobby shows new games by itself", func(t *testing.T) {
		w := start(t)
		ann := w.open(browser)
		ann.goTo("/")
		ann.shows("Nobody is waiting")
		stays := ann.stays()
		w.visitor().create("Ben", "red", "human", "0").want(http.StatusOK)
		ann.shows("Ben waits for an opponent")
		stays()
	})

	t.Run("the picture of the README", func(t *testing.T) {
		w := start(t)
		ann := w.open(browser)
		ann.do(chromedp.EmulateViewport(1000, 780))
		w.middle(ann, "300")
		ann.picture("arcade")
	})

	if *screenshots == "" {
		return // the pictures below are for people to look at
	}
	t.Run("pictures of every page", func(t *testing.T) {
		w := start(t)
		finished := w.finished()
		ann := w.open(browser)
		w.visitor().create("Dora", "yellow", "human", "300")
		w.visitor().create("Emil", "red", "human", "0")
		w.visitor().create("Fred", "red", "medium", "0")
		path := w.middle(ann, "60")
		waiting := ann.create("Ann", "red", "human")
		open := "/games/" + w.newGame(nil)
		for _, scheme := range []string{"light", "dark"} {
			ann.scheme(scheme)
			for _, p := range []struct{ name, path string }{
				{"game", path}, {"lobby", "/"}, {"waiting", waiting}, {"open", open}, {"finished", finished}, {"replay", finished + "/replay?ply=5"},
				{"resign", path + "/resign"}, {"failure", "/games/none"},
			} {
				ann.do(chromedp.EmulateViewport(1100, 760))
				ann.goTo(p.path)
				ann.picture("page-" + p.name + "-" + scheme)
				ann.do(chromedp.EmulateViewport(360, 740, chromedp.EmulateMobile, chromedp.EmulateScale(2)))
				ann.goTo(p.path)
				ann.picture("page-" + p.name + "-" + scheme + "-phone")
			}
		}
	})
}

// middle has Ann in the tab and Ben play a game to its middle.
func (w *world) middle(ann *tab, limit string) (path string) {
	w.t.Helper()
	ben := w.visitor()
	ann.scheme("light")
	path = ann.create("Ann", "red", "human", limit)
	ben.join(path, "Ben", "yellow")
	for _, moves := range []string{"44", "43", "35", "53", "63", "26", "21", "36"} {
		ann.drop(moves[:1])
		ann.shows("Ben (Yellow) to move")
		ben.get(path).drop(moves[1:])
	}
	ann.shows("Move 16: Ben dropped in column 6")
	return path
}
