package chassis_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
)

// daemonVariable has the test binary be a daemon instead: the one that it names.
const daemonVariable = "ROADWORTHY_TEST_DAEMON"

func TestMain(m *testing.M) {
	switch os.Getenv(daemonVariable) {
	case "":
		os.Exit(m.Run())
	case "slow":
		chassis.Main(game(slow))
	case "live":
		chassis.Main(game(live))
	case "broken":
		chassis.Main(game(func(context.Context, *chassis.Service, gameConf) error { return errors.New("no journal") }))
	}
}

// slow answers each request when the drain has begun, and a line on standard input has been read.
func slow(_ context.Context, s *chassis.Service, c gameConf) error {
	slog.Info("slog in Setup")
	log.Print("log in Setup")
	return s.HTTP("http", c.HTTP, routes(map[string]chassis.Handler{
		"GET /slow": func(w http.ResponseWriter, r *http.Request) error {
			if err := http.NewResponseController(w).Flush(); err != nil {
				return err
			}
			<-chassis.Draining(r.Context())
			_, err := bufio.NewReader(os.Stdin).ReadString('\n')
			fmt.Fprintf(w, "done, limit %d, GOGC %d", debug.SetMemoryLimit(-1), debug.SetGCPercent(-1))
			return err
		},
	}))
}

// process is a daemon in a process of its own.
type process struct {
	*exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Scanner // of its standard error
	seen  strings.Builder
}

func launch(t *testing.T, daemon string, env ...string) *process {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	p := &process{Cmd: exec.CommandContext(ctx, os.Args[0])}
	p.Env = append(os.Environ(), append(env, daemonVariable+"="+daemon, "GAME_RUN_DIR="+t.TempDir(), "GAME_LOG_FORMAT=json", "GAME_ACCESS_LOG_PATH=off",
		"GORACE=atexit_sleep_ms=0")...) // with -race, every process would end a second later
	var err error
	if p.stdin, err = p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.lines = bufio.NewScanner(stderr)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// until reads the log up to the line that has what is asked for.
func (p *process) until(t *testing.T, message string, with ...string) map[string]any {
	t.Helper()
	for p.lines.Scan() {
		p.seen.WriteString(p.lines.Text() + "\n")
		var line map[string]any
		if json.Unmarshal(p.lines.Bytes(), &line) != nil || line["msg"] != message {
			continue
		}
		if len(with) == 0 || line[with[0]] == with[1] {
			return line
		}
	}
	t.Fatalf("no line %q in:\n%s", message, p.seen.String())
	return nil
}

// end reads the rest of the log and returns the exit code.
func (p *process) end() int {
	for p.lines.Scan() {
		p.seen.WriteString(p.lines.Text() + "\n")
	}
	_ = p.Wait()
	return p.ProcessState.ExitCode()
}

func (p *process) request(t *testing.T) *http.Response {
	t.Helper()
	addr := p.until(t, "listening", "listener", "http")["addr"].(string)
	p.until(t, "ready")
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + addr + "/slow")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		t.Errorf("the address printed is %q", addr)
	}
	return res
}

func TestTheSecondSignalExitsAtOnce(t *testing.T) {
	p := launch(t, "slow")
	res := p.request(t)
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	p.until(t, "draining")
	time.Sleep(150 * time.Millisecond) // what comes within 100 ms of the first is the same signal
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.until(t, "second signal: ending without draining")
	if code := p.end(); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if a := read(res); a.err == nil {
		t.Errorf("the request under way got %q", a.body)
	}
}

func TestAFailingSetupExitsWithOneLine(t *testing.T) {
	p := launch(t, "broken")
	if code := p.end(); code != 1 || p.seen.String() != "gamed: no journal\n" {
		t.Errorf("exit code %d:\n%s", code, p.seen.String())
	}
}

func TestTheHeapOfAProcessHasAFloor(t *testing.T) {
	for env, want := range map[string]func(gogc int) bool{
		"GAME_HEAP_FLOOR=16MiB": func(gogc int) bool { return gogc > 200 },
		"GAME_HEAP_FLOOR=4MiB":  func(gogc int) bool { return gogc == 100 },
	} {
		p := launch(t, "slow", env)
		res := p.request(t)
		if err := p.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(p.stdin, "go on\n"); err != nil {
			t.Fatal(err)
		}
		var limit, gogc int
		if a := read(res); a.err != nil || scan(a.body, &limit, &gogc) != nil || !want(gogc) {
			t.Errorf("%s: %q, %v", env, a.body, a.err)
		}
		if code := p.end(); code != 0 {
			t.Errorf("exit code %d:\n%s", code, p.seen.String())
		}
	}
}

func scan(body string, limit, gogc *int) error {
	_, err := fmt.Sscanf(body, "done, limit %d, GOGC %d", limit, gogc)
	return err
}
