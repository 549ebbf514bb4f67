package spool_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/spool"
)

// The test binary is its own other process: with this variable set it works on the spool it names
// until the step at which it is to be killed.
const crashVariable = "SPOOL_TEST_CRASH"

func TestMain(m *testing.M) {
	at, err := strconv.Atoi(os.Getenv(crashVariable))
	if err != nil {
		os.Exit(m.Run())
	}
	if err := victim(os.Args[1], at); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A world is what the victims of one scenario share: the spool, and what the receiver got.
type world struct{ dir string }

func (w world) spool() string    { return filepath.Join(w.dir, "test.spool") }
func (w world) received() string { return filepath.Join(w.dir, "received") }
func (w world) acked() string    { return filepath.Join(w.dir, "acknowledged") }

// say adds a line to a file: what a write has handed to the system survives SIGKILL.
func say(file, line string) {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(line + "\n")
		f.Close()
	}
	if err != nil {
		panic(err)
	}
}

// said are the lines of a file.
func said(t *testing.T, file string) (lines []string) {
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		lines = append(lines, s.Text())
	}
	return lines
}

const scenario = 4 // records

// victim puts records, delivers them, and kills itself at the given step, if there are that many.
func victim(dir string, at int) error {
	w := world{dir}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c := clock.NewVirtual(epoch)
	s, err := spool.Open(ctx, w.spool(), spool.Config{Clock: c})
	if err != nil {
		return err
	}
	var steps atomic.Int64
	step := func(string) {
		if steps.Add(1) == int64(at) {
			self, _ := os.FindProcess(os.Getpid())
			self.Kill()
			select {} // until the signal is here
		}
	}
	spool.OnStep(s, step)
	for i := range scenario {
		id := fmt.Sprint("r", i)
		if err := s.Put(ctx, spool.Record{ID: id, Body: []byte(id)}); err != nil {
			return err
		}
		say(w.acked(), id)
		step("put")
	}
	pumpCtx, stop := context.WithCancel(ctx)
	defer stop()
	p, err := spool.NewPump(s, spool.PumpConfig{Batch: 2}, func(_ context.Context, rs []spool.Record) []error {
		for _, r := range rs {
			step("leased")
			say(w.received(), string(r.Body))
			step("delivered")
		}
		return nil
	})
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- p.Run(pumpCtx) }()
	for {
		st, err := s.Stats(ctx)
		if err != nil {
			return err
		}
		if st.Records == 0 {
			break
		}
	}
	stop()
	if err := <-done; err != nil {
		return err
	}
	return s.Close()
}

func work(t *testing.T, dir string, at int) (killed bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], dir)
	cmd.Env = append(os.Environ(), crashVariable+"="+strconv.Itoa(at))
	cmd.Stderr = os.Stderr
	err := cmd.Run()
	if err != nil && cmd.ProcessState.Exited() {
		t.Fatalf("killed at step %d: the process failed: %v", at, err)
	}
	return err != nil
}

// A kill between any two steps loses no record that Put acknowledged, and delivers at most a batch
// twice, each record with its ID.
func TestAKillBetweenAnyTwoStepsLosesNothing(t *testing.T) {
	kills := 0
	for at := 1; ; at++ {
		w := world{t.TempDir()}
		if !work(t, w.dir, at) {
			break // there are no more steps
		}
		kills++
		before := map[string]int{}
		for _, id := range said(t, w.received()) {
			before[id]++
		}
		acked := said(t, w.acked())
		drain(t, w)
		after := map[string]int{}
		for _, id := range said(t, w.received()) {
			after[id]++
		}
		for _, id := range acked {
			if after[id] == 0 {
				t.Errorf("killed at step %d: record %s was acknowledged and is lost", at, id)
			}
		}
		for id, n := range after {
			if n > 2 {
				t.Errorf("killed at step %d: record %s was delivered %d times", at, id, n)
			}
			if n == 2 && before[id] == 0 {
				t.Errorf("killed at step %d: record %s was delivered twice by one process", at, id)
			}
		}
	}
	if kills < 30 {
		t.Errorf("only %d steps", kills)
	}
	t.Logf("%d kills", kills)
}

// drain delivers what is left, in this process, once the dead one's leases have ended.
func drain(t *testing.T, w world) {
	t.Helper()
	c := clock.NewVirtual(epoch.Add(time.Hour))
	s, err := spool.Open(t.Context(), w.spool(), spool.Config{Clock: c})
	must(t, err)
	defer s.Close()
	twice := 0
	got := strings.Join(said(t, w.received()), " ")
	for {
		l, err := s.Lease(t.Context(), 1, time.Minute)
		must(t, err)
		if len(l) == 0 {
			break
		}
		if string(l[0].Body) != l[0].ID {
			t.Errorf("record %s comes as %q", l[0].ID, l[0].Body)
		}
		if strings.Contains(got, l[0].ID) {
			twice++
		}
		say(w.received(), l[0].ID)
		must(t, s.Ack(t.Context(), l...))
	}
	if twice > 2 {
		t.Errorf("%d records are delivered twice, want at most the batch of 2", twice)
	}
	if st := stats(t, s); st.Records != 0 {
		t.Errorf("%+v", st)
	}
}
