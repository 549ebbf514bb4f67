package arcade_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"golang.org/x/net/html"

	"github.com/seed-754044b3/roadworthy/internal/need"
)

var screenshots = flag.String("screenshots", "", "`directory` to write pictures of the pages to")

// chromium starts a browser without a window; it ends with the test.
func chromium(t *testing.T) context.Context {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		need.Missing(t, "no Chromium to test the pages in: apt-get install chromium")
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.DisableGPU,
		chromedp.NoSandbox, // containers run tests as root, which Chromium's sandbox refuses
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-crash-reporter", true), chromedp.Flag("no-pings", true),
		chromedp.Flag("allow-pre-commit-input", true), // or a click before a page's first frame is dropped
		chromedp.WindowSize(1100, 900), chromedp.WSURLReadTimeout(3*time.Minute),
	)...)
	ctx, _ = chromedp.NewContext(ctx)
	t.Cleanup(func() {
		ended, stop := context.WithTimeout(ctx, 20*time.Second)
		defer stop()
		if err := chromedp.Cancel(ended); err != nil {
			t.Logf("end the browser: %v", err)
		}
		cancel()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	return ctx
}

// tab is a person at a browser of their own: no cookie is shared with other tabs.
type tab struct {
	t    *testing.T
	ctx  context.Context
	base string
	// scripts says whether the page's scripts run. Where they do not, none can be used to look
	// at the page either.
	scripts bool
}

// open makes a tab. What the page complains of in its console fails the test.
func (w *world) open(browser context.Context) *tab {
	t := w.t.(*testing.T)
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	// The tab lives as long as the context that it is opened in, so that one has no deadline.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	tb := &tab{t, ctx, w.url, true}
	tb.do(chromedp.EmulateViewport(1100, 900))
	complaints, stop := context.WithCancel(ctx)
	messages := chromedp.Console(complaints)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for m, err := range messages {
			if err != nil {
				return
			}
			// The network's are the refusals that tests provoke.
			if m.Source != "network" && (m.Type == "error" || m.Type == "warning" || m.IsException()) {
				t.Errorf("the console says: %s", m)
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		<-read
		cancel()
	})
	return tb
}

func (tb *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	tb.t.Helper()
	ctx, cancel := context.WithTimeout(tb.ctx, 2*time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		tb.t.Fatalf("browser: %v; it shows\n%s", err, tb.text())
	}
}

// goTo loads a page.
func (tb *tab) goTo(path string) { tb.t.Helper(); tb.do(chromedp.Navigate(tb.base + path)) }

// eval evaluates an expression in the page; false while the page is being loaded.
func eval[T any](tb *tab, expression string) (T, bool) {
	ctx, cancel := context.WithTimeout(tb.ctx, 30*time.Second)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	return v, err == nil
}

// switchOff has the browser run no scripts in the tab.
func (tb *tab) switchOff() {
	tb.t.Helper()
	if _, err := chromedp.Call(tb.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		tb.t.Fatal(err)
	}
	tb.scripts = false
}

// text is what the page shows.
func (tb *tab) text() string {
	if !tb.scripts {
		return textOf(tb.document())
	}
	text, _ := eval[string](tb, "document.body.innerText")
	return strings.Join(strings.Fields(text), " ")
}

// document is the page as it stands, empty while it is being loaded.
func (tb *tab) document() *html.Node {
	ctx, cancel := context.WithTimeout(tb.ctx, 30*time.Second)
	defer cancel()
	content, err := chromedp.Run(ctx, chromedp.OuterHTML(chromedp.CSS("html"), chromedp.NodeReady))
	if err != nil {
		return &html.Node{}
	}
	doc, err := html.Parse(strings.NewReader(content))
	if err != nil {
		tb.t.Fatal(err)
	}
	return doc
}

// shows waits until the page is loaded, scripts and all, and shows text.
func (tb *tab) shows(text string) {
	tb.t.Helper()
	var last string
	defer func() {
		if tb.t.Failed() {
			tb.t.Logf("the page shows %q", last)
		}
	}()
	eventually(tb.t, fmt.Sprintf("the page shows %q", text), func() bool {
		last = tb.text()
		return strings.Contains(last, text)
	})
	if tb.scripts {
		tb.holds(`document.readyState === "complete"`)
	}
}

// click presses what a selector finds.
func (tb *tab) click(selector string) {
	tb.t.Helper()
	tb.do(chromedp.Click(chromedp.CSS(selector), chromedp.NodeReady))
}

// fill types into a field, in place of what it holds.
func (tb *tab) fill(selector, text string) {
	tb.t.Helper()
	if tb.scripts {
		tb.holds(fmt.Sprintf(`(document.querySelector(%q).value = "") === ""`, selector))
	}
	tb.do(chromedp.SendKeys(chromedp.CSS(selector), text, chromedp.NodeReady))
}

// holds waits until an expression is true in the page.
func (tb *tab) holds(expression string) {
	tb.t.Helper()
	eventually(tb.t, expression, func() bool { ok, done := eval[bool](tb, expression); return ok && done })
}

// create fills in the lobby's form as a person does, and returns the game's path. limit is in
// seconds, none for no limit.
func (tb *tab) create(name, side, opponent string, limit ...string) (path string) {
	tb.t.Helper()
	tb.goTo("/")
	tb.fill("#name", name)
	tb.click("input[value=" + side + "]")
	tb.click("input[value=" + opponent + "]")
	for _, seconds := range limit {
		tb.do(chromedp.SetValue(chromedp.CSS("#limit"), seconds))
	}
	tb.click(".new button")
	eventually(tb.t, "a game is shown", func() bool { return tb.game() != "" })
	tb.shows(name)
	return tb.game()
}

// game is the path of the game that the tab shows, empty when it shows none.
func (tb *tab) game() string {
	tb.t.Helper()
	p := view{doc: tb.document()}
	for _, game := range p.all("div", has("id", "game")) {
		return strings.TrimSuffix(attr(game, "data-events"), "/events")
	}
	return ""
}

// join takes the open seat.
func (tb *tab) join(path, name string) {
	tb.t.Helper()
	tb.goTo(path)
	tb.fill("#name", name)
	tb.click(".join button")
	tb.shows(name)
}

// drop waits for the turn and clicks into the column, where a person would.
func (tb *tab) drop(column string) {
	tb.t.Helper()
	tb.shows("Your turn")
	tb.click("#column-" + column)
}

// stays has the page mark itself, and returns what tells whether it was loaded anew since.
func (tb *tab) stays() func() {
	tb.t.Helper()
	tb.holds(`(window.stayed = true)`)
	return func() {
		tb.t.Helper()
		if stayed, _ := eval[bool](tb, "window.stayed === true"); !stayed {
			tb.t.Error("the page was loaded anew")
		}
	}
}

// scheme has the tab prefer a dark or a light scheme, and no motion.
func (tb *tab) scheme(name string) {
	tb.t.Helper()
	if _, err := chromedp.Call(tb.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: name}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}}); err != nil {
		tb.t.Fatal(err)
	}
}

// picture writes what the tab shows, if pictures are wanted.
func (tb *tab) picture(name string) {
	tb.t.Helper()
	if *screenshots == "" {
		return
	}
	png, err := chromedp.Run(tb.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		tb.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*screenshots, name+".png"), png, 0o644); err != nil {
		tb.t.Fatal(err)
	}
}
