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
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/spool"
)

// The test binary is its own other process: with this variable set it works on the spool it names
// until the step at which it is to be killed.
const crashVariable = "SPOOL_TEST_CRASH"

// With this one set it puts and delivers beside another process, until all is delivered.
const peerVariable = "SPOOL_TEST_PEER"

func TestMain(m *testing.M) {
	if name := os.Getenv(peerVariable); name != "" {
		if err := peer(os.Args[1], name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
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

const (
	peers     = 2
	putByPeer = 200 // records of each process
)

// peer puts records from four goroutines, while a pump delivers whatever there is, as the workers of a reload
// do, and ends when the spool is empty and all have put theirs.
func peer(dir, name string) error {
	w := world{dir}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	s, err := spool.Open(ctx, w.spool(), spool.Config{})
	if err != nil {
		return err
	}
	out, err := os.OpenFile(w.received(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	p, err := spool.NewPump(s, spool.PumpConfig{Batch: 7, Lease: time.Hour, Poll: time.Millisecond}, func(_ context.Context, rs []spool.Record) []error {
		errs := make([]error, len(rs))
		for i, r := range rs {
			_, errs[i] = fmt.Fprintf(out, "%s %s %s\n", name, r.ID, r.Body)
		}
		return errs
	})
	if err != nil {
		return err
	}
	pumpCtx, stop := context.WithCancel(ctx)
	defer stop()
	pumped := make(chan error, 1)
	go func() { pumped <- p.Run(pumpCtx) }()
	put := make(chan error)
	for g := range 4 {
		go func() {
			for i := g; i < putByPeer; i += 4 {
				id := fmt.Sprintf("%s%d", name, i)
				if err := s.Put(ctx, spool.Record{ID: id, Body: []byte("body of " + id)}); err != nil {
					put <- err
					return
				}
			}
			put <- nil
		}()
	}
	for range 4 {
		if err := <-put; err != nil {
			return err
		}
	}
	for {
		st, err := s.Stats(ctx)
		if err != nil {
			return err
		}
		if st.Total.Put == peers*putByPeer && st.Records == 0 {
			break
		}
	}
	stop()
	if err := <-pumped; err != nil {
		return err
	}
	return s.Close()
}

func TestTwoProcessesDeliverEachRecordOnce(t *testing.T) {
	w := world{t.TempDir()}
	var running sync.WaitGroup
	for _, name := range []string{"a", "b"} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], w.dir)
		cmd.Env = append(os.Environ(), peerVariable+"="+name)
		cmd.Stderr = os.Stderr
		must(t, cmd.Start())
		running.Go(func() {
			if err := cmd.Wait(); err != nil {
				t.Errorf("process %s: %v", name, err)
			}
		})
	}
	running.Wait()
	by, got := map[string]int{}, map[string]int{}
	for _, line := range said(t, w.received()) {
		name, rest, _ := strings.Cut(line, " ")
		id, body, _ := strings.Cut(rest, " ")
		by[name]++
		if got[id]++; got[id] > 1 || body != "body of "+id {
			t.Errorf("record %s comes %d times, now with %q", id, got[id], body)
		}
	}
	if len(got) != peers*putByPeer {
		t.Errorf("%d records have been delivered, want %d", len(got), peers*putByPeer)
	}
	s := open(t, w.spool(), spool.Config{})
	if st := stats(t, s); st.Records != 0 || st.Total.Acked != peers*putByPeer || st.Total.Expired+st.Total.Nacked+st.Total.Parkings != 0 {
		t.Errorf("%+v", st)
	}
	t.Logf("delivered by %v", by)
}
