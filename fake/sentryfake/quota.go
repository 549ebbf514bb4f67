package sentryfake

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A Quota bounds what is accepted of a category.
type Quota struct {
	// Category is one of those of rate limits, such as "error"; empty counts all items together.
	Category string
	// Items are accepted in each window of Per, which begins with the first of them.
	Items int
	Per   time.Duration
}

// window is a quota in use.
type window struct {
	Quota
	begin time.Time
	used  int
}

// limiter knows the quotas, and what the client has been told.
type limiter struct {
	windows []*window
	told    map[string]time.Time // until when the client must not send a category; "" is all
}

func newLimiter(quotas []Quota) *limiter {
	l := &limiter{told: map[string]time.Time{}}
	for _, q := range quotas {
		l.windows = append(l.windows, &window{Quota: q})
	}
	return l
}

// early reports whether the client sends what it was told not to send yet.
func (l *limiter) early(now time.Time, categories []string) bool {
	for _, c := range append([]string{""}, categories...) {
		if now.Before(l.told[c]) {
			return true
		}
	}
	return false
}

// take counts items and returns the rate limits they run into, as a header has them, and the longest
// of the waits. When there is one, nothing is counted.
func (l *limiter) take(now time.Time, categories []string) (string, time.Duration) {
	var limits []string
	var longest time.Duration
	counts := make([]int, len(l.windows))
	for i, w := range l.windows {
		if !now.Before(w.begin.Add(w.Per)) {
			w.begin, w.used = now, 0
		}
		for _, c := range categories {
			if w.Category == "" || w.Category == c {
				counts[i]++
			}
		}
		if counts[i] == 0 || w.used+counts[i] <= w.Items {
			continue
		}
		wait := w.begin.Add(w.Per).Sub(now)
		longest = max(longest, wait)
		limits = append(limits, fmt.Sprintf("%d:%s:organization:quota", seconds(wait), w.Category))
		l.tell(w.Category, now.Add(wait))
	}
	if len(limits) > 0 {
		return strings.Join(limits, ", "), longest
	}
	for i, w := range l.windows {
		w.used += counts[i]
	}
	return "", 0
}

func (l *limiter) tell(category string, until time.Time) {
	if until.After(l.told[category]) {
		l.told[category] = until
	}
}

// announce writes the headers of a fault to the answer, and remembers what they tell the client.
func (l *limiter) announce(h http.Header, now time.Time, f Fault) {
	if f.RateLimits != "" {
		h.Set("X-Sentry-Rate-Limits", f.RateLimits)
		for limit := range strings.SplitSeq(f.RateLimits, ",") {
			parts := strings.Split(strings.TrimSpace(limit), ":")
			wait, err := strconv.ParseFloat(parts[0], 64)
			if err != nil || len(parts) < 2 {
				continue // a test of what a client makes of nonsense
			}
			for category := range strings.SplitSeq(parts[1], ";") {
				l.tell(strings.TrimSpace(category), now.Add(time.Duration(wait*float64(time.Second))))
			}
		}
	}
	if f.RetryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(seconds(f.RetryAfter), 10))
		if f.RateLimits == "" {
			l.tell("", now.Add(f.RetryAfter))
		}
	}
}

// seconds is d rounded up.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
