package webhook_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/spool"
	"github.com/seed-754044b3/roadworthy/chassis/spool/webhook"
)

// Whatever a receiver answers means something, and no answer makes the pump wait for longer than a day.
func FuzzOutcome(f *testing.F) {
	f.Add(503, "120", "", "", "")
	f.Add(429, "4294967295", "", "", "")
	f.Add(503, "Fri, 31 Dec 9999 23:59:59 GMT", "Sun, 01 Mar 2026 12:00:00 GMT", "", "")
	f.Add(400, "-1", "x", "application/problem+json", `{"type":"about:blank","status":400,"code":{}}`)
	f.Add(200, "", "", "text/html; charset", "<p>thanks</p>")
	f.Fuzz(func(t *testing.T, status int, after, date, kind, body string) {
		rest := strings.NewReader(body)
		err := webhook.Outcome(&http.Response{
			StatusCode: status, Status: "as fuzzed", Body: io.NopCloser(rest),
			Header: http.Header{"Retry-After": {after}, "Date": {date}, "Content-Type": {kind}},
		})
		if (err == nil) != (status/100 == 2) {
			t.Fatalf("status %d: %v", status, err)
		}
		if u, is := errors.AsType[*spool.UnavailableError](err); is && (u.After < 0 || u.After > 24*time.Hour || u.Untried) {
			t.Errorf("after %q (date %q): %+v", after, date, u)
		}
	})
}
