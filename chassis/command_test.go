package chassis_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/reload"
)

// runDir is a run directory, whose path is short enough for sockets.
func runDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "run")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// control answers the commands that arrive in dir as a supervisor does, and returns them.
func control(t *testing.T, dir string, answer string) <-chan string {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(dir, "control.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	asked := make(chan string, 16)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			line, _ := bufio.NewReader(c).ReadString('\n')
			asked <- line
			_, _ = fmt.Fprintln(c, answer)
			_ = c.Close()
		}
	}()
	return asked
}

const (
	aStatus = `{"supervisor":4711,"started":"2026-07-01T12:00:00Z","binary":"/opt/gamed","directory":"/run/gamed",
"workers":[{"worker":8,"pid":4800,"phase":"draining","since":"2026-07-01T13:00:00Z","started":"2026-07-01T12:30:00Z","version":"v1.0.0"},
{"worker":9,"pid":4900,"phase":"active","since":"2026-07-01T13:00:00Z","started":"2026-07-01T12:59:59Z","version":"v1.1.0"}],
"sockets":[{"name":"http","network":"tcp","address":"0.0.0.0:80"},{"name":"admin","network":"unix","address":"/run/a.sock"}],
"counts":{"reloads":6,"failed":{"setup":2,"config":1},"crashes":3,"killed":4,"rollbacks":5}%s}`
	lastGood   = `,"last_reload":{"time":"2026-07-01T13:00:00Z","worker":9,"pid":4900,"took":123456789}`
	lastFailed = `,"last_reload":{"time":"2026-07-01T13:30:00Z","worker":10,"pid":5000,"took":1,"reason":"setup","error":"no journal"}`
)

func oneLine(s string) string { return strings.ReplaceAll(s, "\n", "") }

func TestCommandsAskTheDaemonThatRuns(t *testing.T) {
	statusOf := func(last string) string { return oneLine(`{"status":` + fmt.Sprintf(aStatus, last) + `}`) }
	const text = `gamed          process 4711, since 2026-07-01 12:00:00
binary         /opt/gamed
run directory  /run/gamed
listener       http on 0.0.0.0:80
listener       admin on /run/a.sock
worker         8, process 4800, draining since 2026-07-01 13:00:00, version v1.0.0
worker         9, process 4900, active since 2026-07-01 13:00:00, version v1.1.0
reloads        6, failed 3; crashes 3, killed 4, rollbacks 5
`
	for _, c := range []struct {
		name   string
		answer string
		args   []string
		asked  string
		want   outcome
	}{
		{"a reload", `{"outcome":{"worker":9,"pid":4900,"took":123456789}}`, []string{"reload"}, "reload", outcome{0, "worker 9 is ready after 123.5ms, process 4900\n", ""}},
		{"a reload that failed", `{"outcome":{"worker":9,"reason":"config","error":"motto: too long"}}`, []string{"reload"}, "reload", outcome{1, "", "gamed: reload: config: motto: too long\n"}},
		{"a reload that is refused", `{"error":"not now"}`, []string{"reload"}, "reload", outcome{1, "", "gamed: reload: not now\n"}},
		{"a stop", `{}`, []string{"stop"}, "stop", outcome{0, "", ""}},
		{"a stop that is refused", `{"error":"not now"}`, []string{"stop"}, "stop", outcome{1, "", "gamed: stop: not now\n"}},
		{"status before the first start", statusOf(""), []string{"status"}, "status", outcome{0, text, ""}},
		{"status after a reload", statusOf(lastGood), []string{"status"}, "status", outcome{0, text + "last start     2026-07-01 13:00:00, worker 9 ready after 123.5ms\n", ""}},
		{"status after a reload that failed", statusOf(lastFailed), []string{"status"}, "status", outcome{0, text + "last start     2026-07-01 13:30:00, worker 10 failed: setup: no journal\n", ""}},
		{"workers", statusOf(""), []string{"workers"}, "status", outcome{0, `WORKER  PROCESS  PHASE     SINCE                VERSION
8       4800     draining  2026-07-01 13:00:00  v1.0.0
9       4900     active    2026-07-01 13:00:00  v1.1.0
`, ""}},
		{"status with an argument", "", []string{"status", "now"}, "", outcome{1, "", "gamed: status: want no arguments, got \"now\"\n"}},
		{"status with an argument too many", "", []string{"status", "-json", "now"}, "", outcome{1, "", "gamed: status: want no arguments, got \"-json\"\n"}},
		{"workers with an argument", "", []string{"workers", "-json"}, "", outcome{1, "", "gamed: workers: want no arguments, got \"-json\"\n"}},
		{"reload with an argument", "", []string{"reload", "now"}, "", outcome{1, "", "gamed: reload: want no arguments, got \"now\"\n"}},
		{"stop with an argument", "", []string{"stop", "9"}, "", outcome{1, "", "gamed: stop: want no arguments, got \"9\"\n"}},
		{"a command with a flag that excludes it", "", []string{"-check", "reload"}, "", outcome{2, "", "gamed: -check takes no command, got \"reload\"\n"}},
		{"no command of anybody's", "", []string{"restart"}, "", outcome{2, "", "gamed: unknown command \"restart\"; gamed -h shows what there is\n"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := runDir(t)
			asked := control(t, dir, c.answer)
			if got := runDaemon(t.Context(), game(nil), nil, append([]string{"-run-dir", dir}, c.args...)...); got != c.want {
				t.Errorf("got %d\n%s%s\nwant %d\n%s%s", got.code, got.stdout, got.stderr, c.want.code, c.want.stdout, c.want.stderr)
			}
			if c.asked == "" {
				if len(asked) != 0 {
					t.Errorf("asked for %q", <-asked)
				}
				return
			}
			if line := <-asked; line != `{"command":"`+c.asked+`"}`+"\n" {
				t.Errorf("asked for %q", line)
			}
		})
	}
}

