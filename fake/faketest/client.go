package faketest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/grpcclient"
)

// callLimit bounds one call.
const callLimit = 10 * time.Second

// maxProblem is how much of an answer is read as a failure.
const maxProblem = 64 << 10

// client calls one listener as the stock clients do, net/http's and grpc-go's.
type client struct {
	door  *door
	conns atomic.Int64 // connections that it has made
	call  func(ctx context.Context, route string, header map[string]string) sight
	close func()
}

// knock makes a call, with fields of the header, or metadata, that may be nil.
func (c *client) knock(ctx context.Context, route string, header map[string]string) sight {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	begin := time.Now()
	s := c.call(ctx, route, header)
	s.took = time.Since(begin)
	return s
}

// open makes a client.
func (d *door) open() (*client, error) {
	c := &client{door: d}
	if d.protocol == grpc2 {
		return c, c.openGRPC()
	}
	c.openHTTP()
	return c, nil
}

// anyCertificate is for fakes that speak TLS: theirs is made for tests.
func anyCertificate() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

func (c *client) dial(ctx context.Context, addr string) (net.Conn, error) {
	c.conns.Add(1)
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

func (c *client) openHTTP() {
	transport := &http.Transport{
		DialContext:     func(ctx context.Context, _, addr string) (net.Conn, error) { return c.dial(ctx, addr) },
		TLSClientConfig: anyCertificate(), DisableCompression: true, Protocols: new(http.Protocols),
	}
	transport.Protocols.SetHTTP1(c.door.protocol == http1)
	transport.Protocols.SetHTTP2(c.door.protocol == http2 && c.door.secure)
	transport.Protocols.SetUnencryptedHTTP2(c.door.protocol == http2 && !c.door.secure)
	url := "http://" + c.door.addr
	if c.door.secure {
		url = "https://" + c.door.addr
	}
	c.close = transport.CloseIdleConnections
	c.call = func(ctx context.Context, route string, header map[string]string) sight {
		_, pattern := splitPattern(route)
		req, err := http.NewRequestWithContext(ctx, c.door.method(route), url+pathOf(pattern), nil)
		if err != nil {
			return sight{lost: err}
		}
		for name, value := range header {
			req.Header.Set(name, value)
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return sight{lost: err}
		}
		return seenHTTP(req, resp)
	}
}

// seenHTTP reads an answer to its end.
func seenHTTP(req *http.Request, resp *http.Response) sight {
	defer resp.Body.Close()
	begin, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	rest := int64(0)
	if err == nil {
		rest, err = io.Copy(io.Discard, resp.Body)
	}
	s := sight{size: len(begin) + int(rest)}
	if err != nil {
		s.lost = err
		return s
	}
	if resp.StatusCode < 400 {
		s.other = fmt.Errorf("%s %s was answered %s, not with the fault", req.Method, req.URL, resp.Status)
		return s
	}
	resp.Body = io.NopCloser(bytes.NewReader(begin))
	p, err := failure.ReadProblem(resp)
	if err != nil {
		s.other = err
		return s
	}
	s.failure = answer{http: resp.StatusCode, code: p.Code, set: p.Set, class: p.Class, message: p.Title, retryable: p.Retryable}
	if p.Status == http.StatusServiceUnavailable {
		s.failure.grpc = failure.GRPCUnavailable
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		s.failure.retryAfter = time.Duration(seconds) * time.Second
	}
	return s
}

func (c *client) openGRPC() error {
	creds := insecure.NewCredentials()
	if c.door.secure {
		creds = credentials.NewTLS(anyCertificate())
	}
	conn, err := grpc.NewClient(c.door.addr, grpc.WithTransportCredentials(creds), grpc.WithContextDialer(c.dial))
	if err != nil {
		return fmt.Errorf("listener %q: %w", c.door.listener, err)
	}
	c.close = func() { _ = conn.Close() }
	c.call = func(ctx context.Context, route string, header map[string]string) sight {
		for name, value := range header {
			ctx = metadata.AppendToOutgoingContext(ctx, name, value)
		}
		// The call ends its stream in every case, be it by this.
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		// As a stream, because the wire does not tell streams from unary calls, and nobody
		// knows here which this is. What a message means to the method does not matter.
		stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, route)
		if err != nil {
			return seenGRPC(route, err)
		}
		_ = stream.SendMsg(&emptypb.Empty{}) // an early end is told by RecvMsg
		_ = stream.CloseSend()
		size := 0
		for {
			message := new(emptypb.Empty)
			if err := stream.RecvMsg(message); err != nil {
				s := seenGRPC(route, err)
				s.size = size
				return s
			}
			size += proto.Size(message)
		}
	}
	return nil
}

// seenGRPC is how a call has ended, as its error says.
func seenGRPC(route string, err error) sight {
	f, ok := grpcclient.FailureOf(err)
	if ok {
		return sight{failure: answer{
			grpc: failure.GRPC(status.Code(err)), code: f.Code, set: f.Set, class: f.Class, message: f.Message,
			retryable: f.Retryable, retryAfter: f.RetryAfter,
		}}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	switch status.Code(err) {
	// What grpc-go itself says of a connection that ends, or breaks its rules, and of a call that gives up.
	case codes.Unavailable, codes.Internal, codes.Canceled, codes.DeadlineExceeded:
		return sight{lost: err}
	}
	return sight{other: fmt.Errorf("%s was answered %v, not with the fault", route, err)}
}
