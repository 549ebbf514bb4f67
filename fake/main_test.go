package fake_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/fake"
	"github.com/seed-754044b3/roadworthy/internal/port"
)

// program is a fake that runs as a program would.
type program struct {
	stdin  *io.PipeWriter
	cancel context.CancelFunc
	stderr bytes.Buffer
	code   chan int
	ready  struct {
		Ready     bool
		Service   string
		Listeners map[string]string
		Control   string
		PID       int
	}
}

// run starts one and waits for its ready line.
func run(t *testing.T, o fake.Options[config], args ...string) *program {
	t.Helper()
	p := &program{code: make(chan int, 1)}
	stdin, in := io.Pipe()
	out, stdout := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	p.stdin, p.cancel = in, cancel
	t.Cleanup(func() { cancel(); in.Close() })
	go func() {
		p.code <- fake.Run(ctx, spec, o, args, stdin, stdout, &p.stderr)
		stdout.Close()
	}()
	dec := json.NewDecoder(out)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p.ready); err != nil {
		t.Fatalf("no ready line: %v; exit code %d: %s", err, <-p.code, &p.stderr)
	}
	return p
}

func TestTheProgramSaysWhereItIsAndEndsWithItsInput(t *testing.T) {
	p := run(t, fake.Options[config]{})
	if r := p.ready; !r.Ready || r.Service != "tally" || len(r.Listeners) != 2 || r.PID == 0 {
		t.Errorf("ready: %+v", r)
	}
	if got := call(t, "POST", "http://"+p.ready.Listeners["http"]+"/count/x"); got.body != "1" {
		t.Errorf("%+v", got)
	}
	if got := call(t, "GET", "http://"+p.ready.Control+"/calls"); !strings.Contains(got.body, `"seq":1`) {
		t.Errorf("%+v", got)
	}
	p.stdin.Close()
	if code := <-p.code; code != 0 || p.stderr.Len() != 0 {
		t.Errorf("exit code %d: %s", code, &p.stderr)
	}
	for _, addr := range []string{p.ready.Listeners["http"], p.ready.Listeners["grpc"], p.ready.Control} {
		if _, err := net.Dial("tcp", addr); err == nil {
			t.Errorf("%s still answers", addr)
		}
	}
}

func TestTheProgramMayStayWhenItsInputIsClosed(t *testing.T) {
	p := run(t, fake.Options[config]{}, "-stay", "-log", "-clock", "real")
	p.stdin.Close()
	if got := call(t, "GET", "http://"+p.ready.Control+"/clock"); !strings.Contains(got.body, `"virtual":false`) {
		t.Errorf("%+v", got)
	}
	p.cancel()
	if code := <-p.code; code != 0 || !strings.Contains(p.stderr.String(), `"msg":"closed"`) {
		t.Errorf("exit code %d: %s", code, &p.stderr)
	}
}

func TestTheControlPlaneServesSoManyConnectionsAtATimeAndNoMore(t *testing.T) {
	const limit = 256
	p := run(t, fake.Options[config]{})
	var open []net.Conn
	for range limit {
		c, err := net.Dial("tcp", p.ready.Control)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
	}
	ask := func(patience time.Duration) error {
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
		res, err := client.Get("http://" + p.ready.Control + "/clock")
		if err == nil {
			err = res.Body.Close()
		}
		return err
	}
	if err := ask(100 * time.Millisecond); err == nil {
		t.Errorf("with %d connections open another one was served", limit)
	}
	for _, c := range open[:2] { // one may be taken by who has given up
		_ = c.Close()
	}
	if err := ask(time.Minute); err != nil {
		t.Errorf("after two were closed: %v", err)
	}
}

