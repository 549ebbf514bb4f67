package accesslog_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
)

// full is a request of which everything is known.
func full() accesslog.Record {
	return accesslog.Record{
		Client: netip.MustParseAddr("2001:db8::7"),
		Peer:   netip.MustParseAddrPort("[::ffff:192.0.2.1]:49152"),
		Local:  netip.MustParseAddrPort("198.51.100.2:8443"),
		Server: "game", Host: "Games.Example.ORG:443", User: "ada",
		Start: time.Date(2026, 2, 3, 4, 5, 6, 7_089_012, pacific), Duration: 1_234_567 * time.Microsecond,
		Method: "GET", URI: "/a%20b/%22?q=1%20&r#f", Proto: "HTTP/1.1",
		Status: 404, Bytes: 10, BytesIn: 200, BytesOut: 300, Reused: 3, Conn: accesslog.ConnKept,
		Request: header("Referer", "http://from/", "Accept", "text/html", "Accept", "*/*", "X-Empty", "",
			"Cookie", "a=1; Theme = dark blue ;b=2", "Authorization", "Bearer s3cret", "Content-Type", "text/plain; charset=utf-8"),
		Response: header("Content-Type", "text/html; charset=utf-8", "Vary", "Origin", "Vary", "Accept", "Set-Cookie", "s=1", "Etag", `"x"`),
		Route:    "GET /a/{name}", RequestID: "0198-id", TraceID: [16]byte{0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47, 0x36},
		FailureCode: 1203, GRPCStatus: "5", QueueWait: 1500 * time.Microsecond, Listener: "http",
	}
}

func TestEachDirectiveShowsWhatHttpdShows(t *testing.T) {
	pid := fmt.Sprint(os.Getpid())
	for _, c := range []struct{ format, want, nothing string }{ // of a full record, and of a zero one
		{"%h", "2001:db8::7", "-"},
		{"%a", "2001:db8::7", "-"},
		{"%{c}a", "192.0.2.1", "-"},
		{"%{c}h", "192.0.2.1", "-"},
		{"%A", "198.51.100.2", "-"},
		{"%p", "8443", "-"},
		{"%{canonical}p", "8443", "-"},
		{"%{local}p", "8443", "-"},
		{"%{remote}p", "49152", "-"},
		{"%v", "game", "-"},
		{"%V", "games.example.org", "-"},
		{"%l", "-", "-"},
		{"%u", "ada", "-"},
		{"%t", "[03/Feb/2026:04:05:06 -0700]", "[01/Jan/0001:00:00:00 +0000]"},
		{"%{begin}t", "[03/Feb/2026:04:05:06 -0700]", "[01/Jan/0001:00:00:00 +0000]"},
		{"%{end}t", "[03/Feb/2026:04:05:07 -0700]", "[01/Jan/0001:00:00:00 +0000]"},
		{"%{begin:%d/%b/%Y %T}t", "03/Feb/2026 04:05:06", "01/Jan/0001 00:00:00"},
		{"%{end:%S}t", "07", "00"},
		{"%{%a %A %b %B %h}t", "Tue Tuesday Feb February Feb", "Mon Monday Jan January Jan"},
		{"%{%D %e %F %H %I %j %m %M %p %R %y %z %Z}t", "02/03/26  3 2026-02-03 04 04 034 02 05 AM 04:05 26 -0700 PDT", "01/01/01  1 0001-01-01 00 12 001 01 00 AM 00:00 01 +0000 UTC"},
		{"%{100%%}t", "100%", "100%"},
		{"%{sec}t", "1770116706", "-62135596800"},
		{"%{msec}t", "1770116706007", "-62135596800000"},
		{"%{usec}t", "1770116706007089", "-62135596800000000"},
		{"%{msec_frac}t", "007", "000"},
		{"%{usec_frac}t", "007089", "000000"},
		{"%{end:msec_frac}t", "241", "000"},
		{"%D", "1234567", "0"},
		{"%T", "1", "0"},
		{"%{s}T", "1", "0"},
		{"%{ms}T", "1234", "0"},
		{"%{MS}T", "1234", "0"},
		{"%{us}T", "1234567", "0"},
		{"%r", `GET /a%20b/%22?q=1%20&r#f HTTP/1.1`, "-"},
		{"%m", "GET", "-"},
		{"%U", `/a b/\"`, "-"},
		{"%q", "?q=1%20&r", ""},
		{"%H", "HTTP/1.1", "-"},
		{"%s", "404", "-"},
		{"%>s", "404", "-"},
		{"%<s", "404", "-"},
		{"%X", "+", "-"},
		{"%k", "3", "0"},
		{"%b", "10", "-"},
		{"%B", "10", "0"},
		{"%I", "200", "-"},
		{"%O", "300", "-"},
		{"%S", "500", "-"},
		{"%{referer}i", "http://from/", "-"},
		{"%{ACCEPT}i", "text/html, */*", "-"},
		{"%{Content-Type}i", "text/plain; charset=utf-8", "-"},
		{"%{X-Empty}i", "", "-"},
		{"%{Authorization}i", "Bearer s3cret", "-"},
		{"%{Content-Type}o", "text/html", "-"},
		{"%{vary}o", "Origin, Accept", "-"},
		{"%{ETag}o", `\"x\"`, "-"},
		{"%{Set-Cookie}o", "s=1", "-"},
		{"%{theme}C", "dark blue", "-"},
		{"%{b}C", "2", "-"},
		{"%{c}C", "-", "-"},
		{"%f", "GET /a/{name}", "-"},
		{"%L", "0198-id", "-"},
		{"%P", pid, pid},
		{"%{pid}P", pid, pid},
		{"%{route}x", "GET /a/{name}", "-"},
		{"%{failure}x", "1203", "-"},
		{"%{request_id}x", "0198-id", "-"},
		{"%{trace_id}x", "4bf92f3577b34da6a3ce929d0e0e4736", "-"},
		{"%{grpc_status}x", "5", "-"},
		{"%{queue_wait_us}x", "1500", "0"},
		{"%{listener}x", "http", "-"},
		{"%400,404{Referer}i", "http://from/", "-"},
		{"%400,501{Referer}i", "-", "-"},
		{"%!404s", "-", "-"},
		{"%!200,304s", "404", "-"},
		{`%%%m\t\n\r\\\"é`, "%GET\t\n\r\\\"é", "%-\t\n\r\\\"é"},
		{"common", `2001:db8::7 - ada [03/Feb/2026:04:05:06 -0700] "GET /a%20b/%22?q=1%20&r#f HTTP/1.1" 404 10`, `- - - [01/Jan/0001:00:00:00 +0000] "-" - -`},
		{"vhost_combined", `game:8443 2001:db8::7 - ada [03/Feb/2026:04:05:06 -0700] "GET /a%20b/%22?q=1%20&r#f HTTP/1.1" 404 300 "http://from/" "-"`, `-:- - - - [01/Jan/0001:00:00:00 +0000] "-" - - "-" "-"`},
	} {
		f := compile(t, c.format, "cookie", "authorization", "set-cookie")
		r := full()
		if got := string(f.Append(nil, &r)); got != c.want {
			t.Errorf("%s shows %q, want %q", c.format, got, c.want)
		}
		if got := string(f.Append(nil, &accesslog.Record{})); got != c.nothing {
			t.Errorf("%s shows %q of nothing, want %q", c.format, got, c.nothing)
		}
		if n := len(f.Append(nil, &r)); n > f.MaxLine() {
			t.Errorf("%s: a line of %d bytes, MaxLine is %d", c.format, n, f.MaxLine())
		}
	}
}

