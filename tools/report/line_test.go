package report_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
	"github.com/seed-754044b3/roadworthy/tools/report"
)

// read reads a line of a format and tells what it says.
func read(t testing.TB, format, line string) (string, error) {
	t.Helper()
	layout, err := report.NewLayout(format)
	if err != nil {
		t.Fatal(err)
	}
	var h report.Hit
	if err := report.NewLineReader(layout).Read([]byte(line), &h); err != nil {
		return "", err
	}
	return say(layout, &h), nil
}

func say(l *report.Layout, h *report.Hit) string {
	var parts []string
	for _, p := range []struct {
		name string
		text []byte
	}{{"client", h.Client}, {"method", h.Method}, {"target", h.Target}, {"route", h.Route}, {"request", h.RequestID}, {"error", h.ErrorID}} {
		if p.text != nil {
			parts = append(parts, p.name+" "+string(p.text))
		}
	}
	if l.Dated() {
		parts = append(parts, time.UnixMicro(h.Time).UTC().Format("2006-01-02T15:04:05.999999"))
	}
	for _, p := range []struct {
		name string
		n    int64
	}{{"status", int64(h.Status)}, {"bytes", h.Bytes}, {"took", h.Taken}, {"failure", int64(h.Failure)}, {"grpc", int64(h.GRPC)}} {
		if p.n >= 0 && (p.n > 0 || p.name != "status") {
			parts = append(parts, fmt.Sprintf("%s %d", p.name, p.n))
		}
	}
	return strings.Join(parts, ", ")
}