func TestTheProgramListensWhereItIsTold(t *testing.T) {
	addrs, err := port.Addrs(3)
	if err != nil {
		t.Fatal(err)
	}
	web, grpc, control := addrs[0], addrs[1], addrs[2]
	_, port, err := net.SplitHostPort(web)
	if err != nil {
		t.Fatal(err)
	}
	p := run(t, fake.Options[config]{}, "-port", port, "-listen", "grpc="+grpc, "--control", control)
	if r := p.ready; r.Listeners["http"] != web || r.Listeners["grpc"] != grpc || r.Control != control {
		t.Errorf("ready: %+v, want %s, %s and %s", r, web, grpc, control)
	}
	p.stdin.CloseWithError(errors.New("broken"))
	if code := <-p.code; code != 0 {
		t.Errorf("exit code %d: %s", code, &p.stderr)
	}
	p = run(t, fake.Options[config]{Ports: map[string]int{"grpc": 0}}, "-port", "0")
	p.stdin.Close()
	<-p.code
}

func TestTheProgramRefusesWhatItCannotDo(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for args, want := range map[string]struct {
		code int
		says string
	}{
		"-port x":                               {2, "want a port from 0 to 65535"},
		"-port 65536":                           {2, "want a port from 0 to 65535"},
		"-listen 127.0.0.1:0":                   {2, "want name=host:port, such as grpc=127.0.0.1:9090"},
		"-listen http=8080":                     {2, "want host:port"},
		"-listen http=0.0.0.0:80":               {2, `a fake listens on loopback only: want 127.0.0.1 or localhost, got "0.0.0.0"`},
		"-listen http=:80":                      {2, `a fake listens on loopback only`},
		"-control 10.0.0.1:80":                  {2, `a fake listens on loopback only`},
		"-clock fast":                           {2, "want virtual or real"},
		"-fast":                                 {2, "flag provided but not defined: -fast; tallyfake -h shows the flags"},
		"fast":                                  {2, `unexpected argument "fast"`},
		"-listen web=localhost:0":               {1, `tallyfake: tally: a port is given for listener "web": the service has grpc, http`},
		"-control " + taken.Addr().String():     {1, "tallyfake: control plane: listen tcp"},
		"-listen http=" + taken.Addr().String(): {1, "cannot listen on " + taken.Addr().String() + ": address already in use (another process listens there"},
	} {
		var stdout, stderr bytes.Buffer
		code := fake.Run(t.Context(), spec, fake.Options[config]{}, strings.Fields(args), strings.NewReader(""), &stdout, &stderr)
		if code != want.code || !strings.Contains(stderr.String(), want.says) || strings.Count(stderr.String(), "\n") != 1 || stdout.Len() != 0 {
			t.Errorf("%s: exit code %d, %q, %q; want %d, %q", args, code, &stdout, &stderr, want.code, want.says)
		}
	}
}

func TestTheProgramHelps(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := fake.Run(t.Context(), spec, fake.Options[config]{}, []string{"-h"}, strings.NewReader(""), &stdout, &stderr)
	for _, want := range []string{"tallyfake: a network fake of tally\n", "usage: tallyfake [flags]", "-port port\n", "-listen name=host:port\n", "-stay\n"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &stdout)
		}
	}
	if code != 0 || stderr.Len() != 0 {
		t.Errorf("exit code %d: %s", code, &stderr)
	}
}

func TestTheProgramFailsWhenItsServiceDoes(t *testing.T) {
	p := run(t, fake.Options[config]{})
	call(t, "POST", "http://"+p.ready.Listeners["http"]+"/break")
	if code := <-p.code; code != 1 || !strings.Contains(p.stderr.String(), "the worker fell over") {
		t.Errorf("exit code %d: %s", code, &p.stderr)
	}
	p = run(t, fake.Options[config]{Configure: func(_ *chassis.Settings, c *config) { c.Break = "close" }})
	resp, err := http.Get("http://" + p.ready.Listeners["http"] + "/alarm")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	p.stdin.Close()
	if code := <-p.code; code != 1 || !strings.Contains(p.stderr.String(), "the drawer is stuck") {
		t.Errorf("exit code %d: %s", code, &p.stderr)
	}
	var stderr bytes.Buffer
	if code := fake.Run(t.Context(), spec, fake.Options[config]{}, nil, strings.NewReader(""), brokenWriter{}, &stderr); code != 1 || !strings.Contains(stderr.String(), "ready line: io: read/write on closed pipe") {
		t.Errorf("nobody to tell: exit code %d: %s", code, &stderr)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
