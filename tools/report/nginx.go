package report

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// nginxCombined is the log_format that nginx has built in.
const nginxCombined = `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`

// localTime is $time_local, and what %t has in its brackets.
const localTime = "02/Jan/2006:15:04:05 -0700"

// variables are those of nginx that reports show, by the manual of ngx_http_core_module and
// ngx_http_log_module.
var variables = map[string]field{
	"remote_addr":            {kind: kindClient},
	"realip_remote_addr":     {kind: kindOther},
	"time_local":             {kind: kindTime, unit: time.Second, inner: localTime, clock: layoutClock(localTime)},
	"time_iso8601":           {kind: kindTime, unit: time.Second, clock: layoutClock(time.RFC3339)},
	"msec":                   {kind: kindTime, unit: time.Millisecond, clock: secondsClock},
	"request":                {kind: kindLine},
	"request_method":         {kind: kindMethod},
	"request_uri":            {kind: kindTarget},
	"uri":                    {kind: kindTarget},
	"status":                 {kind: kindStatus},
	"body_bytes_sent":        {kind: kindBytes},
	"bytes_sent":             {kind: kindSent},
	"request_time":           {kind: kindTaken, unit: time.Second},
	"request_id":             {kind: kindRequest},
	"http_x_request_id":      {kind: kindRequest},
	"sent_http_x_request_id": {kind: kindRequest},
}

func layoutClock(layout string) func(string) (time.Time, error) {
	return func(text string) (time.Time, error) { return time.Parse(layout, text) }
}

// secondsClock reads seconds since 1970 with a fraction.
func secondsClock(text string) (time.Time, error) {
	us, ok := parseDecimal([]byte(text), 6)
	if !ok {
		return time.Time{}, errors.New("no number of seconds")
	}
	return time.UnixMicro(int64(us)), nil
}

// nginx reads a log_format.
func (l *Layout) nginx(format string) error {
	text := ""
	for at := 0; at < len(format); {
		if format[at] != '$' {
			text += format[at : at+1]
			at++
			continue
		}
		end := at + 1
		for end < len(format) && (format[end] == '_' || isDigit(format[end]) || 'a' <= format[end]|0x20 && format[end]|0x20 <= 'z') {
			end++
		}
		name := format[at+1 : end]
		if rest := format[at+1:]; strings.HasPrefix(rest, "{") && strings.Contains(rest, "}") {
			name, _, _ = strings.Cut(rest[1:], "}")
			end = at + len("${}") + len(name)
		}
		if name == "" {
			return fmt.Errorf("log format: column %d: $ without a name: want a variable of nginx such as $status", at+1)
		}
		f := variables[strings.ToLower(name)]
		f.text, f.name = text, format[at:end]
		l.fields = append(l.fields, f)
		text, at = "", end
	}
	l.tail = text
	return nil
}

// parseDecimal reads a number with at most a fraction, as its multiple of 10^-places; more places are cut. It
// is not ok where text is anything else, or the number is larger than fits.
func parseDecimal(text []byte, places int) (n uint64, ok bool) {
	whole, i := uint64(0), 0
	for ; i < len(text) && isDigit(text[i]); i++ {
		if whole > 1<<58 {
			return 0, false
		}
		whole = whole*10 + uint64(text[i]-'0')
	}
	if i == 0 {
		return 0, false
	}
	left := places
	if i < len(text) {
		if text[i] != '.' || i+1 == len(text) {
			return 0, false
		}
		for i++; i < len(text); i++ {
			if !isDigit(text[i]) {
				return 0, false
			}
			if left > 0 {
				if whole > 1<<58 {
					return 0, false
				}
				whole = whole*10 + uint64(text[i]-'0')
				left--
			}
		}
	}
	for ; left > 0; left-- {
		if whole > 1<<58 {
			return 0, false
		}
		whole *= 10
	}
	return whole, true
}

// quote is text that a client may have sent, for people.
func quote(text []byte) string {
	const most = 40
	if len(text) > most {
		return strconv.Quote(string(text[:most])) + "…"
	}
	return strconv.Quote(string(text))
}
