package chassis

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/failure/aggregate"
)

//go:embed errors.html
var errorsPage string

// failures is what /errors shows, as a page and, with the same contents, as JSON.
type failures struct {
	Service string    `json:"service"`
	Now     time.Time `json:"now"`
	// Groups are all, and with One or Problem none.
	Groups []aggregate.Group `json:"groups,omitempty"`
	// One is the group that was asked for by its key or by an error id.
	One *aggregate.Group `json:"group,omitempty"`
	// Found is what is known of the error id that was asked for.
	Found *aggregate.Seen `json:"found,omitempty"`
	// Problem says what could not be found, or what is missing.
	Problem string `json:"problem,omitempty"`

	Asked      string `json:"-"` // the error id
	Refreshing bool   `json:"-"`
	Here       string `json:"-"` // this page's address, for another parameter
}

var errorsTemplate = template.Must(template.New("errors").Funcs(statusFuncs).Parse(errorsPage))

// serveErrors answers a page for people, or JSON to those who ask for it, as serveStatus does. With
// group it tells of one group, with id of the one that an error id was seen in: 404 for none, 400 for what
// is no error id.
func (s *Service) serveErrors(w http.ResponseWriter, r *http.Request) {
	asked := r.URL.Query()
	groups, err := s.failed(r.Context())
	f := failures{Service: s.name, Now: s.world.Clock.Now(), Refreshing: asked.Get("refresh") != "off", Here: "?"}
	if err != nil {
		s.log.Warn("the failures of other processes are missing", zap.Error(err))
		f.Problem = "Failures of other processes of the service are missing: " + err.Error()
	}
	status := http.StatusOK
	switch id, key := asked.Get("id"), asked.Get("group"); {
	case id != "":
		f.Asked, f.Here = id, "?id="+url.QueryEscape(id)+"&"
		status = f.find(groups, id)
	case key != "":
		f.Here = "?group=" + url.QueryEscape(key) + "&"
		if f.One = groupOf(groups, key); f.One == nil {
			status, f.Problem = http.StatusNotFound, "There is no such group: "+key
		}
	default:
		f.Groups = groups
	}
	w.Header().Set("Cache-Control", "no-store")
	if wantsJSON(r) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		err = json.NewEncoder(w).Encode(f)
	} else {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'")
		w.WriteHeader(status)
		err = errorsTemplate.Execute(w, f)
	}
	if err != nil {
		s.log.Debug("the page of failures was not sent whole", zap.Error(err))
	}
}

// find looks for an error id and returns the status of the answer.
func (f *failures) find(groups []aggregate.Group, text string) int {
	id, err := failure.ParseID(text)
	if err != nil {
		f.Problem = err.Error()
		return http.StatusBadRequest
	}
	f.Asked = id
	g, seen := aggregate.Find(groups, id)
	if g == nil {
		f.Problem = "Error id " + id + " is not among the newest of any group. Look for it in the logs."
		return http.StatusNotFound
	}
	f.One, f.Found = g, &seen
	return http.StatusOK
}

// serveToday answers what failed today (UTC) as the daily report will have it, in text. With POST it is
// written to errors.dir as well: 500 says that it could not be, or not whole, and 409 that there is no
// errors.dir, or a report of this second already.
func (s *Service) serveToday(w http.ResponseWriter, r *http.Request) {
	now := s.world.Clock.Now().UTC()
	if r.Method == http.MethodPost {
		if s.settings.Errors.Dir == "" {
			http.Error(w, "errors.dir names no directory to write a report to", http.StatusConflict)
			return
		}
		if status, problem := s.writeToday(r.Context(), now); status != http.StatusOK {
			http.Error(w, problem, status)
			return
		}
	}
	d, err := s.today(r.Context(), now)
	if err != nil {
		s.log.Warn("the report of failures is not whole", zap.Error(err))
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err := d.WriteText(w); err != nil {
		s.log.Debug("the report of failures was not sent whole", zap.Error(err))
	}
}

// writeToday writes the report of the day so far, and returns the status of the answer and what is wrong.
func (s *Service) writeToday(ctx context.Context, now time.Time) (status int, problem string) {
	as := asOf(now)
	written, err := s.writeDaily(ctx, now, as)
	switch there := s.folder().Has(now.Format(time.DateOnly) + as); {
	case err != nil && written:
		return http.StatusInternalServerError, "the report is written, but not all is well: " + err.Error()
	case err != nil:
		return http.StatusInternalServerError, "the report is not written: " + err.Error()
	case !written && there:
		return http.StatusConflict, "there is a report of this second already, which stands: ask again in a second"
	}
	return http.StatusOK, ""
}

func groupOf(groups []aggregate.Group, key string) *aggregate.Group {
	for i := range groups {
		if groups[i].Key == key {
			return &groups[i]
		}
	}
	return nil
}

func wantsJSON(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "application/json") || r.URL.Query().Get("format") == "json"
}

// maxForm bounds the body of what the page sends.
const maxForm = 16 << 10

// servePin keeps the group named by the form's group however long it is quiet, or no longer, as its
// pinned says: true or false. It answers 303 to the group's page.
func (s *Service) servePin(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := s.pin(r); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	http.Redirect(w, r, "/errors?group="+url.QueryEscape(r.PostForm.Get("group")), http.StatusSeeOther)
}

func (s *Service) pin(r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return err
	}
	key, pinned := r.PostForm.Get("group"), r.PostForm.Get("pinned")
	if pinned != "true" && pinned != "false" {
		return errors.New("want pinned=true or pinned=false in the form")
	}
	groups, err := s.failed(r.Context())
	known := groupOf(groups, key)
	if known == nil {
		return errors.Join(errors.New("want group=KEY in the form, as /errors?format=json has it"), err)
	}
	if !s.aggregate.Pin(key, pinned == "true", true) {
		return errors.New("too many groups are known: none more can be pinned")
	}
	s.log.Info("a group of failures was pinned or unpinned", zap.String("group", key), zap.String("pinned", pinned))
	return nil
}
