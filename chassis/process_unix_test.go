//go:build unix

package chassis_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
)

// signals has the process find all of them at the same moment.
func (p *process) signals(t *testing.T, all ...os.Signal) {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(p.Process.Pid, &status, syscall.WUNTRACED, nil); err == nil {
			break
		} else if !errors.Is(err, syscall.EINTR) {
			t.Fatal(err)
		}
	}
	if !status.Stopped() {
		t.Fatalf("the process has ended with %v", status)
	}
	for _, s := range append(all, syscall.SIGCONT) {
		if err := p.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSIGTERMFinishesWhatIsUnderWayAndExitsWithZero(t *testing.T) {
	p := launch(t, "slow", "GOMEMLIMIT=123MiB", "GOGC=77")
	res := p.request(t)
	p.signals(t, syscall.SIGTERM, os.Interrupt) // the same stop told twice, as timeout(1) does
	p.until(t, "draining")
	if _, err := io.WriteString(p.stdin, "go on\n"); err != nil {
		t.Fatal(err)
	}
	if a := read(res); a.body != fmt.Sprintf("done, limit %d, GOGC 77", 123<<20) || a.err != nil {
		t.Errorf("the request under way got %q, %v", a.body, a.err)
	}
	if code := p.end(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, p.seen.String())
	}
	for _, want := range []string{`"logger":"game","msg":"slog in Setup"`, `"msg":"log in Setup"`, `"msg":"closed"`} {
		if !strings.Contains(p.seen.String(), want) {
			t.Errorf("%s is missing in the log:\n%s", want, p.seen.String())
		}
	}
}
