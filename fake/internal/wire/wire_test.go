package wire_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/fake/internal/wire"
)

// pair is a server's connection and its client's.
type pair struct {
	*wire.Conn
	client *net.TCPConn
	closed atomic.Int64
}

func connect(t *testing.T) *pair {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{client: client.(*net.TCPConn)}
	p.Conn = wire.New(server, func() { p.closed.Add(1) })
	t.Cleanup(func() { client.Close(); p.Conn.Close() })
	return p
}

// rest is all that the client reads until the end.
func (p *pair) rest() (string, error) {
	b, err := io.ReadAll(p.client)
	return string(b), err
}

// next is so many bytes that the client reads.
func (p *pair) next(t *testing.T, n int) string {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(p.client, b); err != nil {
		t.Fatalf("after %q: %v", b, err)
	}
	return string(b)
}

// write is Write in a goroutine.
func (p *pair) write(s string) <-chan error {
	done := make(chan error, 1)
	go func() {
		n, err := p.Write([]byte(s))
		if err == nil && n != len(s) {
			err = io.ErrShortWrite
		}
		done <- err
	}()
	return done
}

func TestAConnectionWithoutTroubleIsAsItWas(t *testing.T) {
	p := connect(t)
	if n, err := p.Write([]byte("hello")); n != 5 || err != nil || p.next(t, 5) != "hello" {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := p.Write(nil); n != 0 || err != nil {
		t.Errorf("nothing: %d, %v", n, err)
	}
	if _, err := io.WriteString(p.client, "hi"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2)
	if _, err := io.ReadFull(p, b); err != nil || string(b) != "hi" {
		t.Errorf("read %q, %v", b, err)
	}
	if _, err := p.SyscallConn(); err != nil {
		t.Error(err)
	}
	if err := p.SetDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Error(err)
	}
	if _, err := p.Write([]byte("late")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
	if _, err := p.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
	if err := p.CloseWrite(); err != nil {
		t.Error(err)
	}
	if got, err := p.rest(); got != "" || err != nil {
		t.Errorf("after CloseWrite: %q, %v", got, err)
	}
	p.Close()
	p.Close()
	<-p.Closed()
	if p.closed.Load() != 1 || p.Arm(wire.Trouble{Kind: wire.Reset, Now: true}) {
		t.Errorf("closed %d times", p.closed.Load())
	}
	pipe, other := net.Pipe()
	defer other.Close()
	c := wire.New(pipe, func() {})
	defer c.Close()
	if _, err := c.SyscallConn(); !errors.Is(err, errors.ErrUnsupported) || !errors.Is(c.CloseWrite(), errors.ErrUnsupported) {
		t.Errorf("a pipe has no descriptor: %v", err)
	}
}

func TestTroubleStrikesAtItsByte(t *testing.T) {
	reset := func(err error) bool { return errors.Is(err, syscall.ECONNRESET) }
	whole := func(err error) bool { return err == nil }
	for name, c := range map[string]struct {
		trouble wire.Trouble
		gets    string
		end     func(error) bool
	}{
		"RST at once":            {wire.Trouble{Kind: wire.Reset, Now: true}, "", reset},
		"RST in the answer":      {wire.Trouble{Kind: wire.Reset, At: 4}, "", reset}, // what was not read is lost
		"FIN at once":            {wire.Trouble{Kind: wire.Close, Now: true}, "", whole},
		"FIN with the answer":    {wire.Trouble{Kind: wire.Close}, "", whole},
		"FIN in the answer":      {wire.Trouble{Kind: wire.Close, At: 4}, "the ", whole},
		"FIN in a later write":   {wire.Trouble{Kind: wire.Close, At: 14}, "the answer and", whole},
		"half of the answer":     {wire.Trouble{Kind: wire.Cut}, "the a", whole},
		"half of a later write":  {wire.Trouble{Kind: wire.Cut, At: 10}, "the answer an", whole},
		"garbage at once":        {wire.Trouble{Kind: wire.Garbage, Now: true}, "\xff\xfe\x00garbage\x00\xff is no answer\r\n\r\n\xff\xff\xff\xff", whole},
		"garbage in the answer":  {wire.Trouble{Kind: wire.Garbage, At: 3}, "the\xff\xfe\x00garbage\x00\xff is no answer\r\n\r\n\xff\xff\xff\xff", whole},
		"GOAWAY without HTTP/2":  {wire.Trouble{Kind: wire.GoAway, Now: true}, "the answer and on", whole},
		"GOAWAY in what is else": {wire.Trouble{Kind: wire.GoAway, At: 3}, "the answer and on", whole},
		"beyond the answer":      {wire.Trouble{Kind: wire.Reset, At: 17}, "the answer and on", whole},
	} {
		t.Run(name, func(t *testing.T) {
			p := connect(t)
			struck := 0
			c.trouble.Struck = func() { struck++ }
			if !p.Arm(c.trouble) {
				t.Fatal("not armed")
			}
			_, first := p.Write([]byte("the answer"))
			_, second := p.Write([]byte(" and on"))
			ends := c.gets != "the answer and on"
			if ends != (first != nil || second != nil) {
				t.Errorf("the server is told %v, %v", first, second)
			}
			if !ends {
				p.CloseWrite()
			}
			got, err := p.rest()
			if c.trouble.Kind != wire.Reset && got != c.gets || !c.end(err) {
				t.Errorf("the client gets %q, %v; want %q", got, err, c.gets)
			}
			if want := name != "beyond the answer" && !strings.HasPrefix(name, "GOAWAY"); (struck == 1) != want {
				t.Errorf("it struck %d times", struck)
			}
			if ends && (p.Arm(c.trouble) || readable(p)) {
				t.Error("the connection goes on after its end")
			}
		})
	}
}

// readable reports whether a server reads something else than the end.
func readable(p *pair) bool {
	p.client.Write([]byte("again"))
	n, err := p.Read(make([]byte, 8))
	return n > 0 || !errors.Is(err, io.EOF)
}

// hurried is a connection of a server that closes it as soon as it notices the end.
type hurried struct {
	net.Conn
	notice func()
	steps  chan string
}

func (h *hurried) SetLinger(int) error { h.notice(); h.steps <- "RST"; return nil }
func (h *hurried) CloseWrite() error   { h.notice(); h.steps <- "FIN"; return nil }
func (h *hurried) Close() error        { h.steps <- "close"; return h.Conn.Close() }

func TestAServerThatClosesAtOnceDoesNotChangeHowTheClientLearnsOfTheEnd(t *testing.T) {
	for want, kind := range map[string]wire.Kind{"RST": wire.Reset, "FIN": wire.Close} {
		inner, other := net.Pipe()
		h := &hurried{Conn: inner, steps: make(chan string, 3)}
		c := wire.New(h, func() {})
		closed := make(chan struct{})
		h.notice = func() {
			begun := make(chan struct{})
			go func() {
				defer close(closed)
				close(begun)
				c.Close()
			}()
			<-begun
			for range 100 {
				runtime.Gosched()
			}
		}
		c.Arm(wire.Trouble{Kind: kind, Now: true})
		<-closed
		if first := <-h.steps; first != want {
			t.Errorf("the client learns by %s, want %s", first, want)
		}
		other.Close()
	}
}

func TestSilenceKeepsWhatIsWrittenUntilItEnds(t *testing.T) {
	for name, end := range map[string]func(until, gone chan struct{}, p *pair){
		"it ends":          func(until, _ chan struct{}, _ *pair) { close(until) },
		"it is called off": func(_, gone chan struct{}, _ *pair) { close(gone) },
	} {
		t.Run(name, func(t *testing.T) {
			p := connect(t)
			until, gone := make(chan struct{}), make(chan struct{})
			struck, over := make(chan struct{}), make(chan bool, 1)
			p.Arm(wire.Trouble{Kind: wire.Silence, At: 4, Until: until, Gone: gone, Struck: func() { close(struck) }, Over: func(d bool) { over <- d }})
			done := p.write("the answer")
			<-struck
			if got := p.next(t, 4); got != "the " {
				t.Errorf("before: %q", got)
			}
			end(until, gone, p)
			if got := p.next(t, 6); got != "answer" || <-done != nil || !<-over {
				t.Errorf("after: %q", got)
			}
			if err := <-p.write("!"); err != nil || p.next(t, 1) != "!" {
				t.Errorf("then: %v", err)
			}
		})
	}
}

func TestSlownessIsOverAlsoWhenTheConnectionIsClosedAsItBegins(t *testing.T) {
	p := connect(t)
	var over []bool
	p.Arm(wire.Trouble{Kind: wire.Slow, Rate: 1, Over: func(d bool) { over = append(over, d) }, Struck: func() {
		closed := make(chan struct{})
		go func() { p.Close(); close(closed) }()
		<-closed
	}})
	if err := <-p.write("the answer"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the write ends with %v, want %v", err, net.ErrClosed)
	}
	if len(over) != 1 || over[0] {
		t.Errorf("it is over %v, want once and undelivered", over)
	}
}

func TestASilentWriteEndsWithItsConnectionOrItsDeadline(t *testing.T) {
	for name, c := range map[string]struct {
		end func(*pair)
		err error
	}{
		"the connection is closed": {func(p *pair) { p.Close() }, net.ErrClosed},
		"its deadline passes":      {func(p *pair) { p.SetWriteDeadline(time.Now()) }, os.ErrDeadlineExceeded},
		"its deadline is moved":    {func(p *pair) { p.SetWriteDeadline(time.Now().Add(time.Hour)); p.SetDeadline(time.Now()) }, os.ErrDeadlineExceeded},
		"it is reset":              {func(p *pair) { p.Arm(wire.Trouble{Kind: wire.Reset, Now: true}) }, net.ErrClosed},
		"it is ended":              {func(p *pair) { p.Arm(wire.Trouble{Kind: wire.Close, Now: true}) }, nil},
		"it is reset while a GOAWAY waits for the write": {func(p *pair) {
			p.Arm(wire.Trouble{Kind: wire.GoAway, Now: true})
			p.Arm(wire.Trouble{Kind: wire.Reset, Now: true})
		}, net.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			p := connect(t)
			struck, over := make(chan struct{}), make(chan bool, 1)
			p.Arm(wire.Trouble{Kind: wire.Silence, Struck: func() { close(struck) }, Over: func(d bool) { over <- d }})
			done := p.write("the answer")
			<-struck
			c.end(p)
			err := <-done
			if err == nil || c.err != nil && !errors.Is(err, c.err) && !strings.Contains(err.Error(), "a fault has ended the connection") {
				t.Errorf("the write ends with %v, want %v", err, c.err)
			}
			p.Close()
			if <-over {
				t.Error("it was delivered")
			}
		})
	}
}

