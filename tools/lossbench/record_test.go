package lossbench_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seed-754044b3/roadworthy/tools/lossbench"
)

func TestAnAnswerBelongsToAReloadFromItsBeginningToASecondAfterItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := lossbench.NewRecorder()
		took := func(d time.Duration) {
			t0 := time.Now()
			time.Sleep(d)
			r.Done(t0)
		}
		want := func(quiet, reload int64) {
			t.Helper()
			if got := r.Result(); got.Quiet.Count != quiet || got.Reload.Count != reload {
				t.Errorf("%d quiet and %d in a reload, want %d and %d", got.Quiet.Count, got.Reload.Count, quiet, reload)
			}
		}
		took(20 * time.Millisecond)
		want(1, 0)
		t0 := time.Now()
		time.Sleep(time.Millisecond)
		r.Begin()
		r.Done(t0) // begun before, answered in it
		want(1, 1)
		time.Sleep(5 * time.Second)
		took(300 * time.Millisecond)
		want(1, 2)
		r.End()
		time.Sleep(999 * time.Millisecond)
		took(time.Millisecond)
		want(1, 3)
		took(time.Millisecond)
		want(2, 3)
		got := r.Result()
		if got.Quiet.Max < 19.9 || got.Quiet.Max > 20.1 || got.Reload.Max < 299 || got.Reload.Max > 301 || got.Requests != 5 {
			t.Errorf("quiet %v, reload %v of %d requests", got.Quiet, got.Reload, got.Requests)
		}
	})
}

func TestCausesAreBounded(t *testing.T) {
	r := lossbench.NewRecorder()
	for i := range 3 * lossbench.MaxCauses {
		r.Fail(fmt.Sprint(i), 2)
	}
	got := r.Result()
	if len(got.Causes) != lossbench.MaxCauses+1 || got.Causes["other"] != 4*lossbench.MaxCauses || got.Failed != 6*lossbench.MaxCauses || got.Requests != got.Failed {
		t.Errorf("%d of %d failed, %d causes, %d others", got.Failed, got.Requests, len(got.Causes), got.Causes["other"])
	}
}

func TestCausesAreShortAndAlike(t *testing.T) {
	for want, err := range map[string]error{
		"refused":                   &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)},
		"reset":                     fmt.Errorf("read 127.0.0.1:4711: %w", syscall.ECONNRESET),
		"broken pipe":               syscall.EPIPE,
		"EOF":                       io.EOF,
		"cut off":                   io.ErrUnexpectedEOF,
		"timeout":                   context.DeadlineExceeded,
		"closed":                    net.ErrClosed,
		"GOAWAY":                    errors.New("http2: server sent GOAWAY and closed the connection"),
		"open: reset":               lossbench.StepError("open", fmt.Errorf("x: %w", syscall.ECONNRESET)),
		"Unavailable: reset":        status.Error(codes.Unavailable, "transport: read tcp 127.0.0.1:1->127.0.0.1:2: connection reset by peer"),
		"Unavailable: cut off":      status.Error(codes.Unavailable, "error reading from server: unexpected EOF"),
		"Unavailable: broken pipe":  status.Error(codes.Unavailable, "write: broken pipe"),
		"DeadlineExceeded: timeout": status.Error(codes.DeadlineExceeded, "context deadline exceeded"),
		"something":                 errors.New("something"),
	} {
		if got := lossbench.CauseOf(err); got != want {
			t.Errorf("cause of %q is %q, want %q", err, got, want)
		}
	}
	if got := lossbench.CauseOf(errors.New(strings.Repeat("ä", 1000))); len(got) > 64 {
		t.Errorf("%d bytes: %s", len(got), got)
	}
	if !errors.Is(lossbench.StepError("open", io.EOF), io.EOF) || lossbench.StepError("open", io.EOF).Error() != "open: EOF" {
		t.Error("a step hides its error")
	}
}

// frames is what an HTTP/2 client writes for two requests, one of them with a body.
func frames() []byte {
	frame := func(kind byte, length int) string {
		return string([]byte{0, byte(length >> 8), byte(length), kind, 0, 0, 0, 0, 1}) + strings.Repeat("\x01", length)
	}
	return []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0) + frame(1, 20) + frame(0, 300) + frame(1, 1) + frame(8, 4))
}

func FuzzRequestsAreCountedHoweverTheyAreWritten(f *testing.F) {
	f.Add([]byte{1, 2, 3, 250})
	f.Add([]byte{24, 9, 9})
	f.Fuzz(func(t *testing.T, cuts []byte) {
		all := frames()
		var pieces [][]byte
		for _, n := range cuts {
			n := min(int(n), len(all))
			pieces, all = append(pieces, all[:n]), all[n:]
		}
		if got := lossbench.CountHeaders(append(pieces, all)...); got != 2 {
			t.Errorf("%d requests, want 2", got)
		}
	})
}
