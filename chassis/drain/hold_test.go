package drain_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/seed-754044b3/roadworthy/chassis/drain"
)

// tallied is a server's end of a connection, whose writes are counted, and fail when they are to.
type tallied struct {
	net.Conn
	writes atomic.Int64
	broken atomic.Bool
}

func (c *tallied) Write(p []byte) (int, error) {
	if c.broken.Load() {
		return 0, errors.New("broken")
	}
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// overPipe serves h to one client, which gives each stream a window of so many bytes.
func overPipe(t *testing.T, h http.HandlerFunc, window uint32) (*frameClient, *tallied) {
	near, far := net.Pipe()
	server := &tallied{Conn: far}
	l := single{make(chan net.Conn, 1)}
	l.conns <- server
	serve(t, l, &http.Server{Handler: h}, drain.Options{H2C: true, Entry: drain.Entry{WriteTimeout: time.Second}})
	t.Cleanup(func() { _ = near.Close() })
	in, out := io.Pipe() // the server reads on while nobody reads what it writes
	go func() { _, _ = io.Copy(near, in) }()
	t.Cleanup(func() { _ = out.Close() })
	c := &frameClient{Framer: http2.NewFramer(out, near), block: new(bytes.Buffer)}
	c.headers = hpack.NewEncoder(c.block)
	if _, err := io.WriteString(out, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}); err != nil {
		t.Fatal(err)
	}
	for range 3 { // the server's settings, that it has seen ours, and the window of the connection
		if _, err := c.ReadFrame(); err != nil {
			t.Fatal(err)
		}
	}
	return c, server
}

func TestTheHeadersOfAnAnswerGoWithItsBody(t *testing.T) {
	const room = 1 << 16
	for name, try := range map[string]struct {
		h      http.HandlerFunc
		fields []string
		window uint32
		after  time.Duration // until there are headers
		writes int64
	}{
		"an answer": {
			h:      func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "answer") },
			window: room, writes: 1,
		},
		"an answer as large as its buffer": {
			h:      func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 4000)) },
			window: room, writes: 1,
		},
		"an error": {h: http.NotFound, window: room, writes: 1},
		"one without a body": {
			h:      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
			window: room, writes: 1,
		},
		"a status that is none of the static table": {
			h: func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusTeapot)
				_, _ = io.WriteString(w, "answer")
			},
			writes: 1,
		},
		"headers that are much": {
			h: func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Long", strings.Repeat("~", 1<<10))
				_, _ = io.WriteString(w, "answer")
			},
			writes: 1,
		},
		"headers that the handler flushes": {
			h: func(w http.ResponseWriter, _ *http.Request) {
				w.(http.Flusher).Flush()
				time.Sleep(time.Millisecond / 2) // virtual
				_, _ = io.WriteString(w, "answer")
			},
			window: room, writes: 2,
		},
		"headers before the answer": {
			h: func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusEarlyHints)
				time.Sleep(time.Millisecond / 2) // virtual
				_, _ = io.WriteString(w, "answer")
			},
			window: room, writes: 2,
		},
		"a body that is asked for": {
			h: func(w http.ResponseWriter, r *http.Request) {
				_, _ = r.Body.Read(make([]byte, 1))
				_, _ = io.WriteString(w, "answer")
			},
			fields: []string{"expect", "100-continue"},
			window: room, writes: 1, // there is no more to be seen, as the body does not come
		},
		"a body that has no room": {
			h:     func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "answer") },
			after: drain.HoldFor, writes: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, server := overPipe(t, try.h, try.window)
				synctest.Wait()
				begun, before := time.Now(), server.writes.Load()
				fields := append([]string{":method", "GET", ":scheme", "http", ":authority", "x", ":path", "/"}, try.fields...)
				c.open(t, 1, try.fields == nil, fields...)
				var after time.Duration
				for headers := false; ; {
					f, err := c.ReadFrame()
					if err != nil {
						t.Fatal(err)
					}
					if f.Header().StreamID != 1 {
						continue
					}
					if !headers {
						headers, after = true, time.Since(begun)
					}
					if f.Header().Flags.Has(http2.FlagDataEndStream) || try.window == 0 || try.fields != nil {
						break
					}
				}
				if writes := server.writes.Load() - before; after != try.after || writes != try.writes {
					t.Errorf("headers after %v, in %d writes; want %v, %d", after, writes, try.after, try.writes)
				}
			})
		})
	}
}

func TestAHandlersFlushBringsWhatOtherStreamsWaitWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := overPipe(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "answer")
			if r.URL.Path == "/flush" {
				w.(http.Flusher).Flush()
			}
		}, 0)
		synctest.Wait()
		begun, before := time.Now(), server.writes.Load()
		c.get(t, 1, "/")
		synctest.Wait() // its headers are held, as its body has no room
		c.get(t, 3, "/flush")
		for _, stream := range []uint32{1, 3} {
			if f, err := c.ReadFrame(); err != nil || f.Header().Type != http2.FrameHeaders || f.Header().StreamID != stream {
				t.Fatal(f, err)
			}
		}
		if took, writes := time.Since(begun), server.writes.Load()-before; took != 0 || writes != 1 {
			t.Errorf("after %v, in %d writes", took, writes)
		}
	})
}

func TestAConnectionThatCannotBeWrittenToEndsThoughItsAnswerIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := overPipe(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "answer") }, 0)
		synctest.Wait()
		server.broken.Store(true)
		begun := time.Now()
		c.get(t, 1, "/")
		if f, err := c.ReadFrame(); err == nil || time.Since(begun) != drain.HoldFor {
			t.Errorf("%v, %v after %v", f, err, time.Since(begun))
		}
	})
}

func TestAnswersOfAnySizeAreWholeBehindTheirHeaders(t *testing.T) {
	clean(t)
	content := make([]byte, 1<<17)
	_, _ = rand.NewChaCha8([32]byte{}).Read(content)
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Path[1:])
		for i := 0; i < n; i += 3000 {
			_, _ = w.Write(content[i:min(n, i+3000)])
		}
	}), drain.Options{H2C: true, Entry: drain.Entry{WriteTimeout: time.Minute}})
	c := h2c(t)
	var all sync.WaitGroup
	for _, n := range []int{0, 1, 1000, 4000, 4086, 4087, 4096, 4097, 5100, 16_000, 16_384, 100_000, len(content)} {
		all.Go(func() {
			resp, err := c.Get("http://" + s.addr + "/" + strconv.Itoa(n))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, content[:n]) {
				t.Errorf("%d bytes: got %d, %v", n, len(got), err)
			}
		})
	}
	all.Wait()
}
