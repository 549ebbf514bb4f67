package echo

import (
	"context"
	"errors"
	"net/http"
	"os"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/template/echov1"
)

// routes are those of proto/echo/v1/http.yaml. They are registered one by one so that each has
// its own name in metrics, log lines and faults.
var routes = []string{
	"GET /v1/echo",
	"POST /v1/echo",
}

// newRouter serves the methods of api as JSON.
func newRouter(ctx context.Context, api echov1.EchoServiceServer) (*chassis.Router, error) {
	gateway := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, &runtime.JSONPb{
			MarshalOptions: protojson.MarshalOptions{EmitDefaultValues: true},
			// Unknown fields are refused, as the zero UnmarshalOptions say.
		}),
		runtime.WithErrorHandler(refuse),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
	)
	if err := echov1.RegisterEchoServiceHandlerServer(ctx, gateway, api); err != nil {
		return nil, err
	}
	r := chassis.NewRouter()
	for _, route := range routes {
		r.Mount(route, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodHead {
				req.Method = http.MethodGet // the gateway knows no HEAD; the server sends no body
			}
			gateway.ServeHTTP(w, req)
		}))
	}
	return r, nil
}

// refuse answers what the method returned, or what the gateway could not read.
func refuse(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
	_, declared := errors.AsType[failure.Failer](err)
	if st, ok := status.FromError(err); ok && !declared {
		err = unreadable(r, st.Message())
	}
	chassis.Fail(w, r, err)
}

// unreadable is why a request could not be read. The gateway keeps only the text of an error;
// reading on meets the error itself again.
func unreadable(r *http.Request, reason string) error {
	_, err := r.Body.Read(make([]byte, 1))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return failure.TooSlow.Wrap(err)
	}
	return failure.Malformed.With("reason", failure.Safe(reason))
}
