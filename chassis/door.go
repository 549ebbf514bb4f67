package chassis

import (
	"net/http"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
	"github.com/seed-754044b3/roadworthy/chassis/acl"
	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/drain"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
)

// door lets operators in by the admin listener. Whom it refuses is counted, and logged as a refusal of
// the other listeners is; what it answers otherwise has no access line. The application log tells of ten
// refusals a second, and then how many it was silent of.
type door struct {
	service *Service
	guard   *acl.Guard
	counts  *kpi.Listener
	token   config.Secret
	told    told
}

// told bounds what the application log tells of refusals: whoever is refused can ask as often as they like.
type told struct {
	mu     sync.Mutex
	second time.Time // that is counted
	lines  int       // in it
	silent int       // refusals that nothing was told of since the last line
}

// mostTold is how many refusals a second the log tells of, and mostPath how many bytes of a path.
const mostTold, mostPath = 10, 256

// may reports whether one more may be told of now, and if so of how many nothing was since the last.
func (t *told) may(now time.Time) (silent int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.second) >= time.Second || now.Before(t.second) { // which a clock that was set back is
		t.second, t.lines = now, 0
	}
	if t.lines == mostTold {
		t.silent++
		return 0, false
	}
	t.lines++
	silent, t.silent = t.silent, 0
	return silent, true
}

// requireAccess refuses callers that the guard does not let in.
func (d *door) requireAccess(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if verdict := d.check(r, nil); !verdict.Allowed() {
			d.counts.RefuseRequest(kpi.DeniedRequest)
			d.refuse(w, r, http.StatusForbidden, verdict.String(), "admin.acl does not let you in")
			return
		}
		h.ServeHTTP(w, r)
	})
}

// requireToken refuses callers without the token, if there is one.
func (d *door) requireToken(h http.Handler) http.Handler {
	if d.token.Reveal() == "" {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The scheme's name is case-insensitive: RFC 9110, section 11.1.
		scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") || !d.token.Equal(config.NewSecret(given)) {
			d.counts.RefuseRequest(kpi.RefusedOther)
			w.Header().Set("WWW-Authenticate", `Bearer realm="admin"`)
			d.refuse(w, r, http.StatusUnauthorized, "no token", "want the bearer token of admin.token")
			return
		}
		h.ServeHTTP(w, r)
	})
}

// check asks the guard, and notes in rec who it is.
func (d *door) check(r *http.Request, rec *accesslog.Record) acl.Verdict {
	from := remote(r)
	client, verdict := d.guard.Check(d.guard.Recall(from, drain.Note(r.Context())), r.Header[d.guard.Header()], r.URL.Path)
	if rec != nil {
		rec.Peer, rec.Client = acl.AddrPort(from), client
	}
	return verdict
}

// refuse answers a caller who may not ask, and tells of it.
func (d *door) refuse(w http.ResponseWriter, r *http.Request, status int, why, text string) {
	http.Error(w, text, status)
	s := d.service
	rec := accesslog.Record{
		Start: s.world.Clock.Now(), Method: r.Method, URI: r.RequestURI, Proto: r.Proto, Host: r.Host, Server: s.name,
		Status: status, Bytes: int64(len(text) + len("\n")), Conn: accesslog.ConnKept, Request: r.Header, Response: w.Header(), Listener: adminName,
	}
	if s.logs.local {
		rec.Local = localAddr(r)
	}
	_ = d.check(r, &rec)
	if silent, ok := d.told.may(rec.Start); ok {
		path := r.URL.Path
		s.log.Named(adminName).Info("refused", zap.Stringer("client", rec.Client), zap.String("reason", why), zap.Int("status", status),
			zap.String("path", path[:min(len(path), mostPath)]), zap.Int("silent", silent))
	}
	if !s.logs.traffic || !s.logSent(r.Context(), rec) {
		s.LogAccess(&rec)
	}
}
