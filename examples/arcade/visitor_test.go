package arcade_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// visitor is a browser without JavaScript: it follows links, fills in forms and keeps cookies.
type visitor struct {
	t      testing.TB
	client *http.Client
	base   string
}

func (w *world) visitor() *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return &visitor{t: w.t, client: &http.Client{Jar: jar}, base: w.url}
}

// view is a page as it was answered.
type view struct {
	v       *visitor
	status  int
	header  http.Header
	path    string // where redirects led to
	content string
	doc     *html.Node
}

var asBrowser = http.Header{"Accept": {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}}

func (v *visitor) get(path string) *view {
	v.t.Helper()
	return v.do(http.MethodGet, path, nil, nil)
}

// post sends a form as a page of the site would, with fields as given.
func (v *visitor) post(path string, fields url.Values) *view {
	v.t.Helper()
	return v.do(http.MethodPost, path, fields, http.Header{
		"Content-Type": {"application/x-www-form-urlencoded"}, "Origin": {v.base}, "Sec-Fetch-Site": {"same-origin"},
	})
}

func (v *visitor) do(method, path string, fields url.Values, header http.Header) *view {
	v.t.Helper()
	all := asBrowser.Clone()
	for key, values := range header {
		all[key] = values
	}
	resp, body := do(v.t, v.client, method, v.base+path, all, fields.Encode())
	doc, err := html.Parse(strings.NewReader(body))
	if err != nil {
		v.t.Fatal(err)
	}
	return &view{v, resp.StatusCode, resp.Header, resp.Request.URL.RequestURI(), body, doc}
}

// create fills in the lobby's form.
func (v *visitor) create(name, side, opponent, limit string) *view {
	v.t.Helper()
	return v.get("/").submit("/games", url.Values{"name": {name}, "side": {side}, "opponent": {opponent}, "limit": {limit}}).want(http.StatusOK)
}

// join opens a game and takes a seat.
func (v *visitor) join(path, name, side string) *view {
	v.t.Helper()
	return v.get(path).submit(path+"/join", url.Values{"name": {name}, "side": {side}}).want(http.StatusOK)
}

// want checks the page's status.
func (p *view) want(status int) *view {
	p.v.t.Helper()
	if p.status != status {
		p.v.t.Fatalf("%s: status %d, want %d:\n%s", p.path, p.status, status, p.text())
	}
	return p
}

// says checks that the page's text has all of these.
func (p *view) says(texts ...string) *view {
	p.v.t.Helper()
	for _, text := range texts {
		if !strings.Contains(p.text(), text) {
			p.v.t.Errorf("%s: the page does not say %q:\n%s", p.path, text, p.text())
		}
	}
	return p
}

// game is the path of the game that the page is about.
func (p *view) game() string {
	parts := strings.Split(p.path, "/")
	if len(parts) < 3 || parts[1] != "games" {
		p.v.t.Fatalf("%s is no page of a game:\n%s", p.path, p.text())
	}
	return "/games/" + parts[2]
}

// text is what the page says, its spaces made single.
func (p *view) text() string { return textOf(p.doc) }

func textOf(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		skipped := slices.ContainsFunc(slices.Collect(c.Ancestors()), func(a *html.Node) bool {
			return a.Data == "script" || a.Data == "style" || a.Data == "noscript"
		})
		if c.Type == html.TextNode && !skipped {
			b.WriteString(c.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// all are the elements for which ok holds, in the order of the page.
func (p *view) all(tag string, ok func(*html.Node) bool) []*html.Node {
	var found []*html.Node
	for n := range p.doc.Descendants() {
		if n.Type == html.ElementNode && n.Data == tag && (ok == nil || ok(n)) {
			found = append(found, n)
		}
	}
	return found
}

func attr(n *html.Node, key string) string {
	v, _ := lookup(n, key)
	return v
}

func lookup(n *html.Node, key string) (string, bool) {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val, true
		}
	}
	return "", false
}

func has(key, value string) func(*html.Node) bool {
	return func(n *html.Node) bool { return attr(n, key) == value }
}

// form is the form that is posted to action, nil when the page has none.
func (p *view) form(action string) *html.Node {
	if forms := p.all("form", has("action", action)); len(forms) > 0 {
		return forms[0]
	}
	return nil
}

// fields are what a browser would send of a form as it stands, without the button.
func (p *view) fields(form *html.Node) url.Values {
	values := url.Values{}
	for n := range form.Descendants() {
		if n.Type != html.ElementNode || n.Data != "input" || attr(n, "name") == "" {
			continue
		}
		if _, checked := lookup(n, "checked"); attr(n, "type") == "radio" && !checked {
			continue
		}
		values.Set(attr(n, "name"), attr(n, "value"))
	}
	return values
}

// submit sends the form that is posted to action, with some fields filled in.
func (p *view) submit(action string, fill url.Values) *view {
	p.v.t.Helper()
	form := p.form(action)
	if form == nil {
		p.v.t.Fatalf("%s: no form is posted to %s:\n%s", p.path, action, p.text())
	}
	fields := p.fields(form)
	for key, values := range fill {
		fields[key] = values
	}
	return p.v.post(action, fields)
}

// drop presses the button of a column, 1 to 7, which must be there.
func (p *view) drop(column string) *view {
	p.v.t.Helper()
	buttons := p.all("button", func(n *html.Node) bool { return attr(n, "name") == "column" && attr(n, "value") == column })
	if len(buttons) != 1 {
		p.v.t.Fatalf("%s: %d buttons for column %s:\n%s", p.path, len(buttons), column, p.text())
	}
	return p.submit(p.game()+"/drop", url.Values{"column": {column}}).want(http.StatusOK)
}

// board is the board as text, a row a line, the top first: R and Y are discs, those of a winning
// line are r and y.
func (p *view) board() string {
	var b strings.Builder
	for _, row := range p.all("tr", nil) {
		line := ""
		for n := range row.Descendants() {
			class := " " + attr(n, "class") + " "
			if n.Data != "span" || !strings.Contains(class, " disc ") {
				continue
			}
			mark := "."
			switch {
			case strings.Contains(class, " red "):
				mark = "R"
			case strings.Contains(class, " yellow "):
				mark = "Y"
			}
			if strings.Contains(class, " won ") {
				mark = strings.ToLower(mark)
			}
			line += mark
		}
		if line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}
