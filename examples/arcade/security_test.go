package arcade_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/seed-754044b3/roadworthy/examples/arcade"
)

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	w := start(t)
	fields := url.Values{"request_id": {"a"}, "name": {"Ann"}, "side": {"red"}, "opponent": {"human"}, "limit": {"0"}}
	for name, header := range map[string]http.Header{
		"the browser says it is of another site": {"Sec-Fetch-Site": {"cross-site"}},
		"the browser says it is of a sibling":    {"Sec-Fetch-Site": {"same-site"}},
		"an older browser names another origin":  {"Origin": {"http://evil.example"}},
		"the origin is hidden":                   {"Origin": {"null"}},
	} {
		header.Set("Content-Type", "application/x-www-form-urlencoded")
		page := w.visitor().do(http.MethodPost, "/games", fields, header)
		if page.status != http.StatusForbidden || !strings.Contains(page.text(), "The form did not come from this site") {
			t.Errorf("%s: status %d: %s", name, page.status, page.text())
		}
	}
	if n := len(w.game.Calls()); n != 0 {
		t.Errorf("%d calls reached the game service", n)
	}
}

func TestFormsOfThePublicAddressAreTaken(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *arcade.Config) { c.PublicURL = "https://play.example" })
	fields := url.Values{"request_id": {"a"}, "name": {"Ann"}, "side": {"red"}, "opponent": {"human"}, "limit": {"0"}}
	page := w.visitor().do(http.MethodPost, "/games", fields, http.Header{
		"Content-Type": {"application/x-www-form-urlencoded"}, "Origin": {"https://play.example"},
	}).want(http.StatusOK)
	if link := page.all("input", has("id", "share")); len(link) != 1 || attr(link[0], "value") != "https://play.example"+page.game() {
		t.Error("the link to share is not of the public address")
	}
}

func TestASeatIsACookieThatScriptsAndOtherSitesDoNotGet(t *testing.T) {
	t.Parallel()
	w := start(t, func(c *arcade.Config) { c.Seat.Secure = true })
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	fields := url.Values{"request_id": {"a"}, "name": {"Ann"}, "side": {"red"}, "opponent": {"human"}, "limit": {"0"}}
	resp, _ := do(t, client, http.MethodPost, w.url+"/games", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, fields.Encode())
	if resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("status %d, want 303", resp.StatusCode)
	}
	var found bool
	for _, c := range resp.Cookies() {
		if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || !c.Secure || c.MaxAge != 30*24*3600 || len(c.Value) > 300 {
			t.Errorf("the cookie is %v", c)
		}
		if c.Name == "seat" {
			found = true
			if c.Path != resp.Header.Get("Location") || !strings.HasPrefix(c.Path, "/games/") {
				t.Errorf("the seat is sent to %s, want only to the game at %s", c.Path, resp.Header.Get("Location"))
			}
		}
	}
	if !found {
		t.Error("there is no seat")
	}
}

func TestASeatInOneGameIsNotShownToAnother(t *testing.T) {
	t.Parallel()
	w := start(t)
	ann := w.visitor()
	first := ann.create("Ann", "red", "human", "0").game()
	second := ann.create("Ann", "yellow", "human", "0").game()
	ann.get(first).says("Red, you")
	ann.get(second).says("Yellow, you")
}

func TestPagesUseNothingFromElsewhereAndNothingInline(t *testing.T) {
	t.Parallel()
	w := start(t)
	finished := w.finished()
	ann, ben := w.visitor(), w.visitor()
	running := ann.create("Ann", "red", "human", "60").game()
	ben.join(running, "Ben", "yellow")
	pages := []*view{
		ann.get("/"), ann.get(running), ann.get(running + "/resign"), w.visitor().get("/games/none"),
		ann.get(finished), ann.get(finished + "/replay"), ann.get("/games/" + w.newGame(nil)),
	}
	for _, p := range pages {
		for header, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			"X-Content-Type-Options":  "nosniff",
			"Referrer-Policy":         "same-origin",
			"Cache-Control":           "private, no-cache",
		} {
			if got := p.header.Get(header); got != want {
				t.Errorf("%s: %s is %q, want %q", p.path, header, got, want)
			}
		}
		for n := range p.doc.Descendants() {
			if n.Type != html.ElementNode {
				continue
			}
			if n.Data == "style" || n.Data == "script" && attr(n, "src") == "" {
				t.Errorf("%s: inline <%s>", p.path, n.Data)
			}
			for _, a := range n.Attr {
				if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
					t.Errorf("%s: <%s %s> is inline", p.path, n.Data, a.Key)
				}
				if a.Key == "src" || a.Key == "href" || a.Key == "action" {
					if !strings.HasPrefix(a.Val, "/") && !strings.HasPrefix(a.Val, "#") || strings.HasPrefix(a.Val, "//") {
						t.Errorf("%s: <%s> refers to %s", p.path, n.Data, a.Val)
					}
				}
			}
		}
	}
	for _, asset := range []string{"arcade.css", "arcade.js", "red.svg", "yellow.svg", "icon.svg"} {
		resp, body := get(t, w.url+"/assets/"+asset, nil)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("ETag") == "" {
			t.Errorf("%s: status %d, ETag %q", asset, resp.StatusCode, resp.Header.Get("ETag"))
		}
		body = strings.ReplaceAll(body, `xmlns="http://www.w3.org/2000/svg"`, "")
		if strings.Contains(body, "http://") || strings.Contains(body, "https://") || strings.Contains(body, "@import") {
			t.Errorf("%s refers to another site", asset)
		}
	}
}

func TestPagesAreCompressedForBrowsersThatLikeIt(t *testing.T) {
	t.Parallel()
	w := start(t)
	resp, _ := get(t, w.url+"/", asBrowser)
	if vary := strings.Join(resp.Header.Values("Vary"), ", "); !resp.Uncompressed || !strings.Contains(vary, "Accept-Encoding") || !strings.Contains(vary, "Cookie") {
		t.Errorf("compressed: %t, Vary: %s", resp.Uncompressed, vary)
	}
}

func TestANameCannotBeMarkup(t *testing.T) {
	t.Parallel()
	w := start(t)
	const name = `<b onclick="x">"&'`
	page := w.visitor().create(name, "red", "easy", "0").says(name)
	if strings.Contains(page.content, "<b onclick") {
		t.Error("the name is markup")
	}
	w.visitor().get("/").says(name)
}
