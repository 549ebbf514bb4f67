package arcade

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"math"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

//go:embed page/*.html
var pageFiles embed.FS

//go:embed asset
var assets embed.FS

func assetFiles() fs.FS {
	sub, err := fs.Sub(assets, "asset")
	if err != nil {
		panic(err) // the name is a constant
	}
	return sub
}

// policy is the Content-Security-Policy of every page: nothing but what this site serves in
// files of its own runs, is shown, or is sent to.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// pages are the templates by name, each with the frame around it.
type pages struct {
	byName   map[string]*template.Template
	fragment *template.Template
}

func newPages() (*pages, error) {
	base, err := template.ParseFS(pageFiles, "page/frame.html", "page/board.html")
	if err != nil {
		return nil, fmt.Errorf("templates of the pages: %w", err)
	}
	p := &pages{byName: map[string]*template.Template{}}
	for _, name := range []string{"lobby", "game", "resign", "replay", "failure"} {
		t, err := base.Clone()
		if err == nil {
			t, err = t.ParseFS(pageFiles, "page/"+name+".html")
		}
		if err != nil {
			return nil, fmt.Errorf("template of page %s: %w", name, err)
		}
		p.byName[name] = t
	}
	p.fragment = p.byName["game"].Lookup("table")
	return p, nil
}

// page is what every page has for its frame.
type page struct {
	Title   string
	Refresh int // seconds after which a browser without JavaScript loads the page again; 0: never
	Body    any
}

// show answers with a page.
func (s *site) show(w http.ResponseWriter, status int, name string, p page) error {
	var b bytes.Buffer
	if err := s.pages.byName[name].ExecuteTemplate(&b, "frame", p); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	// The address of a game is what lets people watch it. With no-referrer browsers would
	// also hide the origin of forms.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "private, no-cache")
	h.Add("Vary", "Accept, Cookie") // beside what compression depends on
	w.WriteHeader(status)
	_, err := b.WriteTo(w)
	return err
}

// failureView is what the page of a failure shows.
type failureView struct {
	Status  int
	What    string
	Advice  string
	Details []string // what the failure says of this occurrence
	Back    string   // the path to go on at
	BackTo  string   // what is there
	ID      string   // finds the failure in the log
	Request string   // the request's id
}

// failurePage answers p as a page when a person asked. It is the router's.
func (s *site) failurePage(w http.ResponseWriter, r *http.Request, p failure.Problem) bool {
	if !wantsHTML(r) {
		return false
	}
	for _, name := range []string{"Content-Encoding", "Etag", "Last-Modified", "Retry-After"} {
		w.Header().Del(name)
	}
	if p.Retryable && p.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(p.RetryAfter.Seconds()))))
	}
	v := failureView{Status: p.Status, What: sentence(p.Title), Advice: adviceFor(p), ID: p.ID, Request: w.Header().Get("X-Request-Id")}
	for _, key := range []string{"reason", "field"} {
		if text := p.Args[key]; text != "" {
			v.Details = append(v.Details, sentence(text))
		}
	}
	v.Back, v.BackTo = "/", "To the lobby"
	if id := r.PathValue("id"); id != "" && p.Status != http.StatusNotFound {
		v.Back, v.BackTo = gamePath(id), "Back to the game"
	}
	if r.URL.Path == "/" {
		return s.emptyLobby(w, r, p.Status, v) == nil
	}
	return s.show(w, p.Status, "failure", page{Title: v.What, Body: v}) == nil
}

// wantsHTML reports whether the caller is a browser that shows the answer to a person: HTML is
// named in Accept (RFC 9110, 12.5.1) and not refused. Programs that take anything get JSON.
func wantsHTML(r *http.Request) bool {
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
		media, params, err := mime.ParseMediaType(part)
		if err != nil || media != "text/html" && media != "application/xhtml+xml" {
			continue
		}
		q, err := strconv.ParseFloat(params["q"], 64)
		return err != nil || q > 0
	}
	return false
}

// sentence is s with a capital first letter and a full stop.
func sentence(s string) string {
	if s == "" {
		return ""
	}
	s = strings.ToUpper(s[:1]) + s[1:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

// ago says how long before now t was, roughly.
func ago(now, t time.Time) string {
	d := now.Sub(t)
	for _, step := range []struct {
		unit time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if n := int(d / step.unit); n >= 1 {
			return plural(n, step.name) + " ago"
		}
	}
	return "just now"
}

// span is d in words, to its largest unit that divides it.
func span(d time.Duration) string {
	switch {
	case d%(24*time.Hour) == 0:
		return plural(int(d/(24*time.Hour)), "day")
	case d%time.Hour == 0:
		return plural(int(d/time.Hour), "hour")
	case d%time.Minute == 0:
		return plural(int(d/time.Minute), "minute")
	}
	return plural(int(d/time.Second), "second")
}

func plural(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return strconv.Itoa(n) + " " + unit + "s"
}
