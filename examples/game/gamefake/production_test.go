package gamefake_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/grpcserver"
	"github.com/seed-754044b3/roadworthy/examples/game"
	"github.com/seed-754044b3/roadworthy/examples/game/gamefake"
	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
	"github.com/seed-754044b3/roadworthy/fake"
)

// refuser is the game service but for what it does: every method fails with the code that is set.
type refuser struct {
	gamev1.UnimplementedGameServiceServer
	fails *failure.Code
}

func (r *refuser) GetGame(context.Context, *gamev1.GetGameRequest) (*gamev1.GetGameResponse, error) {
	return nil, r.fails
}

// production starts, as a daemon would and without any fake, a service with the game's name and codes
// whose handlers fail as they are told.
func production(t *testing.T) (r *refuser, httpAddr, grpcAddr string) {
	t.Helper()
	type config struct {
		HTTP chassis.HTTPConfig `config:"http"`
		GRPC grpcserver.Config  `config:"grpc"`
	}
	r = new(refuser)
	local := "127.0.0.1:0"
	i, err := chassis.Start(t.Context(), chassis.Spec[config]{
		Name: game.Spec.Name, Failures: game.Spec.Failures,
		Defaults: config{HTTP: chassis.HTTPConfig{Addr: local}, GRPC: grpcserver.Config{Addr: local}},
		Setup: func(_ context.Context, s *chassis.Service, cfg config) error {
			router := chassis.NewRouter()
			router.Handle("GET /v1/games/{game_id}", func(http.ResponseWriter, *http.Request) error { return r.fails })
			err := grpcserver.Serve(s, "grpc", cfg.GRPC, func(g grpc.ServiceRegistrar) { gamev1.RegisterGameServiceServer(g, r) })
			return errors.Join(err, s.HTTP("http", cfg.HTTP, router))
		},
	}, func(s *chassis.Settings, _ *config) { s.Admin.Addr, s.AccessLog.Path = "off", "off" }, chassis.World{Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return r, i.Addr("http").String(), i.Addr("grpc").String()
}

// own is what differs between two answers of one failure: ids, and the time of day.
var own = regexp.MustCompile(`"id":"[^"]+"|(?m)^X-Request-Id: .*$|(?m)^Date: .*$|(?m)^Content-Length: .*$`)

// raw is an answer over HTTP byte by byte, but for what is of one call alone.
func raw(t *testing.T, addr string) string { t.Helper(); return rawPath(t, addr, "/v1/games/x") }

func rawPath(t *testing.T, addr, path string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: game\r\nConnection: close\r\n\r\n", path)
	b, err := io.ReadAll(bufio.NewReader(conn))
	if err != nil || len(b) == 0 {
		t.Fatalf("after %q: %v", b, err)
	}
	return own.ReplaceAllString(string(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))), "")
}

// rawGRPC is the same over gRPC: status, details, header and trailer.
func rawGRPC(t *testing.T, client gamev1.GameServiceClient) string {
	t.Helper()
	var header, trailer metadata.MD
	_, err := client.GetGame(t.Context(), &gamev1.GetGameRequest{GameId: "x"}, grpc.Header(&header), grpc.Trailer(&trailer))
	st := status.Convert(err)
	if st.Code() == codes.OK {
		t.Fatal("it succeeded")
	}
	var details []string
	for _, d := range st.Details() {
		if info, ok := d.(interface{ GetMetadata() map[string]string }); ok { // google.rpc.ErrorInfo
			delete(info.GetMetadata(), "id")
		}
		// Protobuf writes the pairs of a map in any order, even twice in one process.
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(d.(proto.Message))
		if err != nil {
			t.Fatal(err)
		}
		details = append(details, fmt.Sprintf("%T %q", d, b))
	}
	for _, md := range []metadata.MD{header, trailer} {
		delete(md, "x-request-id")
		delete(md, "grpc-status-details-bin")
	}
	return fmt.Sprintf("%d %q %q %v %v", st.Code(), st.Message(), details, header, trailer)
}

// TestEveryCodeIsAnsweredAsProductionAnswersIt injects all codes of the game and of the chassis and
// compares what comes over the wire with what a service without a fake sends for them, before the
// handler and in place of its answer.
func TestEveryCodeIsAnsweredAsProductionAnswersIt(t *testing.T) {
	real, httpAddr, grpcAddr := production(t)
	realGRPC := dial(t, grpcAddr)
	f := gamefake.Start(t)
	faked := dial(t, f.Addr("grpc"))
	all := slices.Concat(failure.Chassis.Codes(), game.Spec.Failures.Codes())
	if len(all) < 40 || len(all) != len(f.Description().Failures) {
		t.Errorf("%d codes, the fake declares %d", len(all), len(f.Description().Failures))
	}
	for _, code := range all {
		real.fails = code
		fault := f.Fail(fake.Code(code.Number()))
		if got, want := raw(t, f.Addr("http")), raw(t, httpAddr); got != want {
			t.Errorf("%d over HTTP:\n%s\nproduction answers\n%s", code.Number(), got, want)
		}
		if got, want := rawGRPC(t, faked), rawGRPC(t, realGRPC); got != want {
			t.Errorf("%d over gRPC:\n%s\nproduction answers\n%s", code.Number(), got, want)
		}
		fault.Remove()
	}
	// A handler that succeeds is needed for what comes after it.
	created, err := faked.CreateGame(t.Context(), &gamev1.CreateGameRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range all {
		real.fails = code
		fault := f.Inject(fake.Rule{Phase: fake.AfterCommit, Failure: fake.Code(code.Number())})
		for _, path := range []string{"/v1/games/" + created.Game.Id, "/v1/games", "/openapi.json"} {
			got := rawPath(t, f.Addr("http"), path)
			if want := strings.ReplaceAll(raw(t, httpAddr), "/v1/games/x", path); got != want {
				t.Errorf("%d after %s:\n%s\nproduction answers\n%s", code.Number(), path, got, want)
			}
		}
		fault.Remove()
	}
	if c := f.Coverage(); len(c.Missed) != 0 {
		t.Errorf("%v; missed %v", c, c.Missed)
	}
}
