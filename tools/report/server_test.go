package report_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/internal/need"
	"github.com/seed-754044b3/roadworthy/internal/port"
	"github.com/seed-754044b3/roadworthy/tools/report"
)

// A server is a real one that writes a log in several formats at once.
type server struct {
	program, debian string
	config          string         // with the folder, the address, and a log for each format
	arguments       []string       // behind which the configuration's path stands
	stop            syscall.Signal // has it end when it has answered and logged all
	log             string         // how config names one: number and format
	formats         []string
	quoted          func(format string) string // as config wants it
}

var servers = map[string]server{
	"httpd": {
		program: "apache2", debian: "apache2-bin", stop: syscall.SIGWINCH, arguments: []string{"-D", "FOREGROUND", "-f"},
		config: `
ServerRoot "%[1]s"
DefaultRuntimeDir "%[1]s"
PidFile "%[1]s/httpd.pid"
ServerName games
Listen %[2]s
User #65534
Group #65534
LoadModule mpm_event_module  "/usr/lib/apache2/modules/mod_mpm_event.so"
LoadModule authz_core_module "/usr/lib/apache2/modules/mod_authz_core.so"
LoadModule unique_id_module  "/usr/lib/apache2/modules/mod_unique_id.so"
ErrorLog "%[1]s/error.log"
DocumentRoot "%[1]s/www"
StartServers 1
%[3]s`,
		log:    "LogFormat \"%[2]s\" f%[1]d\nCustomLog \"access%[1]d.log\" f%[1]d\n",
		quoted: func(format string) string { return strings.ReplaceAll(format, `"`, `\"`) },
		formats: []string{
			"combined", `%h %l %u %t "%r" %>s %b`, `%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i"`,
			`%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i" %D`, `%h %t "%r" %>s %b %T %{ms}T %{us}T %X %k`,
			`%{%Y-%m-%dT%H:%M:%S}t %a %m %U%q %H %>s %B %D "%{UNIQUE_ID}e" %{X}n %R`, `%{usec}t %h "%r" %s %{us}T %L`,
		},
	},
	"nginx": {
		program: "nginx", debian: "nginx", stop: syscall.SIGQUIT, arguments: []string{"-c"},
		config: `
daemon off;
master_process off;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log;
events { worker_connections 64; }
http {
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	%[3]s
	server {
		listen %[2]s;
		root %[1]s/www;
		location = /broken { return 503; }
	}
}`,
		log: "log_format f%[1]d '%[2]s';\naccess_log access%[1]d.log f%[1]d;\n",
		formats: []string{
			`$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`,
			`$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_time`,
			`$time_iso8601 $remote_addr $request_method "$request_uri" $status $bytes_sent $request_time $request_id`,
			`$msec|$host|$remote_addr|$request|$status|$body_bytes_sent|$request_time|$connection`,
			`{"time":"$time_iso8601","request":"$request","status":"$status","took":"$request_time","id":"$request_id"}`,
		},
		quoted: func(format string) string { return format },
	},
}

// asked is what servers are asked, and which status they answer with.
var asked = []struct {
	request string
	status  int
}{
	{"GET /hello.txt HTTP/1.1\r\nHost: games\r\nUser-Agent: Mozilla/5.0 (X11; \"quoted\" \\ agent)\r\nReferer: https://example.org/\xe9\r\n", 200},
	{"GET /hello.txt?a=1&b=%22x%22 HTTP/1.1\r\nHost: games\r\n", 200},
	{"HEAD /hello.txt HTTP/1.1\r\nHost: games\r\n", 200},
	{"GET /missing/10425 HTTP/1.1\r\nHost: games\r\n", 404},
	{"GET /missing/10426\"quoted HTTP/1.1\r\nHost: games\r\n", 404},
	{"POST /missing/777/moves HTTP/1.1\r\nHost: games\r\nContent-Length: 0\r\n", 404},
	{"GET /hello.txt HTTP/1.1\r\n", 400},
	{"\x16\x03\x01\x00\xff", 400},
}

