package scenarios_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/scenario"
	"github.com/seed-754044b3/roadworthy/chassis/journal/scenario/wire"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
	"github.com/seed-754044b3/roadworthy/chassis/reload"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/arena"
	"github.com/seed-754044b3/roadworthy/examples/game/scenarios"
)

// built is the directory that gamed made, nil when no test needed it.
var built atomic.Pointer[string]

// gamed is the program that goes into production, built once.
var gamed = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "scenarios")
	if err != nil {
		return "", err
	}
	built.Store(&dir)
	path := filepath.Join(dir, "gamed")
	if out, err := exec.Command("go", "build", "-o", path, "../cmd/gamed").CombinedOutput(); err != nil {
		return path, fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir := built.Load(); dir != nil {
		_ = os.RemoveAll(*dir)
	}
	os.Exit(code)
}

func TestEveryScenarioOnTheProductionBinary(t *testing.T) {
	scenarios.Suite.Run(t, production, scenario.Once)
}

func TestEveryScenarioOnTheProductionBinaryWithAReloadInTheMiddle(t *testing.T) {
	scenarios.Suite.Run(t, production, scenario.Replaced)
}

func TestEveryScenarioComesOutTheSameInProcessAndInProduction(t *testing.T) {
	scenarios.Suite.Compare(t, inProcess(inMemory), production)
}

// production runs the program on a SQLite file. Histories are put into that file beside it.
func production(t testing.TB, setting string) *scenarios.System {
	t.Helper()
	dir := t.TempDir()
	d := launch(t, dir, limits(setting))
	host := &journal.Local{}
	tap := scenario.NewTap(sqlite.Engine)
	if _, err := journal.Open(t.Context(), host, "file:"+filepath.Join(dir, "games.db"), tap.Engine()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return &scenarios.System{
		Name: "the production binary", Tap: tap, Beside: true,
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

// daemon is a process under way.
type daemon struct{ grpc string }

// launch starts the daemon and returns when it is ready.
func launch(t testing.TB, dir string, l arena.Limits) *daemon {
	t.Helper()
	path, err := gamed()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-http.addr", "127.0.0.1:0", "-grpc.addr", "127.0.0.1:0", "-access_log.path", "off",
		"-journal", "file:" + filepath.Join(dir, "games.db")}
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
	}
}