func TestAPauseDelaysWhatFollows(t *testing.T) {
	p := connect(t)
	const pause = 30 * time.Millisecond
	over := make(chan bool, 1)
	p.Arm(wire.Trouble{Kind: wire.Pause, At: 2, Wait: pause, Over: func(d bool) { over <- d }})
	begin := time.Now()
	done := p.write("abcd")
	if got := p.next(t, 4); got != "abcd" || time.Since(begin) < pause || <-done != nil || !<-over {
		t.Errorf("%q after %v", got, time.Since(begin))
	}
}

func TestSlowLetsSoManyBytesOutASecond(t *testing.T) {
	p := connect(t)
	gone := make(chan struct{})
	var over atomic.Int64
	slow := wire.Trouble{Kind: wire.Slow, Rate: 1000, Gone: gone, Answer: true, Over: func(bool) { over.Add(1) }}
	p.Arm(slow)
	begin := time.Now()
	if err := <-p.write(strings.Repeat("x", 60)); err != nil || time.Since(begin) < 60*time.Millisecond {
		t.Errorf("60 bytes took %v at 1,000 a second: %v", time.Since(begin), err)
	}
	p.next(t, 60)
	p.Calm()
	if over.Load() != 1 {
		t.Errorf("it was over %d times", over.Load())
	}
	if err := <-p.write("quick"); err != nil || p.next(t, 5) != "quick" {
		t.Errorf("%v", err)
	}
	slow.Rate = 1
	p.Arm(slow)
	struck := make(chan struct{})
	slow.Struck = func() { close(struck) }
	p.Arm(slow) // takes the place of the first
	done := p.write("slowly")
	<-struck
	p.next(t, 1)
	if over.Load() != 2 {
		t.Errorf("it was over %d times", over.Load())
	}
	close(gone)
	if got := p.next(t, 5); got != "lowly" || <-done != nil {
		t.Errorf("%q", got)
	}
	p.Arm(wire.Trouble{Kind: wire.Slow, Rate: 1, Over: func(d bool) {
		if d {
			t.Error("it ended before the connection")
		}
		over.Add(1)
	}})
	ended := p.write("never")
	p.next(t, 1)
	p.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
	if over.Load() != 4 {
		t.Errorf("it was over %d times", over.Load())
	}
}

