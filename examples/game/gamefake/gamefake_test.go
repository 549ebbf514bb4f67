package gamefake_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/seed-754044b3/roadworthy/chassis/grpcclient"
	"github.com/seed-754044b3/roadworthy/examples/game/gamefake"
	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
	"github.com/seed-754044b3/roadworthy/fake"
	"github.com/seed-754044b3/roadworthy/fake/faketest"
	"github.com/seed-754044b3/roadworthy/internal/need"
)

const dropDisc = "/game.v1.GameService/DropDisc"

func TestTheFakeKeepsItsPromises(t *testing.T) { faketest.Run(t, gamefake.Start) }

func TestTheFakeHasNoHandlersOfItsOwn(t *testing.T) {
	faketest.NoHandlers(t, ".")
	faketest.NoHandlers(t, "../cmd/gamefake")
}

// match is a game between two people, on a fake of its own.
type match struct {
	*fake.Fake
	client gamev1.GameServiceClient
	id     string
	tokens map[gamev1.Side]string
}

// newMatch makes a game and takes both seats.
func newMatch(t *testing.T, turnLimit time.Duration) *match {
	t.Helper()
	f := gamefake.Start(t)
	m := &match{Fake: f, client: dial(t, f.Addr("grpc")), tokens: map[gamev1.Side]string{}}
	req := &gamev1.CreateGameRequest{}
	if turnLimit > 0 {
		req.TurnLimit = durationpb.New(turnLimit)
	}
	created, err := m.client.CreateGame(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	m.id = created.Game.Id
	for _, name := range []string{"Ann", "Bob"} {
		joined, err := m.client.JoinGame(t.Context(), &gamev1.JoinGameRequest{GameId: m.id, Name: name})
		if err != nil {
			t.Fatal(err)
		}
		m.tokens[joined.Side] = joined.SeatToken
	}
	return m
}

// drop makes a move for the side.
func (m *match) drop(t *testing.T, side gamev1.Side, column int32) (*gamev1.Game, error) {
	t.Helper()
	resp, err := m.client.DropDisc(t.Context(), &gamev1.DropDiscRequest{GameId: m.id, SeatToken: m.tokens[side], Column: new(column)})
	return resp.GetGame(), err
}

func (m *match) get(t *testing.T) *gamev1.Game {
	t.Helper()
	resp, err := m.client.GetGame(t.Context(), &gamev1.GetGameRequest{GameId: m.id})
	if err != nil {
		t.Fatal(err)
	}
	return resp.Game
}

func dial(t *testing.T, addr string) gamev1.GameServiceClient {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return gamev1.NewGameServiceClient(conn)
}

func TestTheNextMovesFailAndThenTheGameGoesOn(t *testing.T) {
	m := newMatch(t, 0)
	m.FailNext(2, fake.Code(1042), fake.On(dropDisc))
	for range 2 {
		_, err := m.drop(t, gamev1.Side_SIDE_RED, 3)
		if f, _ := grpcclient.FailureOf(err); f.Code != 1042 || f.Set != "game" || status.Code(err) != codes.FailedPrecondition {
			t.Errorf("a move that was to fail: %v", err)
		}
	}
	if g, err := m.drop(t, gamev1.Side_SIDE_RED, 3); err != nil || len(g.Moves) != 1 {
		t.Errorf("the third move: %v, %v", g, err)
	}
	m.FailNext(1, fake.HTTPStatus(503), fake.OnListener("http"))
	if got := m.json(t); got != "503" {
		t.Errorf("over HTTP: %s", got)
	}
	if got := m.json(t); got != "200" {
		t.Errorf("over HTTP, then: %s", got)
	}
}

// json asks for the game as JSON and returns the status.
func (m *match) json(t *testing.T) string {
	t.Helper()
	resp, err := http.Get(m.URL("http") + "/v1/games/" + m.id)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return fmt.Sprint(resp.StatusCode)
}

func TestAMoveIsAsSlowAsTheTestWants(t *testing.T) {
	m := newMatch(t, 0)
	m.Latency(50*time.Millisecond, fake.On(dropDisc))
	begin := time.Now()
	if _, err := m.drop(t, gamev1.Side_SIDE_RED, 0); err != nil || time.Since(begin) < 50*time.Millisecond {
		t.Errorf("after %v: %v", time.Since(begin), err)
	}
	m.get(t)
	calls := m.Calls()
	if got := calls[len(calls)-1]; got.Latency != 0 {
		t.Errorf("another method waited: %+v", got)
	}
}

func TestTurnsRunOutOnTheVirtualClock(t *testing.T) {
	m := newMatch(t, 30*time.Second)
	if _, err := m.drop(t, gamev1.Side_SIDE_RED, 3); err != nil {
		t.Fatal(err)
	}
	m.Advance(30*time.Second - 1)
	if g := m.get(t); g.State != gamev1.State_STATE_RUNNING {
		t.Errorf("just before the end of the turn: %v", g)
	}
	m.Advance(1)
	if g := m.get(t); g.State != gamev1.State_STATE_FINISHED || g.Ending != gamev1.Ending_ENDING_TIMEOUT || g.Winner != gamev1.Side_SIDE_RED {
		t.Errorf("at the end of the turn: %v", g)
	}
}

func TestAResetForgetsTheGames(t *testing.T) {
	m := newMatch(t, time.Minute)
	if err := m.Reset(); err != nil {
		t.Fatal(err)
	}
	_, err := m.client.GetGame(t.Context(), &gamev1.GetGameRequest{GameId: m.id})
	if status.Code(err) != codes.NotFound {
		t.Errorf("the game after the reset: %v", err)
	}
	if list, err := m.client.ListGames(t.Context(), &gamev1.ListGamesRequest{}); err != nil || len(list.Games) != 0 {
		t.Errorf("the games after the reset: %v, %v", list, err)
	}
	m.Advance(time.Hour) // what the first life was waiting for does not come
}

// TestItIsReadyAtOnce measures the median of 200 starts; docs/benchmarks.md shows it.
func TestItIsReadyAtOnce(t *testing.T) {
	times := make([]time.Duration, 200)
	for i := range times {
		t.Run("", func(t *testing.T) {
			begin := time.Now()
			gamefake.Start(t)
			times[i] = time.Since(begin)
		})
	}
	slices.Sort(times)
	t.Logf("ready in process: median %v, 95%% within %v", times[len(times)/2], times[len(times)*95/100])
}

// TestTheProgram builds the program and uses it as a suite in another language would.
func TestTheProgram(t *testing.T) {
	need.Program(t, "go", "golang")
	program := filepath.Join(t.TempDir(), "gamefake")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../cmd/gamefake").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	times := make([]time.Duration, 15)
	var resident string
	for i := range times {
		begin := time.Now()
		cmd := exec.CommandContext(t.Context(), program, "--port", "0")
		cmd.Stderr = os.Stderr
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(stdout).ReadBytes('\n')
		times[i] = time.Since(begin)
		if err != nil {
			t.Fatalf("no ready line: %v", err)
		}
		var ready struct {
			Ready     bool
			Listeners map[string]string
			Control   string
		}
		if err := json.Unmarshal(line, &ready); err != nil || !ready.Ready {
			t.Fatalf("ready line %q: %v", line, err)
		}
		if i == 0 {
			useProgram(t, ready.Listeners, ready.Control)
			resident = residentSize(t, cmd.Process.Pid)
		}
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("after its input closed: %v", err)
		}
	}
	slices.Sort(times)
	t.Logf("ready as a program: median %v of %d; resident after some calls %s", times[len(times)/2], len(times), resident)
}

// useProgram plays with a running program over its sockets.
func useProgram(t *testing.T, listeners map[string]string, control string) {
	t.Helper()
	resp, err := http.Post("http://"+control+"/faults", "application/json", strings.NewReader(`{"code":1020,"count":1}`))
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	client := dial(t, listeners["grpc"])
	if _, err := client.CreateGame(t.Context(), &gamev1.CreateGameRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("a call that was to fail: %v", err)
	}
	if _, err := client.CreateGame(t.Context(), &gamev1.CreateGameRequest{}); err != nil {
		t.Errorf("the call after it: %v", err)
	}
}

// residentSize is how much memory a process holds, where the system tells.
func residentSize(t *testing.T, pid int) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		return "unknown"
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	size, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(size)
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		stage := &stage{TB: b}
		b.StartTimer()
		gamefake.Start(stage)
		b.StopTimer()
		for _, f := range stage.cleanups {
			f()
		}
		b.StartTimer()
	}
}

// stage ends what is started in the middle of a benchmark.
type stage struct {
	testing.TB
	cleanups []func()
}

func (s *stage) Cleanup(f func()) { s.cleanups = append(s.cleanups, f) }
