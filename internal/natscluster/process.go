//go:build linux

package natscluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// A process is a program under way that does not outlive this one.
type process struct {
	*os.Process
	done chan struct{} // closed when it has ended
	err  error         // how it ended; read after done
}

// start starts a program whose output goes to out.
func start(program string, out *os.File, args ...string) (*process, error) {
	p := &process{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// Linux ends the child when the thread that started it ends, not only the process.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		cmd := exec.Command(program, args...)
		cmd.Stdout, cmd.Stderr = out, out
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		p.Process = cmd.Process
		started <- nil
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// signal sends a signal, if the process has not ended.
func (p *process) signal(s syscall.Signal) error {
	if err := p.Signal(s); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// ended is nil while the process runs.
func (p *process) ended() error {
	select {
	case <-p.done:
		return fmt.Errorf("ended: %v", p.err)
	default:
		return nil
	}
}
