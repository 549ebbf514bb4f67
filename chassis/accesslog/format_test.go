package accesslog_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
)

// everything shows all that there is to show.
const everything = `%h %a %{c}a %{c}h %A %p %{local}p %{remote}p %v %V %l %u %t %D %T %{ms}T %{us}T "%r" %m "%U" "%q" %H ` +
	`%>s %X %k %b %B %I %O %S "%{Referer}i" "%{Vary}o" "%{theme}C" %f %L %P %{route}x %{failure}x %{request_id}x %{trace_id}x ` +
	`%{grpc_status}x %{queue_wait_us}x %{listener}x %{%Y}t %{usec_frac}t %{end:sec}t 100%%`

var pacific = time.FixedZone("PDT", -7*60*60)

// typical is a request as browsers send it: what benchmarks and most tests log.
func typical() accesslog.Record {
	return accesslog.Record{
		Client: netip.MustParseAddr("192.0.2.7"),
		User:   "ada",
		Start:  time.Date(2000, 10, 10, 13, 55, 36, 0, pacific),
		Method: "GET",
		URI:    "/v1/games/7f3a?page_size=20",
		Proto:  "HTTP/1.1",
		Status: 200,
		Bytes:  2326,
		Request: header("Referer", "https://arcade.example.org/lobby",
			"User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0"),
	}
}

// header makes a header of names and values.
func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

// agent is the header that most tests are content with.
func agent(s string) http.Header { return header("User-Agent", s) }

func compile(tb testing.TB, format string, allow ...string) *accesslog.Format {
	tb.Helper()
	f, err := accesslog.Compile(format, allow...)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// combined is r in the Combined format.
func combined(r *accesslog.Record) []byte {
	f, err := accesslog.Compile("combined")
	if err != nil {
		panic(err)
	}
	return f.Append(nil, r)
}

func ExampleCompile() {
	f, err := accesslog.Compile(`%h %{%Y-%m-%dT%H:%M:%S}t "%r" %>s %Dus %{route}x "%!200{User-Agent}i"`)
	if err != nil {
		fmt.Println(err)
		return
	}
	line := f.Append(nil, &accesslog.Record{
		Client: netip.MustParseAddr("192.0.2.7"),
		Start:  time.Date(2000, 10, 10, 13, 55, 36, 0, time.UTC), Duration: 1234 * time.Microsecond,
		Method: "POST", URI: "/game.v1.GameService/Drop", Proto: "HTTP/2.0", Status: 404,
		Request: http.Header{"User-Agent": {"grpc-go/1.85.0 \"\n\x1b[2J"}},
	})
	fmt.Println(string(line))
	_, err = accesslog.Compile(`%h %y "%r"`)
	fmt.Println(err)
	// Output:
	// 192.0.2.7 2000-10-10T13:55:36 "POST /game.v1.GameService/Drop HTTP/2.0" 404 1234us - "grpc-go/1.85.0 \"\n\x1b[2J"
	// access log format: column 4: %y is no directive: want one of %h %a %A %p %v %V %l %u %t %D %T %r %m %U %q %H %s %X %k %b %B %I %O %S %f %L %P %i %o %C %x, or %% for a percent sign
}

func TestLinesReadAsHttpdWritesThem(t *testing.T) {
	with := func(change func(*accesslog.Record)) accesslog.Record {
		r := typical()
		r.Request = nil
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
		if got := string(combined(&c.r)); got != c.want {
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
			r := accesslog.Record{Request: http.Header{"User-Agent": {text + string([]byte{byte(i)}) + rest}}}
			got := string(combined(&r))
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
		Method: long, URI: long, Proto: long, Status: 1<<31 - 1, Bytes: 1<<63 - 1, Request: header("Referer", long, "User-Agent", long),
	}
	line := combined(&r)
	if most := compile(t, "combined").MaxLine(); len(line) > most {
		t.Errorf("the longest line has %d bytes, MaxLine is %d", len(line), most)
	}
	for _, n := range []int{256, 32, 4096, 16, 2048, 1024} {
		if cut := strings.Repeat(`\xff`, n-3) + "..."; !strings.Contains(string(line), cut) {
			t.Errorf("no field of %d bytes, mark included", n)
		}
	}
	fits := accesslog.Record{Request: agent(strings.Repeat("a", 1024))}
	if line := combined(&fits); !strings.HasSuffix(string(line), `aaaa"`) {
		t.Error("a user agent of just the longest length is cut")
	}
}

// analysers is the format as log analysers see it, written without looking at the encoder.
var analysers = regexp.MustCompile(`^(\S+) (\S+) (.+) \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [-+]\d{4})\] ` +
	`"((?:[^"\\]|\\.)*)" (\d+|-) (\d+|-) "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"$`)

func TestLinesMatchTheFormatOfLogAnalysers(t *testing.T) {
	r := typical()
	r.Request = agent("a \"quoted\\\" agent\r\n\x00\xe2\x82\xac")
	for _, r := range []accesslog.Record{{}, typical(), r} {
		line := string(combined(&r))
		m := analysers.FindStringSubmatch(line)
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
	r.Request.(http.Header).Set("Cookie", "a=b; theme=dark")
	for format, f := range map[string]*accesslog.Format{
		"combined":   compile(t, "combined"),
		"everything": compile(t, everything, "Cookie"),
	} {
		buffer := make([]byte, 0, f.MaxLine())
		if n := testing.AllocsPerRun(100, func() { buffer = f.Append(buffer[:0], &r) }); n != 0 {
			t.Errorf("%s: %v allocations per line", format, n)
		}
	}
}

func BenchmarkFormat(b *testing.B) {
	for name, format := range map[string]string{"combined": "combined", "everything": everything} {
		b.Run(name, func(b *testing.B) {
			f, r := compile(b, format, "Cookie"), typical()
			buffer := make([]byte, 0, f.MaxLine())
			b.ReportAllocs()
			for b.Loop() {
				buffer = f.Append(buffer[:0], &r)
			}
			b.SetBytes(int64(len(buffer)))
		})
	}
}
