package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/internal/need"
)

// asFake has this test program be the command.
const asFake = "GAMEFAKE_TEST_IS_THE_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asFake) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// command is the fake as a program of its own, and what its environment needs.
func command(t *testing.T) (path, env string) {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path, asFake + "=1"
}

// running is where a fake that runs until the test ends has its JSON and its control plane.
func running(t *testing.T) (url, control string) {
	t.Helper()
	path, env := command(t)
	cmd := exec.Command(path, "-clock", "real")
	cmd.Env = append(os.Environ(), env)
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
	t.Cleanup(func() {
		_ = stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the fake: %v", err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var ready struct {
		Listeners struct{ HTTP string }
		Control   string
	}
	if err := json.Unmarshal(line, &ready); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	return "http://" + ready.Listeners.HTTP, "http://" + ready.Control
}

var clients = filepath.Join("..", "..", "clients")

// hammer runs the client in Java.
func hammer(t *testing.T, args ...string) (string, error) {
	t.Helper()
	java := need.Program(t, "java", "default-jdk-headless")
	out, err := exec.CommandContext(t.Context(), java, append([]string{filepath.Join(clients, "java", "Hammer.java")}, args...)...).CombinedOutput()
	return string(out), err
}

func TestTheClientInJavaPassesItsSuite(t *testing.T) {
	url, control := running(t)
	out, err := hammer(t, "suite", "--url", url, "--control", control)
	if err != nil || !strings.Contains(out, "4 passed, 0 failed") {
		t.Errorf("%v:\n%s", err, out)
	}
}

func TestTheHammerAndTheProberPlayGames(t *testing.T) {
	url, _ := running(t)
	played := regexp.MustCompile(`(?m)^[1-9]\d* games, [1-9]\d* answers in .*\nlatency p50 `)
	for _, args := range [][]string{
		{"hammer", "--duration", "1s", "--rate", "200", "--concurrency", "4"},
		{"prober", "--duration", "1s", "--rate", "3"},
	} {
		if out, err := hammer(t, append(args, "--url", url)...); err != nil || !played.MatchString(out) {
			t.Errorf("%v: %v:\n%s", args, err, out)
		}
	}
}

func TestTheProberTellsOfAServiceThatFails(t *testing.T) {
	url, _ := running(t)
	out, err := hammer(t, "prober", "--duration", "1s", "--rate", "3", "--url", url+"/nowhere")
	if err == nil || !strings.Contains(out, "wrong: ") || !strings.Contains(out, "failed: code 404") {
		t.Errorf("%v:\n%s", err, out)
	}
}

func TestTheClientInTypeScriptPassesItsTests(t *testing.T) {
	npm := need.Program(t, "npm", "npm")
	dir := filepath.Join(clients, "typescript")
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil {
		need.Missing(t, "the packages of the client in TypeScript: npm ci --prefix examples/game/clients/typescript")
	}
	path, env := command(t)
	cmd := exec.CommandContext(t.Context(), npm, "test")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env, "GAMEFAKE="+path)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "pass 6") {
		t.Errorf("%v:\n%s", err, out)
	}
}
