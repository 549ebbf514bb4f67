package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
)

// gamed is the daemon, built once.
var gamed = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "gamed")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "gamed")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	// Others may run it too: a test does so without privileges.
	return path, errors.Join(err, os.Chmod(dir, 0o755), notEmpty(out))
})

func notEmpty(out []byte) error {
	if len(out) == 0 {
		return nil
	}
	return errors.New(string(out))
}

func TestMain(m *testing.M) {
	code := m.Run()
	if path, _ := gamed(); path != "" {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// daemon is a process under way.
type daemon struct {
	gamev1.GameServiceClient
	t      *testing.T
	cmd    *exec.Cmd
	http   string // host:port
	grpc   string
	ready  time.Duration
	stderr *lines
}

// lines are what a process has written, and a channel of what it goes on writing.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.all, "\n")
}

func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := gamed()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, append([]string{"-http.addr", "127.0.0.1:0", "-grpc.addr", "127.0.0.1:0"}, args...)...)
	run := t.TempDir()
	if err := os.Chmod(run, 0o777); err != nil { // for daemons without privileges
		t.Fatal(err)
	}
	cmd.Env = []string{"TMPDIR=" + os.TempDir(), "GAME_RUN_DIR=" + filepath.Join(run, "run")}
	return cmd
}

// launch starts the daemon and returns when it is ready.
func launch(t *testing.T, args ...string) *daemon {
	t.Helper()
	d := &daemon{t: t, cmd: command(t, append(args, "-access_log.path", "off")...), stderr: &lines{}}
	pipe, err := d.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// SIGKILL would leave its workers.
	t.Cleanup(func() { _ = d.cmd.Process.Signal(syscall.SIGTERM); _ = d.cmd.Wait() })
	found := make(chan map[string]string, 1)
	go func() {
		addrs := map[string]string{}
		for s := bufio.NewScanner(pipe); s.Scan(); {
			d.stderr.mu.Lock()
			d.stderr.all = append(d.stderr.all, s.Text())
			d.stderr.mu.Unlock()
			var line struct{ Msg, Listener, Addr string }
			if json.Unmarshal(s.Bytes(), &line) != nil {
				continue
			}
			if line.Addr != "" {
				addrs[line.Listener] = line.Addr
			}
			if line.Msg == "ready" {
				select {
				case found <- addrs:
				default: // a worker that came later
				}
			}
		}
		close(found)
	}()
	addrs := <-found
	d.ready = time.Since(began)
	if addrs["http"] == "" || addrs["grpc"] == "" {
		t.Fatalf("the daemon did not become ready:\n%s", d.stderr)
	}
	d.http, d.grpc = addrs["http"], addrs["grpc"]
	conn, err := grpc.NewClient(addrs["grpc"], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	d.GameServiceClient = gamev1.NewGameServiceClient(conn)
	return d
}

// stop asks the daemon to end and wants it to do so well.
func (d *daemon) stop(sig os.Signal) {
	d.t.Helper()
	if err := d.cmd.Process.Signal(sig); err != nil {
		d.t.Fatal(err)
	}
	if err := d.cmd.Wait(); err != nil {
		d.t.Errorf("after %v: %v\n%s", sig, err, d.stderr)
	}
}

func TestADaemonLives(t *testing.T) {
	dir := t.TempDir()
	file := "file:" + filepath.Join(dir, "games.db")
	one := launch(t, "-journal", file)
	resp, err := http.Get("http://" + one.http + "/")
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Contains(page, []byte("/openapi.json")) {
		t.Errorf("the page is %s, %v", page, err)
	}
	_ = resp.Body.Close()
	t.Logf("ready after %v, %d KiB of memory when idle", one.ready.Round(100*time.Microsecond), rss(t, one.cmd.Process.Pid))

	// A second process on the same file: its watchers see what happens in the first.
	two := launch(t, "-journal", file)
	created, err := one.CreateGame(t.Context(), &gamev1.CreateGameRequest{
		RedBot: &gamev1.Bot{Strength: gamev1.Strength_STRENGTH_EASY}, YellowBot: &gamev1.Bot{Strength: gamev1.Strength_STRENGTH_EASY}, RequestId: "bots",
	})
	if err != nil {
		t.Fatal(err)
	}
	id := created.Game.Id
	if a, b := watch(t, one, id), watch(t, two, id); fmt.Sprint(a) != fmt.Sprint(b) || len(a) < 9 {
		t.Errorf("one process saw positions %v, the other %v", a, b)
	}

	// A third one copies the file while both run.
	copied := filepath.Join(dir, "copy.db")
	if out, err := command(t, "-journal", file, "backup", copied).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	one.stop(syscall.SIGTERM)
	if _, err := two.GetGame(t.Context(), &gamev1.GetGameRequest{GameId: id}); err != nil {
		t.Errorf("after the first process has ended: %v", err)
	}
	two.stop(os.Interrupt)

	for _, journal := range []string{file, "file:" + copied} {
		d := launch(t, "-journal", journal)
		again, err := d.CreateGame(t.Context(), &gamev1.CreateGameRequest{
			RedBot: &gamev1.Bot{Strength: gamev1.Strength_STRENGTH_EASY}, YellowBot: &gamev1.Bot{Strength: gamev1.Strength_STRENGTH_EASY}, RequestId: "bots",
		})
		if err != nil || again.Game.Id != id {
			t.Errorf("after a restart on %s: %v, %v", journal, again, err)
		}
		d.stop(syscall.SIGTERM)
	}
}

// watch is the positions of a game's events.
func watch(t *testing.T, d *daemon, id string) (positions []uint64) {
	t.Helper()
	stream, err := d.WatchGame(t.Context(), &gamev1.WatchGameRequest{GameId: id})
	if err != nil {
		t.Fatal(err)
	}
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return positions
		}
		if err != nil {
			t.Fatal(err)
		}
		positions = append(positions, r.Event.Position)
	}
}

