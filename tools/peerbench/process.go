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

// userHZ is the unit of times in /proc, a hundredth of a second on every architecture that Go runs on
// (proc_pid_stat(5), sysconf(3)).
const userHZ = 100

// kernel reads what the kernel says.
func (s *server) kernel(u *usage) error {
	dir := filepath.Join("/proc", strconv.Itoa(s.cmd.Process.Pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	memory, memoryErr := os.ReadFile(filepath.Join(dir, "statm"))
	if err := errors.Join(err, memoryErr); err != nil {
		return fmt.Errorf("read what a server took: %w", err)
	}
	return u.parse(string(stat), string(memory))
}

// parse reads the files stat and statm of a process (proc_pid_stat(5), proc_pid_statm(5)).
func (u *usage) parse(stat, statm string) error {
	// The name in parentheses may itself hold any character.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	pages := strings.Fields(statm)
	if len(fields) < 13 || len(pages) < 2 {
		return fmt.Errorf("a process's stat and statm: want 13 and 2 fields, got %q and %q", stat, statm)
	}
	var n [3]int64
	for i, field := range []string{fields[11], fields[12], pages[1]} {
		var err error
		if n[i], err = strconv.ParseInt(field, 10, 64); err != nil {
			return fmt.Errorf("a process's stat and statm: %w", err)
		}
	}
	u.user, u.system = time.Duration(n[0])*time.Second/userHZ, time.Duration(n[1])*time.Second/userHZ
	u.resident = n[2] * int64(os.Getpagesize())
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
