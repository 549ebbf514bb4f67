package faketest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/grpcclient"
	"github.com/seed-754044b3/roadworthy/fake"
)

// callLimit bounds one call.
const callLimit = 10 * time.Second

// door is a route that can be called without knowing the service: faults answer before its
// handler reads anything.
type door struct {
	listener string
	route    string
	knock    func(context.Context) (answer, error)
	close    func()
}

// answer is a failure as a client sees it.
type answer struct {
	http       int // 0 over gRPC
	grpc       failure.GRPC
	code       int
	set        string
	class      failure.Class
	message    string
	retryable  bool
	retryAfter time.Duration
}

// differs says how an answer is not what its code declares.
func (a answer) differs(code failure.Description) error {
	after := time.Duration(code.RetryAfter * float64(time.Second))
	if a.http != 0 {
		// Retry-After knows whole seconds, and the gRPC status does not travel.
		after = (after + time.Second - 1).Truncate(time.Second)
		a.grpc = code.GRPCCode
	} else {
		a.http = code.HTTPStatus
	}
	want := answer{code.HTTPStatus, code.GRPCCode, code.Number, code.Set, code.Class, code.Message, code.Retryable, after}
	if a != want {
		return fmt.Errorf("answered %+v, want %+v", a, want)
	}
	return nil
}

// doorsOf opens a door to each listener of f that speaks HTTP or gRPC.
func doorsOf(f *fake.Fake) ([]*door, error) {
	var doors []*door
	for name, l := range listenersOf(f.Description()) {
		d := &door{listener: name, route: l.Routes[0]}
		switch l.Protocol {
		case "http", "https":
			d.openHTTP(l.Protocol + "://" + f.Addr(name))
		case "grpc", "grpcs":
			if err := d.openGRPC(f.Addr(name), l.Protocol == "grpcs"); err != nil {
				return nil, fmt.Errorf("listener %q: %w", name, err)
			}
		default:
			continue
		}
		doors = append(doors, d)
	}
	if len(doors) == 0 {
		return nil, errors.New("the service has no route over HTTP or gRPC to call")
	}
	return doors, nil
}

// anyCertificate is for fakes that speak TLS: theirs is made for tests.
func anyCertificate() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

func (d *door) openHTTP(url string) {
	transport := &http.Transport{TLSClientConfig: anyCertificate()}
	method, pattern := splitPattern(d.route)
	if method == "" {
		method = http.MethodGet
	}
	url += pathOf(pattern)
	d.close = transport.CloseIdleConnections
	d.knock = func(ctx context.Context) (answer, error) {
		ctx, cancel := context.WithTimeout(ctx, callLimit)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, method, url, nil)
		if err != nil {
			return answer{}, err
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return answer{}, err
		}
		defer resp.Body.Close()
		if resp.StatusCode < 400 {
			return answer{}, fmt.Errorf("%s %s was answered %s, not with the fault", method, url, resp.Status)
		}
		p, err := failure.ReadProblem(resp)
		if err != nil {
			return answer{}, err
		}
		a := answer{http: resp.StatusCode, code: p.Code, set: p.Set, class: p.Class, message: p.Title, retryable: p.Retryable}
		if p.Status == http.StatusServiceUnavailable {
			a.grpc = failure.GRPCUnavailable
		}
		if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
			a.retryAfter = time.Duration(seconds) * time.Second
		}
		return a, nil
	}
}

func (d *door) openGRPC(addr string, secure bool) error {
	creds := insecure.NewCredentials()
	if secure {
		creds = credentials.NewTLS(anyCertificate())
	}
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(creds))
	if err != nil {
		return err
	}
	d.close = func() { _ = conn.Close() }
	d.knock = func(ctx context.Context) (answer, error) {
		ctx, cancel := context.WithTimeout(ctx, callLimit)
		defer cancel()
		// As a stream, because the wire does not tell streams from unary calls, and nobody
		// knows here which this is. What a message means to the method does not matter.
		stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, d.route)
		if err != nil {
			return answer{}, err
		}
		_ = stream.SendMsg(&emptypb.Empty{}) // an early end is told by RecvMsg
		_ = stream.CloseSend()
		err = stream.RecvMsg(&emptypb.Empty{})
		f, ok := grpcclient.FailureOf(err)
		if !ok {
			return answer{}, fmt.Errorf("%s was answered %v, not with the fault", d.route, err)
		}
		return answer{
			grpc: failure.GRPC(status.Code(err)), code: f.Code, set: f.Set, class: f.Class, message: f.Message,
			retryable: f.Retryable, retryAfter: f.RetryAfter,
		}, nil
	}
	return nil
}

// splitPattern takes a pattern of http.ServeMux apart; the method may be empty.
func splitPattern(pattern string) (method, rest string) {
	method, rest, found := strings.Cut(pattern, " ")
	if !found {
		return "", pattern
	}
	return method, strings.TrimSpace(rest)
}

var wildcard = regexp.MustCompile(`\{[^}]*\}`)

// pathOf is a path that a pattern matches.
func pathOf(pattern string) string {
	return wildcard.ReplaceAllStringFunc(pattern, func(w string) string {
		if w == "{$}" {
			return ""
		}
		return "x"
	})
}
