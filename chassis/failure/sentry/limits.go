package sentry

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// unsaid is how long a 429 holds that does not say how long.
	unsaid = time.Minute
	// longest is how long anything is waited for that a server says: a mistake must not end
	// reporting for good.
	longest = 24 * time.Hour
)

// waitOf is how long a server says that no error events are to be sent, as
// https://develop.sentry.dev/sdk/expected-features/rate-limiting/ tells to read it; 0 when it says
// nothing of the kind.
func waitOf(status int, h http.Header, now time.Time) time.Duration {
	if limits := h.Values("X-Sentry-Rate-Limits"); len(limits) > 0 {
		if wait, ok := parseLimits(strings.Join(limits, ",")); ok {
			return wait
		}
	}
	if wait, ok := parseRetryAfter(h.Get("Retry-After"), now); ok && status >= 400 {
		return wait
	}
	if status == http.StatusTooManyRequests {
		return unsaid
	}
	return 0
}

// parseLimits is the longest of the limits that error events are under: "60:error;default:key, 10::key".
// ok is false when none can be read.
func parseLimits(s string) (wait time.Duration, ok bool) {
	for limit := range strings.SplitSeq(s, ",") {
		parts := strings.Split(limit, ":")
		seconds, err := strconv.ParseFloat(strings.TrimSpace(parts[0]), 64)
		if err != nil || !(seconds >= 0) || len(parts) < 2 {
			continue
		}
		ok = true
		categories := strings.Split(strings.ReplaceAll(parts[1], " ", ""), ";")
		if slices.Contains(categories, "error") || len(categories) == 1 && categories[0] == "" {
			wait = max(wait, span(seconds))
		}
	}
	return wait, ok
}

// parseRetryAfter reads seconds or a date (RFC 9110, section 10.2.3).
func parseRetryAfter(s string, now time.Time) (time.Duration, bool) {
	if seconds, err := strconv.ParseFloat(s, 64); err == nil && seconds >= 0 {
		return span(seconds), true
	}
	if t, err := http.ParseTime(s); err == nil {
		return min(max(t.Sub(now), 0), longest), true
	}
	return 0, false
}

func span(seconds float64) time.Duration {
	if seconds >= longest.Seconds() {
		return longest
	}
	return time.Duration(seconds * float64(time.Second))
}
