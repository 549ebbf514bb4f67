package accesslog_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
)

var pacific = time.FixedZone("PDT", -7*60*60)

// typical is a request as browsers send it: what benchmarks and most tests log.
func typical() accesslog.Record {
	return accesslog.Record{
		Client:    netip.MustParseAddr("192.0.2.7"),
		User:      "ada",
		Start:     time.Date(2000, 10, 10, 13, 55, 36, 0, pacific),
		Method:    "GET",
		URI:       "/v1/games/7f3a?page_size=20",
		Proto:     "HTTP/1.1",
		Status:    200,
		Bytes:     2326,
		Referer:   "https://arcade.example.org/lobby",
		UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0",
	}
}

func ExampleAppendCombined() {
	line := accesslog.AppendCombined(nil, &accesslog.Record{
		Client: netip.MustParseAddr("192.0.2.7"),
		Start:  time.Date(2000, 10, 10, 13, 55, 36, 0, time.UTC),
		Method: "POST", URI: "/game.v1.GameService/Drop", Proto: "HTTP/2.0",
		Status: 200, Bytes: 74,
		UserAgent: "grpc-go/1.85.0 \"\n\x1b[2J",
	})
	fmt.Println(string(line))
	// Output:
	// 192.0.2.7 - - [10/Oct/2000:13:55:36 +0000] "POST /game.v1.GameService/Drop HTTP/2.0" 200 74 "-" "grpc-go/1.85.0 \"\n\x1b[2J"
}