func TestLinesOfManyFormatsAreRead(t *testing.T) {
	const rest = `198.51.100.7 - - [28/Nov/2026:09:00:01 +0100] `
	for _, c := range []struct{ format, line, want string }{
		{"common", rest + `"GET /a?b=1 HTTP/1.1" 200 512`, "client 198.51.100.7, method GET, target /a?b=1, 2026-11-28T08:00:01, status 200, bytes 512"},
		{"combined", rest + `"GET / HTTP/1.1" 304 - "-" "curl \"8\" \\"`, "client 198.51.100.7, method GET, target /, 2026-11-28T08:00:01, status 304, bytes 0"},
		{"vhost_combined", `games:443 2001:db8::1 - ada lovelace [28/Nov/2026:09:00:01 +0000] "POST /x HTTP/2.0" 500 7 "-" "-"`, "client 2001:db8::1, method POST, target /x, 2026-11-28T09:00:01, status 500, bytes 7"},
		{"common", `host.example - "" [28/Nov/2026:09:00:01 -0000] "-" 408 -` + "\r", "client host.example, 2026-11-28T09:00:01, status 408, bytes 0"},
		{"common", rest + `"\x16\x03\x01" 400 226`, `client 198.51.100.7, target \x16\x03\x01, 2026-11-28T08:00:01, status 400, bytes 226`},
		{"common", rest + `"GET /a b HTTP/1.1" 400 226`, `client 198.51.100.7, method GET, target /a b, 2026-11-28T08:00:01, status 400, bytes 226`},
		{"common", rest + `"GET /old" 200 2`, `client 198.51.100.7, method GET, target /old, 2026-11-28T08:00:01, status 200, bytes 2`},
		{`%>s %s %D`, "404 200 7", "status 404, took 7"},
		{`%s %>s %T %D`, "200 404 1 1234567", "status 404, took 1234567"},
		{`%s %T`, "200 1.5", "status 200, took 1500000"},
		{`%s %{ms}T`, "200 12", "status 200, took 12000"},
		{`%s %{s}T %{us}T`, "200 0 99", "status 200, took 99"},
		{`%s %T`, "200 -", "status 200"},
		{`%m %U%q %s`, "GET /a?b=1 200", "method GET, target /a?b=1, status 200"},
		{`%m %U %s %O`, "GET /a 200 99", "method GET, target /a, status 200, bytes 99"},
		{`%s %O %B`, "200 99 12", "status 200, bytes 12"},
		{`%{%F %T}t %s`, "2026-11-28 09:00:01 200", "2026-11-28T09:00:01, status 200"},
		{`%{%d.%m.%Y %H:%M}t %s`, "28.11.2026 09:00 200", "2026-11-28T09:00:00, status 200"},
		{`%{sec}t %{usec}t %s`, "1796000000 1796000000123456 200", "2026-11-30T00:53:20.123456, status 200"},
		{`%{msec}t %s`, "1796000000123 200", "2026-11-30T00:53:20.123, status 200"},
		{`%t %{end}t %{usec_frac}t %s`, "[28/Nov/2026:09:00:01 +0000] [28/Nov/2026:09:00:03 +0000] 000001 200", "2026-11-28T09:00:01, status 200"},
		{`%{FOO}e %{bar}n %R "%{Cookie}i" %s`, `x - proxy-server "a=\"b\"" 200`, "status 200"},
		{`%{FOO}e %{bar}n %R "%{Cookie}i" %s`, `x - proxy-server a=\"b\" 200`, "unreadable"},
		{`%s %{route}x %{failure}x %{grpc_status}x %{request_id}x %{error_id}x`, "503 GET /games/{id} 1042 14 r1 e1", "route GET /games/{id}, request r1, error e1, status 503, failure 1042, grpc 14"},
		{`%s %{route}x %L`, "200 - r2", "request r2, status 200"},
		{`{"status":"%>s","request":"%r","us":"%D"}`, `{"status":"200","request":"GET /\"x HTTP/1.1","us":"12"}`, `method GET, target /\"x, status 200, took 12`},
		{"nginx", rest + `"GET / HTTP/1.1" 200 612 "-" "curl/8.14.1"`, "client 198.51.100.7, method GET, target /, 2026-11-28T08:00:01, status 200, bytes 612"},
		{`$time_iso8601 $status $request_time $upstream_response_time ${request_id} $request_method $request_uri $bytes_sent`,
			"2026-11-28T09:00:01+01:00 200 0.123 0.1, 0.023 abc GET /a?b 77", "unreadable"},
		{`$time_iso8601 $status $request_time ${request_id} $request_method $request_uri $bytes_sent`,
			"2026-11-28T09:00:01+01:00 200 0.123 abc GET /a?b 77", "method GET, target /a?b, request abc, 2026-11-28T08:00:01, status 200, bytes 77, took 123000"},
		{`$msec $status $time_local|$uri`, "1796000000.123 499 30/Nov/2026:00:53:20 +0000|/x", "target /x, 2026-11-30T00:53:20.123, status 499"},
	} {
		if got, err := read(t, c.format, c.line); got != c.want && !(err != nil && c.want == "unreadable") {
			t.Errorf("%s of %s\n got %s %v\nwant %s", c.line, c.format, got, err, c.want)
		}
	}
}

