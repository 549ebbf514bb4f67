package drain_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/seed-754044b3/roadworthy/chassis/drain"
)

// frameClient is a client of HTTP/2 that does as it likes with its frames.
type frameClient struct {
	*http2.Framer
	headers *hpack.Encoder
	block   *bytes.Buffer
}

// dialH2 opens a connection with a window of so many bytes for each stream.
func dialH2(t *testing.T, addr string, window uint32) *frameClient {
	t.Helper()
	c := dial(t, addr)
	c.send(t, http2.ClientPreface)
	h := &frameClient{Framer: http2.NewFramer(c, c.r), block: new(bytes.Buffer)}
	h.headers = hpack.NewEncoder(h.block)
	if err := h.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}); err != nil {
		t.Fatal(err)
	}
	return h
}

// get opens a stream with a request for path.
func (h *frameClient) get(t *testing.T, id uint32, path string) {
	t.Helper()
	h.block.Reset()
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "x"}, {":path", path}} {
		if err := h.headers.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			t.Fatal(err)
		}
	}
	err := h.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: h.block.Bytes(), EndHeaders: true, EndStream: true})
	if err != nil {
		t.Fatal(err)
	}
}

// outcome reads until the stream is reset or has ended, and gives each of the other frames to see.
func (h *frameClient) outcome(t *testing.T, id uint32, see func(http2.Frame)) (reset bool, length int) {
	t.Helper()
	for {
		f, err := h.ReadFrame()
		if err != nil {
			t.Fatalf("stream %d: %v", id, err)
		}
		if f.Header().StreamID != id {
			continue
		}
		switch f := f.(type) {
		case *http2.RSTStreamFrame:
			return true, length
		case *http2.DataFrame:
			length += len(f.Data())
			if f.StreamEnded() {
				return false, length
			}
		}
		if see != nil {
			see(f)
		}
	}
}

func TestAStreamWithoutRoomHoldsNoHandler(t *testing.T) {
	clean(t)
	const within = 50 * time.Millisecond
	ended := make(chan error, 1)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		switch r.URL.Path {
		case "/large":
			_, err = w.Write(make([]byte, 1<<20))
		case "/flushed":
			fmt.Fprint(w, "event")
			err = http.NewResponseController(w).Flush()
		case "/small": // it is written when the handler has returned
			fmt.Fprint(w, "answer")
		case "/quiet": // for longer than a write may take
			fmt.Fprint(w, "first")
			w.(http.Flusher).Flush()
			time.Sleep(4 * within)
			fmt.Fprint(w, "second")
		case "/own":
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Hour))
			_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(within / 2))
			_, err = w.Write(make([]byte, 1<<20))
		case "/again":
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Hour))
			_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
			_, err = w.Write(make([]byte, 1<<20))
		case "/push":
			if err := w.(http.Pusher).Push("/pushed", nil); !errors.Is(err, http.ErrNotSupported) {
				t.Errorf("pushed to a client that wants none: %v", err)
			}
		}
		ended <- err
	})
	s := start(t, h, drain.Options{H2C: true, Entry: drain.Entry{WriteTimeout: within}})
	c := dialH2(t, s.addr, 0)
	if err := c.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 0}); err != nil {
		t.Fatal(err)
	}
	id := uint32(1)
	for _, path := range []string{"/large", "/flushed", "/small", "/own", "/again"} {
		begun := time.Now()
		c.get(t, id, path)
		if reset, n := c.outcome(t, id, nil); !reset || n > 0 {
			t.Errorf("%s: reset: %v after %d bytes", path, reset, n)
		}
		if err := <-ended; err == nil && path != "/small" {
			t.Errorf("%s: the handler does not see that the stream is gone", path)
		}
		if took := time.Since(begun); path != "/own" && took < within {
			t.Errorf("%s: reset after %v", path, took)
		}
		id += 2
	}
	// The connection serves on whoever reads.
	c.get(t, id, "/quiet")
	err := c.WriteWindowUpdate(id, 100)
	if err != nil {
		t.Fatal(err)
	}
	if reset, n := c.outcome(t, id, nil); reset || n != len("firstsecond") {
		t.Errorf("reset: %v after %d bytes", reset, n)
	}
	<-ended
	id += 2
	c.get(t, id, "/large") // taken slowly
	if reset, n := c.outcome(t, id, func(http2.Frame) {
		time.Sleep(within / 10) // slow it is
		for _, stream := range []uint32{0, id} {
			if err := c.WriteWindowUpdate(stream, 32<<10); err != nil {
				t.Fatal(err)
			}
		}
	}); reset || n != 1<<20 {
		t.Errorf("reset: %v after %d bytes", reset, n)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	id += 2
	c.get(t, id, "/push")
	<-ended
}
