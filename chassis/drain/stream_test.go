package drain_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
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

// dialH2 begins HTTP/2 on c, with a window of so many bytes for each stream.
func dialH2(t *testing.T, c *client, window uint32) *frameClient {
	t.Helper()
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
	synctest.Test(t, func(t *testing.T) {
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
		s := virtual(t, &http.Server{Handler: h}, drain.Options{H2C: true, Entry: drain.Entry{WriteTimeout: within}})
		c := dialH2(t, s.dial(t), 0)
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
			time.Sleep(within / 10) // virtual
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
	})
}

// ask opens a stream with a request that has these fields and no body.
func (h *frameClient) ask(t *testing.T, id uint32, fields ...string) {
	t.Helper()
	h.open(t, id, true, fields...)
}

// open opens a stream with a request that has these fields, and with end no body.
func (h *frameClient) open(t *testing.T, id uint32, end bool, fields ...string) {
	t.Helper()
	h.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		if err := h.headers.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]}); err != nil {
			t.Fatal(err)
		}
	}
	err := h.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: h.block.Bytes(), EndHeaders: true, EndStream: end})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOneStreamThatSticksIsResetAmongThoseThatMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const within, streams = 100 * time.Millisecond, 20
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/stuck" {
				if _, err := w.Write(make([]byte, 1<<20)); err == nil {
					t.Error("the handler does not see that its stream is reset")
				}
				return
			}
			for range 10 {
				if _, err := fmt.Fprint(w, "event"); err != nil {
					t.Errorf("%s: %v", r.URL.Path, err)
				}
				w.(http.Flusher).Flush()
				time.Sleep(within / 2) // so that it lasts longer than the stuck one
			}
		})
		s := virtual(t, &http.Server{Handler: h}, drain.Options{H2C: true, Entry: drain.Entry{WriteTimeout: within}})
		c := dialH2(t, s.dial(t), 100)
		const stuck = 1
		c.get(t, stuck, "/stuck")
		for id := uint32(3); id < 3+2*streams; id += 2 {
			c.get(t, id, "/moves")
		}
		ends, resets := 0, 0
		for ends < streams {
			f, err := c.ReadFrame()
			if err != nil {
				t.Fatalf("after %d ends: %v", ends, err)
			}
			switch f := f.(type) {
			case *http2.RSTStreamFrame:
				if resets++; f.StreamID != stuck || f.ErrCode != http2.ErrCodeInternal {
					t.Errorf("stream %d is reset: %v", f.StreamID, f.ErrCode)
				}
			case *http2.DataFrame:
				if f.StreamEnded() {
					ends++
				}
			}
		}
		if resets != 1 {
			t.Errorf("%d streams are reset", resets)
		}
	})
}

func TestWhatAHandlerLeavesBehindIsResetInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const within = 50 * time.Millisecond
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/empty":
			case "/204":
				w.WriteHeader(http.StatusNoContent)
			case "/headers":
				w.(http.Flusher).Flush()
			case "/trailers":
				w.Header().Set("Trailer", "X-End")
				w.(http.Flusher).Flush()
				w.Header().Set("X-End", "true")
			case "/late": // somebody has looked at it
				time.Sleep(3 * within) // longer than until a look
				_, _ = io.WriteString(w, "answer")
			case "/trailers behind a body":
				w.Header().Set("Trailer", "X-End")
				_, _ = io.WriteString(w, "answer")
				w.Header().Set("X-End", "true")
			default:
				_, _ = io.WriteString(w, "answer")
			}
		})
		s := virtual(t, &http.Server{Handler: h}, drain.Options{H2C: true, Entry: drain.Entry{WriteTimeout: within}})
		c := dialH2(t, s.dial(t), 0)
		for i, try := range []struct {
			method, path string
			stuck        bool
		}{
			{"GET", "/empty", false}, {"GET", "/204", false}, {"HEAD", "/body", false}, {"GET", "/headers", false}, {"GET", "/trailers", false},
			{"GET", "/body", true}, {"GET", "/late", true}, {"GET", "/trailers behind a body", true},
		} {
			id := uint32(2*i + 1)
			begun := time.Now()
			c.ask(t, id, ":method", try.method, ":scheme", "http", ":authority", "x", ":path", strings.ReplaceAll(try.path, " ", "%20"))
			reset, ended := false, false
			for !reset && !ended {
				f, err := c.ReadFrame()
				if err != nil {
					t.Fatalf("%s %s: %v", try.method, try.path, err)
				}
				if f.Header().StreamID != id {
					continue
				}
				switch f := f.(type) {
				case *http2.RSTStreamFrame:
					reset = true
				case *http2.HeadersFrame:
					ended = f.StreamEnded()
				case *http2.DataFrame:
					if ended = f.StreamEnded(); len(f.Data()) > 0 {
						t.Errorf("%s: data without room", try.path)
					}
				}
			}
			if reset != try.stuck || reset && time.Since(begun) < within {
				t.Errorf("%s %s: reset: %v after %v, want %v", try.method, try.path, reset, time.Since(begun), try.stuck)
			}
		}
	})
}

