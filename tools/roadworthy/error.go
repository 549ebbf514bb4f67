package roadworthy

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/failure/aggregate"
)

const errorUsage = `usage: roadworthy error [flags] ID [LOG...]

Finds what the error id stands for that a user quotes: at the admin address of a running service, in the
daily reports of failures (errors.dir), and in logs, access logs whose format has %{error_id}x and
application logs alike, plain or .gz. In logs the id of the request is looked for as well, once it is known.
The token of the admin listener, if there is one, is read from the environment: ROADWORTHY_TOKEN.

It exits with 0 if the id is found, 1 if not, 2 if something is wrong.

`

const (
	askTimeout = 10 * time.Second
	maxAnswer  = 64 << 20 // bytes of what a service answers
	maxLine    = 1 << 20  // bytes of a line of a log; of a longer one the rest is another
)

// A finding is one call of "error".
type finding struct {
	id           string
	admin, token string
	dir, service string
	logs         []string
	request      string // the id of the request, once it is known
	found        bool
	stdout       io.Writer
}

// findError answers "error".
func findError(args []string, stdout, stderr io.Writer) int {
	f, err := findingOf(args, stdout, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitYes
	case errors.Is(err, errSaid):
		return exitWrong
	}
	if err == nil {
		err = f.find()
	}
	switch {
	case err != nil:
		fmt.Fprintf(stderr, "roadworthy error: %v\n", err)
		return exitWrong
	case !f.found:
		fmt.Fprintf(stderr, "roadworthy error: %s is nowhere\n", f.id)
		return exitNo
	}
	return exitYes
}

// findingOf reads the arguments. Help goes to stdout.
func findingOf(args []string, stdout, stderr io.Writer) (*finding, error) {
	f := &finding{stdout: stdout, token: os.Getenv("ROADWORTHY_TOKEN")}
	flags := flag.NewFlagSet("roadworthy error", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&f.admin, "admin", "", "the admin `address` of the service: host:port, unix:/path or a URL")
	flags.StringVar(&f.dir, "reports", "", "the `directory` of its daily reports")
	flags.StringVar(&f.service, "service", "", "the `name` of the service, with -reports")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), errorUsage)
		flags.PrintDefaults()
	}
	for _, a := range args {
		if a == "-h" || a == "-help" || a == "--help" {
			flags.SetOutput(stdout)
		}
	}
	if err := flags.Parse(args); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			err = errSaid
		}
		return nil, err
	}
	if flags.NArg() == 0 {
		return nil, errors.New("want an error id behind the flags, such as C4G76VVNE9HP")
	}
	f.logs = flags.Args()[1:]
	switch {
	case f.admin == "" && f.dir == "" && len(f.logs) == 0:
		return nil, errors.New("there is nowhere to look: name a service with -admin, reports with -reports, or logs behind the id")
	case (f.dir == "") != (f.service == ""):
		return nil, errors.New("-reports and -service belong together: one directory may have the reports of several services")
	}
	var err error
	f.id, err = failure.ParseID(flags.Arg(0))
	return f, err
}

// find looks everywhere, and at the rest when something cannot be read.
func (f *finding) find() error {
	var errs []error
	if f.admin != "" {
		errs = append(errs, f.inService())
	}
	if f.dir != "" {
		errs = append(errs, f.inReports())
	}
	for _, path := range f.logs {
		errs = append(errs, f.inLog(path))
	}
	return errors.Join(errs...)
}

