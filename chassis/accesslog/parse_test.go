package accesslog_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
)

func ExampleParse() {
	r, err := accesslog.Parse([]byte(`192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET /a?b=1 HTTP/1.1" 200 2326 "-" "say \"hi\""` + "\n"))
	fmt.Println(r.Client, r.Start.UTC(), r.Method, r.URI, r.Status, r.Bytes, r.UserAgent, err)
	_, err = accesslog.Parse([]byte(`192.0.2.7 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" OK 2326 "-" "-"`))
	fmt.Println(err)
	// Output:
	// 192.0.2.7 2000-10-10 20:55:36 +0000 UTC GET /a?b=1 200 2326 say "hi" <nil>
	// parse access line: column 61: status "OK" is neither a count nor -
}

func TestParseReadsBackWhatWasLogged(t *testing.T) {
	hostile := typical()
	hostile.User = `a [b] "c" \`
	hostile.Method, hostile.URI, hostile.Proto = "POST", "/a b\xff\"\\\n\x7f", "HTTP/2.0"
	hostile.Referer, hostile.UserAgent = "\b\n\r\t\v\f", `" - "`
	raw := accesslog.Record{URI: "\x16\x03\x01 ", Start: typical().Start}
	for _, want := range []accesslog.Record{typical(), hostile, raw} {
		line := accesslog.AppendCombined(nil, &want)
		got, err := accesslog.Parse(line)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if !got.Start.Equal(want.Start) {
			t.Errorf("%s: read the time %v", line, got.Start)
		}
		got.Start = want.Start
		if got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", line, got, want)
		}
	}
}

func TestParseReadsLinesOfHttpd(t *testing.T) {
	r, err := accesslog.Parse([]byte(`2001:db8::1 ident "" [10/Oct/2000:13:55:36 +0200] "GET / HTTP/1.0" 408 - "" "\x4A"`))
	if err != nil {
		t.Fatal(err)
	}
	want := accesslog.Record{Client: netip.MustParseAddr("2001:db8::1"), Start: r.Start, Method: "GET", URI: "/", Proto: "HTTP/1.0", Status: 408, UserAgent: "J"}
	if r != want {
		t.Errorf("got %+v", r)
	}
	if _, offset := r.Start.Zone(); offset != 7200 || r.Start.Location() == time.Local {
		t.Errorf("time zone %v", r.Start)
	}
}

func TestParseSaysWhatIsWrongAndWhere(t *testing.T) {
	const good = `192.0.2.7 - ada [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 2326 "-" "curl"`
	for _, c := range []struct{ old, new, want string }{
		{good, "", "column 1: no space"},
		{good, "192.0.2.7 -", "column 11: the line ends with the identd name"},
		{"192.0.2.7", "www.example.org", `column 1: client "www.example.org" is neither an IP address nor -`},
		{"curl", "cu\x1b", "column 79: byte 0x1b is not printable"},
		{"curl", "cu\xff", "column 79: byte 0xff is not printable"},
		{`"`, "", "column 13: want user, [day"},
		{` "GET / HTTP/1.1" 200 2326 "-" "curl"`, "", "column 13: no quoted request line"},
		{" ada", "", "column 13: want user, [day"},
		{"ada [", "ada[", "column 13: want user, [day"},
		{"-0700] ", "-0700]", "column 13: want user, [day"},
		{"Oct", "Okt", "column 17: time [10/Okt/2000:13:55:36 -0700] is not like"},
		{"10/", "32/", "column 17: time [32/Oct"},
		{"ada", `a\da`, `column 14: \d is not an escape of httpd`},
		{`1.1" 200`, `1.1 200`, `column 72: want a space and the status`},
		{"GET", `\xGT`, `column 47: \xGT is not followed by two hexadecimal digits`},
		{"GET", `GE\x+1`, `column 49: \x+1 is not followed`},
		{"HTTP/1.1", `\x1`, `column 53: \x1 is not followed`},
		{"curl", `curl\`, "column 77: the user agent has no closing quote"},
		{`"curl"`, "", `column 75: want a space and the user agent in quotes`},
		{`"-" "curl"`, "curl", "column 71: want a space and the referer in quotes"},
		{`" 200`, `" +200`, `column 63: status "+200" is neither`},
		{`" 200`, `" 99999999999`, `column 63: status "99999999999" is neither`},
		{"2326", "9223372036854775808", `column 67: byte count "9223372036854775808" is neither`},
		{` 200 2326 "-" "curl"`, "", "column 62: want a space and the status"},
		{` 2326 "-" "curl"`, "", "column 66: want a space and the byte count"},
		{`curl"`, `curl" 17`, "column 82: text after the user agent"},
		{`curl"`, "curl\"\n\n", "column 82: byte 0x0a"},
	} {
		line := strings.Replace(good, c.old, c.new, 1)
		r, err := accesslog.Parse([]byte(line))
		if err == nil || !strings.HasPrefix(err.Error(), "parse access line: "+c.want) {
			t.Errorf("%s:\n got %v\nwant %s", line, err, c.want)
		}
		if r != (accesslog.Record{}) {
			t.Errorf("%s: an error came with the record %+v", line, r)
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
			Status: status & 0xffff, Bytes: sent, Referer: referer, UserAgent: agent,
		}
		want.Client, _ = netip.AddrFromSlice(client)
		if proto != "" {
			want.Proto = "HTTP/" + strings.ReplaceAll(proto, " ", "_")
		}
		line := accesslog.AppendCombined(nil, &want)
		if !combined.Match(line) {
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
		}{{"user", got.User, user, 256}, {"referer", got.Referer, referer, 2048}, {"user agent", got.UserAgent, agent, 1024}} {
			if field.got != field.want && field.want != "-" && len(field.want) <= field.most {
				t.Fatalf("%s: %s reads %q, was %q", line, field.name, field.got, field.want)
			}
		}
		if again := accesslog.AppendCombined(nil, &got); !bytes.Equal(again, line) {
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
		first := accesslog.AppendCombined(nil, &r)
		r, err = accesslog.Parse(first)
		if err != nil {
			t.Fatalf("%s was read and written as %s, which does not parse: %v", line, first, err)
		}
		if len(first) > 1000 {
			return // fields may have been cut
		}
		if second := accesslog.AppendCombined(nil, &r); !bytes.Equal(first, second) {
			t.Fatalf("%s was written as %s and then as %s", line, first, second)
		}
	})
}