func TestPartsOfRequestsAreShownAsHttpdShowsThem(t *testing.T) {
	for _, c := range []struct {
		format string
		r      accesslog.Record
		want   string
	}{
		{"%u", accesslog.Record{EmptyUser: true}, `""`},
		{"%X", accesslog.Record{Conn: accesslog.ConnAborted}, "X"},
		{"%X", accesslog.Record{Conn: accesslog.ConnClosed}, "-"},
		{"%r", accesslog.Record{Proto: "HTTP/1.1"}, "HTTP/1.1"},
		{"%r", accesslog.Record{Method: "GET", URI: "http://u:s3cret@h:80/p?q HTTP", Proto: "HTTP/1.1"}, "GET http://u:XXXXXXXX@h:80/p?q HTTP HTTP/1.1"},
		{"%r", accesslog.Record{URI: "http://u:s@e@h"}, "http://u:XXXXXXXX@h"},
		{"%r", accesslog.Record{URI: "http://u@h:80/a:b@c"}, "http://u@h:80/a:b@c"},
		{"%r", accesslog.Record{URI: "a:b@c"}, "a:b@c"},
		{"%r", accesslog.Record{URI: "http://h?x:y@z"}, "http://h?x:y@z"},
		{"%U", accesslog.Record{URI: "http://h/p/q?r"}, "/p/q"},
		{"%U%q", accesslog.Record{URI: "http://h?r"}, "/?r"},
		{"%U", accesslog.Record{URI: "h:443"}, "/"},
		{"%U", accesslog.Record{URI: "*"}, "*"},
		{"%U", accesslog.Record{URI: "/%zz%4%"}, "/%zz%4%"},
		{"%U", accesslog.Record{URI: "/%0a%C3%a9"}, `/\n\xc3\xa9`},
		{"%V", accesslog.Record{Host: "[2001:DB8::1]:80"}, "2001:db8::1"},
		{"%V", accesslog.Record{Host: "games.test.:80"}, "games.test"},
		{"%{host}i", accesslog.Record{Host: "Games.test:80"}, "Games.test:80"},
		{"%{Host}i", accesslog.Record{Host: "x", Request: header("Host", "y")}, "y"},
		{"%V", accesslog.Record{Host: "[::1"}, "["},
		{"%V", accesslog.Record{Host: ":80", Server: "Own"}, "Own"},
		{"%V", accesslog.Record{Host: "A\nB"}, `a\nb`},
		{"%{x}C", accesslog.Record{Request: header("Cookie", "y=1", "Cookie", "x")}, "-"},
		{"%{x}C", accesslog.Record{Request: header("Cookie", "y=1", "Cookie", "x= ")}, ""},
		{"%{Content-Type}o", accesslog.Record{Response: http.Header{}}, "-"},
	} {
		if got := string(compile(t, c.format, "Cookie").Append(nil, &c.r)); got != c.want {
			t.Errorf("%s of %+v is %q, want %q", c.format, c.r, got, c.want)
		}
	}
}

