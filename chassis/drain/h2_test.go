package drain_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/drain"
)

// h2c is a client of HTTP/2 in plain text.
func h2c(t testing.TB) *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: protocols}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// once is a body of n bytes that cannot be had again, so that its request is never retried.
type once struct {
	n    int
	read atomic.Bool
}

func (o *once) Read(p []byte) (int, error) {
	o.read.Store(true)
	if o.n == 0 {
		return 0, io.EOF
	}
	n := min(o.n, len(p))
	o.n -= n
	return n, nil
}

func upload(c *http.Client, addr string, n int) (string, *http.Response, error) {
	body := &once{n: n}
	res, err := c.Post(addr+"/up", "text/plain", body)
	if err != nil && !body.read.Load() && strings.Contains(err.Error(), "cannot rewind body") {
		// Go's client, up to 1.26 at least: when GOAWAY comes after it has chosen a connection and
		// before it has opened the stream, it closes the body that it has not touched, and then
		// does not find it fit for another connection. Nothing was sent, so no server can help.
		return upload(c, addr, n)
	}
	if err != nil {
		return "", nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), res, err
}

func TestHTTP2LosesNoRequestWhoseBodyCannotBeSentAgain(t *testing.T) {
	delays(t, func(t *testing.T, delay time.Duration) {
		clean(t)
		current := start(t, named("s"), drain.Options{H2C: true})
		addr := "http://" + delayed(t, current.addr, delay)
		var stop atomic.Bool
		var answers atomic.Int64
		var wg sync.WaitGroup
		for range 2 {
			c := h2c(t)
			for range 4 {
				wg.Go(func() {
					for !stop.Load() && !t.Failed() {
						n := rand.N(20_000)
						got, _, err := upload(c, addr, n)
						if want := fmt.Sprintf("s /up %d", n); err != nil || got != want {
							t.Errorf("answer %q, %v; want %q", got, err, want)
						}
						answers.Add(1)
					}
				})
			}
		}
		for range 5 {
			reached := answers.Load() + 100
			until(t, "answers", func() bool { return answers.Load() >= reached || t.Failed() })
			next := current.sharing(t, named("s"), drain.Options{H2C: true})
			drained(t, draining(t, current, drain.Leave{Give: passTo(t, next), Min: time.Minute}))
			current = next
		}
		stop.Store(true)
		wg.Wait()
	})
}

func TestTheHeadsUpReturnsWhenAllClientsHaveAnswered(t *testing.T) {
	clean(t)
	quick(t, drain.AckWithin-50*time.Millisecond, func(t *testing.T) time.Duration {
		s := start(t, named("s"), drain.Options{H2C: true})
		for range 5 {
			if _, _, err := upload(h2c(t), "http://"+s.addr, 10); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		begin := time.Now()
		s.HeadsUp(ctx) // does not wait
		s.HeadsUp(context.Background())
		s.HeadsUp(context.Background())
		took := time.Since(begin)
		drained(t, draining(t, s, drain.Leave{}))
		return took
	})
}

func TestAStreamGoesOnThroughADrainUntilItsHandlerEndsIt(t *testing.T) {
	clean(t)
	end := make(chan bool)
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for {
			select {
			case <-end:
				io.WriteString(w, "bye")
				return
			case <-time.After(time.Millisecond):
				w.Write(make([]byte, 5000))
				w.(http.Flusher).Flush()
			}
		}
	}), drain.Options{H2C: true})
	res, err := h2c(t).Get("http://" + s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var size atomic.Int64
	read := make(chan error, 1)
	var last []byte
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, err := res.Body.Read(b)
			size.Add(int64(n))
			last = append(last, b[:n]...)
			if err != nil {
				read <- err
				return
			}
		}
	}()
	done := draining(t, s, drain.Leave{})
	reached := size.Load() + 200_000
	until(t, "the stream goes on", func() bool { return size.Load() > reached })
	close(end)
	if err := <-read; err != io.EOF || !bytes.HasSuffix(last, []byte("bye")) {
		t.Errorf("the stream ended with %v, %q", err, last[max(0, len(last)-5):])
	}
	drained(t, done)
}