func TestALineThatIsNotOfTheFormatIsRefusedWithTheColumn(t *testing.T) {
	const rest = `198.51.100.7 - - [28/Nov/2026:09:00:01 +0000] `
	for _, c := range []struct{ format, line, want string }{
		{"common", ``, `column 1: %h is not followed by " "`},
		{"common", `198.51.100.7`, `column 1: %h is not followed by " "`},
		{"common", `198.51.100.7 - - 09:00`, `column 16: %u is not followed by " ["`},
		{"common", `198.51.100.7 - - [28/Nov/2026:09`, `column 18: %t is not followed by " \""`},
		{"common", `198.51.100.7 - - [31/Feb/2026:09:00:01 +0000] "GET / HTTP/1.1" 200 5`, `column 18: %t: "[31/Feb/2026:09:00:01 +0000]" is no time that it shows: day out of range`},
		{"common", `198.51.100.7 - - [28/Nix/2026:09:00:01 +0000] "GET / HTTP/1.1" 200 5`, `column 18: %t: "[28/Nix/2026:09:00:01 +0000]" is no time that it shows: "Nix/2026:09:00:01 +0000]" is not like "Jan"`},
		{"common", rest + `"GET / HTTP/1.1 200 5`, `column 48: %r is not followed by "\" "`},
		{"common", rest + `"GET / HTTP/1.1\" 200 5`, `column 48: %r is not followed by "\" "`},
		{"common", rest + `"GET / HTTP/1.1" OK 5`, `column 64: %>s: want a number or -, got "OK"`},
		{"common", rest + `"GET / HTTP/1.1" 1000 5`, `column 64: %>s: want at most 999, got "1000"`},
		{"common", rest + `"GET / HTTP/1.1" 200 99999999999999999999`, `column 68: %b: want at most 1152921504606846976, got "99999999999999999999"`},
		{"common", rest + `"GET / HTTP/1.1" 200 5 "-" "-"`, `column 68: %b: want a number or -, got "5 \"-\" \"-\""`},
		{"combined", rest + `"GET / HTTP/1.1" 200 5 "-" "-" 17`, `column 76: want "\"" and the end of the line, got "\" 17"`},
		{"combined", rest + `"GET / HTTP/1.1" 200 5`, `column 68: %b is not followed by " \""`},
		{"combined", rest + `"GET / HTTP/1.1"200 5 "-" "-"`, `column 62: want "\" " and %>s`},
		{`%s %D`, "200 -5", `column 5: %D: want how long it took in microseconds, or -, got "-5"`},
		{`%s %T`, "200 1.", `column 5: %T: want how long it took in seconds, or -, got "1."`},
		{`%s %T`, "200 1.2x", `column 5: %T: want how long it took in seconds, or -, got "1.2x"`},
		{`%s %{ms}T`, "200 99999999999999999999", `column 5: %{ms}T: want how long it took in milliseconds, or -, got "99999999999999999999"`},
		{`%s %{ms}T`, "200 999999999999999999", `column 5: %{ms}T: want how long it took in milliseconds, or -, got "999999999999999999"`},
		{`%s %T`, "200 0.999999999999999999999999", ``},
		{`%s %{sec}t`, "200 99999999999999", `column 5: %{sec}t: "99999999999999" is no time that it shows: the year 3170843 is none of a log`},
		{`%s %{sec}t`, "200 -", `column 5: %{sec}t: want a time, got "-"`},
		{`%t %s`, "- 200", `column 1: %t: want a time, got "-"`},
		{`%s $`, "200 x", `column 1: %s is not followed by " $"`},
		{`$msec $status`, "x 200", `column 1: $msec: "x" is no time that it shows: no number of seconds`},
		{`%{%F}t %s`, "2026-13-28 200", `column 1: %{%F}t: "2026-13-28" is no time that it shows: column 1: %{%F}t: 2026-13-28 is no time`},
		{`%s [%D]x`, "200 [5", `column 6: %D is not followed by "]x"`},
	} {
		_, err := read(t, c.format, c.line)
		line, ok := errors.AsType[*report.LineError](err)
		if c.want == "" && err == nil {
			continue
		}
		if !ok || line.Error() != c.want {
			t.Errorf("%s of %s\n got %v\nwant %s", c.line, c.format, err, c.want)
		}
	}
}

func TestAFormatThatNothingCouldBeReadByIsRefused(t *testing.T) {
	for format, want := range map[string]string{
		`%h %t`:                    `log format: neither status nor request is in "%h %t": want a LogFormat of httpd, such as combined, or a log_format of nginx`,
		`combine`:                  `log format: neither status nor request is in "combine": want a LogFormat of httpd, such as combined, or a log_format of nginx`,
		`%h%s`:                     `log format: nothing keeps %h and %s apart: want text between them, such as a space`,
		`%s %{h}T`:                 `log format: column 4: %{h}T: "h" is no unit: want s, ms or us`,
		`%s %{%H:%M}t`:             `log format: column 4: %{%H:%M}t: shows no day: want a time such as %t or %{sec}t`,
		`%s %{%Q}t`:                `log format: column 4: %{%Q}t: access log format: column 3: "%Q" is no conversion of a time that is known here: want %a %A %b %B %d %D %e %F %h %H %I %j %m %M %p %R %S %T %y %Y %z %Z or %%`,
		`%{%b %e %Y}t %s`:          `log format: %{%b %e %Y}t has a space more on the first days of a month, where a space is its end: want %d`,
		`%h %{X`:                   `access log format: column 5: the brace is not closed: want the argument of a directive in braces, such as %{Referer}i`,
		`$remote_addr $ "$request`: `log format: column 14: $ without a name: want a variable of nginx such as $status`,
	} {
		if _, err := report.NewLayout(format); err == nil || err.Error() != want {
			t.Errorf("%s: %v\nwant %s", format, err, want)
		}
	}
}

