package sentry

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/getsentry/sentry-go"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/failure/aggregate"
	"github.com/seed-754044b3/roadworthy/chassis/failure/scrub"
)

const (
	maxTag  = 200  // characters, as Sentry has it
	maxText = 2000 // bytes of any string
	maxKey  = 32   // of a tag
)

var eventID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// encode is r as the JSON of an event, scrubbed.
func (c *Config) encode(r *aggregate.Report) ([]byte, error) {
	if !eventID.MatchString(r.ID) {
		return nil, fmt.Errorf("report ID %.40q: want 32 lower-case hexadecimal digits", r.ID)
	}
	// Nothing in an event of texts, numbers and maps of them can fail to be encoded.
	raw, err := json.Marshal(c.event(r))
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", r.ID, err)
	}
	// Scrubbing the document and not the fields reaches all strings that there are, those of later
	// versions of the event included.
	var tree map[string]any
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		return nil, fmt.Errorf("event %s: %w", r.ID, err)
	}
	clean := scrubbed(tree).(map[string]any)
	clean["event_id"], clean["timestamp"] = tree["event_id"], tree["timestamp"]
	if release, ok := tree["release"].(string); ok {
		// No request says what it is, and shop@1.2.3-alpha.beta looks like the address of a person.
		clean["release"] = cut(release, maxText)
	}
	body, err := json.Marshal(clean)
	if err != nil {
		return nil, fmt.Errorf("event %s: %w", r.ID, err)
	}
	return body, nil
}

// scrubbed is v without secrets in strings and names.
func scrubbed(v any) any {
	switch v := v.(type) {
	case string:
		return scrub.Text(cut(v, maxText))
	case []any:
		clean := make([]any, len(v))
		for i, e := range v {
			clean[i] = scrubbed(e)
		}
		return clean
	case map[string]any:
		clean := make(map[string]any, len(v))
		for name, e := range v {
			clean[scrub.Text(cut(name, maxText))] = scrubbed(e)
		}
		return clean
	}
	return v // numbers and booleans
}

// event is the allow-list: what is not named here does not leave.
func (c *Config) event(r *aggregate.Report) *sentry.Event {
	s := &r.Sample
	e := &sentry.Event{
		EventID:     sentry.EventID(r.ID),
		Timestamp:   r.Last.UTC(),
		Platform:    "go",
		Logger:      "failure",
		Level:       level(r),
		Transaction: s.Route,
		Release:     c.Release,
		Environment: c.Environment,
		ServerName:  c.ServerName,
		User:        sentry.User{ID: s.User},
		Sdk:         sentry.SdkInfo{Name: "sentry.go.roadworthy", Version: sentry.SDKVersion},
		Fingerprint: []string{r.Code.Set, strconv.Itoa(r.Code.Number), withoutLine(r.Place)},
		Exception:   []sentry.Exception{exception(r)},
		Contexts:    map[string]sentry.Context{"failure": facts(r)},
		Tags:        map[string]string{},
	}
	if e.Release == "" && r.Version != "" {
		e.Release = r.Service + "@" + r.Version
	}
	if e.ServerName == "" {
		e.ServerName = r.Host
	}
	tag := func(name, value string) {
		if value != "" {
			e.Tags[name] = cut(oneLine(value), maxTag)
		}
	}
	tag("code", strconv.Itoa(r.Code.Number))
	tag("set", r.Code.Set)
	tag("class", r.Code.Class.String())
	tag("service", r.Service)
	tag("revision", r.Revision)
	tag("error_id", s.ID)
	tag("request_id", s.RequestID)
	tag("trace_id", s.TraceID)
	tag("listener", s.Listener)
	tag("protocol", s.Protocol)
	tag("method", s.Method)
	tag("route", s.Route)
	tag("runbook", r.Code.Runbook)
	if s.Status != 0 {
		tag("status", strconv.Itoa(s.Status))
	}
	if s.Panic {
		tag("panic", "true")
	}
	args := sentry.Context{}
	for _, a := range s.Args {
		if args[a.Key] = a.Value; scrub.Name(a.Key) {
			args[a.Key] = scrub.Redacted
		}
	}
	if len(args) > 0 {
		e.Contexts["arguments"] = args
	}
	return e
}

// facts are the numbers of the report.
func facts(r *aggregate.Report) sentry.Context {
	return sentry.Context{
		"count": r.Count, "total": r.Total, "first": r.First.UTC().Format(time.RFC3339Nano), "last": r.Last.UTC().Format(time.RFC3339Nano),
		"sample": r.Sample.Time.UTC().Format(time.RFC3339Nano), "group": r.Group, "place": r.Place, "message": r.Code.Message,
		"retryable": r.Code.Retryable, "generation": r.Generation,
	}
}

func exception(r *aggregate.Report) sentry.Exception {
	handled := !r.Sample.Panic
	x := sentry.Exception{
		Type:      r.Code.Set + " " + strconv.Itoa(r.Code.Number) + ": " + r.Code.Message,
		Value:     r.Sample.Message,
		Mechanism: &sentry.Mechanism{Type: "auto.failure", Handled: &handled},
	}
	if r.Sample.Panic {
		x.Mechanism.Type = "auto.panic"
	}
	if n := len(r.Sample.Stack); n > 0 {
		x.Stacktrace = &sentry.Stacktrace{Frames: make([]sentry.Frame, n)}
		for i, f := range r.Sample.Stack { // innermost first; Sentry wants it last
			pkg, function := splitFunction(f.Function)
			x.Stacktrace.Frames[n-1-i] = sentry.Frame{
				Function: function, Module: pkg, Filename: f.File, Lineno: f.Line,
				InApp: !strings.HasPrefix(f.File, pkg+"/"), // files of other modules have the import path before them
			}
		}
	}
	return x
}

// level is how loud an event is: as loud as the code's alert.
func level(r *aggregate.Report) sentry.Level {
	switch {
	case r.Sample.Panic:
		return sentry.LevelFatal
	case r.Code.Severity == failure.Page:
		return sentry.LevelError
	case r.Code.Severity == failure.Ticket:
		return sentry.LevelWarning
	}
	return sentry.LevelInfo
}

var lineNumber = regexp.MustCompile(`:\d+$`)

// withoutLine is a place that stays the same when lines above it come and go.
func withoutLine(place string) string { return lineNumber.ReplaceAllString(place, "") }

// splitFunction takes the import path off the function's name, as runtime.Frame has it.
func splitFunction(full string) (pkg, function string) {
	dir, base := path.Split(full)
	name, function, ok := strings.Cut(base, ".")
	if !ok {
		return "", full
	}
	return dir + name, function
}

func oneLine(s string) string { return strings.NewReplacer("\n", " ", "\r", " ").Replace(s) }

// cut shortens s to n bytes, at the beginning of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-len("…")], "") + "…"
}
