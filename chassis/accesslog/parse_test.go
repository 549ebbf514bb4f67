package accesslog_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
)

func ExampleParse() {
	r, err := accesslog.Parse([]byte(`192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET /a?b=1 HTTP/1.1" 200 2326 "-" "say \"hi\""` + "\n"))
	fmt.Println(r.Client, r.Start.UTC(), r.Method, r.URI, r.Status, r.Bytes, r.Request.Values("User-Agent"), err)
	_, err = accesslog.Parse([]byte(`192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" OK 2326 "-" "-"`))
	fmt.Println(err)
	// Output:
	// 192.0.2.7 2000-10-10 20:55:36 +0000 UTC GET /a?b=1 200 2326 [say "hi"] <nil>
	// parse access line: column 61: %>s: want a count or -, got "OK"
}

func TestParseReadsBackWhatWasLogged(t *testing.T) {
	hostile := typical()
	hostile.User = `a [b] "c" \`
	hostile.Method, hostile.URI, hostile.Proto = "POST", "/a b\xff\"\\\n\x7f", "HTTP/2.0"
	hostile.Request = header("Referer", "\b\n\r\t\v\f", "User-Agent", `" - "`)
	raw := accesslog.Record{URI: "\x16\x03\x01 ", Start: typical().Start}
	for _, want := range []accesslog.Record{typical(), hostile, raw} {
		line := combined(&want)
		got, err := accesslog.Parse(line)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if !got.Start.Equal(want.Start) {
			t.Errorf("%s: read the time %v", line, got.Start)
		}
		got.Start = want.Start
		sameRecord(t, line, got, want)
	}
}

// sameRecord compares what Combined lines tell of.
func sameRecord(t *testing.T, line []byte, got, want accesslog.Record) {
	t.Helper()
	for _, name := range []string{"Referer", "User-Agent"} {
		if g, w := values(got.Request, name), values(want.Request, name); !slices.Equal(g, w) {
			t.Errorf("%s: %s reads %q, want %q", line, name, g, w)
		}
	}
	got.Request, want.Request = nil, nil
	if got != want {
		t.Errorf("%s:\n got %+v\nwant %+v", line, got, want)
	}
}

func values(h accesslog.Header, name string) []string {
	if h == nil {
		return nil
	}
	return h.Values(name)
}

func first(h accesslog.Header, name string) string {
	if v := values(h, name); len(v) > 0 {
		return v[0]
	}
	return ""
}

func TestParseReadsLinesOfHttpd(t *testing.T) {
	r, err := accesslog.Parse([]byte(`2001:db8::1 ident "" [10/Oct/2000:13:55:36 +0200] "GET / HTTP/1.0" 408 - "" "\x4A"`))
	if err != nil {
		t.Fatal(err)
	}
	want := accesslog.Record{Client: netip.MustParseAddr("2001:db8::1"), Start: r.Start, Method: "GET", URI: "/", Proto: "HTTP/1.0", Status: 408, EmptyUser: true, Request: header("Referer", "", "User-Agent", "J")}
	sameRecord(t, nil, r, want)
	if _, offset := r.Start.Zone(); offset != 7200 || r.Start.Location() == time.Local {
		t.Errorf("time zone %v", r.Start)
	}
}

func TestParseSaysWhatIsWrongAndWhere(t *testing.T) {
	const good = `192.0.2.7 - ada [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 2326 "-" "curl"`
	for _, c := range []struct{ old, new, want string }{
		{good, "", `column 1: %h: want an IP address or -, got ""`},
		{good, "192.0.2.7 -", `column 11: %l is not followed by " " and %u`},
		{"192.0.2.7", "www.example.org", `column 1: %h: "www.example.org" is no IP address`},
		{"curl", "cu\x1b", "column 79: byte 0x1b is not printable"},
		{"curl", "cu\xff", "column 79: byte 0xff is not printable"},
		{`"`, "", "column 13: %u is not followed by"},
		{` "GET / HTTP/1.1" 200 2326 "-" "curl"`, "", `column 13: %u is not followed by " " and %t`},
		{" ada", "", "column 13: %u is not followed by"},
		{"ada [", "ada[", `column 13: %u is not followed by " " and %t`},
		{"-0700] ", "-0700]", `column 13: %u is not followed by " " and %t`},
		{"Oct", "Okt", "column 17: %t: [10/Okt/2000:13:55:36 -0700] is no time"},
		{"10/", "32/", "column 17: %t: [32/Oct"},
		{"ada", `a\da`, `column 14: \d is not an escape of httpd`},
		{`1.1" 200`, `1.1 200`, `column 71: want "\" " and %>s`},
		{"GET", `\xGT`, `column 47: \xGT is not followed by two hexadecimal digits`},
		{"GET", `GE\x+1`, `column 49: \x+1 is not followed`},
		{"HTTP/1.1", `\x1`, `column 53: \x1 is not followed`},
		{"curl", `curl\`, `column 77: %{User-Agent}i is not followed by "\"" and the end`},
		{`"curl"`, "", `column 74: want "\" \"" and %{User-Agent}i`},
		{`"-" "curl"`, "curl", `column 71: want " \"" and %{Referer}i`},
		{`" 200`, `" +200`, `column 63: %>s: want a count or -, got "+200"`},
		{`" 200`, `" 99999999999`, `column 63: %>s: 99999999999 is more than the 2147483647`},
		{"2326", "9223372036854775808", `column 67: %b: 9223372036854775808 is more than`},
		{` 200 2326 "-" "curl"`, "", `column 61: want "\" " and %>s`},
		{` 2326 "-" "curl"`, "", `column 66: want " " and %b`},
		{`curl"`, `curl" 17`, "column 82: text after %{User-Agent}i\", where"},
		{`curl"`, "curl\"\n\n", "column 82: byte 0x0a"},
	} {
		line := strings.Replace(good, c.old, c.new, 1)
		r, err := accesslog.Parse([]byte(line))
		if err == nil || !strings.HasPrefix(err.Error(), "parse access line: "+c.want) {
			t.Errorf("%s:\n got %v\nwant %s", line, err, c.want)
		}
		if r.Request != nil || r != (accesslog.Record{}) {
			t.Errorf("%s: an error came with the record %+v", line, r)
		}
	}
}