// What the chassis writes, this reads.
func TestOurOwnLinesAreReadAsTheyWereWritten(t *testing.T) {
	const format = `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %D "%{route}x" %{failure}x %{request_id}x`
	f, err := accesslog.Compile(format)
	if err != nil {
		t.Fatal(err)
	}
	layout, err := report.NewLayout(format)
	if err != nil {
		t.Fatal(err)
	}
	reader, lines := report.NewLineReader(layout), 0
	traffic(5000, 700, 3, func(r *accesslog.Record) {
		lines++
		var h report.Hit
		if err := reader.Read(f.Append(nil, r), &h); err != nil {
			t.Fatal(err)
		}
		failure := -1
		if r.FailureCode > 0 {
			failure = r.FailureCode
		}
		if string(h.Client) != r.Client.String() || h.Time != r.Start.Truncate(time.Second).UnixMicro() || string(h.Method) != r.Method || string(h.Target) != r.URI ||
			h.Status != r.Status || h.Bytes != r.Bytes || h.Taken != r.Duration.Microseconds() || string(h.Route) != r.Route || h.Failure != failure || string(h.RequestID) != r.RequestID {
			t.Fatalf("%s, of %+v", say(layout, &h), r)
		}
	})
	if lines != 5000 {
		t.Error(lines)
	}
}

// fuzzed are formats that lines are read by.
var fuzzed = []string{
	"combined", "vhost_combined", "nginx", `%h%t"%r"%s`, `%{%F %T}t %s %T "%{route}x" %{failure}x %{grpc_status}x`,
	`$msec $status $request_time "$request" $bytes_sent`, `{"s":"%>s","r":"%r","t":"%{usec}t"}`,
}

func FuzzLineReader(f *testing.F) {
	for _, name := range []string{"httpd.log", "nginx.log"} {
		golden, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		for line := range bytes.Lines(golden) {
			f.Add(bytes.TrimSuffix(line, []byte("\n")))
		}
	}
	f.Add([]byte(`games:443 198.51.100.7 - "" [28/Nov/2026:09:00:01 +0100] "GET /\" HTTP/1.1" 200 - "-" "\\"`))
	f.Add([]byte(`2026-11-28 09:00:01 200 1.5 "GET /{$}" 7 14`))
	f.Add([]byte(`1796000000.123 499 0.000 "-" 0`))
	f.Add([]byte(`{"s":"200","r":"GET / HTTP/1.1","t":"1796000000123456"}`))
	var layouts []*report.Layout
	for _, format := range fuzzed {
		l, err := report.NewLayout(format)
		if err != nil {
			f.Fatal(err)
		}
		layouts = append(layouts, l)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		for i, l := range layouts {
			var h, again report.Hit
			r := report.NewLineReader(l)
			err := r.Read(line, &h)
			if e, ok := errors.AsType[*report.LineError](err); ok && (e.Column < 1 || e.Column > len(line)+1 || e.Reason == "") {
				t.Errorf("%s: %+v in %d bytes", fuzzed[i], e, len(line))
			} else if err != nil && !ok {
				t.Errorf("%s: %T", fuzzed[i], err)
			}
			if err != nil {
				continue
			}
			if h.Status < 0 || h.Status > 999 || h.Taken < -1 || h.Bytes < -1 {
				t.Errorf("%s: %s", fuzzed[i], say(l, &h))
			}
			if err := r.Read(line, &again); err != nil || say(l, &again) != say(l, &h) {
				t.Errorf("%s: %s, and read again %s %v", fuzzed[i], say(l, &h), say(l, &again), err)
			}
			c := report.NewCollector(report.Options{Clients: 1, Query: true})
			c.Add(l, &h)
			if got := c.Report(report.ByTime, 1, time.UTC); got.Hits != 1 || len(got.Routes) != 1 {
				t.Errorf("%s: %+v", fuzzed[i], got)
			}
		}
	})
}