// rss is the memory of a process in KiB, 0 where the system does not tell.
func rss(t *testing.T, pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				t.Error(err)
			}
			return n
		}
	}
	return 0
}

func TestAMoveSurvivesAKill(t *testing.T) {
	file := "file:" + filepath.Join(t.TempDir(), "games.db")
	d := launch(t, "-journal", file, "-inprocess") // or its worker would go on
	created, err := d.CreateGame(t.Context(), &gamev1.CreateGameRequest{})
	if err != nil {
		t.Fatal(err)
	}
	id, token := created.Game.Id, ""
	for _, name := range []string{"Ann", "Bob"} {
		joined, err := d.JoinGame(t.Context(), &gamev1.JoinGameRequest{GameId: id, Name: name})
		if err != nil {
			t.Fatal(err)
		}
		if joined.Side == gamev1.Side_SIDE_RED {
			token = joined.SeatToken
		}
	}
	move := &gamev1.DropDiscRequest{GameId: id, SeatToken: token, Column: new(int32(3)), RequestId: "move"}
	first, err := d.DropDisc(t.Context(), move)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = d.cmd.Wait()
	d = launch(t, "-journal", file)
	again, err := d.DropDisc(t.Context(), move)
	if err != nil || again.String() != first.String() {
		t.Errorf("the same move after the kill gives %v, %v, want %v", again, err, first)
	}
	d.stop(syscall.SIGTERM)
}

// journalWith makes a journal file with one event.
func journalWith(t *testing.T, path, stream string, e journal.Event) {
	t.Helper()
	var host journal.Local
	j, err := journal.Open(t.Context(), &host, "file:"+path, sqlite.Engine)
	if err == nil {
		_, err = j.Append(t.Context(), stream, journal.Any, e)
	}
	if err := errors.Join(err, host.Close(context.Background())); err != nil {
		t.Fatal(err)
	}
}

func TestADatabaseThatIsNoneEndsTheDaemonWithOneLine(t *testing.T) {
	for name, tt := range map[string]struct {
		make func(t *testing.T, path string)
		want string
	}{
		"a directory": {func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o755); err != nil {
				t.Fatal(err)
			}
		}, "directory"},
		"a file in a directory that is not there": {func(t *testing.T, path string) {
			if err := os.Remove(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
		}, "no such file or directory"},
		"a file that may not be written": {func(t *testing.T, path string) {
			journalWith(t, path, "game-x", journal.Event{Type: "created", Data: []byte(`{"v":1}`)})
			if err := errors.Join(os.Chmod(path, 0o444), os.Chmod(filepath.Dir(path), 0o555)); err != nil {
				t.Fatal(err)
			}
		}, "cannot be written"},
		"a text": {func(t *testing.T, path string) {
			if err := os.WriteFile(path, bytes.Repeat([]byte("These are the games we played. "), 100), 0o644); err != nil {
				t.Fatal(err)
			}
		}, "not a SQLite database"},
		"a damaged event": {func(t *testing.T, path string) {
			journalWith(t, path, "game-x", journal.Event{Type: "created", Data: []byte(`{"v":1,"turn_limit":"1m0s"}`)})
			edit(t, path, func(b []byte) { b[bytes.Index(b, []byte("1m0s"))] = '9' })
		}, "checksum"},
		"a journal of a newer release": {func(t *testing.T, path string) {
			journalWith(t, path, "game-x", journal.Event{Type: "created", Data: []byte(`{"v":1}`)})
			edit(t, path, func(b []byte) { binary.BigEndian.PutUint32(b[60:], 99) }) // SQLite's user_version
		}, "newer release"},
		"an event of a newer release": {func(t *testing.T, path string) {
			journalWith(t, path, "game-x", journal.Event{Type: "created", Data: []byte(`{"v":2}`)})
		}, "newer release"},
		"an event that is none": {func(t *testing.T, path string) {
			journalWith(t, path, "game-x", journal.Event{Type: "created", Data: []byte(`created!`)})
		}, "position 1"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			if err := os.Mkdir(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "games.db")
			tt.make(t, path)
			t.Cleanup(func() { _ = os.Chmod(dir, 0o755) })
			cmd := command(t, "-journal", "file:"+path)
			drop(t, cmd, dir)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			if cmd.ProcessState.ExitCode() != 1 {
				t.Errorf("the daemon ends with %v", err)
			}
			said := stderr.String()
			if strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, "gamed: ") || !strings.Contains(said, tt.want) || !strings.Contains(said, "games.db") || stdout.Len() > 0 {
				t.Errorf("the daemon says %q and %q, want one line with %q", said, stdout.String(), tt.want)
			}
			t.Log(strings.TrimSpace(said))
		})
	}
}

// drop takes the privileges from a command that root would run: root may write everywhere.
func drop(t *testing.T, cmd *exec.Cmd, dir string) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	if runtime.GOOS != "linux" {
		t.Skip("run this test as another user than root")
	}
	const nobody = 65534
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	cmd.Dir = "/"
	// What the test made is to be nobody's, and reachable.
	err := filepath.WalkDir(filepath.Dir(dir), func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, nobody, nobody)
	})
	for up := filepath.Dir(filepath.Dir(dir)); err == nil && strings.HasPrefix(up, os.TempDir()+"/"); up = filepath.Dir(up) {
		err = os.Chmod(up, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func edit(t *testing.T, path string, change func([]byte)) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	change(b)
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}