func TestEveryFormatIsReadBack(t *testing.T) {
	for _, format := range []string{
		"common", "vhost_combined", everything,
		`%u %t %a`, `%{c}a|%{c}h|%{local}p|%{remote}p|%A`, `%m "%U%q" %H`, `"%r" %m %U %q %H`, `"%U" %q`, `[%U] (%m)`,
		`%{%d/%b/%Y %T}t.%{msec_frac}t %{%z}t %h`, `%{sec}t.%{usec_frac}t`, `%{usec}t %{msec}t`, `%{msec}t.%{usec_frac}t`, `%{%a, %d %B %Y %I:%M:%S %p}t`, `%{%A %j %e %F %R}t`, `%{%D}t`,
		`%{begin:usec}t %D %{end:usec}t`, `%T %D %{ms}T`, `%D %T`, `%B %S %I/%O`, `%X%k`, `%400,404{Referer}i %!404{Accept}i %200h %200t %404s %>s`,
		`"%{Accept}i" "%{Etag}o" "%{Content-Type}o" "%{theme}C" "%{b}C"`, `%{route}x, %{request_id}x, %{trace_id}x, %{failure}x, %{grpc_status}x %{queue_wait_us}x %{listener}x`,
		`%f|%L|%P|%l`, `{"host":"%h","line":"%r"}`, "%h\\n\t%m\r", `%v é %V`, `%u`,
	} {
		f := compile(t, format, "Cookie")
		records := []accesslog.Record{full(), typical(), {Start: typical().Start, Method: "OPTIONS", URI: "*"}, {}}
		if format == "%{%D}t" { // a year of two digits is of this century, or the end of the last
			records = records[:3]
		}
		for _, r := range records {
			line := f.Append(nil, &r)
			got, err := f.Parse(append(line, '\n'))
			if err != nil {
				t.Errorf("%s: %s: %v", format, line, err)
				continue
			}
			if again := f.Append(nil, &got); !bytes.Equal(again, line) {
				t.Errorf("%s: what was read from\n%s is written as\n%s", format, line, again)
			}
		}
	}
}