func TestTroubleOfAnAnswerEndsWithIt(t *testing.T) {
	p := connect(t)
	p.Calm()
	over := 0
	p.Arm(wire.Trouble{Kind: wire.Close, At: 1, Answer: true, Over: func(d bool) {
		if d {
			over++
		}
	}})
	p.Arm(wire.Trouble{Kind: wire.Close, At: 8})
	p.Calm()
	if over != 1 {
		t.Errorf("it was over %d times", over)
	}
	if err := <-p.write("the answer"); err == nil {
		t.Error("what is of the connection is gone as well")
	}
	if got, err := p.rest(); got != "the answ" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

func TestWhatIsCalledOffNeverStrikes(t *testing.T) {
	p := connect(t)
	gone := make(chan struct{})
	over := 0
	p.Arm(wire.Trouble{Kind: wire.Reset, Gone: gone, Over: func(bool) { over++ }, Struck: func() { t.Error("it struck") }})
	close(gone)
	if err := <-p.write("fine"); err != nil || p.next(t, 4) != "fine" || over != 1 {
		t.Errorf("%v, %d", err, over)
	}
	p.Arm(wire.Trouble{Kind: wire.Close, At: 100, Over: func(d bool) {
		if d {
			t.Error("delivered")
		}
		over++
	}})
	p.Close()
	if over != 2 {
		t.Errorf("it was over %d times", over)
	}
}

// during is a connection that calls then in the middle of each write, when the client has the bytes.
type during struct {
	net.Conn
	then func()
}

func (d *during) Write(b []byte) (int, error) {
	n, err := d.Conn.Write(b)
	d.then()
	return n, err
}

func TestBytesAreCountedBehindTheWriteDuringWhichTroubleComes(t *testing.T) {
	p := connect(t)
	inner := &during{Conn: p.Conn}
	inner.then = func() {
		inner.then = func() {}
		p.Arm(wire.Trouble{Kind: wire.Close, At: 5})
	}
	p.Conn = wire.New(inner, func() {})
	if _, err := p.Write([]byte("before it")); err != nil {
		t.Error(err)
	}
	if n, err := p.Write([]byte("0123456789")); n != 5 || err == nil {
		t.Errorf("%d, %v", n, err)
	}
	if got, err := p.rest(); got != "before it01234" || err != nil {
		t.Errorf("the client gets %q, %v", got, err)
	}
}

func TestTroublesStrikeOneAfterTheOther(t *testing.T) {
	p := connect(t)
	var order strings.Builder
	note := func(s string) func() { return func() { order.WriteString(s) } }
	p.Arm(wire.Trouble{Kind: wire.Close, At: 6, Struck: note("close")})
	p.Arm(wire.Trouble{Kind: wire.Pause, At: 2, Wait: time.Millisecond, Struck: note("first ")})
	p.Arm(wire.Trouble{Kind: wire.Pause, At: 2, Wait: time.Millisecond, Struck: note("second ")})
	<-p.write("abcdefgh")
	if got, _ := p.rest(); got != "abcdef" || order.String() != "first second close" {
		t.Errorf("%q: %s", got, order.String())
	}
}

func TestAConnectionHasSoMuchTroubleAndNoMore(t *testing.T) {
	p := connect(t)
	for i := range wire.MaxTroubles {
		if !p.Arm(wire.Trouble{Kind: wire.Reset, At: int64(i + 1)}) {
			t.Fatalf("%d are too many", i+1)
		}
	}
	if p.Arm(wire.Trouble{Kind: wire.Reset, At: 1}) {
		t.Error("one more was armed")
	}
}

func TestTroubleThatMakesNoSensePanics(t *testing.T) {
	p := connect(t)
	for _, bad := range []wire.Trouble{{}, {Kind: wire.Garbage + 1}, {Kind: wire.Reset, At: -1}, {Kind: wire.Reset, At: 1, Now: true}, {Kind: wire.Silence, Now: true}, {Kind: wire.Slow}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v was armed", bad)
				}
			}()
			p.Arm(bad)
		}()
	}
}