func TestLongPartsAreCutAndMarked(t *testing.T) {
	long := strings.Repeat("%ff", 1<<14)
	r := accesslog.Record{
		URI: "http://user:" + long + "@h/" + long + "?" + long, Host: long, User: long, Route: long, RequestID: long, GRPCStatus: long,
		Request:  header("Vary", strings.Repeat("a", 700), "Vary", strings.Repeat("b", 321), "Vary", "c", "Cookie", "x="+long),
		Response: header("Vary", strings.Repeat("a", 1022), "Vary", "b"),
	}
	for format, want := range map[string]string{
		"%{Vary}i": strings.Repeat("a", 700) + ", " + strings.Repeat("b", 319) + "...",
		"%{Vary}o": strings.Repeat("a", 1021) + "...",
		"%U":       "/" + strings.Repeat(`\xff`, 4092) + "...",
		"%q":       "?" + long[:4092] + "...",
		"%r":       "http://user:" + long[:4081] + "...",
		"%{x}C":    long[:1021] + "...",
		"%V":       long[:253] + "...",
	} {
		f := compile(t, format, "Cookie")
		got := string(f.Append(nil, &r))
		if got != want {
			t.Errorf("%s shows %d bytes that end in %q, want %d that end in %q", format, len(got), got[max(0, len(got)-20):], len(want), want[max(0, len(want)-20):])
		}
		if len(got) > f.MaxLine() {
			t.Errorf("%s shows %d bytes, MaxLine is %d", format, len(got), f.MaxLine())
		}
	}
	fits := accesslog.Record{Request: header("Vary", strings.Repeat("a", 1021), "Vary", "b")}
	if got := string(compile(t, "%{Vary}i").Append(nil, &fits)); got != strings.Repeat("a", 1021)+", b" {
		t.Errorf("a header of just the longest length is cut: %q", got)
	}
}