func TestAFormatReadsWhatItShows(t *testing.T) {
	want := full()
	f := compile(t, `%h %{c}a %{remote}p %A %{local}p %v %V %u %{usec}t %{%z}t %D "%r" %s %b %I %O %X %k %{failure}x %{request_id}x %{trace_id}x %{grpc_status}x %{queue_wait_us}x %{listener}x "%{route}x" "%{Accept}i" "%{Vary}o" "%{theme}C"`, "Cookie")
	got, err := f.Parse(f.Append(nil, &want))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		h          accesslog.Header
		name, want string
	}{{got.Request, "Accept", "text/html, */*"}, {got.Request, "Cookie", "theme=dark blue"}, {got.Request, "Referer", ""}, {got.Response, "Vary", "Origin, Accept"}} {
		if v := first(c.h, c.name); v != c.want {
			t.Errorf("%s reads %q, want %q", c.name, v, c.want)
		}
	}
	if !got.Start.Equal(want.Start.Truncate(time.Microsecond)) || got.Start.Format("-0700") != "-0700" {
		t.Errorf("time %v", got.Start)
	}
	got.Start, got.Request, got.Response = want.Start, nil, nil
	want.Request, want.Response = nil, nil
	want.Duration = want.Duration.Truncate(time.Microsecond)
	want.Peer = netip.AddrPortFrom(want.Peer.Addr().Unmap(), want.Peer.Port())
	want.Host = "games.example.org"
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestParseSaysWhatIsWrongInAnyFormat(t *testing.T) {
	for _, c := range []struct{ format, line, want string }{
		{"%X", "?", `column 1: %X: want X, + or -, got "?"`},
		{"%P", "x", `column 1: %P: want a count or -, got "x"`},
		{"%P", "99999999999", `column 1: %P: 99999999999 is more than the 2147483647 that it could be`},
		{"%{remote}p", "65536", `column 1: %{remote}p: 65536 is more than the 65535`},
		{"%{sec}t", "now", `column 1: %{sec}t: want a number, got "now"`},
		{"%{sec}t", "99999999999999999999", "column 1: %{sec}t: 99999999999999999999 is no time"},
		{"%{msec_frac}t", "1000", "column 1: %{msec_frac}t: 1000 is no part of a second"},
		{"%{%F}t", "2026-13-01", "column 1: %{%F}t: 2026-13-01 is no time"},
		{"%{%F}t", "2026/01/01", `column 1: %{%F}t: want a time like %F, got "2026/01/01"`},
		{"%{%F}t", "26", `column 1: %{%F}t: want a time like %F, got "26"`},
		{"%{%B}t", "1", `column 1: %{%B}t: want a time like %B`},
		{"%{at %Y}t", "in 2026", `column 1: %{at %Y}t: want a time like at %Y, got "in"`},
		{"%{%d}t %{%m}t", "31 02", "column 6: the parts of the time contradict each other: "},
		{"%{trace_id}x", "abc", `column 1: %{trace_id}x: "abc" is no trace id of 32 hexadecimal digits`},
		{"%{trace_id}x", "abcd", `column 1: %{trace_id}x: "abcd" is no trace id`},
		{"%a", "300.1.1.1", `column 1: %a: "300.1.1.1" is no IP address`},
		{"(%m)", "GET)", `column 1: want "(" and %m`},
		{"(%m)", "(GET", `column 2: %m is not followed by ")" and the end of the line`},
		{"(%s)", "(200", `column 5: want ")" and the end of the line`},
		{"%s", "200 OK", `column 4: text after %s, where`},
		{"%m", `a\`, `column 1: %m is not followed by "" and the end of the line`},
	} {
		if _, err := compile(t, c.format).Parse([]byte(c.line)); err == nil || !strings.HasPrefix(err.Error(), "parse access line: "+c.want) {
			t.Errorf("%s of %s: %v, want %s", c.line, c.format, err, c.want)
		}
	}
}

// FuzzRecord holds encoder and parser against each other and against the regular expression.
func FuzzRecord(f *testing.F) {
	f.Add([]byte{192, 0, 2, 7}, "ada", int64(971211336), -25200, "GET", "/a?b", "HTTP/1.1", 200, int64(7), "https://example.org", "curl")
	f.Add([]byte{}, "a [b] \"", int64(0), 19800, "", "\x00 \xff", "", 0, int64(-1), "\\", "\"\n")
	f.Add([]byte{1}, "\"\" [", int64(-1), 0, "GET", " ", "HTTP/2.0", 99, int64(1), "-", " ")
	f.Fuzz(func(t *testing.T, client []byte, user string, second int64, offset int, method, uri, proto string, status int, sent int64, referer, agent string) {
		want := accesslog.Record{
			User: user, Start: time.Unix(second%(200*365*86400), 0).In(time.FixedZone("", offset%(24*60)*60)),
			Method: strings.ReplaceAll(method, " ", "_"), URI: uri, Proto: proto,
			Status: status & 0xffff, Bytes: sent, Request: header("Referer", referer, "User-Agent", agent),
		}
		want.Client, _ = netip.AddrFromSlice(client)
		if proto != "" {
			want.Proto = "HTTP/" + strings.ReplaceAll(proto, " ", "_")
		}
		line := combined(&want)
		if !analysers.Match(line) {
			t.Fatalf("not in the Combined format: %s", line)
		}
		got, err := accesslog.Parse(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if !got.Start.Equal(want.Start) || got.Status != want.Status || got.Bytes != max(want.Bytes, 0) || got.Client != want.Client.Unmap() {
			t.Fatalf("%s:\n got %+v\nwant %+v", line, got, want)
		}
		for _, field := range []struct {
			name, got, want string
			most            int
		}{{"user", got.User, user, 256}, {"referer", first(got.Request, "Referer"), referer, 2048}, {"user agent", first(got.Request, "User-Agent"), agent, 1024}} {
			if field.got != field.want && field.want != "-" && len(field.want) <= field.most {
				t.Fatalf("%s: %s reads %q, was %q", line, field.name, field.got, field.want)
			}
		}
		if again := combined(&got); !bytes.Equal(again, line) {
			t.Fatalf("encoding what was parsed:\n got %s\nwant %s", again, line)
		}
	})
}

// FuzzParse looks for lines that crash the parser or that it reads as something it would not
// write the same way twice.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`192.0.2.7 - ada [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 2326 "-" "curl"`))
	f.Add([]byte(`- - "" [10/Oct/2000:13:55:36 -0700] "-" - - "" "\x41\""`))
	f.Add([]byte(`::1%a - a [b [10/Oct/2000:13:55:36 +0000] "\\" 1 0 "\v" "\`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := accesslog.Parse(line)
		if err != nil {
			return
		}
		first := combined(&r)
		r, err = accesslog.Parse(first)
		if err != nil {
			t.Fatalf("%s was read and written as %s, which does not parse: %v", line, first, err)
		}
		if len(first) > 1000 {
			return // fields may have been cut
		}
		if second := combined(&r); !bytes.Equal(first, second) {
			t.Fatalf("%s was written as %s and then as %s", line, first, second)
		}
	})
}

// FuzzFormat holds encoder and parser against each other in a format that shows everything, each text
// in quotes.
func FuzzFormat(f *testing.F) {
	const quoted = `%h %a %{c}a %A %{local}p %{remote}p "%v" "%V" "%u" %{usec}t %D %{ms}T "%r" "%m" "%U" "%q" "%H" %>s %X %k %b %I %O ` +
		`"%{Referer}i" "%{Accept}o" "%{theme}C" "%f" "%L" "%{trace_id}x" %{failure}x "%{grpc_status}x" %{queue_wait_us}x "%{listener}x" %!404{usec_frac}t`
	format := compile(f, quoted, "Cookie")
	f.Add("http://u:p@Host/a%20b?c#d", "GET", "HTTP/1.1", "a: b", "v\xff", int64(1), int64(99), 404)
	f.Add("%2f%", "", "", "", "-", int64(-1), int64(-1), 0)
	f.Add("/a\"b\\", "PRI *", "HTTP/2.0", "\"\"", "x; theme=\"", int64(1e15), int64(1<<62), 1<<20)
	f.Fuzz(func(t *testing.T, uri, method, proto, name, value string, at, n int64, status int) {
		addr := netip.AddrFrom4([4]byte{byte(n), byte(n >> 8), 3, 4})
		want := accesslog.Record{
			Client: addr, Peer: netip.AddrPortFrom(addr, uint16(n)), Local: netip.AddrPortFrom(addr, uint16(at)), Server: name, Host: value, User: name, EmptyUser: name == "",
			Start: time.UnixMicro(at % (1 << 55)), Duration: time.Duration(max(n, 0)).Truncate(time.Microsecond), Method: method, URI: uri, Proto: proto,
			Status: status & 0xffff, Bytes: n, BytesIn: at, BytesOut: n, Reused: status & 0xff, Conn: accesslog.ConnState(status & 3),
			Request: http.Header{"Referer": {value, name}, "Cookie": {"theme=" + value}}, Response: http.Header{"Accept": {value}},
			Route: name, RequestID: value, TraceID: [16]byte{byte(n)}, FailureCode: status & 0xfff, GRPCStatus: value, QueueWait: time.Duration(max(n, 0)), Listener: name,
		}
		line := format.Append(nil, &want)
		if len(line) > format.MaxLine() {
			t.Fatalf("a line of %d bytes, MaxLine is %d", len(line), format.MaxLine())
		}
		got, err := format.Parse(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		// %m, %U, %q and %H show parts of %r, which cannot be told apart again when methods or protocols hold spaces.
		if strings.Contains(method+proto, " ") || len(method) > 32 || len(uri) > 4096 || !strings.HasPrefix(proto, "HTTP/") || len(proto) > 16 {
			return
		}
		if again := format.Append(nil, &got); !bytes.Equal(again, line) {
			t.Fatalf("what was read from\n%s is written as\n%s", line, again)
		}
	})
}