// frame is a frame of HTTP/2.
func frame(kind byte, payload string) string {
	return string([]byte{0, byte(len(payload) >> 8), byte(len(payload)), kind, 0, 0, 0, 0, 0}) + payload
}

const goAway = "\x00\x00\x08\x07\x00\x00\x00\x00\x00" + "\x7f\xff\xff\xff" + "\x00\x00\x00\x00"

func TestGoAwayGoesBetweenFrames(t *testing.T) {
	settings, data := frame(4, "123456"), frame(0, "some data")
	for name, c := range map[string]struct {
		at      int64
		now     bool
		writes  []string // the trouble comes after the first
		want    string
		pending bool // it waits for a frame to end
	}{
		"between writes":             {0, true, []string{settings, data}, settings + goAway + data, false},
		"with the next":              {0, false, []string{settings, data}, settings + goAway + data, false},
		"after a frame under way":    {3, false, []string{settings, data + data}, settings + data + goAway + data, false},
		"in a frame of two writes":   {3, false, []string{settings, data[:10], data[10:] + data}, settings + data + goAway + data, false},
		"in a header of two writes":  {3, false, []string{settings, data[:5], data[5:] + data}, settings + data + goAway + data, false},
		"now, in a frame under way":  {0, true, []string{settings + data[:12], data[12:] + data}, settings + data + goAway + data, true},
		"now, in a header under way": {0, true, []string{settings + data[:4], data[4:12], data[12:]}, settings + data + goAway, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := connect(t)
			if err := <-p.write(c.writes[0]); err != nil {
				t.Fatal(err)
			}
			struck := 0
			p.Arm(wire.Trouble{Kind: wire.GoAway, At: c.at, Now: c.now, Struck: func() { struck++ }})
			if now := c.now && !c.pending; now != (struck == 1) {
				t.Errorf("it struck %d times before the next write", struck)
			}
			for _, w := range c.writes[1:] {
				if err := <-p.write(w); err != nil {
					t.Fatal(err)
				}
			}
			p.CloseWrite()
			if got, err := p.rest(); got != c.want || err != nil || struck != 1 {
				t.Errorf("%q, %v\nwant %q; struck %d times", got, err, c.want, struck)
			}
		})
	}
}