func TestStatusIsAlsoToldAsJSON(t *testing.T) {
	dir := runDir(t)
	control(t, dir, oneLine(`{"status":`+fmt.Sprintf(aStatus, lastFailed)+`}`))
	got := runDaemon(t.Context(), game(nil), nil, "-run-dir", dir, "status", "-json")
	var st, want reload.Status
	if err := json.Unmarshal([]byte(got.stdout), &st); err != nil || got.code != 0 {
		t.Fatalf("exit code %d, %v in %s", got.code, err, got.stdout)
	}
	if err := json.Unmarshal([]byte(fmt.Sprintf(aStatus, lastFailed)), &want); err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(st)
	b, _ := json.Marshal(want)
	if string(a) != string(b) || st.Last.Error != "no journal" {
		t.Errorf("got %s, want %s", a, b)
	}
	if lines := strings.Count(got.stdout, "\n"); lines < 10 {
		t.Errorf("JSON for people has %d lines", lines)
	}
}

func TestCommandsFindTheRunDirectory(t *testing.T) {
	dir := runDir(t)
	for _, c := range []struct {
		name string
		spec string // the service's name
		env  []string
		args []string
		want string
	}{
		{"by the flag", "game", []string{"GAME_RUN_DIR=/nowhere/env"}, []string{"-run-dir", dir}, dir},
		{"by the environment", "game", []string{"GAME_RUN_DIR=/nowhere/else", "GAME_RUN_DIR=" + dir}, nil, dir},
		{"of a name with a hyphen", "four-end", []string{"FOUR_END_RUN_DIR=" + dir, "FOUREN_RUN_DIR=/nowhere"}, nil, dir},
		{"of systemd", "game", []string{"RUNTIME_DIRECTORY=" + dir + ":/nowhere"}, nil, dir},
		{"of the user", "game", []string{"XDG_RUNTIME_DIR=" + dir}, nil, filepath.Join(dir, "gamed")},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec := game(nil)
			spec.Name = c.spec
			for _, command := range []string{"reload", "status", "workers", "stop"} {
				got := runDaemon(t.Context(), spec, c.env, append(c.args, command)...)
				want := outcome{1, "", fmt.Sprintf("%sd: %s: it is not running with run directory %s\n", c.spec, command, c.want)}
				if got != want {
					t.Errorf("got %+v, want %+v", got, want)
				}
			}
		})
	}
}

func TestACommandThatIsInterruptedWaitsNoLonger(t *testing.T) {
	dir := runDir(t)
	l, err := net.Listen("unix", filepath.Join(dir, "control.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan outcome, 1)
	go func() { ended <- runDaemon(ctx, game(nil), nil, "-run-dir", dir, "reload") }()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil {
		t.Errorf("asked for %q, %v", line, err)
	}
	cancel()
	select {
	case got := <-ended:
		if got != (outcome{1, "", "gamed: reload: no longer waiting; what was asked for goes on: context canceled\n"}) {
			t.Errorf("got %+v", got)
		}
	case <-time.After(time.Minute):
		t.Error("the command waits on")
	}
}

func TestTheChassissCommandsAreNobodyElses(t *testing.T) {
	for _, name := range []string{"reload", "status", "workers", "stop"} {
		spec := game(nil)
		spec.Commands = append(spec.Commands, chassis.Command[gameConf]{Name: name})
		got := runDaemon(t.Context(), spec, nil)
		if want := (outcome{2, "", fmt.Sprintf("gamed: service game: the command %q is one of the chassis's own\n", name)}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	help := runDaemon(t.Context(), game(nil), nil, "-h").stdout
	for _, want := range []string{"gamed [flags] reload ", "gamed [flags] status ", "gamed [flags] workers ", "gamed [flags] stop ", "-run-dir DIR", "-inprocess "} {
		if !strings.Contains(help, want) {
			t.Errorf("%s is missing in\n%s", want, help)
		}
	}
}

func TestReloadsThatCouldNeverHappenAreRefused(t *testing.T) {
	for key, want := range map[string]string{
		"reload.start_timeout": "want more than 0, got -1s", "reload.max_draining": "want 1 or more, got -1",
	} {
		value := "-1"
		if strings.HasSuffix(key, "timeout") {
			value = "-1s"
		}
		if got := runDaemon(t.Context(), game(nil), nil, "-check", "-"+key+"="+value); got.code != 1 || !strings.Contains(got.stderr, key) || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: %+v", key, got)
		}
	}
}
