package request

import (
	"math"
	"strconv"
	"time"
)

// TimeoutHeader is the header by which a caller says how much time it has left for a request:
// [ParseTimeout] and [FormatTimeout]. A span of time needs no clocks that agree.
const TimeoutHeader = "Grpc-Timeout"

// maxTimeout is 146 years, half of what a Duration can be: it can be added to any time there is.
const maxTimeout = time.Duration(math.MaxInt64 / 2)

// ParseTimeout reads a timeout as gRPC over HTTP/2 writes it: one to eight digits and a unit, which is
// H (hours), M (minutes), S (seconds), m (milliseconds), u (microseconds) or n (nanoseconds). It is
// false for everything else. What is longer than 146 years counts as that.
func ParseTimeout(text string) (time.Duration, bool) {
	last := len(text) - 1
	if last < 1 || last > 8 {
		return 0, false
	}
	var unit time.Duration
	switch text[last] {
	case 'H':
		unit = time.Hour
	case 'M':
		unit = time.Minute
	case 'S':
		unit = time.Second
	case 'm':
		unit = time.Millisecond
	case 'u':
		unit = time.Microsecond
	case 'n':
		unit = time.Nanosecond
	default:
		return 0, false
	}
	n := time.Duration(0)
	for _, digit := range []byte(text[:last]) {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		n = 10*n + time.Duration(digit-'0')
	}
	if n > maxTimeout/unit {
		return maxTimeout, true
	}
	return n * unit, true
}

// FormatTimeout writes d for [ParseTimeout], in the smallest unit in which eight digits hold it. It is
// never more than d, and 0 when d is negative.
func FormatTimeout(d time.Duration) string {
	d = max(d, 0)
	for _, u := range []struct {
		unit   time.Duration
		letter string
	}{{time.Nanosecond, "n"}, {time.Microsecond, "u"}, {time.Millisecond, "m"}} {
		if n := int64(d / u.unit); n < 1e8 {
			return strconv.FormatInt(n, 10) + u.letter
		}
	}
	return strconv.FormatInt(min(int64(d/time.Second), 1e8-1), 10) + "S"
}
