package peerbench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// startTimeout bounds how long a server may take until it accepts connections.
const startTimeout = 15 * time.Second

// server is a peer that runs.
type server struct {
	Place
	cmd    *exec.Cmd
	silent bool
	exited chan struct{} // closed when it has been reaped
}

// pinned is a command on one processor. taskset replaces itself with it, so that the process is the same.
func pinned(ctx context.Context, cpu int, args []string) *exec.Cmd {
	return exec.CommandContext(ctx, "taskset", append([]string{"-c", strconv.Itoa(cpu)}, args...)...)
}

// start starts p on a processor and waits until it accepts connections. It ends with stop or with ctx.
func start(ctx context.Context, p Peer, at Place, cpu int) (*server, error) {
	if p.Config != nil {
		if err := os.WriteFile(filepath.Join(at.Dir, "config"), []byte(p.Config(at)), 0o600); err != nil {
			return nil, err
		}
	}
	output, err := os.Create(filepath.Join(at.Dir, "output"))
	if err != nil {
		return nil, err
	}
	defer output.Close()
	args := p.Command(at)
	cmd := pinned(ctx, cpu, args)
	cmd.Dir = at.Dir
	cmd.Env = append(os.Environ(), "RUNTIME_DIRECTORY="+at.Dir)
	cmd.Stdout, cmd.Stderr = output, output
	// Its own group, so that an interrupt from the terminal does not reach it before it is asked to end.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	s := &server{Place: at, cmd: cmd, silent: p.Silent, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // it is killed in the end
		close(s.exited)
	}()
	if err := s.await(ctx); err != nil {
		s.stop()
		said, _ := os.ReadFile(output.Name())
		return nil, fmt.Errorf("%s: %w; it printed: %s", strings.Join(args, " "), err, bytes.TrimSpace(said[max(0, len(said)-500):]))
	}
	return s, nil
}

// await returns when both addresses accept connections.
func (s *server) await(ctx context.Context) error {
	addrs := []string{s.Addr}
	if !s.silent {
		addrs = append(addrs, s.Debug)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for len(addrs) > 0 {
		if c, err := net.Dial("tcp", addrs[0]); err == nil {
			_ = c.Close()
			addrs = addrs[1:]
			continue
		}
		select {
		case <-tick.C:
		case <-s.exited:
			return errors.New("it has ended")
		case <-ctx.Done():
			return fmt.Errorf("nothing accepts connections at %s after %v", addrs[0], startTimeout)
		}
	}
	return nil
}

// stop kills the server, which has nothing to lose, and waits for its end.
func (s *server) stop() {
	_ = s.cmd.Process.Kill()
	<-s.exited
}

// usage is what a process has used up to now.
type usage struct {
	user, system time.Duration
	resident     int64  // bytes
	mallocs      uint64 // objects on the heap, freed ones as well; 0 when the server does not tell
	bytes        uint64 // that these took
}

// kernel reads what the kernel says. The sum of the times is exact; how it is shared between user and
// system is what the kernel found at its ticks.
func (s *server) kernel(u *usage) error {
	whole, err := processClock(s.cmd.Process.Pid, schedClock)
	user, userErr := processClock(s.cmd.Process.Pid, userClock)
	memory, memoryErr := os.ReadFile(filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid), "statm"))
	if err := errors.Join(err, userErr, memoryErr); err != nil {
		return fmt.Errorf("read what a server took: %w", err)
	}
	u.user, u.system = user, whole-user
	return u.parse(string(memory))
}

// The clocks of another process (include/linux/posix-timers.h: CPUCLOCK_VIRT, CPUCLOCK_SCHED).
const (
	userClock  = 1
	schedClock = 2
)

// processClock is the processor time of a process, as clock_getcpuclockid(3) has it: of all its threads, those that
// have ended as well.
func processClock(pid int, which int32) (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|which, &t); err != nil {
		return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// parse reads the file statm of a process (proc_pid_statm(5)).
func (u *usage) parse(statm string) error {
	pages := strings.Fields(statm)
	if len(pages) < 2 {
		return fmt.Errorf("a process's statm: want 2 fields, got %q", statm)
	}
	n, err := strconv.ParseInt(pages[1], 10, 64)
	if err != nil {
		return fmt.Errorf("a process's statm: %w", err)
	}
	u.resident = n * int64(os.Getpagesize())
	return nil
}

// heap asks the server. It takes processor time of its own: ask before kernel in the beginning, after it in the
// end.
func (s *server) heap(ctx context.Context, u *usage) error {
	if s.silent {
		return nil
	}
	body, err := get(ctx, http.DefaultClient, "http://"+s.Debug+"/debug/vars")
	if err != nil {
		return err
	}
	var vars struct {
		Memstats struct{ Mallocs, TotalAlloc uint64 } `json:"memstats"`
	}
	if err := json.Unmarshal(body, &vars); err != nil {
		return fmt.Errorf("/debug/vars: %w", err)
	}
	u.mallocs, u.bytes = vars.Memstats.Mallocs, vars.Memstats.TotalAlloc
	return nil
}