// run starts the server, asks it all, ends it, and returns its logs by format.
func (s server) run(t *testing.T) map[string][]byte {
	program := need.Program(t, s.program, s.debian)
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} { // run by root, servers serve as somebody else
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "www"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "www", "hello.txt"), []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	addrs, err := port.Addrs(1)
	if err != nil {
		t.Fatal(err)
	}
	addr := addrs[0]
	var logs strings.Builder
	for i, format := range s.formats {
		if format == "combined" {
			format = `%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`
		}
		fmt.Fprintf(&logs, strings.ReplaceAll(s.log, "access%", dir+"/access%"), i, s.quoted(format))
	}
	config := filepath.Join(dir, "config")
	if err := os.WriteFile(config, fmt.Appendf(nil, s.config, dir, addr, logs.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append(s.arguments, config)...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close()
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("%s ended: %v\n%s", s.program, err, output.Bytes())
		case <-time.After(10 * time.Millisecond): // it tells nobody when it listens
		}
	}
	for _, a := range asked {
		ask(t, addr, a.request, a.status)
	}
	// A line is written when the server has closed the connection, which may be later than its answer.
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if text, _ := os.ReadFile(filepath.Join(dir, fmt.Sprintf("access%d.log", len(s.formats)-1))); bytes.Count(text, []byte("\n")) >= len(asked) {
			break
		}
	}
	_ = cmd.Process.Signal(s.stop)
	if err := <-ended; err != nil {
		t.Errorf("%s: %v\n%s", s.program, err, output.Bytes())
	}
	byFormat := map[string][]byte{}
	for i, format := range s.formats {
		text, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("access%d.log", i)))
		if err != nil {
			t.Fatalf("%v\n%s", err, output.Bytes())
		}
		byFormat[format] = text
	}
	return byFormat
}

// ask sends a request and waits for its answer.
func ask(t *testing.T, addr, request string, status int) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := io.WriteString(conn, request+"Connection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	if res.StatusCode != status {
		t.Errorf("%q: %s, want %d", request, res.Status, status)
	}
}

// sorted are the lines of a text in an order that does not tell which was first.
func sorted(text []byte) string {
	lines := strings.SplitAfter(string(text), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// varies is what differs from run to run in the logs that are kept.
var varies = regexp.MustCompile(`\[\d\d/[^]]*\]`)

func TestWhatRealServersWriteIsRead(t *testing.T) {
	for name, s := range servers {
		t.Run(name, func(t *testing.T) {
			before := time.Now().Add(-2 * time.Second)
			logs := s.run(t)
			for _, format := range s.formats {
				layout, err := report.NewLayout(format)
				if err != nil {
					t.Fatal(err)
				}
				c, reader := report.NewCollector(report.Options{}), report.NewLineReader(layout)
				var statuses []int
				for line := range bytes.Lines(logs[format]) {
					var h report.Hit
					if err := reader.Read(bytes.TrimSuffix(line, []byte("\n")), &h); err != nil {
						t.Errorf("%s: %v\n%s", format, err, line)
						continue
					}
					if at := time.UnixMicro(h.Time); layout.Dated() && (at.Before(before) || at.After(time.Now())) {
						t.Errorf("%s: at %v\n%s", format, at, line)
					}
					if layout.Timed() && (h.Taken < 0 || h.Taken > 5e6) {
						t.Errorf("%s: took %d\n%s", format, h.Taken, line)
					}
					// The connection by which the test found out that the server listens may have a line.
					if h.Status != 408 {
						statuses = append(statuses, h.Status)
						c.Add(layout, &h)
					}
				}
				var want []int
				for _, a := range asked {
					want = append(want, a.status)
				}
				slices.Sort(want)
				slices.Sort(statuses) // a line is written behind its answer, when the next request may have had one
				if !slices.Equal(statuses, want) {
					t.Errorf("%s: statuses %v, want %v\n%s", format, statuses, want, logs[format])
				}
				routes := map[string]uint64{}
				for _, r := range c.Report(report.ByHits, 50, time.UTC).Routes {
					routes[r.Route] = r.Hits
				}
				if routes["GET /hello.txt"] != 3 || routes["GET /missing/{n}"] != 1 || routes["POST /missing/{n}/moves"] != 1 {
					t.Errorf("%s: %v", format, routes)
				}
			}
			golden := filepath.Join("testdata", name+".log")
			if *update {
				if err := os.WriteFile(golden, varies.ReplaceAll(logs[s.formats[0]], []byte("[28/Nov/2026:09:00:01 +0000]")), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			kept, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := sorted(varies.ReplaceAll(logs[s.formats[0]], nil)), sorted(varies.ReplaceAll(kept, nil)); got != want {
				t.Errorf("%s writes other lines than those in %s:\n%s", s.program, golden, got)
			}
		})
	}
}