func TestGoAwayWaitsForTheServersFirstFrame(t *testing.T) {
	settings, data := frame(4, "123456"), frame(0, "some data")
	for name, writes := range map[string][]string{
		"in one write":   {settings + data},
		"byte by byte":   strings.Split(settings+data, ""),
		"frame by frame": {settings, data},
	} {
		for _, now := range []bool{true, false} {
			p := connect(t)
			struck := 0
			p.Arm(wire.Trouble{Kind: wire.GoAway, Now: now, Struck: func() { struck++ }})
			for _, w := range writes {
				if err := <-p.write(w); err != nil {
					t.Fatal(err)
				}
			}
			p.CloseWrite()
			if got, err := p.rest(); got != settings+goAway+data || err != nil || struck != 1 {
				t.Errorf("%s, now %v: %q, %v; it struck %d times", name, now, got, err, struck)
			}
		}
	}
}

func TestOnlyHTTP2IsTakenForIt(t *testing.T) {
	for _, first := range []string{"HTTP/1.1 200 OK\r\n", "\x16\x03\x01\x00\x50 a record of TLS", frame(0, "data"), frame(4, "12345"), "\x00\x00\x06\x04\x00\x00\x00\x00\x01123456", "short"} {
		for _, now := range []bool{true, false} {
			p := connect(t)
			over := 0
			p.Arm(wire.Trouble{Kind: wire.GoAway, Now: now, Struck: func() { t.Errorf("it struck %q", first) }, Over: func(bool) { over++ }})
			if err := <-p.write(first); err != nil {
				t.Error(err)
			}
			p.CloseWrite()
			if got, err := p.rest(); got != first || err != nil {
				t.Errorf("%q, want %q; %v", got, first, err)
			}
			p.Close()
			if over != 1 {
				t.Errorf("%q: it was over %d times", first, over)
			}
		}
	}
}

