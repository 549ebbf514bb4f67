package sentryfake_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/fake/sentryfake"
)

// program is a fake that runs as a program would.
type program struct {
	stdin  *io.PipeWriter
	cancel context.CancelFunc
	stderr bytes.Buffer
	code   chan int
	ready  struct {
		Ready       bool
		Service     string
		Listeners   map[string]string
		DSN         string
		Certificate string
		Control     string
		PID         int
	}
}

// run starts one and waits for its ready line.
func run(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{code: make(chan int, 1)}
	stdin, in := io.Pipe()
	out, stdout := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	p.stdin, p.cancel = in, cancel
	t.Cleanup(func() { cancel(); in.Close() })
	go func() {
		p.code <- sentryfake.Run(ctx, args, stdin, stdout, &p.stderr)
		stdout.Close()
	}()
	dec := json.NewDecoder(out)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p.ready); err != nil {
		t.Fatalf("no ready line: %v; exit code %d: %s", err, <-p.code, &p.stderr)
	}
	return p
}

// get asks the control plane.
func (p *program) get(t *testing.T, target string) string {
	t.Helper()
	resp, err := http.Get("http://" + p.ready.Control + target)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return string(body)
}

func TestTheProgramSaysWhereItIsAndEndsWithItsInput(t *testing.T) {
	p := run(t)
	if r := p.ready; !r.Ready || r.Service != "sentry" || !strings.Contains(r.DSN, "@"+r.Listeners["http"]+"/1") || r.Certificate != "" || r.PID == 0 {
		t.Errorf("ready: %+v", r)
	}
	body := strings.NewReader(`{"event_id":"` + id + `","dsn":"` + p.ready.DSN + `"}` + "\n" + item("event", event, ""))
	resp, err := http.Post("http://"+p.ready.Listeners["http"]+"/api/1/envelope/", "application/x-sentry-envelope", body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	_ = resp.Body.Close()
	if got := p.get(t, "/events?wait=1"); !strings.Contains(got, `"id":"`+id+`"`) {
		t.Errorf("events %s", got)
	}
	p.stdin.Close()
	if code := <-p.code; code != 0 || p.stderr.Len() != 0 {
		t.Errorf("exit code %d: %s", code, &p.stderr)
	}
	for _, addr := range []string{p.ready.Listeners["http"], p.ready.Control} {
		if _, err := net.Dial("tcp", addr); err == nil {
			t.Errorf("%s still answers", addr)
		}
	}
}

func TestTheProgramMayStayAndSpeakTLS(t *testing.T) {
	p := run(t, "-stay", "-tls", "-port", "0", "-control", "localhost:0")
	p.stdin.Close()
	if got := p.get(t, "/stats"); !strings.Contains(got, `"events":0`) {
		t.Errorf("stats %s", got)
	}
	block, _ := pem.Decode([]byte(p.ready.Certificate))
	if block == nil || !strings.HasPrefix(p.ready.DSN, "https://") {
		t.Fatalf("ready: %+v", p.ready)
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		t.Error(err)
	}
	p.cancel()
	if code := <-p.code; code != 0 || p.stderr.Len() != 0 {
		t.Errorf("exit code %d: %s", code, &p.stderr)
	}
}

func TestTheProgramRefusesWhatItCannotDo(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]struct {
		code int
		says string
	}{
		"-port x":                           {2, "want a port from 0 to 65535"},
		"-control 8080":                     {2, "want host:port, such as 127.0.0.1:9090"},
		"-control 0.0.0.0:80":               {2, `a fake listens on loopback only: want 127.0.0.1 or localhost, got "0.0.0.0"`},
		"-control 127.0.0.1:x":              {2, "want a port from 0 to 65535"},
		"-fast":                             {2, "flag provided but not defined: -fast; sentryfake -h shows the flags"},
		"fast":                              {2, `unexpected argument "fast"`},
		"-port " + port:                     {1, "sentryfake: listen tcp"},
		"-control " + taken.Addr().String(): {1, "sentryfake: control plane: listen tcp"},
	} {
		var stdout, stderr bytes.Buffer
		code := sentryfake.Run(t.Context(), strings.Fields(args), strings.NewReader(""), &stdout, &stderr)
		if code != want.code || !strings.Contains(stderr.String(), want.says) || strings.Count(stderr.String(), "\n") != 1 || stdout.Len() != 0 {
			t.Errorf("%s: exit code %d, %q, %q; want %d, %q", args, code, &stdout, &stderr, want.code, want.says)
		}
	}
	var stderr bytes.Buffer
	if code := sentryfake.Run(t.Context(), nil, strings.NewReader(""), closedWriter{}, &stderr); code != 1 || !strings.Contains(stderr.String(), "ready line: ") {
		t.Errorf("without standard output: exit code %d: %s", code, &stderr)
	}
}

type closedWriter struct{}

func (closedWriter) Write([]byte) (int, error) { return 0, errors.New("closed") }

func TestTheProgramHelps(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := sentryfake.Run(t.Context(), []string{"-h"}, strings.NewReader(""), &stdout, &stderr)
	for _, want := range []string{"sentryfake: a network fake of Sentry\n", "usage: sentryfake [flags]", "-port port\n", "-control host:port\n", "-stay\n", "-tls\n"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &stdout)
		}
	}
	if code != 0 || stderr.Len() != 0 {
		t.Errorf("exit code %d: %s", code, &stderr)
	}
}
