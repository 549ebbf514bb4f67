package overloadbench

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

	"github.com/seed-754044b3/roadworthy/internal/port"
	"github.com/seed-754044b3/roadworthy/tools/overloadbench/work"
)

// startTimeout bounds how long a server may take until it answers.
const startTimeout = 15 * time.Second

// process is a server that runs.
type process struct {
	addr, debug string
	cmd         *exec.Cmd
	client      *http.Client  // for debug alone
	exited      chan struct{} // closed when it has been reaped
}

// start starts a server whose files are in dir, and waits until it answers. It ends with stop or with ctx.
func start(ctx context.Context, o *Options, s Server, p Protocol, dir string) (*process, error) {
	addrs, err := port.Addrs(2)
	if err != nil {
		return nil, err
	}
	output, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		return nil, err
	}
	defer output.Close()
	args := s.Command(o, p, addrs[0], addrs[1])
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, output, output
	cmd.Env = append(os.Environ(), "RUNTIME_DIRECTORY="+dir)
	// Its own group, so that an interrupt from the terminal does not reach it before it is asked to end.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", args[0], err)
	}
	pr := &process{addr: addrs[0], debug: addrs[1], cmd: cmd, client: &http.Client{Transport: new(http.Transport), Timeout: 5 * time.Second}, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // it is killed in the end
		close(pr.exited)
	}()
	if err := pr.await(ctx); err != nil {
		pr.stop()
		said, _ := os.ReadFile(output.Name())
		return nil, fmt.Errorf("%s: %w; it printed: %s", strings.Join(args, " "), err, bytes.TrimSpace(said[max(0, len(said)-500):]))
	}
	return pr, nil
}

// await returns when both addresses are served.
func (p *process) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		c, err := net.Dial("tcp", p.addr)
		if err == nil {
			_ = c.Close()
			if _, err = p.state(ctx); err == nil {
				return nil
			}
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-p.exited:
			return errors.New("it has ended")
		case <-ctx.Done():
			return fmt.Errorf("it does not answer after %v: %w", startTimeout, err)
		}
	}
}

// stop kills the server, which has nothing to lose, and waits for its end.
func (p *process) stop() {
	_ = p.cmd.Process.Kill()
	<-p.exited
	p.client.CloseIdleConnections()
}

// state asks the server.
func (p *process) state(ctx context.Context) (s work.State, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.debug+"/state", nil)
	if err != nil {
		return s, err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		return s, fmt.Errorf("%s: %w", req.URL, err)
	}
	return s, nil
}

// peak is the most memory that a process has had resident, in bytes (VmHWM of proc_pid_status(5)).
func peak(pid int) (int64, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, err
	}
	return parsePeak(string(text))
}

func parsePeak(status string) (int64, error) {
	_, after, ok := strings.Cut(status, "\nVmHWM:")
	line, _, _ := strings.Cut(after, "\n")
	kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(line, " kB")), 10, 53)
	if !ok || err != nil {
		return 0, fmt.Errorf("a process's status: want a line \"VmHWM: N kB\", got %q", line)
	}
	return kib << 10, nil
}
