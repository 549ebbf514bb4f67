package peerbench_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/internal/need"
	"github.com/seed-754044b3/roadworthy/tools/peerbench"
)

// brief measures the named peers for as short as it goes.
func brief(t *testing.T, bin string, protocol peerbench.Protocol, names ...string) peerbench.Options {
	t.Helper()
	peers, err := peerbench.Select(peerbench.Peers(bin, protocol, true), names)
	if err != nil {
		t.Fatal(err)
	}
	// The machine may have one processor only.
	return peerbench.Options{
		Protocol: protocol, Peers: peers, Rounds: 2, Duration: 400 * time.Millisecond, LoadCPU: min(1, runtime.NumCPU()-1),
	}
}

func TestEveryRoundMeasuresEveryPeer(t *testing.T) {
	bin := programs(t)
	need.Program(t, "nginx", "nginx-light")
	for protocol, names := range map[peerbench.Protocol][]string{
		peerbench.HTTP1: {"ours", "nginx"},
		peerbench.H2:    {"naive", "nginx"},
		peerbench.GRPC:  {"ours"},
	} {
		t.Run(string(protocol), func(t *testing.T) {
			o := brief(t, bin, protocol, names...)
			rounds := 0
			o.Progress = func(round int) { rounds = round }
			r, err := peerbench.Run(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			if rounds != 2 || r.Rounds != 2 || len(r.Peers) != len(o.Peers) {
				t.Errorf("%d rounds told, %d of %d peers, want 2 of %d", rounds, r.Rounds, len(r.Peers), len(o.Peers))
			}
			for _, p := range r.Peers {
				for _, s := range p.Samples {
					tells := !strings.HasPrefix(p.Name, "nginx")
					if s.Requests == 0 || s.Bad != 0 || s.Rate <= 0 || s.CPU() <= 0 || s.Resident < 1<<20 || tells != (s.Allocs > 1) || tells != (s.AllocBytes > 16) || s.P50 != 0 {
						t.Errorf("%s: %+v", p.Name, s)
					}
				}
			}
		})
	}
}

func TestAtHalfOfTheLoadItIsKnownHowLongAnswersTake(t *testing.T) {
	for _, protocol := range peerbench.Protocols() {
		o := brief(t, programs(t), protocol, "ours")
		o.Rounds, o.Half = 1, true
		r, err := peerbench.Run(t.Context(), o)
		if err != nil {
			t.Fatalf("%s: %v", protocol, err)
		}
		for _, p := range r.Peers {
			if s := p.Samples[0]; s.P50 <= 0 || s.P99 < s.P50 || s.Rate > r.Offered*1.2 {
				t.Errorf("%s, %s: offered %.0f/s: %+v", protocol, p.Name, r.Offered, s)
			}
		}
	}
}

func TestWhatCannotBeMeasuredSaysWhy(t *testing.T) {
	bin := programs(t)
	program := func(name string, args ...string) peerbench.Peer {
		return peerbench.Peer{Name: "broken", Command: func(p peerbench.Place) []string {
			return append([]string{filepath.Join(bin, name), "-addr=" + p.Addr, "-debug=" + p.Debug}, args...)
		}}
	}
	for name, c := range map[string]struct {
		change func(o *peerbench.Options)
		want   string
	}{
		"a peer that ends":           {func(o *peerbench.Options) { o.Peers = []peerbench.Peer{program("core", "-nonsense")} }, "it has ended; it printed: "},
		"a peer that is not there":   {func(o *peerbench.Options) { o.Peers = []peerbench.Peer{program("absent")} }, "absent"},
		"a peer with another status": {func(o *peerbench.Options) { o.Peers = []peerbench.Peer{program("core", "-mode=wrong")} }, "404"},
		"a peer with another answer": {func(o *peerbench.Options) { o.Peers = []peerbench.Peer{program("core", "-mode=other")} }, `got "other"`},
		"a peer without the method": {func(o *peerbench.Options) {
			o.Protocol, o.Peers = peerbench.GRPC, []peerbench.Peer{program("core", "-mode=http")}
		}, "call /bench.Echo/Echo"},
		"a peer without its directory": {func(o *peerbench.Options) {
			p := program("core")
			p.Config = func(p peerbench.Place) string {
				_ = os.RemoveAll(p.Dir)
				return ""
			}
			o.Peers = []peerbench.Peer{p}
		}, "config: no such file"},
		"an unknown protocol":         {func(o *peerbench.Options) { o.Protocol = "h3" }, `unknown protocol "h3": want one of [http1 h2 grpc]`},
		"no peers":                    {func(o *peerbench.Options) { o.Peers = nil }, "no peers"},
		"less than no rounds":         {func(o *peerbench.Options) { o.Rounds = -1 }, "want more than 0"},
		"a processor that is not":     {func(o *peerbench.Options) { o.ServerCPU = 4000 }, "it has ended"},
		"a processor for h2load":      {func(o *peerbench.Options) { o.LoadCPU = 4000 }, "h2load: exit status 1: taskset: failed to set"},
		"half of what does not start": {func(o *peerbench.Options) { o.Half, o.Peers = true, []peerbench.Peer{program("absent")} }, "absent"},
	} {
		t.Run(name, func(t *testing.T) {
			o := brief(t, bin, peerbench.HTTP1, peerbench.Bare)
			c.change(&o)
			if _, err := peerbench.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

func TestARunNeedsAPlaceForItsFiles(t *testing.T) {
	peers, err := peerbench.Select(peerbench.Peers("bin", peerbench.H2, false), nil)
	if err != nil || len(peers) < 3 {
		t.Fatalf("no name selects %q: %v", peerbench.Names(peers), err)
	}
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "absent"))
	if r, err := peerbench.Run(t.Context(), peerbench.Options{Peers: peers}); err == nil || r != nil {
		t.Errorf("%+v: %v", r, err)
	}
}

func TestARunEndsWithItsContextAndLeavesNoProcess(t *testing.T) {
	bin := programs(t)
	silent := peerbench.Peer{Name: "silent", Command: func(peerbench.Place) []string { return []string{filepath.Join(bin, "silent")} }}
	o := brief(t, bin, peerbench.HTTP1, peerbench.Bare)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Peers, o.Rounds = append(o.Peers, silent), 1000
	o.Progress = func(int) { t.Error("a round with a peer that does not answer is complete") }
	started := make(chan struct{})
	command := silent.Command
	o.Peers[1].Command = func(p peerbench.Place) []string {
		close(started)
		return command(p)
	}
	go func() {
		<-started
		cancel()
	}()
	if r, err := peerbench.Run(ctx, o); err == nil || r.Rounds != 0 {
		t.Errorf("%+v: %v", r, err)
	}
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(commands) == 0 {
		t.Fatalf("%d processes: %v", len(commands), err)
	}
	for _, name := range commands {
		// One that has ended meanwhile has none.
		if text, _ := os.ReadFile(name); strings.Contains(string(text), bin) {
			t.Errorf("left: %q", text)
		}
	}
}

func TestAnEstimateGrowsWithWhatIsMeasured(t *testing.T) {
	o := peerbench.Options{Peers: peerbench.Peers("bin", peerbench.HTTP1, false), Rounds: 10}
	one := o.Estimate()
	if o.Rounds = 20; o.Estimate() <= one || o.Estimate() > 2*one || one < 30*time.Second {
		t.Errorf("10 rounds: %v, 20 rounds: %v", one, o.Estimate())
	}
	if d := (peerbench.Options{}).Estimate(); d != 0 {
		t.Errorf("nothing takes %v", d)
	}
}

func TestPeersAreComparedWithPeersThatThereAre(t *testing.T) {
	for _, protocol := range peerbench.Protocols() {
		peers := peerbench.Peers("bin", protocol, true)
		names := peerbench.Names(peers)
		if names[0] != peerbench.Bare || len(peers) < len(peerbench.Peers("bin", protocol, false))+4 {
			t.Errorf("%s: %q", protocol, names)
		}
		for i, p := range peers {
			if p.Base != "" && !slices.Contains(names, p.Base) {
				t.Errorf("%s: %s: there is no %q", protocol, p.Name, p.Base)
			}
			if slices.Index(names, p.Name) != i {
				t.Errorf("%s: two peers are called %q", protocol, p.Name)
			}
		}
	}
}

func TestTheChassisTakesTheFlagsOfAllItsLines(t *testing.T) {
	bin := programs(t)
	for _, protocol := range peerbench.Protocols() {
		for _, p := range peerbench.Peers(bin, protocol, true) {
			args := p.Command(peerbench.Place{Addr: "127.0.0.1:0", Debug: "127.0.0.1:0", Dir: t.TempDir()})
			if filepath.Base(args[0]) != "peerd" {
				continue
			}
			if out, err := exec.Command(args[0], append(args[1:], "-check")...).CombinedOutput(); err != nil {
				t.Errorf("%q: %v: %s", args, err, out)
			}
		}
	}
}

func TestABuildPutsAProgramOfEachPeerIntoADirectory(t *testing.T) {
	root, bin := t.TempDir(), t.TempDir()
	var progress bytes.Buffer
	if err := peerbench.Build(t.Context(), root, bin, &progress); err == nil || !strings.Contains(err.Error(), "build tools/cmd/peerd") {
		t.Errorf("nothing is built: %v", err)
	}
	for _, dir := range []string{"tools/cmd/peerd", "tools/cmd/naived", "tools/peerbench/core", "tools/peerbench/kratos", "tools/peerbench/gozero", "tools/peerbench/dskit"} {
		write(t, filepath.Join(root, dir, "go.mod"), "module example.com/"+filepath.Base(dir)+"\n\ngo 1.26.0\n")
		write(t, filepath.Join(root, dir, "main.go"), "package main\n\nfunc main() {}\n")
	}
	progress.Reset()
	if err := peerbench.Build(t.Context(), root, bin, &progress); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"peerd", "naived", "core", "kratos", "gozero", "dskit"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			t.Error(err)
		}
		if !strings.Contains(progress.String(), "/"+name+"\n") {
			t.Errorf("no word of %s in %q", name, progress.String())
		}
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
