package grpcserver_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
	"weak"

	"go.uber.org/zap"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/grpcserver"
	"github.com/seed-754044b3/roadworthy/chassis/request"
)

// caller makes one call after another. What it allocates itself is the same with each server.
type caller struct {
	*attacker
	stream uint32
	frame  [16 << 10]byte
}

func newCaller(tb testing.TB, addr net.Addr) *caller {
	c := &caller{attacker: attack(tb, dial(tb, addr))}
	if err := c.WriteWindowUpdate(0, 1<<30); err != nil {
		tb.Fatal(err)
	}
	c.stream = 1
	return c
}

// call calls say and reads the answer to its end.
func (c *caller) call() error {
	if err := errors.Join(c.open(c.stream, say), c.WriteData(c.stream, true, []byte("\x00\x00\x00\x00\x04\x0a\x02hi"))); err != nil {
		return err
	}
	for {
		header := c.frame[:9]
		if _, err := io.ReadFull(c.conn, header); err != nil {
			return err
		}
		length := int(header[0])<<16 | int(header[1])<<8 | int(header[2])
		kind, flags, stream := http2.FrameType(header[3]), http2.Flags(header[4]), binary.BigEndian.Uint32(header[5:])
		if _, err := io.ReadFull(c.conn, c.frame[:length]); err != nil {
			return err
		}
		switch kind {
		case http2.FrameHeaders:
			if stream == c.stream && flags.Has(http2.FlagHeadersEndStream) {
				c.stream += 2
				return nil
			}
		case http2.FramePing:
			if err := c.WritePing(true, [8]byte(c.frame[:8])); err != nil {
				return err
			}
		case http2.FrameRSTStream, http2.FrameGoAway:
			return fmt.Errorf("the server ends the call by %v", kind)
		}
	}
}

// memory is what a call takes, of server and caller.
func (c *caller) memory(tb testing.TB) (objects, bytes float64) {
	const calls = 2000
	run := func(n int) {
		for range n {
			if err := c.call(); err != nil {
				tb.Fatal(err)
			}
		}
	}
	run(calls / 4)
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // or pools would be emptied
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	run(calls)
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / calls, float64(after.TotalAlloc-before.TotalAlloc) / calls
}

// What the server takes for a call, beyond what bare grpc-go takes for the same, is never raised: the
// call's context, its id, and for the answer to carry it a map of two objects, a slice and a longer
// list of fields, which grpc-go makes. Two objects are saved when the answer is written.
func TestAWholeServerTakesLittleMoreMemoryThanBareGRPC(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has sync.Pool forget things")
	}
	const workers = 4
	bare := grpc.NewServer(grpc.NumStreamWorkers(workers))
	back().register(bare)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go bare.Serve(l)
	defer bare.Stop()
	h := start(t, options{
		grpc:  grpcserver.Config{Workers: workers},
		world: func(w *chassis.World) { w.Log, w.Stdout = zap.NewNop(), io.Discard },
	}, back())
	sparing := start(t, options{
		grpc:  grpcserver.Config{Workers: workers, IDOnFailure: true},
		world: func(w *chassis.World) { w.Log, w.Stdout = zap.NewNop(), io.Discard },
	}, back())
	objects, bytes := newCaller(t, l.Addr()).memory(t)
	for name, c := range map[string]struct {
		host           *host
		objects, bytes float64
	}{"ours": {h, 4.5, 900}, "ours with id_on_failure": {sparing, 0.5, 330}} {
		ours, ourBytes := newCaller(t, c.host.Addr("grpc")).memory(t)
		t.Logf("bare: %.1f objects, %.0f bytes; %s: %.1f objects, %.0f bytes", objects, bytes, name, ours, ourBytes)
		if ours > objects+c.objects || ourBytes > bytes+c.bytes {
			t.Errorf("%s: %.1f objects and %.0f bytes more than bare grpc-go, want %v and %v at most", name, ours-objects, ourBytes-bytes, c.objects, c.bytes)
		}
	}
}

// Each connection has a table of the last headers. If the ids in it were parts of what their calls
// had, 5 KiB and all that a handler gets hold of, it would be kept fifty times for each connection.
func TestAnsweredCallsAreNotKeptByTheirConnection(t *testing.T) {
	var infos []weak.Pointer[request.Info]
	h := start(t, options{}, &echo{say: func(ctx context.Context, _ string) (string, error) {
		infos = append(infos, weak.Make(request.From(ctx)))
		return "", nil
	}})
	c := newCaller(t, h.Addr("grpc"))
	for range 40 {
		if err := c.call(); err != nil {
			t.Fatal(err)
		}
	}
	kept := len(infos)
	for end := time.Now().Add(30 * time.Second); kept > 5 && time.Now().Before(end); {
		runtime.GC()
		kept = 0
		for _, info := range infos {
			if info.Value() != nil {
				kept++
			}
		}
	}
	if kept > 5 {
		t.Errorf("%d of %d calls are kept", kept, len(infos))
	}
	if err := c.call(); err != nil {
		t.Error(err)
	}
}
