package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// process is a demo that runs as people run it.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout *bufio.Reader
	stderr bytes.Buffer
	said   string
	addr   map[string]string // by what stands before them in the output
}

// build makes the program.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "demo")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// begin starts the program, with a home of its own, and reads where everything is.
func begin(t *testing.T, path, home string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.CommandContext(t.Context(), path, args...), addr: map[string]string{}}
	p.cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CACHE_HOME="+filepath.Join(home, "cache"))
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.stdout = bufio.NewReader(out)
	line := regexp.MustCompile(`^  (\w+) +(.*\S)`)
	for p.addr["games"] == "" {
		text, err := p.stdout.ReadString('\n')
		p.said += text
		if err != nil {
			t.Fatalf("the demo ended: %v\n%s%s", p.cmd.Wait(), p.said, &p.stderr)
		}
		if m := line.FindStringSubmatch(text); m != nil {
			p.addr[m[1]] = m[2]
		}
	}
	return p
}

// stop sends a signal and waits for the end.
func (p *process) stop(signal os.Signal) (code int, rest string) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.t.Fatal(err)
	}
	return p.end()
}

func (p *process) end() (code int, rest string) {
	more, err := io.ReadAll(p.stdout)
	if err != nil {
		p.t.Fatal(err)
	}
	_ = p.cmd.Wait() // the exit code says it
	return p.cmd.ProcessState.ExitCode(), string(more)
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	return answer(t, func() (*http.Response, error) { return http.Get(url) })
}

