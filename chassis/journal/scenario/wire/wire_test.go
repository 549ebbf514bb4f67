package wire_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/grpcserver"
	"github.com/seed-754044b3/roadworthy/chassis/journal/scenario/wire"
)

// The service that is called here is gRPC's own health service, whose messages are linked anyway.
const (
	check   = "/grpc.health.v1.Health/Check"
	watch   = "/grpc.health.v1.Health/Watch"
	list    = "/grpc.health.v1.Health/List"
	service = "grpc.health.v1.Health"
)

var (
	codeSet    = failure.NewSet("clinic")
	errMissing = codeSet.Caller(1001, "there is no such patient", failure.HTTPStatus(http.StatusNotFound))
)

// clinic implements the service. The patient's name says what becomes of the call.
type clinic struct {
	healthpb.UnimplementedHealthServer
	// local has failures returned as handlers on the chassis return them, which the chassis then
	// makes a status of.
	local bool
	left  chan struct{} // is sent to when a watcher who stayed has left
}

func (c *clinic) fail(err error) error {
	_, coded := err.(*failure.Code)
	if c.local || !coded {
		return err
	}
	return grpcserver.Status(failure.From(err), "id").Err() // as the chassis does
}

func (c *clinic) Check(_ context.Context, r *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	switch r.Service {
	case "missing":
		return nil, c.fail(errMissing)
	case "bare":
		return nil, status.Error(codes.ResourceExhausted, "no beds, 100 % full")
	case "":
		return &healthpb.HealthCheckResponse{}, nil
	}
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}, nil
}

func (c *clinic) Watch(r *healthpb.HealthCheckRequest, stream grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	stream.SetTrailer(nil)
	if err := stream.SetHeader(nil); c.local && err != nil {
		return err
	}
	if r.Service == "missing" {
		return c.fail(errMissing)
	}
	for _, s := range []healthpb.HealthCheckResponse_ServingStatus{healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING} {
		if err := stream.Send(&healthpb.HealthCheckResponse{Status: s}); err != nil {
			return err
		}
	}
	if r.Service == "dying" {
		return c.fail(errMissing)
	}
	if r.Service == "chronic" {
		<-stream.Context().Done()
		c.left <- struct{}{}
		return stream.Context().Err()
	}
	return nil
}

var routes = wire.Routes{check: "POST /v1/{service}/check"}

// handler answers single calls as JSON over HTTP.
func handler(c *clinic) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/{service}/check", func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || len(body) > 0 {
			http.Error(w, "the service belongs into the path", http.StatusBadRequest)
			return
		}
		answer, err := c.Check(r.Context(), &healthpb.HealthCheckRequest{Service: r.PathValue("service")})
		if err != nil {
			f := failure.From(err)
			failure.WriteProblem(w, r, f.Problem(failure.NewID(strings.NewReader(strings.Repeat("x", 100)))))
			return
		}
		fmt.Fprintf(w, `{"status": %q}`, answer.Status)
	})
	return mux
}

// callers are all ways to reach the service.
func callers(t *testing.T) (map[string]wire.Caller, *clinic) {
	t.Helper()
	remote := &clinic{left: make(chan struct{}, 1)}
	server := grpc.NewServer()
	healthpb.RegisterHealthServer(server, remote)
	reflection.Register(server)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	raw, err := wire.RawGRPC(t.Context(), l.Addr().String(), service)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(raw.Close)
	local := &clinic{local: true, left: remote.left}
	web := httptest.NewServer(handler(local))
	t.Cleanup(web.Close)
	return map[string]wire.Caller{
		"local": wire.Local(&healthpb.Health_ServiceDesc, local), "gRPC": wire.GRPC(conn), "frames of gRPC": raw,
		"HTTP": wire.HTTP(nil, web.URL, routes), "bytes of HTTP": wire.RawHTTP(web.Listener.Addr().String(), routes),
	}, remote
}

func ask(name string) proto.Message { return &healthpb.HealthCheckRequest{Service: name} }

func TestACallIsAnsweredTheSameWhicheverWayItGoes(t *testing.T) {
	all, _ := callers(t)
	for name, c := range all {
		t.Run(name, func(t *testing.T) {
			answer, err := wire.Call(t.Context(), c, check, ask("a b/c"))
			if err != nil || answer.(*healthpb.HealthCheckResponse).Status != healthpb.HealthCheckResponse_SERVING {
				t.Errorf("the answer is %v, %v", answer, err)
			}
			for range 2 { // a connection may be used again
				if _, err := wire.Call(t.Context(), c, check, ask("missing")); wire.Failure(err) != 1001 {
					t.Errorf("the failure is %v, want code 1001", err)
				}
			}
		})
	}
}

