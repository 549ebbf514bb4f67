package logdiff_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
)

// send has a conversation with a server, which closes the connection at its end, and returns how many
// bytes the server has sent.
func send(t *testing.T, addr string, c conversation) (received int) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	r := bufio.NewReader(countingReader{conn, &received})
	for i, req := range c.requests {
		if _, err := io.WriteString(conn, req.raw); err != nil {
			t.Fatal(err)
		}
		if c.pipelined || i == len(c.requests)-1 {
			continue
		}
		method, _, _ := strings.Cut(req.raw, " ")
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("%s: %v", req.name, err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
	}
	// A reset is how a server that did not read everything closes.
	_, _ = io.Copy(io.Discard, r)
	return received
}

// countingReader counts what was read.
type countingReader struct {
	io.Reader
	n *int
}

func (c countingReader) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	*c.n += n
	return n, err
}

var caseNumber = regexp.MustCompile(`case=(\d+)|/(\d+)\?ccc`)

// lines reads a log: the fields of each request's line by its number, and what cannot be told whose
// it is.
func lines(t *testing.T, file string) (byNumber map[int][]string, others []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	format, err := accesslog.Compile(logFormat(), "Cookie")
	if err != nil {
		t.Fatal(err)
	}
	byNumber = map[int][]string{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if _, err := format.Parse([]byte(line)); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		values := strings.Split(strings.Trim(line, `"`), `" "`)
		if len(values) != len(fields) {
			t.Errorf("%d fields in %s", len(values), line)
			continue
		}
		number := 0
		if _, err := fmt.Sscan(values[19], &number); err != nil {
			if m := caseNumber.FindStringSubmatch(line); m != nil {
				_, _ = fmt.Sscan(m[1]+m[2], &number)
			}
		}
		if number == 0 {
			others = append(others, line)
			continue
		}
		if byNumber[number] != nil {
			t.Errorf("two lines of request %d: %s", number, line)
		}
		byNumber[number] = values
	}
	return byNumber, others
}

func TestLinesAreThoseOfHttpd(t *testing.T) {
	httpd, httpdLog, stopHTTPD := startHTTPD(t)
	service, serviceLog, stopService := startChassis(t)
	conversations := generate()
	requests := 0
	var fromHTTPD, fromService []int
	for _, c := range conversations {
		fromHTTPD = append(fromHTTPD, send(t, httpd, c))
		fromService = append(fromService, send(t, service, c))
		requests += len(c.requests)
	}
	stopHTTPD()
	stopService()
	theirs, theirOthers := lines(t, httpdLog)
	ours, ourOthers := lines(t, serviceLog)
	if requests < 500 {
		t.Errorf("%d requests, want 500 or more", requests)
	}
	found := map[string]int{}
	compared := 0
	for _, c := range conversations {
		for _, req := range c.requests {
			a, b := theirs[req.number], ours[req.number]
			switch {
			case a == nil && b == nil:
				explain(t, found, neither, req, "has no line")
			case a == nil:
				explain(t, found, onlyService, req, "has a line of the service alone")
			case b == nil: // it has one that does not tell its number
				explain(t, found, refused, req, "has a line of httpd alone: "+a[6])
			case slices.ContainsFunc(refused, func(d difference) bool { return d.explains(req.name) }):
				compareTold(t, found, req, a, b)
			default:
				compared++
				compare(t, found, req, a, b)
			}
		}
	}
	summed := 0
	for i, c := range conversations {
		addUp(t, "httpd", c, theirs, fromHTTPD[i])
		if addUp(t, "the service", c, ours, fromService[i]) {
			summed++
		}
	}
	if summed < 400 {
		t.Errorf("%%O was held against what came on %d connections, want 400 or more", summed)
	}
	for _, list := range [][]difference{differences, refused, onlyService, neither} {
		for _, d := range list {
			if found[d.requests] == 0 {
				t.Errorf("no request shows the difference %s (%s): take it from the list", d.requests, d.why)
			}
		}
	}
	// The lines that cannot be told whose they are: of requests whose line httpd refused.
	unknown := 0
	for _, d := range append(onlyService, neither...) {
		unknown += found[d.requests]
	}
	if len(theirOthers) != unknown || len(theirs)+unknown != requests {
		t.Errorf("httpd has %d lines and %d without a number, want one for each of %d requests, %d of them without", len(theirs), len(theirOthers), requests, unknown)
	}
	if len(ours)+len(ourOthers) != requests {
		t.Errorf("the service has %d lines and %d without a number, want one for each of %d requests", len(ours), len(ourOthers), requests)
	}
	t.Logf("%d requests: %d lines compared in %d fields", requests, compared, len(fields))
}