func TestAStreamOfCONNECTIsBoundedAsOthersAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, err := io.WriteString(w, strings.Repeat("x", 1<<20))
			ended <- err
		})
		s := virtual(t, &http.Server{Handler: h}, drain.Options{H2C: true, Entry: drain.Entry{WriteTimeout: 20 * time.Millisecond}})
		c := dialH2(t, s.dial(t), 10)
		c.ask(t, 1, ":method", "CONNECT", ":authority", "x:443")
		if reset, n := c.outcome(t, 1, nil); !reset || n != 10 {
			t.Errorf("reset: %v after %d bytes", reset, n)
		}
		if <-ended == nil {
			t.Error("the handler does not see that its stream is reset")
		}
	})
}

func TestAStreamThatOnlyTakesItsTimeLivesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const within = 50 * time.Millisecond
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(10 * within) // virtual: the first answer comes long after every deadline
			_, _ = io.WriteString(w, "answer")
		})
		s := virtual(t, &http.Server{Handler: h}, drain.Options{H2C: true, Entry: drain.Entry{WriteTimeout: within}})
		c := dialH2(t, s.dial(t), 100)
		c.get(t, 1, "/")
		if reset, n := c.outcome(t, 1, nil); reset || n != len("answer") {
			t.Errorf("reset: %v after %d bytes", reset, n)
		}
	})
}

func TestAServerThatIsClosedLeavesNobodyToLookAtItsStreams(t *testing.T) {
	clean(t)
	begun, ended := make(chan struct{}, 3), make(chan struct{}, 3)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		_, _ = w.Write(make([]byte, 1<<20))
		<-r.Context().Done()
		ended <- struct{}{}
	})
	s := start(t, h, drain.Options{H2C: true, Entry: drain.Entry{WriteTimeout: time.Minute}})
	c := dialH2(t, dial(t, s.addr), 0)
	for id := uint32(1); id <= 5; id += 2 {
		c.get(t, id, "/")
		<-begun
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		<-ended
	}
}

func TestAWriteTimeoutOfTheServerStandsForStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done() // nothing is written at all
			ended <- r.Context().Err()
		})
		s := virtual(t, &http.Server{Handler: h, WriteTimeout: 100 * time.Millisecond}, drain.Options{H2C: true, Entry: drain.Entry{WriteTimeout: 10 * time.Millisecond}})
		c := dialH2(t, s.dial(t), 100)
		c.get(t, 1, "/")
		if reset, _ := c.outcome(t, 1, nil); !reset {
			t.Error("the stream has ended without a reset")
		}
		<-ended
	})
}

func TestTheTimeOfStreamsIsNoneOfHTTP1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const within = 20 * time.Millisecond
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(5 * within) // longer than a stream that nobody looks at would have
			_, _ = io.WriteString(w, "answer")
			if r.URL.Path == "/own" {
				if err := http.NewResponseController(w).SetWriteDeadline(time.Unix(1, 0)); err != nil {
					t.Error(err)
				}
			}
		})
		s := virtual(t, &http.Server{Handler: h}, drain.Options{H2C: true, Entry: drain.Entry{WriteTimeout: within}})
		c := s.dial(t)
		for range 3 {
			c.send(t, get("/"))
			c.want(t, "answer")
		}
		c.send(t, get("/own")) // which a handler sets is
		c.wantEnd(t)
	})
}
