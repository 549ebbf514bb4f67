package arcade_test

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

func TestPagesCanBeReadAloudAndUsedWithTheKeyboard(t *testing.T) {
	t.Parallel()
	w := start(t)
	finished := w.finished()
	ann, ben := w.visitor(), w.visitor()
	running := ann.create("Ann", "red", "human", "60").game()
	ben.join(running, "Ben", "yellow")
	open := "/games/" + w.newGame(nil)
	for _, path := range []string{"/", running, running + "/resign", "/games/none", finished, finished + "/replay?ply=3", open} {
		p := ann.get(path)
		if lang := attr(p.all("html", nil)[0], "lang"); lang != "en" {
			t.Errorf("%s: the language is %q", path, lang)
		}
		if title := textOf(p.all("title", nil)[0]); title == "" {
			t.Errorf("%s: no title", path)
		}
		if n := len(p.all("h1", nil)); n != 1 {
			t.Errorf("%s: %d headings of the first level, want 1", path, n)
		}
		if n := len(p.all("main", nil)); n != 1 {
			t.Errorf("%s: %d main landmarks", path, n)
		}
		ids := map[string]int{}
		labelled := map[string]bool{}
		for n := range p.doc.Descendants() {
			if id := attr(n, "id"); id != "" {
				ids[id]++
			}
			if n.Data == "label" {
				labelled[attr(n, "for")] = true
			}
		}
		for id, n := range ids {
			if n > 1 {
				t.Errorf("%s: %d elements are called %s", path, n, id)
			}
		}
		for n := range p.doc.Descendants() {
			switch {
			case n.Type != html.ElementNode:
			case n.Data == "img":
				if _, ok := lookup(n, "alt"); !ok {
					t.Errorf("%s: an image without alternative", path)
				}
			case n.Data == "input" || n.Data == "select":
				inLabel := slices.ContainsFunc(slices.Collect(n.Ancestors()), func(a *html.Node) bool { return a.Data == "label" })
				if attr(n, "type") != "hidden" && !labelled[attr(n, "id")] && !inLabel {
					t.Errorf("%s: the field %s has no label", path, attr(n, "name"))
				}
			case n.Data == "button" || n.Data == "a":
				if textOf(n) == "" && attr(n, "aria-label") == "" {
					t.Errorf("%s: a <%s> without a name", path, n.Data)
				}
				if strings.HasPrefix(attr(n, "tabindex"), "-") {
					t.Errorf("%s: %s cannot be reached with the keyboard", path, textOf(n))
				}
			}
		}
	}
	page := ann.get(running)
	if n := page.all("p", has("aria-live", "polite")); len(n) != 1 || textOf(n[0]) != "Your turn: you play Red." {
		t.Error("the status is not announced")
	}
	if n := len(page.all("table", nil)); n != 1 {
		t.Errorf("%d tables", n)
	}
	if n := len(page.all("button", has("name", "column"))); n != 7 {
		t.Errorf("%d buttons for columns", n)
	}
	if n := len(page.all("td", nil)); n != 42 {
		t.Errorf("%d cells", n)
	}
	if refresh := len(ben.get(running).all("noscript", nil)); refresh != 1 {
		t.Error("who waits without JavaScript does not see the move")
	}
}

// luminance is the relative luminance of a colour #rrggbb, as WCAG 2.2 defines it.
func luminance(t testing.TB, colour string) float64 {
	n, err := strconv.ParseUint(strings.TrimPrefix(colour, "#"), 16, 24)
	if err != nil || len(colour) != 7 {
		t.Fatalf("%q is no colour", colour)
	}
	channel := func(shift uint) float64 {
		c := float64(n>>shift&255) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(16) + 0.7152*channel(8) + 0.0722*channel(0)
}

func contrast(t testing.TB, a, b string) float64 {
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func TestThePaletteHasContrast(t *testing.T) {
	t.Parallel()
	w := start(t)
	_, css := get(t, w.url+"/assets/arcade.css", nil)
	blocks := regexp.MustCompile(`(?s):root \{(.*?)\}`).FindAllStringSubmatch(css, -1)
	if len(blocks) != 2 {
		t.Fatalf("the style sheet has %d palettes, want a light and a dark one", len(blocks))
	}
	_, red := get(t, w.url+"/assets/red.svg", nil)
	_, yellow := get(t, w.url+"/assets/yellow.svg", nil)
	fill := func(svg, pattern string) string { return regexp.MustCompile(pattern).FindStringSubmatch(svg)[1] }
	discs := map[string]string{
		"red disc": fill(red, `r="50" fill="(#\w+)"`), "red mark": fill(red, `r="25" fill="none" stroke="(#\w+)"`),
		"yellow disc": fill(yellow, `r="50" fill="(#\w+)"`), "yellow mark": fill(yellow, `Z" fill="(#\w+)"`),
	}
	const text, graphic = 4.5, 3 // WCAG 2.2, 1.4.3 and 1.4.11
	for i, scheme := range []string{"light", "dark"} {
		colours := map[string]string{}
		for _, m := range regexp.MustCompile(`--([\w-]+): (#\w{6});`).FindAllStringSubmatch(blocks[i][1], -1) {
			colours[m[1]] = m[2]
		}
		for name, colour := range discs {
			colours[name] = colour
		}
		for _, c := range []struct {
			front, back string
			least       float64
		}{
			{"ink", "paper", text}, {"ink", "card", text}, {"dim", "paper", text}, {"dim", "card", text},
			{"link", "paper", text}, {"link", "card", text}, {"on-button", "button", text}, {"on-button", "button-hover", text},
			{"on-board", "board", text}, {"board", "on-board", text},
			{"turn", "turn-paper", text}, {"turn", "card", text},
			{"bad", "bad-paper", text}, {"bad", "card", text}, {"bad", "paper", text}, {"card", "bad", text},
			{"edge", "paper", graphic}, {"edge", "card", graphic}, {"button", "card", graphic},
			{"focus", "paper", graphic}, {"focus", "card", graphic},
			{"gold", "board", graphic}, {"board", "paper", graphic - 1}, {"board", "hole", graphic - 1},
			{"red mark", "red disc", graphic}, {"yellow mark", "yellow disc", graphic},
			{"red disc", "yellow disc", graphic}, {"yellow disc", "board", graphic},
		} {
			if colours[c.front] == "" || colours[c.back] == "" {
				t.Fatalf("%s: no colour %s or %s", scheme, c.front, c.back)
			}
			if got := contrast(t, colours[c.front], colours[c.back]); got < c.least {
				t.Errorf("%s: %s %s on %s %s has a contrast of %.2f, want %.1f", scheme, c.front, colours[c.front], c.back, colours[c.back], got, c.least)
			}
		}
	}
}
