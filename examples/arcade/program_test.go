package arcade_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/retry"
	"github.com/seed-754044b3/roadworthy/examples/arcade"
)

// program is the game's network fake as a program, steered over its control plane: as suites in other
// languages see it, and as a fake of another release can be had.
type program struct {
	t       *testing.T
	grpc    string
	control string
}

// startProgram runs the program that GAMEFAKE names, or else the one of this repository, until the test ends.
func startProgram(t *testing.T) *program {
	t.Helper()
	path := os.Getenv("GAMEFAKE")
	if path == "" {
		path = filepath.Join(t.TempDir(), "gamefake")
		if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "../game/cmd/gamefake").CombinedOutput(); err != nil {
			t.Fatalf("build the fake: %v\n%s", err, out)
		}
	}
	cmd := exec.Command(path, "-clock", "real")
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
	line, readErr := bufio.NewReader(stdout).ReadBytes('\n')
	t.Cleanup(func() {
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the fake: %v", err)
		}
	})
	var ready struct {
		Listeners struct{ GRPC string }
		Control   string
	}
	if err := json.Unmarshal(line, &ready); err != nil || ready.Listeners.GRPC == "" {
		t.Fatalf("the fake says it is ready by %q: %v, %v", line, readErr, err)
	}
	return &program{t, ready.Listeners.GRPC, "http://" + ready.Control}
}

// ask sends a request to the control plane and reads its answer.
func (p *program) ask(method, path string, body, answer any) {
	p.t.Helper()
	var text bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&text).Encode(body); err != nil {
			p.t.Fatal(err)
		}
	}
	resp, says := do(p.t, http.DefaultClient, method, p.control+path, nil, text.String())
	if resp.StatusCode/100 != 2 {
		p.t.Fatalf("control plane: %s %s: %d %s", method, path, resp.StatusCode, says)
	}
	if answer != nil {
		if err := json.Unmarshal([]byte(says), answer); err != nil {
			p.t.Fatalf("control plane: %s %s: %v in %s", method, path, err, says)
		}
	}
}

// recorded is a call as the control plane tells it.
type recorded struct {
	Seq       uint64
	Route     string
	Ran       bool
	Committed bool
	Injected  bool
	Failure   int    // of the service itself
	Code      int    // of what a fault answered
	Duplicate uint64 `json:"duplicate_of"`
}

// calls are those of a route.
func (p *program) calls(route string) []recorded {
	p.t.Helper()
	var all struct{ Calls []recorded }
	p.ask(http.MethodGet, "/calls", nil, &all)
	return slices.DeleteFunc(all.Calls, func(c recorded) bool { return c.Route != route })
}

// theArcadeSays is what the arcade answers to failures of the game that it tells apart by code.
var theArcadeSays = map[int]int{
	1001: 2020, 1002: 2027, 1010: 2028, 1021: 2021, 1030: 2026, 1031: 2026, 1040: 2025, 1041: 2022, 1042: 2023, 1044: 2024, 1202: 2005,
}

// The arcade's own tests have the fake in process. These hold it to the program, and in .ci/clients to that of
// other releases.
func TestTheArcadeOnTheFakesProgram(t *testing.T) {
	p := startProgram(t)
	for name, test := range map[string]func(*testing.T, *program){
		"every failure code reaches the arcade's caller":                       everyCode,
		"what the game refuses by itself is recorded as its own failure":       ownFailure,
		"an answer that is lost is asked for again, and the move is made once": lostAnswer,
	} {
		t.Run(name, func(t *testing.T) {
			p := &program{t, p.grpc, p.control}
			p.ask(http.MethodPost, "/reset", nil, nil)
			test(t, p)
		})
	}
}

