// Package measure times programs from outside, as the people who run them see them: how long
// until a program answers, how much memory it holds. Figures inside a process are the business
// of Go benchmarks.
package measure

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Program is a command that serves HTTP and tells its address in a line of its output.
type Program struct {
	Dir  string   // where it is started
	Args []string // the command and its arguments
	// Ready finds the URL to ask in a line of what it prints on standard output or error; its
	// first group is the URL or host:port.
	Ready *regexp.Regexp
	Path  string // what is asked for behind the URL; empty asks nothing
}

// A Run is a program under way. Stop it.
type Run struct {
	cmd   *exec.Cmd
	stdin io.Closer
	dir   string      // the program's run directory
	lines chan string // everything it prints
	ended chan error
	// Ready is the time from the start to the line that told the address, Answered to the
	// first answer with status 200.
	Ready, Answered time.Duration
	// URL is what the program told.
	URL string
}

// Start starts p and waits until it has answered, or ctx ends.
func Start(ctx context.Context, p Program) (*Run, error) {
	cmd := exec.Command(p.Args[0], p.Args[1:]...)
	cmd.Dir = p.Dir
	// A run directory of its own for a daemon, so that several can be measured beside others.
	run, err := os.MkdirTemp("", "run")
	if err != nil {
		return nil, err
	}
	cmd.Env = append(os.Environ(), "RUNTIME_DIRECTORY="+run)
	// Its own group, so that Stop reaches the program behind "go run".
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = in, in
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, errors.Join(err, out.Close(), in.Close())
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", p.Args[0], err), out.Close(), in.Close())
	}
	_ = in.Close()
	r := &Run{cmd: cmd, stdin: stdin, dir: run, lines: make(chan string, 64), ended: make(chan error, 1)}
	go r.read(out)
	if err := r.await(ctx, p, begin); err != nil {
		return nil, errors.Join(err, r.Stop(context.Background()))
	}
	return r, nil
}

// read passes on what the program prints, as long as somebody listens, and reaps it.
func (r *Run) read(out *os.File) {
	defer out.Close()
	s := bufio.NewScanner(out)
	for s.Scan() {
		select {
		case r.lines <- s.Text():
		default: // nobody waits for its address any more
		}
	}
	close(r.lines)
	r.ended <- r.cmd.Wait()
}

func (r *Run) await(ctx context.Context, p Program, begin time.Time) error {
	for r.URL == "" {
		select {
		case line, ok := <-r.lines:
			if !ok {
				return fmt.Errorf("%s ended before it told its address", strings.Join(p.Args, " "))
			}
			if m := p.Ready.FindStringSubmatch(line); m != nil {
				r.URL, r.Ready = m[1], time.Since(begin)
			}
		case <-ctx.Done():
			return fmt.Errorf("wait for the address of %s: %w", p.Args[0], ctx.Err())
		}
	}
	if !strings.Contains(r.URL, "://") {
		r.URL = "http://" + r.URL
	}
	if p.Path == "" {
		return nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.URL+p.Path, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", req.URL, res.Status)
	}
	r.Answered = time.Since(begin)
	return nil
}

// RSS is the memory that the program and its child processes hold, in bytes, as the kernel counts
// it: what they share counts in each.
func (r *Run) RSS() (int64, error) {
	sum, err := residentOf(r.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	parents, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	for _, path := range parents {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// proc_pid_stat(5): the parent is the second field behind the name, which may hold anything.
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(fields) < 2 || fields[1] != strconv.Itoa(r.cmd.Process.Pid) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			return 0, err
		}
		n, err := residentOf(pid)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

func residentOf(pid int) (int64, error) {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(`(?m)^VmRSS:\s*(\d+) kB$`).FindSubmatch(status)
	if m == nil {
		return 0, errors.New("the process status names no VmRSS")
	}
	kib, err := strconv.ParseInt(string(m[1]), 10, 64)
	return kib << 10, err
}

// Stop interrupts the program and waits for it; when ctx ends, or after ten seconds, it kills
// it. An exit code other than 0 is an error.
func (r *Run) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	defer os.RemoveAll(r.dir)
	_ = r.stdin.Close()
	group := -r.cmd.Process.Pid
	_ = syscall.Kill(group, syscall.SIGINT)
	select {
	case err := <-r.ended:
		return err
	case <-ctx.Done():
		_ = syscall.Kill(group, syscall.SIGKILL)
		return errors.Join(fmt.Errorf("stop: %w", ctx.Err()), <-r.ended)
	}
}

// Median is the middle of the figures, the upper one of two; they must not be empty.
func Median[T int64 | float64 | time.Duration](figures []T) T {
	sorted := slices.Sorted(slices.Values(figures))
	return sorted[len(sorted)/2]
}
