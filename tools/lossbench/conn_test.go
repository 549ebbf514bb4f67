package lossbench_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/tools/lossbench"
)

// pair connects over a distance; far is the service's end.
func pair(t *testing.T, delay time.Duration) (near *lossbench.Conn, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err = lossbench.Dialer{Delay: delay, Timeout: within}.Dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = near.Close()
		_ = far.Close()
	})
	return near, far
}

func TestBytesAndEndsTakeTheDelayEachWay(t *testing.T) {
	t.Parallel()
	const delay = 50 * time.Millisecond
	near, far := pair(t, delay)
	go func() {
		_, _ = io.CopyN(far, far, 5)
		_ = far.Close()
	}()
	begin := time.Now()
	if _, err := io.WriteString(near, "hello"); err != nil {
		t.Fatal(err)
	}
	var b [5]byte
	if _, err := io.ReadFull(near, b[:]); err != nil || string(b[:]) != "hello" {
		t.Fatalf("read %q, %v", b, err)
	}
	if took := time.Since(begin); took < 2*delay {
		t.Errorf("there and back in %v, want at least %v", took, 2*delay)
	}
	eventually(t, "the end is seen", near.SeenClose)
	if took := time.Since(begin); took < 2*delay {
		t.Errorf("the end was seen after %v, want at least %v", took, 2*delay)
	}
	for range 2 {
		if n, err := near.Read(b[:]); n != 0 || err != io.EOF {
			t.Errorf("Read = %d, %v, want the end", n, err)
		}
	}
}

func TestAnEndIsNotSeenBeforeItHasArrived(t *testing.T) {
	t.Parallel()
	near, far := pair(t, within)
	_ = far.Close()
	if _, err := io.WriteString(near, "lost"); err != nil {
		t.Errorf("a write into the distance: %v", err)
	}
	if near.SeenClose() {
		t.Error("seen at once")
	}
}

func TestWhatWasWrittenIsSentBeforeTheEnd(t *testing.T) {
	t.Parallel()
	for _, delay := range []time.Duration{0, 5 * time.Millisecond} {
		near, far := pair(t, delay)
		text := strings.Repeat("0123456789", 10_000)
		go func() {
			_, _ = io.WriteString(near, text)
			_ = near.Close()
		}()
		if got, err := io.ReadAll(far); string(got) != text || err != nil {
			t.Errorf("delay %v: %d bytes, %v, want %d", delay, len(got), err, len(text))
		}
	}
}

func TestAClosedConnectionIsNeitherReadNorWritten(t *testing.T) {
	t.Parallel()
	for _, delay := range []time.Duration{0, time.Millisecond} {
		near, _ := pair(t, delay)
		reading := make(chan error, 1)
		go func() {
			_, err := near.Read(make([]byte, 1))
			reading <- err
		}()
		if err := errors.Join(near.Close(), near.Close()); err != nil {
			t.Error(err)
		}
		if err := <-reading; !errors.Is(err, net.ErrClosed) {
			t.Errorf("delay %v: Read: %v", delay, err)
		}
		if _, err := near.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("delay %v: Write: %v", delay, err)
		}
	}
}

func TestDeadlinesEndReadingAndCanBeLifted(t *testing.T) {
	t.Parallel()
	near, far := pair(t, time.Millisecond)
	if err := near.SetDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := near.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read: %v", err)
	}
	if err := near.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := far.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := near.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("Read = %d, %v", n, err)
	}
}

func TestDialingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (lossbench.Dialer{}).Dial(ctx, "127.0.0.1:1"); !errors.Is(err, context.Canceled) {
		t.Errorf("Dial: %v", err)
	}
}