func everyCode(t *testing.T, p *program) {
	w := startOn(t, nil, p.grpc, quick)
	var about struct {
		Failures []struct{ Number int }
	}
	p.ask(http.MethodGet, "/", nil, &about)
	if len(about.Failures) < 20 {
		t.Fatalf("the fake declares %d failure codes, want those of the chassis and of the game", len(about.Failures))
	}
	var numbers []int
	for _, f := range about.Failures {
		numbers = append(numbers, f.Number)
		p.ask(http.MethodPost, "/faults", map[string]any{"code": f.Number, "count": 1, "route": getGame}, nil)
		resp, body := get(t, w.url+"/games/x", nil)
		var problem failure.Problem
		if err := json.Unmarshal([]byte(body), &problem); err != nil {
			t.Fatalf("code %d: %v in %s", f.Number, err, body)
		}
		want, told := theArcadeSays[f.Number]
		switch {
		case told && (problem.Set != "arcade" || problem.Code != want):
			t.Errorf("code %d is answered with %s %d, want arcade %d", f.Number, problem.Set, problem.Code, want)
		case !told && f.Number != failure.CallerLeft.Number() && (problem.Set != "arcade" || problem.Code < 2001 || problem.Code > 2029):
			t.Errorf("code %d is answered with %s %d, want one of the arcade's", f.Number, problem.Set, problem.Code)
		}
		if problem.Status != resp.StatusCode || problem.ID == "" {
			t.Errorf("code %d is answered %d with %+v", f.Number, resp.StatusCode, problem)
		}
	}
	calls := p.calls(getGame)
	if len(calls) != len(numbers) {
		t.Fatalf("the fake has recorded %d calls, want one for each of %d codes", len(calls), len(numbers))
	}
	for i, c := range calls {
		if c.Code != numbers[i] || !c.Injected || c.Ran || c.Committed {
			t.Errorf("call %d is recorded as %+v, want that code %d was put in its place", i+1, c, numbers[i])
		}
	}
	var met struct{ Text string }
	p.ask(http.MethodGet, "/coverage", nil, &met)
	if want := fmt.Sprintf("%d of %d codes", len(numbers), len(numbers)); !strings.Contains(met.Text, want) {
		t.Errorf("coverage is %q, want %s", met.Text, want)
	}
}

func ownFailure(t *testing.T, p *program) {
	w := startOn(t, nil, p.grpc, quick)
	path := w.visitor().create("Ann", "red", "human", "0").game()
	w.visitor().post(path+"/join", url.Values{"request_id": {"c"}, "name": {"Cas"}, "side": {"red"}}).
		want(http.StatusConflict).says("The seat is taken")
	calls := p.calls(joinGame)
	if len(calls) != 2 || !calls[0].Committed || calls[0].Failure != 0 {
		t.Fatalf("recorded: %+v, want Ann's seat and one that was refused", calls)
	}
	if c := calls[1]; !c.Ran || c.Committed || c.Injected || c.Failure != 1021 {
		t.Errorf("the second call is recorded as %+v, want the service's own failure 1021", c)
	}
}

func lostAnswer(t *testing.T, p *program) {
	w := startOn(t, nil, p.grpc, quick, func(c *arcade.Config) { c.Game.Retry = retry.Config{Throttle: -1} })
	ann := w.visitor()
	path := ann.create("Ann", "red", "human", "0").game()
	w.visitor().join(path, "Ben", "yellow")
	p.ask(http.MethodPost, "/faults", map[string]any{"action": "rst", "phase": "after-commit", "count": 1, "route": dropDisc}, nil)
	board := ann.get(path).drop("4").board()
	if n := strings.Count(board, "R"); n != 1 {
		t.Errorf("%d red discs are on the board, want one:\n%s", n, board)
	}
	calls := p.calls(dropDisc)
	if len(calls) != 2 || !calls[0].Committed || calls[1].Duplicate != calls[0].Seq {
		t.Errorf("recorded: %+v, want a move whose answer was lost and its duplicate", calls)
	}
	var twice struct{ Calls []recorded }
	p.ask(http.MethodGet, "/calls/duplicates", nil, &twice)
	if len(twice.Calls) != 1 {
		t.Errorf("the fake knows of %d duplicates, want one", len(twice.Calls))
	}
}