func TestLinesReadAsHttpdWritesThem(t *testing.T) {
	with := func(change func(*accesslog.Record)) accesslog.Record {
		r := typical()
		r.Referer, r.UserAgent = "", ""
		change(&r)
		return r
	}
	const head, request = `192.0.2.7 - ada [10/Oct/2000:13:55:36 -0700] `, `"GET /v1/games/7f3a?page_size=20 HTTP/1.1" `
	for _, c := range []struct {
		name string
		r    accesslog.Record
		want string
	}{
		{"everything known", typical(), head + request + `200 2326 "https://arcade.example.org/lobby" "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0"`},
		{"nothing known", accesslog.Record{}, `- - - [01/Jan/0001:00:00:00 +0000] "-" - - "-" "-"`},
		{"no body", with(func(r *accesslog.Record) { r.Status, r.Bytes = 304, 0 }), head + request + `304 - "-" "-"`},
		{"counts below zero", with(func(r *accesslog.Record) { r.Status, r.Bytes = -1, -1 }), head + request + `- - "-" "-"`},
		{"IPv4 mapped into IPv6", with(func(r *accesslog.Record) { r.Client = netip.MustParseAddr("::ffff:192.0.2.7") }), head + request + `200 2326 "-" "-"`},
		{"IPv6 with a zone", with(func(r *accesslog.Record) { r.Client = netip.MustParseAddr("fe80::1%eth0") }), strings.Replace(head, "192.0.2.7", "fe80::1", 1) + request + `200 2326 "-" "-"`},
		{"a request line that was not understood", with(func(r *accesslog.Record) { r.Method, r.URI, r.Proto = "", "\x16\x03\x01", "" }), head + `"\x16\x03\x01" 200 2326 "-" "-"`},
		{"a request without a protocol", with(func(r *accesslog.Record) { r.Proto = "" }), head + `"GET /v1/games/7f3a?page_size=20" 200 2326 "-" "-"`},
		{"a user that forges a line", with(func(r *accesslog.Record) {
			r.User = "x [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 -\n192.0.2.8 - root"
		}), `192.0.2.7 - x [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 -\n192.0.2.8 - root [10/Oct/2000:13:55:36 -0700] ` + request + `200 2326 "-" "-"`},
		{"a zone east of Greenwich by half an hour", with(func(r *accesslog.Record) { r.Start = r.Start.In(time.FixedZone("", 5*3600+1800)) }),
			`192.0.2.7 - ada [11/Oct/2000:02:25:36 +0530] ` + request + `200 2326 "-" "-"`},
		{"a year of five digits", with(func(r *accesslog.Record) { r.Start = time.Date(12345, 1, 2, 3, 4, 5, 0, time.UTC) }),
			`192.0.2.7 - ada [02/Jan/9999:03:04:05 +0000] ` + request + `200 2326 "-" "-"`},
		{"a year before the common era", with(func(r *accesslog.Record) { r.Start = time.Date(-5, 1, 2, 3, 4, 5, 0, time.UTC) }),
			`192.0.2.7 - ada [02/Jan/0000:03:04:05 +0000] ` + request + `200 2326 "-" "-"`},
	} {
		if got := string(accesslog.AppendCombined(nil, &c.r)); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// The table of ap_escape_logitem (httpd 2.4, server/util.c) with the bytes that
// server/gen_test_char.c marks for it: not printable ASCII, the quote and the backslash.
func TestEveryByteIsEscapedAsHttpdEscapesIt(t *testing.T) {
	named := map[byte]string{'"': `\"`, '\\': `\\`, 8: `\b`, 10: `\n`, 13: `\r`, 9: `\t`, 11: `\v`}
	for i := range 256 {
		want, ok := named[byte(i)]
		switch {
		case ok:
		case i < 32 || i > 126:
			want = fmt.Sprintf(`\x%02x`, i)
		default:
			want = string(rune(i))
		}
		// at every offset within a word of eight, alone and amid plain text
		for pad := range 18 {
			text, rest := strings.Repeat("~", pad), strings.Repeat(" ", 17-pad)
			r := accesslog.Record{UserAgent: text + string([]byte{byte(i)}) + rest}
			got := string(accesslog.AppendCombined(nil, &r))
			if !strings.HasSuffix(got, ` "`+text+want+rest+`"`) {
				t.Fatalf("byte %#02x after %d others is written %s, want %s", i, pad, got, want)
			}
		}
	}
}

func TestLongFieldsAreCutAndMarked(t *testing.T) {
	long := strings.Repeat("\xff", 1<<16)
	r := accesslog.Record{
		Client: netip.MustParseAddr("2001:db8:1111:2222:3333:4444:5555:6666"), User: long, Start: typical().Start,
		Method: long, URI: long, Proto: long, Status: 1<<31 - 1, Bytes: 1<<63 - 1, Referer: long, UserAgent: long,
	}
	line := accesslog.AppendCombined(nil, &r)
	if len(line) > accesslog.MaxLine {
		t.Errorf("the longest line has %d bytes, MaxLine is %d", len(line), accesslog.MaxLine)
	}
	for _, n := range []int{256, 32, 4096, 16, 2048, 1024} {
		if cut := strings.Repeat(`\xff`, n-3) + "..."; !strings.Contains(string(line), cut) {
			t.Errorf("no field of %d bytes, mark included", n)
		}
	}
	fits := accesslog.Record{UserAgent: strings.Repeat("a", 1024)}
	if line := accesslog.AppendCombined(nil, &fits); !strings.HasSuffix(string(line), `aaaa"`) {
		t.Error("a user agent of just the longest length is cut")
	}
}

// combined is the format as log analysers see it, written without looking at the encoder.
var combined = regexp.MustCompile(`^(\S+) (\S+) (.+) \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [-+]\d{4})\] ` +
	`"((?:[^"\\]|\\.)*)" (\d+|-) (\d+|-) "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"$`)

func TestLinesMatchTheFormatOfLogAnalysers(t *testing.T) {
	r := typical()
	r.UserAgent = "a \"quoted\\\" agent\r\n\x00\xe2\x82\xac"
	for _, r := range []accesslog.Record{{}, typical(), r} {
		line := string(accesslog.AppendCombined(nil, &r))
		m := combined.FindStringSubmatch(line)
		if m == nil {
			t.Errorf("not in the Combined format: %s", line)
			continue
		}
		if _, err := time.Parse("02/Jan/2006:15:04:05 -0700", m[4]); err != nil {
			t.Errorf("time %s: %v", m[4], err)
		}
	}
}

func TestEncodingAllocatesNothing(t *testing.T) {
	r := typical()
	buffer := make([]byte, 0, accesslog.MaxLine)
	if n := testing.AllocsPerRun(100, func() { buffer = accesslog.AppendCombined(buffer[:0], &r) }); n != 0 {
		t.Errorf("%v allocations per line", n)
	}
}

func BenchmarkAppendCombined(b *testing.B) {
	r := typical()
	buffer := make([]byte, 0, accesslog.MaxLine)
	b.ReportAllocs()
	for b.Loop() {
		buffer = accesslog.AppendCombined(buffer[:0], &r)
	}
	b.SetBytes(int64(len(buffer)))
}