func TestFormatsThatCannotBeAreRefusedWithTheColumn(t *testing.T) {
	for format, want := range map[string]string{
		"":                        `"" shows nothing of a request: want directives such as %h %t "%r" %>s, or one of common, combined and vhost_combined`,
		"combind":                 `"combind" shows nothing`,
		"%h %y":                   "column 4: %y is no directive: want one of %h %a",
		"%h %":                    `column 4: "%" ends inside a directive: want a letter such as h, or %% for a percent sign`,
		"%h %200":                 `column 4: "%200" ends inside`,
		"%h %{Referer":            "column 5: the brace is not closed",
		"%20s":                    "column 2: 20 is no status: want three digits, such as 404",
		"%200,4000s":              "column 6: 4000 is no status",
		"%020s":                   "column 2: 020 is no status",
		"%!s":                     "column 1: ! without a status",
		`a\d %h`:                  `column 2: "\\d" is no escape: want \n, \r, \t, \\ or \"`,
		`%h \`:                    `column 4: "\\" is no escape`,
		"%i":                      "column 1: want the name of a header in braces, such as %{Referer}i",
		"%h %{a b}i":              `column 6: " " cannot be in the name of a header`,
		"%{Referer}h":             "column 1: %{Referer}h is no directive: want %h or %{c}h",
		"%{x}m":                   "column 1: %{x}m is no directive: want %m, which takes no argument",
		"%{FOO}e":                 "column 1: %{FOO}e is no directive: services have no environment",
		"%{FOO}n":                 "column 1: %{FOO}n is no directive: services have no notes",
		"%R":                      "column 1: %R is no directive: what handles a request is its route; want %{route}x",
		"%^ti":                    "column 1: %^ is no directive: trailers are not logged",
		"%{tid}P":                 "column 1: %{tid}P is no directive: want %P or %{pid}P",
		"%{far}p":                 "column 1: %{far}p is no directive: want %p, %{canonical}p, %{local}p or %{remote}p",
		"%{ns}T":                  "column 1: %{ns}T is no directive: want %T, %{s}T, %{ms}T or %{us}T",
		"%{rout}x":                "column 1: %{rout}x is no directive: want route, failure,",
		"%{%Y-%Q}t":               `column 6: "%Q" is no conversion of a time that is known here: want %a %A`,
		"%{end:%Y %c}t":           `column 10: "%c" is no conversion`,
		"%{begin:%}t":             `column 9: "%" is no conversion`,
		"%{a\"b}t":                `column 4: "\"" in a time: want printable ASCII without quotes and backslashes`,
		"%{é}t":                   `in a time`,
		"%h %{Authorization}i":    "column 4: Authorization carries secrets and would show them to whoever reads the log: leave it out, or list it among the allowed headers",
		"%{cookie}i":              "column 1: Cookie carries secrets",
		"%{SET-COOKIE}o":          "column 1: Set-Cookie carries secrets",
		"%{proxy-authorization}i": "column 1: Proxy-Authorization carries secrets",
		"%{session}C":             "column 1: Cookie carries secrets",
		"%{x-api-key}i":           "column 1: X-Api-Key carries secrets",
	} {
		f, err := accesslog.Compile(format)
		if f != nil || err == nil || !strings.HasPrefix(err.Error(), "access log format: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", format, err, want)
		}
	}
	if _, err := accesslog.Compile("%h", "Not a header"); err == nil || !strings.HasPrefix(err.Error(), `access log format: allowed header "Not a header": " " cannot`) {
		t.Errorf("error %v", err)
	}
}

func TestAFormatTellsWhichHeadersItShows(t *testing.T) {
	f := compile(t, `%{x-forwarded-for}i %{Vary}o %400{Referer}i`)
	for name, want := range map[string]bool{"X-Forwarded-For": true, "referer": true, "Vary": false, "": false} {
		if f.Shows(name) != want {
			t.Errorf("Shows(%q) is %v", name, !want)
		}
	}
}

func TestAFormatTellsWhatItUses(t *testing.T) {
	f := compile(t, `%{local}p %>s`)
	for letters, want := range map[string]bool{"Ap": true, "s": true, "A": false, "": false} {
		if f.Uses(letters) != want {
			t.Errorf("Uses(%q) is %v", letters, !want)
		}
	}
}

func TestTimesOfManyGoroutinesAreTheirOwn(t *testing.T) {
	f := compile(t, "%t %{%T}t")
	done := make(chan string)
	for n := range 4 {
		go func() {
			wrong := ""
			for i := range 2000 {
				at := time.Unix(int64(n+i%3), 0).UTC()
				if got, want := string(f.Append(nil, &accesslog.Record{Start: at})), at.Format("[02/Jan/2006:15:04:05 -0700] 15:04:05"); got != want {
					wrong = got + ", want " + want
				}
			}
			done <- wrong
		}()
	}
	for range 4 {
		if wrong := <-done; wrong != "" {
			t.Error(wrong)
		}
	}
}

// FuzzCompile looks for formats that crash the compiler, whose errors tell no place, or whose lines
// break what is promised of all lines.
func FuzzCompile(f *testing.F) {
	for _, format := range []string{"combined", "vhost_combined", everything, "%!200,304{Referer}i", "%{end:%d %Y}t%%", `\"%400,501{User-agent}i\t`, "%{a", "%<s%>s", "%{session}C"} {
		f.Add(format)
	}
	f.Fuzz(func(t *testing.T, format string) {
		compiled, err := accesslog.Compile(format)
		if err != nil {
			text := err.Error()
			column := 0
			if _, err := fmt.Sscanf(text, "access log format: column %d:", &column); err != nil && !strings.Contains(text, "shows nothing") || column > len(format)+1 {
				t.Fatalf("%q: %v", format, text)
			}
			return
		}
		for _, r := range []accesslog.Record{full(), {}} {
			line := compiled.Append(nil, &r)
			if len(line) > compiled.MaxLine() {
				t.Fatalf("%q: a line of %d bytes, MaxLine is %d", format, len(line), compiled.MaxLine())
			}
			// Text without quotes may be cut differently, but never into a line that reads differently.
			if got, err := compiled.Parse(line); err == nil {
				_ = compiled.Append(nil, &got)
			}
		}
	})
}

func TestARequestOfAConnectionThatCarriesManyAtATimeHasNoneBeforeIt(t *testing.T) {
	f := compile(t, "%k %D")
	line := f.Append(nil, &accesslog.Record{Reused: -1, Duration: 3 * time.Microsecond})
	if string(line) != "- 3" {
		t.Errorf("line %q", line)
	}
	if rec, err := f.Parse(line); err != nil || rec.Duration != 3*time.Microsecond {
		t.Errorf("it reads as %+v, %v", rec, err)
	}
}
