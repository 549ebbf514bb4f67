package lossbench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pollPeriod is how often a condition outside is looked at.
const pollPeriod = 2 * time.Millisecond

// poll calls f until it returns true, and reports false when ctx ended before.
func poll(ctx context.Context, f func() bool) bool {
	tick := time.NewTicker(pollPeriod)
	defer tick.Stop()
	for {
		if f() {
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}

// process is the command under test.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed when it has been reaped
}

// launch starts args with a run directory of its own, as systemd names one: two daemons cannot share that of
// their program. Its output goes to a file, since a pipe would have to outlive it: processes that it leaves
// behind write to it as well.
func launch(args []string, dir string, output *os.File) (*process, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "RUNTIME_DIRECTORY="+dir)
	cmd.Stdout, cmd.Stderr = output, output
	// Its own group, so that an interrupt from the terminal does not end it before the load.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	p := &process{cmd: cmd, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // a code is of no interest: what it lost is counted
		close(p.exited)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) gone() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// terminate asks the process to end and waits; when ctx ends it is killed, with its children and what is in
// its group.
func (p *process) terminate(ctx context.Context) error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
		return nil
	case <-ctx.Done():
		workers, _ := children(p.pid())
		_ = syscall.Kill(-p.pid(), syscall.SIGKILL)
		for _, pid := range workers {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		<-p.exited
		return fmt.Errorf("process %d did not end when it was told to, and was killed", p.pid())
	}
}

// ended reports whether a process has ended, reaped or not.
func ended(pid int) bool {
	state, _ := stat(pid)
	return state == 0 || state == 'Z' || state == 'X'
}

// stat reads the state and the parent of a process; 0 when there is none (proc_pid_stat(5)).
func stat(pid int) (state byte, parent int) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, 0
	}
	// The name in parentheses may itself hold any character.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 2 {
		return 0, 0
	}
	parent, _ = strconv.Atoi(fields[1])
	return fields[0][0], parent
}

// openFiles counts the descriptors of a process.
func openFiles(pid int) (int, error) {
	names, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "fd"))
	if err != nil {
		return 0, fmt.Errorf("count open files: %w", err)
	}
	return len(names), nil
}

// children are the processes that pid has started and not reaped.
func children(pid int) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var found []int
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if _, parent := stat(child); parent == pid {
			found = append(found, child)
		}
	}
	return found, nil
}

// zombies counts the children of a process that have ended and that it has not reaped.
func zombies(pid int) (int, error) {
	all, err := children(pid)
	n := 0
	for _, child := range all {
		if ended(child) {
			n++
		}
	}
	return n, err
}

// readPID reads a file that holds a process id; 0 when it is absent.
func readPID(path string) (int, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read process id: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid < 2 {
		return 0, fmt.Errorf("process id in %s: want a number, got %q", path, text)
	}
	return pid, nil
}