// lookedAt says whether httpd has counted a byte or two more than the service. It looks whether another
// request is there, and counts what it has looked at twice, if that had come by then.
func lookedAt(httpd, service string) bool {
	var theirs, ours int
	_, err := fmt.Sscan(httpd+" "+service, &theirs, &ours)
	return err == nil && theirs > ours && theirs <= ours+2
}

// addUp wants %O of the lines of a conversation to add up to what the client got. It reports whether all
// lines are known.
func addUp(t *testing.T, server string, c conversation, byNumber map[int][]string, got int) bool {
	t.Helper()
	sum := 0
	for _, req := range c.requests {
		line := byNumber[req.number]
		if line == nil {
			return false
		}
		in, out, both := 0, 0, 0
		for _, f := range []struct {
			name string
			n    *int
		}{{"%I", &in}, {"%O", &out}, {"%S", &both}} {
			if _, err := fmt.Sscan(line[slices.Index(fields, f.name)], f.n); err != nil {
				t.Errorf("%q: %s of %s is %s", req.name, f.name, server, line[slices.Index(fields, f.name)])
			}
		}
		if in+out != both {
			t.Errorf("%q: %%S of %s is %d, want %d and %d", req.name, server, both, in, out)
		}
		sum += out
	}
	if sum != got {
		t.Errorf("%q and so on: %%O of %s is %d in all, but %d bytes came", c.requests[0].name, server, sum, got)
	}
	return true
}

// compareTold compares what the line of a request tells that never reached a handler.
func compareTold(t *testing.T, found map[string]int, req request, httpd, service []string) {
	t.Helper()
	for _, d := range refused {
		if !d.explains(req.name) {
			continue
		}
		found[d.requests]++
		for i, field := range fields {
			if slices.Contains(told, field) && !slices.Contains(d.fields, field) && httpd[i] != service[i] {
				t.Errorf("%q: %s is %s of httpd and %s of the service", req.name, field, httpd[i], service[i])
			}
		}
		return
	}
}

// explain notes that a request is of a list.
func explain(t *testing.T, found map[string]int, list []difference, req request, what string) {
	t.Helper()
	for _, d := range list {
		if d.explains(req.name) {
			found[d.requests]++
			return
		}
	}
	t.Errorf("%q %s", req.name, what)
}

// compare compares two lines of one request.
func compare(t *testing.T, found map[string]int, req request, httpd, service []string) {
	t.Helper()
	const method, status = 7, 12
	own := httpd[method] == "OPTIONS" || !slices.Contains([]string{"200", "206", "304"}, httpd[status])
	for i, field := range fields {
		switch {
		case httpd[i] == service[i], field == "%O", field == "%S": // each has headers of its own; see addUp
			continue
		case own && httpd[status] == service[status] && (field == "%b" || field == "%B") && httpd[i] != "-" && httpd[i] != "0" && service[i] != "-" && service[i] != "0":
			continue // each has error pages of its own
		}
		if field == "%I" && lookedAt(httpd[i], service[i]) {
			continue
		}
		explained := false
		for _, d := range differences {
			if slices.Contains(d.fields, field) && d.explains(req.name) {
				found[d.requests]++
				explained = true
			}
		}
		if !explained {
			t.Errorf("%q: %s is %.200s of httpd and %.200s of the service", req.name, field, httpd[i], service[i])
		}
	}
}