func TestTroubleThatComesDuringAWriteStrikesAfterIt(t *testing.T) {
	p := connect(t)
	<-p.write(frame(4, ""))
	big := frame(0, strings.Repeat("x", 1<<14))
	var all bytes.Buffer
	for range 100 { // more than the buffers of the sockets hold
		all.WriteString(big)
	}
	if err := errors.Join(p.client.SetReadBuffer(1<<14), p.Conn.Conn.(*net.TCPConn).SetWriteBuffer(1<<14)); err != nil {
		t.Fatal(err)
	}
	done := p.write(all.String())
	p.next(t, 9+100) // it is under way
	struck := make(chan struct{})
	p.Arm(wire.Trouble{Kind: wire.GoAway, Now: true, Struck: func() { close(struck) }})
	select {
	case <-struck:
		t.Fatal("it struck in the middle of a write")
	default:
	}
	p.next(t, all.Len()-100)
	<-struck
	if got := p.next(t, len(goAway)); got != goAway || <-done != nil {
		t.Errorf("%q", got)
	}
}

// FuzzFrames writes whatever may come, in two pieces, around a GOAWAY: what the server writes arrives
// whole and in its order, whether the frame is put between or not.
func FuzzFrames(f *testing.F) {
	settings, data := frame(4, "123456"), frame(0, "some data")
	for _, s := range []string{"", "HTTP/1.1 200 OK", settings, settings + data, settings + data + data[:5], "\x00\x00\x06\x04"} {
		f.Add([]byte(s), 3, 0)
		f.Add([]byte(s), 20, 7)
	}
	f.Fuzz(func(t *testing.T, b []byte, cut, at int) {
		if len(b) > 1<<12 || cut < 0 || cut > len(b) || at < 0 {
			return
		}
		server, client := net.Pipe()
		p := wire.New(server, func() {})
		got := make(chan []byte, 1)
		go func() {
			all, _ := io.ReadAll(client)
			got <- all
		}()
		p.Arm(wire.Trouble{Kind: wire.GoAway, At: int64(at)})
		for _, piece := range [][]byte{b[:cut], b[cut:]} {
			if n, err := p.Write(piece); n != len(piece) || err != nil {
				t.Errorf("%d of %d bytes: %v", n, len(piece), err)
			}
		}
		p.Close()
		if all := <-got; !bytes.Equal(all, b) && !bytes.Equal(bytes.Replace(all, []byte(goAway), nil, 1), b) {
			t.Errorf("%q became %q", b, all)
		}
	})
}
