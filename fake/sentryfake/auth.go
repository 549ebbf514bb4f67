package sentryfake

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// authenticate checks who sends: by the header X-Sentry-Auth, by the query, or by the DSN in the
// envelope. What is given must be right and agree; nothing given is an error.
// (https://develop.sentry.dev/sdk/foundations/transport/authentication/)
func (f *Fake) authenticate(r *http.Request, dsn string) error {
	given := 0
	if header := r.Header.Get("X-Sentry-Auth"); header != "" {
		given++
		fields, err := parseAuth(header)
		if err != nil {
			return fmt.Errorf("X-Sentry-Auth: %w", err)
		}
		if err := f.checkAuth(func(name string) string { return fields[name] }); err != nil {
			return fmt.Errorf("X-Sentry-Auth: %w", err)
		}
	}
	if query := r.URL.Query(); query.Has("sentry_key") {
		given++
		if err := f.checkAuth(query.Get); err != nil {
			return fmt.Errorf("query: %w", err)
		}
	}
	if dsn != "" {
		given++
		u, err := url.Parse(dsn)
		if err != nil || u.User == nil || u.User.Username() != f.options.Key {
			return errors.New("the dsn in the envelope header has another key, or none")
		}
		if project := u.Path[strings.LastIndexByte(u.Path, '/')+1:]; project != f.options.Project {
			return fmt.Errorf("the dsn in the envelope header is of project %.20q; want %q", project, f.options.Project)
		}
	}
	if given == 0 {
		return errors.New("neither X-Sentry-Auth nor sentry_key in the query nor a dsn in the envelope header")
	}
	return nil
}

func (f *Fake) checkAuth(get func(string) string) error {
	if v := get("sentry_version"); v != "7" {
		return fmt.Errorf("sentry_version is %.10q; want \"7\"", v)
	}
	if get("sentry_key") != f.options.Key {
		return errors.New("sentry_key is not the project's")
	}
	return nil
}

// authNames are the fields of X-Sentry-Auth. sentry_timestamp and sentry_secret are out of use and
// still allowed.
var authNames = map[string]bool{
	"sentry_version": true, "sentry_client": true, "sentry_key": true, "sentry_secret": true, "sentry_timestamp": true,
}

// parseAuth reads "Sentry name=value, name=value".
func parseAuth(header string) (map[string]string, error) {
	list, ok := strings.CutPrefix(header, "Sentry ")
	if !ok {
		return nil, errors.New("want the scheme Sentry and a space first")
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(list, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || value == "" || !authNames[name] {
			return nil, fmt.Errorf("field %d: want name=value with one of the names that are documented", len(fields)+1)
		}
		if _, twice := fields[name]; twice {
			return nil, fmt.Errorf("%s is there twice", name)
		}
		fields[name] = value
	}
	return fields, nil
}
