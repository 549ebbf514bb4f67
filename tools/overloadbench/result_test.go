package overloadbench_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/tools/overloadbench"
)

// passing is a result that is as it should be.
var passing = overloadbench.Result{
	Server: "ours", Gated: true, Protocol: overloadbench.HTTP, Client: overloadbench.Ours, Load: 10,
	Goodput: 0.97, Users: 0.97, Refused: 0.9, Amplification: 0.4, Recovery: 0.96, Recovered: 1,
	Goroutines: 150, Connections: 50, Beyond: 12, Bound: 66, Resident: 40 << 20,
}

func TestEveryGateIsNamedThatIsMissed(t *testing.T) {
	if err := passing.Check(); err != nil {
		t.Error(err)
	}
	for want, spoil := range map[string]func(*overloadbench.Result){
		"ours over http, client ours, load 10: goodput is 0.890, want 0.9": func(r *overloadbench.Result) { r.Goodput = 0.89 },
		"recovery is 0.940, want 0.95":                                     func(r *overloadbench.Result) { r.Recovery = 0.94 },
		"what small tenants get of what they ask for is 0.940, want 0.95":  func(r *overloadbench.Result) { r.Small, r.SmallServed = 8, 0.94 },
		"amplification is 1.110, want 1.1":                                 func(r *overloadbench.Result) { r.Amplification = 1.11 },
		"goroutines beyond connections is 67, want 66":                     func(r *overloadbench.Result) { r.Beyond = 67 },
		"resident memory is 268435456, want 134217728":                     func(r *overloadbench.Result) { r.Resident = 256 << 20 },
	} {
		r := passing
		spoil(&r)
		if err := r.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
		var text bytes.Buffer
		if err := overloadbench.WriteTable(&text, []overloadbench.Result{r}); err != nil || strings.Count(text.String(), "**") != 2 {
			t.Errorf("%s: %v: want one figure in bold:\n%s", want, err, &text)
		}
		r.Gated = false
		if err := r.Check(); err != nil {
			t.Errorf("a server that is only compared with: %v", err)
		}
	}
}

func TestTheRetriesOfOthersAreNoFaultOfTheServer(t *testing.T) {
	r := passing
	r.Client, r.Recovery, r.Amplification, r.Small = overloadbench.Defaults, 0.1, 4, 8
	if err := r.Check(); err != nil {
		t.Error(err)
	}
	r.Goodput = 0.1
	if err := r.Check(); err == nil {
		t.Error("little goodput passes")
	}
}

func TestAnAnswerIsGoodWhileItsUserWaits(t *testing.T) {
	const deadline = 100 * time.Millisecond
	for want, errs := range map[string][]error{
		"late":   {context.DeadlineExceeded, context.Canceled, fmt.Errorf("get: %w", os.ErrDeadlineExceeded)},
		"failed": {errors.New("connection reset")},
	} {
		for _, err := range errs {
			if got := overloadbench.Outcome(err, deadline, deadline); got != want {
				t.Errorf("%v: %s, want %s", err, got, want)
			}
		}
	}
	if soon, later := overloadbench.Outcome(nil, deadline, deadline), overloadbench.Outcome(nil, deadline+1, deadline); soon != "good" || later != "late" {
		t.Errorf("at the deadline %s, after it %s", soon, later)
	}
	for code, want := range map[int]string{200: "good", 503: "refused", 429: "refused", 504: "late", 500: "failed"} {
		if got := overloadbench.Answered(code); got != want {
			t.Errorf("status %d: %s, want %s", code, got, want)
		}
	}
}

func TestThePeakOfAProcessIsRead(t *testing.T) {
	if n, err := overloadbench.ParsePeak("Name:\tx\nVmHWM:\t   12 kB\nVmRSS:\t 3 kB\n"); n != 12<<10 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for _, text := range []string{"", "Name:\tx\n", "\nVmHWM:\tmuch kB\n"} {
		if n, err := overloadbench.ParsePeak(text); err == nil || n != 0 {
			t.Errorf("%q: %d, %v", text, n, err)
		}
	}
}

func FuzzPeak(f *testing.F) {
	f.Add("Name:\tx\nVmHWM:\t   12 kB\nVmRSS:\t 3 kB\n")
	f.Add("\nVmHWM:")
	f.Fuzz(func(t *testing.T, text string) {
		if n, err := overloadbench.ParsePeak(text); err != nil && n != 0 {
			t.Errorf("%d with %v", n, err)
		}
	})
}

func TestTheModuleOfThePeersDoesTheSameWork(t *testing.T) {
	read := func(name string) []byte {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	if !bytes.Equal(read("work/work.go"), read("peers/work/work.go")) {
		t.Error("peers/work/work.go differs from work/work.go: copy it")
	}
	versions := regexp.MustCompile(`google\.golang\.org/(grpc|protobuf) v\S+`)
	theirs, ours := versions.FindAll(read("peers/go.mod"), -1), versions.FindAll(read("../go.mod"), -1)
	if !bytes.Equal(bytes.Join(theirs, nil), bytes.Join(ours, nil)) {
		t.Errorf("peers has %s, tools has %s", theirs, ours)
	}
}

// full is a writer with no room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestATableThatCannotBeWrittenIsAnError(t *testing.T) {
	if err := overloadbench.WriteTable(full{}, []overloadbench.Result{passing}); err == nil {
		t.Error("no error")
	}
}

func TestEachServerIsToldWhereToListenAndHowMuchToDo(t *testing.T) {
	o := overloadbench.Options{Workers: 3, Mean: 20 * time.Millisecond, Deadline: 100 * time.Millisecond}
	for _, s := range overloadbench.Servers("bin") {
		args := strings.Join(s.Command(&o, overloadbench.GRPC, "127.0.0.1:1", "127.0.0.1:2"), " ")
		for _, want := range []string{"bin/overload", "addr=127.0.0.1:1", "-debug", "127.0.0.1:2", "-workers=3", "-mean=20ms"} {
			if !strings.Contains(args, want) {
				t.Errorf("%s: no %s in %s", s.Name, want, args)
			}
		}
		if sized := strings.Contains(args, "-grpc.admission.capacity=9 "); sized != s.Gated {
			t.Errorf("%s: %s: want 9 places where there is a queue", s.Name, args)
		}
	}
}