// inService asks the service.
func (f *finding) inService() error {
	client, base := f.client()
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", base+"/errors?format=json&id="+url.QueryEscape(f.id), nil)
	if err != nil {
		return fmt.Errorf("-admin: %w", err)
	}
	if f.token != "" {
		req.Header.Set("Authorization", "Bearer "+f.token)
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var answer struct {
		Group *aggregate.Group `json:"group"`
		Found *aggregate.Seen  `json:"found"`
	}
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusNotFound {
		return fmt.Errorf("%s answers %s", f.admin, res.Status)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&answer); err != nil {
		return fmt.Errorf("%s answers no failures: %w", f.admin, err)
	}
	if answer.Group == nil || answer.Found == nil {
		return nil
	}
	return f.show("at "+f.admin, answer.Group, *answer.Found)
}

// client is how the service is asked, and what stands in front of a path.
func (f *finding) client() (*http.Client, string) {
	if path, ok := strings.CutPrefix(f.admin, "unix:"); ok {
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}
		return &http.Client{Transport: &http.Transport{DialContext: dial}}, "http://admin"
	}
	base := strings.TrimSuffix(f.admin, "/")
	if !strings.Contains(base, "://") {
		base = "http://" + base
	}
	return &http.Client{Transport: &http.Transport{}}, base
}

// inReports looks through the daily reports, the newest first.
func (f *finding) inReports() error {
	reports, err := aggregate.Folder{Path: f.dir, Service: f.service}.Read()
	for _, r := range reports {
		if g, seen := aggregate.Find(r.Groups(), f.id); g != nil {
			return errors.Join(err, f.show("in the report of "+r.Day, g, seen))
		}
	}
	return err
}

// show tells of a group and the failure that was seen in it.
func (f *finding) show(where string, g *aggregate.Group, seen aggregate.Seen) error {
	f.found, f.request = true, seen.RequestID
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s:\n  %s %d: %s (%s)\n  place    %s\n  when     %s\n", f.id, where, g.Code.Set, g.Code.Number, g.Code.Message, g.Code.Class, g.Place, stamp(seen.Time))
	if seen.RequestID != "" {
		fmt.Fprintf(&b, "  request  %s\n", seen.RequestID)
	}
	fmt.Fprintf(&b, "  group    %d failures from %s to %s\n", g.Count, stamp(g.First), stamp(g.Last))
	if g.Code.Runbook != "" {
		fmt.Fprintf(&b, "  runbook  %s\n", g.Code.Runbook)
	}
	if s := g.Sample; s != nil {
		which := "another of the group"
		if s.ID == f.id {
			which = "this one"
		}
		fmt.Fprintf(&b, "  sample   %s: %s\n", which, s.Message)
		if s.Route != "" {
			fmt.Fprintf(&b, "  route    %s\n", s.Route)
		}
		for _, frame := range s.Stack {
			fmt.Fprintf(&b, "    %s\n      %s:%d\n", frame.Function, frame.File, frame.Line)
		}
	}
	_, err := io.WriteString(f.stdout, b.String())
	return err
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") }

// inLog writes the lines of a log that have the id of the failure or of its request.
func (f *finding) inLog(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	var text io.Reader = file
	if strings.HasSuffix(path, ".gz") {
		unzipped, err := gzip.NewReader(file)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		text = unzipped
	}
	r := bufio.NewReaderSize(text, maxLine)
	for n := 1; ; n++ {
		line, err := r.ReadSlice('\n')
		if s := string(line); has(s, f.id) || f.request != "" && has(s, f.request) {
			f.found = true
			if _, err := fmt.Fprintf(f.stdout, "%s:%d: %s\n", path, n, strings.TrimSuffix(s, "\n")); err != nil {
				return err
			}
		}
		switch {
		case err == io.EOF:
			return nil
		case errors.Is(err, bufio.ErrBufferFull):
			n--
		case err != nil:
			return fmt.Errorf("%s: %w", path, err)
		}
	}
}

// has reports whether a line has an id that is not a part of a longer word.
func has(line, id string) bool {
	for from := 0; ; {
		i := strings.Index(line[from:], id)
		if i < 0 {
			return false
		}
		begin, end := from+i, from+i+len(id)
		if (begin == 0 || !wordly(line[begin-1])) && (end == len(line) || !wordly(line[end])) {
			return true
		}
		from = begin + 1
	}
}

func wordly(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}
