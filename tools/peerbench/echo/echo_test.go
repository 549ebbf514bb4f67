package echo_test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-754044b3/roadworthy/internal/port"
	"github.com/seed-754044b3/roadworthy/tools/peerbench/echo"
)

func ExampleHello() {
	w := httptest.NewRecorder()
	echo.Hello(w, httptest.NewRequest(http.MethodGet, "/hello", nil))
	fmt.Println(w.Header().Get("Content-Type"), w.Body.String() == echo.Body)
	// Output:
	// application/json true
}

func TestFlagsSayWhatIsServedAndWhere(t *testing.T) {
	args, flags := os.Args, flag.CommandLine
	defer func() { os.Args, flag.CommandLine = args, flags }()
	debug, err := port.Addrs(1)
	if err != nil {
		t.Fatal(err)
	}
	flag.CommandLine = flag.NewFlagSet("peer", flag.ContinueOnError)
	os.Args = []string{"peer", "-mode=grpc", "-addr=127.0.0.1:65536", "-log=file", "-cert=absent", "-key=absent", "-debug=" + debug[0]}
	f := echo.Parse()
	if want := (echo.Flags{Mode: "grpc", Addr: "127.0.0.1:65536", Log: "file", Cert: "absent", Key: "absent"}); *f != want {
		t.Errorf("%+v", *f)
	}
	// The listener ends with the process. It may take a moment to begin.
	var res *http.Response
	for res, err = http.Get("http://" + debug[0] + "/debug/vars"); err != nil && t.Context().Err() == nil; {
		runtime.Gosched()
		res, err = http.Get("http://" + debug[0] + "/debug/vars")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("/debug/vars: %s", res.Status)
	}
	for _, cert := range []string{"absent", ""} {
		f.Cert = cert
		if err := f.Serve(http.HandlerFunc(echo.Hello)); err == nil {
			t.Errorf("certificate %q, port 65536: served", cert)
		}
	}
}

// registrar keeps what is registered.
type registrar struct{ desc *grpc.ServiceDesc }

func (r *registrar) RegisterService(d *grpc.ServiceDesc, _ any) { r.desc = d }

func TestTheMethodAnswersWhatItGetsWithAndWithoutAChain(t *testing.T) {
	var r registrar
	echo.Register(&r)
	decode := func(in any) error {
		in.(*wrapperspb.BytesValue).Value = []byte("x")
		return nil
	}
	passed := ""
	chain := func(ctx context.Context, in any, info *grpc.UnaryServerInfo, h grpc.UnaryHandler) (any, error) {
		passed = info.FullMethod
		return h(ctx, in)
	}
	for _, c := range []grpc.UnaryServerInterceptor{nil, chain} {
		out, err := r.desc.Methods[0].Handler(nil, t.Context(), decode, c)
		if err != nil || !proto.Equal(out.(proto.Message), wrapperspb.Bytes([]byte("x"))) {
			t.Errorf("%v: %v", out, err)
		}
	}
	if passed != echo.Method {
		t.Errorf("the chain saw %q", passed)
	}
	if _, err := r.desc.Methods[0].Handler(nil, t.Context(), func(any) error { return context.Canceled }, nil); err != context.Canceled {
		t.Errorf("a message that cannot be read: %v", err)
	}
}
