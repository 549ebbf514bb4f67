package lossbench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-754044b3/roadworthy/tools/lossbench/target"
)

// connect opens a channel with one connection at a time. sent counts the calls it puts on the wire: without
// retries grpc-go still sends a call again that the server says it has not looked at.
func (c *client) connect(addr string) (cc *grpc.ClientConn, sent *atomic.Int64) {
	sent = new(atomic.Int64)
	cc, err := grpc.NewClient("passthrough:///"+addr,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDisableRetry(),
		grpc.WithDisableServiceConfig(),
		grpc.WithIdleTimeout(0),
		// The second that grpc-go waits by default would count an outage long after it was over.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond},
			MinConnectTimeout: c.load.options.Timeout,
		}),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			conn, err := c.dial(ctx, addr)
			if err != nil {
				return nil, err
			}
			return &countingConn{Conn: conn, total: sent}, nil
		}))
	if err != nil {
		panic(err) // the options are constants
	}
	return cc, sent
}

func (c *client) grpcUnary() {
	c.unary(c.load.options.GRPC, func(ctx context.Context, cc *grpc.ClientConn, o grpc.CallOption) error {
		in, out := wrapperspb.String(body), new(wrapperspb.StringValue)
		if err := cc.Invoke(ctx, target.Unary, in, out, o); err != nil {
			return err
		}
		if out.Value != in.Value {
			return errors.New("wrong answer")
		}
		return nil
	})
}

func (c *client) health() {
	c.unary(c.load.options.HealthAddr, func(ctx context.Context, cc *grpc.ClientConn, o grpc.CallOption) error {
		res, err := healthpb.NewHealthClient(cc).Check(ctx, &healthpb.HealthCheckRequest{}, o)
		if err == nil && res.Status != healthpb.HealthCheckResponse_SERVING {
			err = fmt.Errorf("%v", res.Status)
		}
		return err
	})
}

// unary calls again and again, one call at a time.
func (c *client) unary(addr string, call func(context.Context, *grpc.ClientConn, grpc.CallOption) error) {
	cc, sent := c.connect(addr)
	defer cc.Close()
	c.every(func() {
		ctx, cancel := c.timeout()
		defer cancel()
		t0, before := time.Now(), sent.Load()
		var header metadata.MD
		err := call(ctx, cc, grpc.Header(&header))
		if err == nil && sent.Load()-before > 1 {
			err = errSentTwice
		}
		if err != nil {
			c.stats.fail(causeOf(err), 1)
			return
		}
		id := ""
		if ids := header.Get(idHeader); len(ids) > 0 {
			id = ids[0]
		}
		c.stats.done(t0, id)
	})
}

// grpcBidi keeps one stream open and sends messages on it, all of which must come back.
func (c *client) grpcBidi() {
	cc, sent := c.connect(c.load.options.GRPC)
	defer cc.Close()
	var reopens, number int64
	for !c.stopped() {
		before := sent.Load()
		s, err := c.openBidi(cc)
		if err != nil {
			c.stats.fail("open: "+causeOf(err), 1)
			c.pause(c.upTo(2 * c.interval))
			continue
		}
		moved := s.talk(&number)
		if sent.Load()-before > 1 {
			c.stats.fail(errSentTwice.Error(), 1)
		}
		if !moved {
			continue
		}
		c.stats.reopened()
		if reopens++; reopens > c.load.windows.reloads() {
			c.stats.fail("more reopens than reloads", 1)
		}
	}
}

// bidi is one stream. Messages are numbered across streams and acknowledged in order.
type bidi struct {
	client  *client
	stream  grpc.ClientStream
	cancel  context.CancelFunc
	moving  chan struct{} // closed when the server asked to move
	ended   chan error    // gets what ended the stream
	answers chan string   // bounded by maxOutstanding
}

// maxOutstanding bounds the messages of a stream that are not acknowledged; then the client waits.
const maxOutstanding = 256

func (c *client) openBidi(cc *grpc.ClientConn) (*bidi, error) {
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, target.Bidi)
	if err != nil {
		cancel()
		return nil, err
	}
	s := &bidi{client: c, stream: stream, cancel: cancel, moving: make(chan struct{}), ended: make(chan error, 1), answers: make(chan string, maxOutstanding)}
	go s.receive()
	return s, nil
}

// receive takes messages until the stream ends, which ended tells after the last of them.
func (s *bidi) receive() {
	for asked := false; ; {
		m := new(wrapperspb.StringValue)
		if err := s.stream.RecvMsg(m); err != nil {
			close(s.answers)
			s.ended <- err
			return
		}
		switch {
		case m.Value != target.Moving:
			s.answers <- m.Value
		case !asked:
			asked = true
			close(s.moving)
		}
	}
}

// outstanding is a message that was sent and has not come back.
type outstanding struct {
	value string
	at    time.Time
}

// talk sends and receives until the stream has ended, and reports whether the server had asked for that.
func (s *bidi) talk(number *int64) (moved bool) {
	defer s.cancel()
	c := s.client
	var waiting []outstanding
	next := time.NewTimer(c.upTo(2 * c.interval))
	defer next.Stop()
	patience := time.AfterFunc(time.Hour, s.cancel) // once half-closed, for what is outstanding
	defer patience.Stop()
	moving, stop := s.moving, c.load.stop
	quiet := false // nothing more is sent
	halfClose := func() {
		quiet = true
		moving, stop = nil, nil
		patience.Reset(c.load.options.Timeout)
		_ = s.stream.CloseSend() // what ended the stream is what RecvMsg returns
	}
	answers := s.answers
	for answers != nil {
		select {
		case value, more := <-answers:
			switch {
			case !more:
				answers = nil
			case len(waiting) == 0 || waiting[0].value != value:
				c.stats.fail("wrong answer", 1)
			default:
				c.stats.done(waiting[0].at, "")
				waiting = waiting[1:]
			}
		case <-moving:
			moved = true
			halfClose()
		case <-stop:
			halfClose()
		case <-next.C:
			next.Reset(c.upTo(2 * c.interval))
			if quiet {
				break
			}
			if len(waiting) > 0 && time.Since(waiting[0].at) > c.load.options.Timeout || len(waiting) == maxOutstanding {
				s.cancel() // ends the stream, and what is outstanding has failed
				break
			}
			*number++
			m := outstanding{fmt.Sprint(*number), time.Now()}
			if s.stream.SendMsg(wrapperspb.String(m.value)) == nil {
				waiting = append(waiting, m)
			}
		}
	}
	switch err := <-s.ended; {
	case status.Code(err) == codes.Canceled: // by this side, which has lost patience
		c.stats.fail("not acknowledged in time", int64(max(1, len(waiting))))
		return false
	case !errors.Is(err, io.EOF):
		c.stats.fail("cut: "+causeOf(err), int64(max(1, len(waiting))))
		return false
	case len(waiting) > 0:
		c.stats.fail("unacknowledged", int64(len(waiting)))
	case !quiet:
		// The server ended the stream without a word.
		c.stats.fail("ended without notice", 1)
	}
	return moved
}
