package game_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/examples/game"
	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
)

var update = flag.Bool("update", false, "write the golden files")

// run runs the daemon's main in this process and returns its exit code and what it wrote.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = chassis.Run(context.Background(), game.Spec, args, nil, &out, &err)
	return code, out.String(), err.String()
}

func TestTheDaemonDescribesItself(t *testing.T) {
	code, out, stderr := run(t, "-describe")
	var d chassis.Description
	if err := json.Unmarshal([]byte(out), &d); err != nil || code != 0 || stderr != "" {
		t.Fatalf("exit %d, %v, %s", code, err, stderr)
	}
	var b strings.Builder
	for _, l := range d.Listeners {
		for _, r := range l.Routes {
			fmt.Fprintf(&b, "%s %s %s\n", l.Protocol, l.Addr, r)
		}
	}
	for _, q := range d.Queues {
		fmt.Fprintf(&b, "queue %s: %d workers, %d places\n", q.Name, q.Workers, q.Capacity)
	}
	for _, m := range d.Metrics {
		if strings.HasPrefix(m.Name, "game_") {
			fmt.Fprintf(&b, "%s %s: %s\n", m.Type, m.Name, m.Help)
		}
	}
	for _, f := range d.Failures {
		if f.Set == "game" {
			fmt.Fprintf(&b, "failure %d, %v: %d, %v: %s\n", f.Number, f.Class, f.HTTPStatus, f.GRPCCode, f.Message)
		}
	}
	golden(t, "describe.txt", b.String())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not\n%s\nif that is right, go test -update writes it", path, got)
	}
}

func TestTheDaemonChecksItsConfiguration(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "game.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("journal: file:" + filepath.Join(dir, "games.db") + "\nbots:\n  workers: 4\nlimits: {idle: 24h}\n")
	if code, out, stderr := run(t, "-config", file, "-check"); code != 0 || out != "configuration ok\n" || stderr != "" {
		t.Errorf("exit %d, %q, %q", code, out, stderr)
	}
	code, out, _ := run(t, "-config", file, "-print-config")
	if code != 0 || !strings.Contains(out, "workers: 4") || !strings.Contains(out, "capacity: 64") || !strings.Contains(out, "idle: 24h") {
		t.Errorf("exit %d, %s", code, out)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("looking at the configuration left %v, %v", files, err)
	}
	for text, want := range map[string]string{
		"jornal: 'mem:'":             "journal",
		"bots: {workers: many}":      "bots.workers",
		"bots: {capacity: -5}":       "-5",
		"journal: 'file:'":           "file:",
		"limits: {watchers: -1}":     "limits.watchers",
		"journal: postgres://db/gam": "postgres",
	} {
		write(text)
		if code, out, stderr := run(t, "-config", file, "-check"); code != 1 || out != "" || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit %d, %q, %q, want one line with %q", text, code, out, stderr, want)
		}
	}
}

func TestTheJournalIsBackedUpWhileTheServiceRuns(t *testing.T) {
	dir := t.TempDir()
	path, copied := filepath.Join(dir, "games.db"), filepath.Join(dir, "copy.db")
	s := start(t, on(path))
	id, tokens := s.match(&gamev1.CreateGameRequest{})
	before := s.play(id, tokens, "34")
	// The command runs in a process of its own in TestADaemonLives.
	if code, out, stderr := run(t, "-journal", "file:"+path, "backup", copied); code != 0 || !strings.Contains(out, copied) || stderr != "" {
		t.Fatalf("exit %d, %q, %q", code, out, stderr)
	}
	s.play(id, tokens, "34")
	b := start(t, on(copied))
	if got, err := b.GetGame(b.ctx, &gamev1.GetGameRequest{GameId: id}); err != nil || !proto.Equal(got.Game, before) {
		t.Errorf("the copy has %v, %v, want %v", got, err, before)
	}
	b.play(id, tokens, "6") // its tokens are those of the journal

	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"no file":             {[]string{"-journal", "file:" + path, "backup"}, "want one argument"},
		"a file that exists":  {[]string{"-journal", "file:" + path, "backup", copied}, "exists"},
		"a journal in memory": {[]string{"-journal", "mem:", "backup", filepath.Join(dir, "new")}, "file:PATH"},
		"no journal there":    {[]string{"-journal", "file:" + filepath.Join(dir, "none.db"), "backup", filepath.Join(dir, "new")}, "none.db"},
		"no journal at all":   {[]string{"-journal", "file:" + os.Args[0], "backup", filepath.Join(dir, "new")}, "not a SQLite database"},
	} {
		code, out, stderr := run(t, tt.args...)
		if code != 1 || out != "" || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: exit %d, %q, %q, want one line with %q", name, code, out, stderr, tt.want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "none.db")); err == nil {
		t.Error("a backup made the journal it was to copy")
	}
}