// rawH2 is a client that does no more than it is told.
type rawH2 struct{ *client }

type frame struct {
	kind, flags byte
	stream      uint32
	payload     []byte
}

const (
	frameData     = 0
	frameHeaders  = 1
	frameSettings = 4
	framePing     = 6
	frameGoAway   = 7
)

func (f frame) bytes() []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(f.payload))<<8|uint32(f.kind))
	b = append(b, f.flags)
	b = binary.BigEndian.AppendUint32(b, f.stream)
	return append(b, f.payload...)
}

func (c rawH2) read(t testing.TB) frame {
	t.Helper()
	f, err := c.next()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (c rawH2) next() (frame, error) {
	header := make([]byte, 9)
	if _, err := io.ReadFull(c.r, header); err != nil {
		return frame{}, err
	}
	f := frame{kind: header[3], flags: header[4], stream: binary.BigEndian.Uint32(header[5:])}
	f.payload = make([]byte, int(header[0])<<16|int(header[1])<<8|int(header[2]))
	_, err := io.ReadFull(c.r, f.payload)
	return f, err
}

func (c rawH2) readKind(t testing.TB, kind byte) frame {
	t.Helper()
	for {
		if f := c.read(t); f.kind == kind {
			return f
		}
	}
}

// greet opens the connection, up to the server's acknowledgement of the settings.
func greet(t testing.TB, addr string) rawH2 {
	t.Helper()
	c := rawH2{dial(t, addr)}
	c.send(t, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	c.send(t, string(frame{kind: frameSettings}.bytes()))
	for c.readKind(t, frameSettings).flags == 0 {
	}
	c.send(t, string(frame{kind: frameSettings, flags: 1}.bytes()))
	return c
}

// acquainted is greet and one request.
func acquainted(t testing.TB, addr string) rawH2 {
	t.Helper()
	c := greet(t, addr)
	c.request(t, 1)
	for c.readKind(t, frameData).flags == 0 { // until the end of the stream
	}
	return c
}

// request opens a stream: GET / in HPACK's static table.
func (c rawH2) request(t testing.TB, stream uint32) {
	t.Helper()
	block := []byte{0x82, 0x86, 0x84, 0x41, 0x01, 'x'}
	c.send(t, string(frame{frameHeaders, 0x5, stream, block}.bytes()))
}

func (c rawH2) wantHeadsUp(t testing.TB) (ping frame) {
	t.Helper()
	goAway := c.readKind(t, frameGoAway)
	if want := []byte{0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0}; !bytes.Equal(goAway.payload, want) {
		t.Fatalf("GOAWAY %x, want %x", goAway.payload, want)
	}
	ping = c.read(t)
	if ping.kind != framePing || ping.flags != 0 {
		t.Fatalf("after the GOAWAY: %+v", ping)
	}
	return ping
}

func TestStreamsOpenedBeforeTheAnswerToTheHeadsUpAreServed(t *testing.T) {
	clean(t)
	s := start(t, named("s"), drain.Options{H2C: true})
	c := acquainted(t, s.addr)
	done := draining(t, s, drain.Leave{})
	ping := c.wantHeadsUp(t)
	c.send(t, string(frame{kind: framePing, payload: []byte("12345678")}.bytes()))
	c.request(t, 3)
	ping.flags = 1
	c.send(t, string(ping.bytes()))
	if f := c.readKind(t, frameHeaders); f.stream != 3 {
		t.Errorf("%+v", f)
	}
	// The client does not close, so the server does: first its own side.
	for {
		if _, err := c.next(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	drained(t, done)
	if cut := s.Stats().Cut["h2"]; cut != 0 {
		t.Errorf("cut: %d", cut)
	}
}

func TestAClientThatNeverAnswersTheHeadsUpIsTakenToKnowAfterASecond(t *testing.T) {
	clean(t)
	s := start(t, named("s"), drain.Options{H2C: true})
	c := acquainted(t, s.addr)
	begin := time.Now()
	s.HeadsUp(context.Background())
	if took := time.Since(begin); took < 200*time.Millisecond {
		t.Errorf("it was waited for %v", took)
	}
	c.wantHeadsUp(t)
	done := draining(t, s, drain.Leave{})
	for {
		if _, err := c.next(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(begin); took < time.Second {
		t.Errorf("closed after %v", took)
	}
	drained(t, done) // although the client's side stays open
}

func TestAClientThatComesDuringTheDrainIsToldAfterItsFirstRequest(t *testing.T) {
	clean(t)
	s := start(t, named("s"), drain.Options{H2C: true})
	drain.SetAsk(s.Server, time.Minute) // a machine may be slow to send the request
	before, after := greet(t, s.addr), rawH2{dial(t, s.addr)}
	until(t, "both are accepted", func() bool { return s.Stats().Conns == 2 })
	after.send(t, "PRI *")                                          // recognised as such only later
	quick(t, 200*time.Millisecond, func(*testing.T) time.Duration { // clients that have asked nothing are not waited for
		begin := time.Now()
		s.HeadsUp(context.Background())
		return time.Since(begin)
	})
	done := draining(t, s, drain.Leave{Min: time.Minute})
	after.send(t, " HTTP/2.0\r\n\r\nSM\r\n\r\n"+string(frame{kind: frameSettings}.bytes()))
	for after.readKind(t, frameSettings).flags == 0 {
	}
	for _, c := range []rawH2{before, after} {
		// What the server says before the request is no GOAWAY, nor is there anything under way.
		c.send(t, string(frame{kind: framePing, payload: []byte("12345678")}.bytes()))
		for f := c.read(t); f.kind != framePing || f.flags != 1; f = c.read(t) {
			if f.kind == frameGoAway {
				t.Fatal("told before the request")
			}
		}
		c.request(t, 1)
		answered := false
		for err := error(nil); err == nil; { // the answer and the heads-up, in any order
			var f frame
			switch f, err = c.next(); {
			case f.kind == frameHeaders:
				answered = f.stream == 1
			case f.kind == framePing:
				f.flags = 1
				c.send(t, string(f.bytes()))
			}
		}
		if !answered {
			t.Error("closed without an answer")
		}
		c.Close()
	}
	drained(t, done)
}

func TestAClientThatComesDuringTheDrainAndAsksNothingIsToldAfterASecondIfThereIsTime(t *testing.T) {
	for _, least := range []time.Duration{time.Minute, 0} {
		clean(t)
		s := start(t, named("s"), drain.Options{H2C: true})
		ask := time.Second
		if least == 0 {
			ask = time.Hour // for which nobody waits
		}
		drain.SetAsk(s.Server, ask)
		c := greet(t, s.addr)
		begin := time.Now()
		done := draining(t, s, drain.Leave{Min: least})
		c.wantHeadsUp(t)
		if took := time.Since(begin); took < ask && least > 0 {
			t.Errorf("Min %v: told after %v", least, took)
		}
		c.Close()
		drained(t, done)
	}
}

func TestACutHTTP2StreamIsCounted(t *testing.T) {
	clean(t)
	begun := make(chan bool)
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
	}), drain.Options{H2C: true})
	failed := make(chan error, 1)
	go func() {
		_, err := h2c(t).Get("http://" + s.addr)
		failed <- err
	}()
	<-begun
	idle := greet(t, s.addr)
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if err := s.Drain(ctx, drain.Leave{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Drain: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-failed; err == nil {
		t.Error("the request did not fail")
	}
	if cut := s.Stats().Cut; cut["h2"] != 1 || cut["http1"] != 0 {
		t.Errorf("cut: %v", cut)
	}
	idle.Close()
}

// anyFrames makes a conversation of frames out of seed.
func anyFrames(seed uint64) (all []byte, ends []int) {
	r := rand.New(rand.NewPCG(seed, 1))
	for range 1 + r.IntN(8) {
		f := frame{kind: byte(r.IntN(10)), flags: byte(r.IntN(2)), stream: r.Uint32(), payload: make([]byte, r.IntN(40))}
		if r.IntN(4) == 0 {
			f.payload = []byte("roadGone")
		}
		all = append(all, f.bytes()...)
		ends = append(ends, len(all))
	}
	return all, ends
}

func FuzzFramesAreFoundHoweverTheyAreCut(f *testing.F) {
	f.Add(uint64(1), uint64(1))
	f.Fuzz(func(t *testing.T, frames, cuts uint64) {
		all, ends := anyFrames(frames)
		r := rand.New(rand.NewPCG(cuts, 2))
		whole, answeredWhole := drain.Frames(all, func() int { return len(all) })
		parts, answeredParts := drain.Frames(all, func() int { return 1 + r.IntN(12) })
		if !slices.Equal(whole, ends) || !slices.Equal(parts, ends) || answeredWhole != answeredParts {
			t.Errorf("ends at %v, %v; want %v. answered: %v, %v", whole, parts, ends, answeredWhole, answeredParts)
		}
	})
}

func TestOnlyTheAnswerToOurPingIsTakenForIt(t *testing.T) {
	ours := frame{kind: framePing, flags: 1, payload: []byte("roadGone")}
	other := ours
	other.payload = []byte("12345678")
	question := ours
	question.flags = 0
	long := ours
	long.payload = []byte("roadGone!")
	after := append(other.bytes(), ours.bytes()...)
	for name, c := range map[string]struct {
		wire []byte
		want bool
	}{
		"the answer": {ours.bytes(), true}, "another answer": {other.bytes(), false}, "a question": {question.bytes(), false},
		"too long": {long.bytes(), false}, "after another": {after, true}, "cut off": {ours.bytes()[:16], false},
	} {
		if _, got := drain.Frames(c.wire, func() int { return 3 }); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzTheHeadsUpGoesBetweenTwoFrames(f *testing.F) {
	f.Add(uint64(1), uint64(1))
	for i := range uint64(200) {
		f.Add(i, i*7)
	}
	f.Fuzz(func(t *testing.T, frames, cuts uint64) {
		all, ends := anyFrames(frames)
		r := rand.New(rand.NewPCG(cuts, 2))
		var chunks [][]byte
		starts := []int{}
		for at := 0; at < len(all); {
			n := min(1+r.IntN(60), len(all)-at)
			starts = append(starts, at)
			chunks = append(chunks, all[at:at+n])
			at += n
		}
		due := r.IntN(len(chunks))
		got, err := drain.WriteFrames(chunks, due)
		if err != nil {
			t.Fatal(err)
		}
		// The first end of a frame at or after the moment, but for the very beginning.
		place := slices.IndexFunc(ends, func(end int) bool { return end >= starts[due] })
		want := string(all[:ends[place]]) + drain.HeadsUpFrames + string(all[ends[place]:])
		if string(got) != want {
			t.Errorf("frames end at %v, due at %d: at %d", ends, starts[due], strings.Index(string(got), drain.HeadsUpFrames))
		}
	})
}

func TestHTTP2OverTLSIsToldAndEndsSoon(t *testing.T) {
	clean(t)
	quick(t, 500*time.Millisecond, untilHTTP2OverTLSEnds)
}

// untilHTTP2OverTLSEnds is the time from the last answer of a server that drains to its end.
func untilHTTP2OverTLSEnds(t *testing.T) time.Duration {
	server, roots := certificate(t)
	release := make(chan bool)
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-release
		}
		fmt.Fprint(w, r.Proto, r.TLS.ServerName)
	}), drain.Options{TLS: server})
	tr := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost"}}
	defer tr.CloseIdleConnections()
	c := &http.Client{Transport: tr}
	if got, res, err := upload(c, "https://"+s.addr, 10); err != nil || got != "HTTP/2.0localhost" || res.TLS.NegotiatedProtocol != "h2" {
		t.Fatalf("%q, %v", got, err)
	}
	slow := make(chan string, 1)
	go func() {
		res, err := c.Get("https://" + s.addr + "/slow")
		if err != nil {
			slow <- err.Error()
			return
		}
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		slow <- string(b)
	}()
	s.HeadsUp(context.Background())
	done := draining(t, s, drain.Leave{Min: time.Minute})
	begin := time.Now()
	close(release)
	drained(t, done)
	took := time.Since(begin)
	if got := <-slow; got != "HTTP/2.0localhost" && !strings.Contains(got, "connection refused") {
		t.Errorf("answer %q", got)
	}
	return took
}
