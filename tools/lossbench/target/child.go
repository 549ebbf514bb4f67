package target

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// child starts a process as handlers do and answers the descriptors that it has beside its standard ones, a
// line each with what is behind it, as proc_pid_fd(5) has it. Then come the variables of its environment that
// are for supervisors and workers only.
func (srv *server) child(w http.ResponseWriter, r *http.Request) error {
	c := exec.CommandContext(r.Context(), "cat")
	in, err := c.StdinPipe()
	if err != nil {
		return err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	// Once it has answered, its start, which opens and closes files, is over.
	_, err = io.WriteString(in, "x")
	if err == nil {
		_, err = io.ReadFull(out, make([]byte, 1))
	}
	var found []string
	if err == nil {
		found, err = inherited(c.Process.Pid)
	}
	if err := errors.Join(err, in.Close(), c.Wait()); err != nil {
		return err
	}
	_, err = io.WriteString(w, strings.Join(found, ""))
	return err
}

// inherited lists what process pid has that only its parent should.
func inherited(pid int) ([]string, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	files, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		return nil, err
	}
	var found []string
	for _, f := range files {
		if n, err := strconv.Atoi(f.Name()); err != nil || n > 2 {
			what, err := os.Readlink(filepath.Join(dir, "fd", f.Name()))
			if err != nil {
				return nil, err
			}
			found = append(found, fmt.Sprintf("%s %s\n", f.Name(), what))
		}
	}
	environ, err := os.ReadFile(filepath.Join(dir, "environ"))
	if err != nil {
		return nil, err
	}
	for kv := range strings.SplitSeq(string(environ), "\x00") {
		if strings.HasPrefix(kv, "CHASSIS_") || strings.HasPrefix(kv, "NOTIFY_SOCKET=") || strings.HasPrefix(kv, "LISTEN_") {
			found = append(found, kv+"\n")
		}
	}
	return found, nil
}

// orphan leaves a process behind whose parent has ended; it ends itself after the seconds that it sleeps.
func (srv *server) orphan(w http.ResponseWriter, r *http.Request) error {
	return exec.CommandContext(r.Context(), "sh", "-c", "sleep 2 >/dev/null 2>&1 &").Run()
}
