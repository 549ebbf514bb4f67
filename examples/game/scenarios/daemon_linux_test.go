package scenarios_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/scenario"
	"github.com/seed-754044b3/roadworthy/chassis/journal/scenario/wire"
	"github.com/seed-754044b3/roadworthy/chassis/reload"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/arena"
	"github.com/seed-754044b3/roadworthy/examples/game/scenarios"
)

var other = flag.String("other", "", "the program of another build of gamed, to be compared with this tree's")

// builds has the programs that tests needed, made once each.
var builds struct {
	mu  sync.Mutex
	dir string // empty while there is none
}

// A build is how a program that goes into production is made: what go build takes besides. The text that
// begins with a slash is one that is there already.
type build string

const usual build = ""

// program is the path of the program.
func (b build) program() (string, error) {
	if strings.HasPrefix(string(b), "/") {
		return string(b), nil
	}
	builds.mu.Lock()
	defer builds.mu.Unlock()
	if builds.dir == "" {
		dir, err := os.MkdirTemp("", "scenarios")
		if err != nil {
			return "", err
		}
		builds.dir = dir
	}
	path := filepath.Join(builds.dir, "gamed"+string(b))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	args := append([]string{"build", "-o", path}, strings.Fields(string(b))...)
	if out, err := exec.Command("go", append(args, "../cmd/gamed")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return path, nil
}

func TestMain(m *testing.M) {
	code := m.Run()
	if builds.dir != "" {
		_ = os.RemoveAll(builds.dir)
	}
	os.Exit(code)
}

func TestEveryScenarioOnTheProductionBinary(t *testing.T) {
	scenarios.Suite.Run(t, production(usual, onDisk), scenario.Once)
}

func TestEveryScenarioOnTheProductionBinaryWithAReloadInTheMiddle(t *testing.T) {
	scenarios.Suite.Run(t, production(usual, onDisk), scenario.Replaced)
}

func TestEveryScenarioComesOutTheSameInProcessAndInProduction(t *testing.T) {
	scenarios.Suite.Compare(t, inProcess(inMemory), production(usual, onDisk))
}

// Two builds differ by a flag, unless -other names the program of another commit: compat scenarios does.
func TestEveryScenarioComesOutTheSameOnTwoBuildsOfTheProductionProgram(t *testing.T) {
	second := build("-ldflags=-s")
	if *other != "" {
		path, err := filepath.Abs(*other)
		if err != nil {
			t.Fatal(err)
		}
		second = build(path)
	}
	scenarios.Suite.Compare(t, production(usual, onDisk), production(second, onDisk))
}

// production runs a build of the program on a journal, which is not mem:. Histories are put into the journal
// beside it.
func production(b build, where func(testing.TB) string) scenario.Open[scenarios.Command, scenarios.Answer] {
	return func(t testing.TB, setting string) *scenarios.System {
		t.Helper()
		dir, url := t.TempDir(), where(t)
		d := launch(t, b, dir, url, limits(setting))
		host := &journal.Local{}
		tap := scenario.NewTap(engine(url))
		if _, err := journal.Open(t.Context(), host, url, tap.Engine()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := host.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
		return &scenarios.System{
			Name: fmt.Sprintf("the production binary %son %s", name(b), scheme(url)), Tap: tap, Beside: true,
			Do: scenarios.Do(wire.GRPC(dial(t, d.grpc))),
			Replace: func(ctx context.Context) error {
				ctx, cancel := context.WithTimeout(ctx, time.Minute) // only ends what hangs
				defer cancel()
				o, _, err := reload.Ask(ctx, filepath.Join(dir, "run"), reload.CommandReload)
				if err == nil && o.Error != "" {
					err = errors.New(o.Error)
				}
				return err
			},
		}
	}
}

// name tells builds apart.
func name(b build) string {
	if b == usual {
		return ""
	}
	return fmt.Sprintf("(%s) ", string(b))
}

// daemon is a process under way.
type daemon struct{ grpc string }

// startPatience only ends what hangs, such as a program of another release that says in other words that it is ready.
const startPatience = 3 * time.Minute

// launch starts the daemon and returns when it is ready.
func launch(t testing.TB, b build, dir, url string, l arena.Limits) *daemon {
	t.Helper()
	path, err := b.program()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-http.addr", "127.0.0.1:0", "-grpc.addr", "127.0.0.1:0", "-access_log.path", "off", "-journal", url}
	if l.OpenGames > 0 {
		args = append(args, "-limits.open_games", fmt.Sprint(l.OpenGames))
	}
	if l.WatchersPerGame > 0 {
		args = append(args, "-limits.watchers_per_game", fmt.Sprint(l.WatchersPerGame))
	}
	cmd := exec.Command(path, args...)
	cmd.Env = []string{"TMPDIR=" + os.TempDir(), "GAME_RUN_DIR=" + filepath.Join(dir, "run")}
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan string, 1)
	var said []string
	ended := make(chan struct{}) // what is said is complete
	go func() {
		defer close(ended)
		addr := ""
		for s := bufio.NewScanner(pipe); s.Scan(); {
			if len(said) < 1000 {
				said = append(said, s.Text())
			}
			var line struct{ Msg, Listener, Addr string }
			if json.Unmarshal(s.Bytes(), &line) != nil {
				continue
			}
			if line.Listener == "grpc" && line.Addr != "" {
				addr = line.Addr
			}
			if line.Msg == "ready" {
				select {
				case ready <- addr:
				default: // a worker that came later
				}
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // SIGKILL would leave its workers
		<-ended
		if err := cmd.Wait(); err != nil {
			t.Errorf("the daemon ended with %v:\n%s", err, strings.Join(said, "\n"))
		}
	})
	select {
	case addr := <-ready:
		return &daemon{grpc: addr}
	case <-ended:
		t.Fatal("the daemon did not become ready")
		return nil
	case <-time.After(startPatience):
		t.Fatalf("%s has not become ready in %v", path, startPatience)
		return nil
	}
}