func answer(t *testing.T, ask func() (*http.Response, error)) (int, string) {
	t.Helper()
	resp, err := ask()
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestTheDemoServesWhatItPrintsAndKeepsItsGames(t *testing.T) {
	t.Parallel()
	path, home := build(t), t.TempDir()
	p := begin(t, path, home)
	if dir := p.addr["games"]; !strings.HasPrefix(dir, home) || filepath.Base(dir) != "roadworthy-demo" {
		t.Errorf("without -data, games are kept in %s, want the usual place in %s", dir, home)
	}
	for _, c := range []struct{ url, says string }{
		{p.addr["play"], "<h1>Lobby</h1>"},
		{p.addr["OpenAPI"], `"swagger"`},
		{strings.Fields(p.addr["status"])[0], "arcade"},
		{strings.TrimPrefix(p.addr["JSON"], "curl "), "{"},
	} {
		if status, body := get(t, c.url); status != http.StatusOK || !strings.Contains(body, c.says) {
			t.Errorf("%s is answered %d %q, want 200 and %q", c.url, status, body, c.says)
		}
	}
	games := strings.TrimPrefix(p.addr["JSON"], "curl ")
	status, body := answer(t, func() (*http.Response, error) {
		return http.Post(games, "application/json", strings.NewReader(`{"yellowBot":{"strength":"STRENGTH_EASY"}}`))
	})
	id := regexp.MustCompile(`"id": ?"(\w+)"`).FindStringSubmatch(body)
	if status != http.StatusOK || id == nil {
		t.Fatalf("making a game is answered %d %s", status, body)
	}
	if _, page := get(t, p.addr["play"]); !strings.Contains(page, id[1]) {
		t.Error("the lobby does not show the game")
	}
	if code, rest := p.stop(syscall.SIGTERM); code != 0 || !strings.Contains(rest, "Your games are kept") {
		t.Errorf("after SIGTERM: exit code %d, says %q and %s", code, rest, &p.stderr)
	}
	if p.stderr.Len() != 0 {
		t.Errorf("it complains: %s", &p.stderr)
	}

	p = begin(t, path, home)
	if status, page := get(t, p.addr["play"]+"games/"+id[1]); status != http.StatusOK || !strings.Contains(page, "Easy bot") {
		t.Errorf("after a restart the game is answered %d %s", status, page)
	}
	if code, _ := p.stop(os.Interrupt); code != 0 {
		t.Errorf("after Ctrl-C: exit code %d", code)
	}
}

func TestASecondSignalEndsTheDemoAtOnce(t *testing.T) {
	t.Parallel()
	p := begin(t, build(t), t.TempDir(), "-data", t.TempDir(), "-v")
	host := strings.Trim(strings.TrimPrefix(p.addr["play"], "http://"), "/")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// A form whose body never comes keeps the first signal's drain waiting.
	if _, err := io.WriteString(conn, "POST /games HTTP/1.1\r\nHost: "+host+"\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	// The service asks for the body once its handler reads it.
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("the form is answered %q, %v", line, err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for line := ""; !strings.Contains(line, "Stopping"); {
		var err error
		if line, err = p.stdout.ReadString('\n'); err != nil {
			t.Fatalf("the first signal ended it: %v", err)
		}
	}
	began := time.Now()
	if code, _ := p.stop(syscall.SIGTERM); code != 1 {
		t.Errorf("after the second signal: exit code %d, want 1", code)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the second signal took %v", took)
	}
}

func TestPortsThatAreTakenAreReplacedByFreeOnes(t *testing.T) {
	t.Parallel()
	// Two demos: whichever comes second finds the usual ports taken.
	first, second := make(chan string, 1), make(chan string, 1)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 2)
	for _, said := range []chan string{first, second} {
		data := t.TempDir()
		go func() { done <- Run(ctx, []string{"-data", data}, announcement(said), io.Discard) }()
	}
	texts := []string{<-first, <-second}
	url := regexp.MustCompile(`http://127\.0\.0\.1:\d+/\n`)
	for _, text := range texts {
		at := strings.TrimSpace(url.FindString(text))
		if status, _ := get(t, at); status != http.StatusOK {
			t.Errorf("%s is answered %d", at, status)
		}
	}
	if !strings.Contains(texts[0]+texts[1], "Other processes listen on 127.0.0.1:") {
		t.Errorf("nothing says that a port was taken:\n%s\n%s", texts[0], texts[1])
	}
	cancel()
	for range 2 {
		if code := <-done; code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
}

// announcement sends the first thing that is written to it.
type announcement chan string

func (a announcement) Write(p []byte) (int, error) {
	select {
	case a <- string(p):
	default:
	}
	return len(p), nil
}

func TestWrongArgumentsAreRefusedWithWhatIsRight(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"-h"}, 0, "-data"},
		{[]string{"-port", "1"}, 2, "-port"},
		{[]string{"now"}, 2, `unknown argument "now"`},
		{[]string{"-data", file}, 1, "make the directory that keeps the games: mkdir " + file},
		{[]string{"-data", filepath.Join(file, "below")}, 1, "not a directory"},
	} {
		var out, complaints bytes.Buffer
		if code := Run(t.Context(), c.args, &out, &complaints); code != c.code || !strings.Contains(complaints.String(), c.says) || out.Len() != 0 {
			t.Errorf("%v: exit code %d, says %q; want %d and %q", c.args, code, &complaints, c.code, c.says)
		}
	}
}

func TestAJournalThatCannotBeOpenedIsNamed(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	file := filepath.Join(data, "games.db")
	if err := os.Mkdir(file, 0o700); err != nil {
		t.Fatal(err)
	}
	var out, complaints bytes.Buffer
	if code := Run(t.Context(), []string{"-data", data}, &out, &complaints); code != 1 || !strings.Contains(complaints.String(), file) {
		t.Errorf("exit code %d, says %q; want 1 and the file", code, &complaints)
	}
}

func TestGamesThatCannotBeReadAreToldHowToBeginAnew(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	if err := os.WriteFile(filepath.Join(data, "games.db"), bytes.Repeat([]byte("no journal "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, complaints bytes.Buffer
	want := "to begin anew remove " + data + ", or name another directory with -data\n"
	if code := Run(t.Context(), []string{"-data", data}, &out, &complaints); code != 1 || !strings.HasSuffix(complaints.String(), want) {
		t.Errorf("exit code %d, says %q; want 1 and %q", code, &complaints, want)
	}
}