func TestAStreamIsReadToItsEndOrAsFarAsIsWanted(t *testing.T) {
	all, _ := callers(t)
	for _, name := range []string{"local", "gRPC", "frames of gRPC"} {
		c := all[name]
		t.Run(name, func(t *testing.T) {
			statuses := func(service string, n int) (words []string, err error) {
				answers, err := wire.Take(t.Context(), c, watch, ask(service), n)
				for _, a := range answers {
					words = append(words, a.(*healthpb.HealthCheckResponse).Status.String())
				}
				return words, err
			}
			for _, test := range []struct {
				service string
				take    int
				want    string
				code    int
			}{
				{"well", 9, "[SERVING NOT_SERVING]", 0},
				{"well", 1, "[SERVING]", 0},
				{"missing", 9, "[]", 1001},
				{"dying", 9, "[]", 1001},
				{"chronic", 2, "[SERVING NOT_SERVING]", 0},
			} {
				got, err := statuses(test.service, test.take)
				if fmt.Sprint(got) != test.want || wire.Failure(err) != test.code || (err != nil) != (test.code != 0) {
					t.Errorf("%s: the answers are %v, %v; want %s and code %d", test.service, got, err, test.want, test.code)
				}
			}
			// Closing a stream ends the call.
			s, err := c.Open(t.Context(), watch, ask("chronic"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Next(); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAWatcherWhoLeavesEndsTheCall(t *testing.T) {
	all, clinic := callers(t)
	for _, name := range []string{"local", "gRPC", "frames of gRPC"} {
		if _, err := wire.Take(t.Context(), all[name], watch, ask("chronic"), 2); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		<-clinic.left
	}
}

func TestAStatusWithoutAFailureCodeIsAnErrorAllTheSame(t *testing.T) {
	all, _ := callers(t)
	for _, name := range []string{"gRPC", "frames of gRPC"} {
		_, err := wire.Call(t.Context(), all[name], check, ask("bare"))
		if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "no beds, 100 % full") {
			t.Errorf("%s: the error is %v", name, err)
		}
		if wire.Failure(err) != 0 {
			t.Errorf("%s: it has failure code %d", name, wire.Failure(err))
		}
	}
}

func TestWhatCannotBeCalledIsRefused(t *testing.T) {
	all, _ := callers(t)
	for _, test := range []struct {
		caller, method string
		request        proto.Message
		want           string
	}{
		{"local", "/grpc.health.v1.Health/Cure", ask(""), "has no method /grpc.health.v1.Health/Cure"},
		{"local", "/other.Service/Check", ask(""), "has no method"},
		{"local", check, &healthpb.HealthListRequest{}, "the method takes a *grpc_health_v1.HealthCheckRequest"},
		{"gRPC", "/grpc.health.v1.Health/Cure", ask(""), "method /grpc.health.v1.Health/Cure"},
		{"gRPC", "/grpc.health.v1.HealthCheckRequest", ask(""), "it is not a method"},
		{"frames of gRPC", "/nobody.Knows/This", ask(""), "method /nobody.Knows/This"},
		{"frames of gRPC", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", ask(""), "the service tells of no method"},
		{"frames of gRPC", list, &healthpb.HealthCheckRequest{Service: "a"}, "the service takes no such request"},
		{"HTTP", list, ask(""), "there is no route for method"},
	} {
		if _, err := wire.Call(t.Context(), all[test.caller], test.method, test.request); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s, %s: the error is %v, want one that says %q", test.caller, test.method, err, test.want)
		}
	}
}

func TestAServiceThatDoesNotTellItsContractIsRefused(t *testing.T) {
	silent := grpc.NewServer()
	healthpb.RegisterHealthServer(silent, &clinic{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = silent.Serve(l) }()
	defer silent.Stop()
	if _, err := wire.RawGRPC(t.Context(), l.Addr().String(), service); status.Code(errors.Unwrap(err)) != codes.Unimplemented {
		t.Errorf("without reflection the error is %v, want one with UNIMPLEMENTED", err)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	if _, err := wire.RawGRPC(t.Context(), closed.Addr().String(), service); err == nil {
		t.Error("nobody listens and no error says so")
	}
}

// answering is a server that answers each request with the same bytes.
func answering(t *testing.T, status int, kind, body string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s
}

func TestWhatIsNoAnswerIsAnError(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		kind   string
		body   string
		want   string
	}{
		{"an error page", 502, "text/html", "<h1>Bad Gateway</h1>", "502"},
		{"no JSON", 200, "application/json", "hello", "read the answer"},
		{"JSON of something else", 200, "application/json", `{"patient": 7}`, "read the answer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := answering(t, test.status, test.kind, test.body)
			for _, c := range []wire.Caller{wire.HTTP(s.Client(), s.URL, routes), wire.RawHTTP(s.Listener.Addr().String(), routes)} {
				_, err := wire.Call(t.Context(), c, check, ask("a"))
				if err == nil || !strings.Contains(err.Error(), test.want) || wire.Failure(err) != 0 {
					t.Errorf("the error is %v, want one without a code that says %q", err, test.want)
				}
			}
		})
	}
	s := answering(t, 200, "application/json", "{}")
	for pattern, want := range map[string]string{
		"POST /v1/{service": "is not closed", "POST /v1/{patient}": "the request has no patient, which the path needs",
	} {
		c := wire.HTTP(s.Client(), s.URL, wire.Routes{check: pattern})
		if _, err := wire.Call(t.Context(), c, check, ask("a")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error is %v, want one that says %q", err, want)
		}
	}
}
