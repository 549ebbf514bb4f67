// Package gateway serves the methods of a gRPC service as JSON over HTTP: grpc-gateway in
// process, with the chassis's manners. Each method is a route of its own, in metrics, log lines
// and faults; what a method returns as an error is answered as a problem document; and what a
// caller sends is read strictly: one JSON document in UTF-8, no unknown fields, no unknown
// query parameters, nothing in the body that contradicts the path. (A zero contradicts nothing:
// unless the field is optional, it cannot be told from one that is left out.)
//
// An enum's value is said by its name or its number. A number that the contract does not name
// reaches the method when it stands in a body, as it does over gRPC, and is the method's to refuse,
// with a code of the service. In a query or a path it is refused as malformed input, as a name that
// the contract does not have is everywhere: what reads queries there looks values up in the contract,
// and grpc-gateway lets that be replaced for a whole process only.
//
// Errors are declared failures ([failure.Failer]), as anywhere. Of a plain gRPC status that a
// method returns, the callers' sort is answered with its message, as malformed input and with
// the HTTP status that google.rpc.Code documents; UNAUTHENTICATED, PERMISSION_DENIED,
// UNIMPLEMENTED, CANCELLED and DEADLINE_EXCEEDED are the chassis's codes for that. All others,
// such as the UNAVAILABLE of a service behind this one, are unclassified, and their text stays
// in the log.
//
// The mapping of methods to HTTP is made by protoc-gen-grpc-gateway, from annotations or from a
// service configuration in YAML; the routes are named once more in Go:
//
//	r := chassis.NewRouter()
//	err := gateway.Mount(r, []gateway.Method{
//		{Pattern: "POST /v1/echo", Request: (*echov1.EchoRequest)(nil)},
//	}, func(mux *runtime.ServeMux) error {
//		return echov1.RegisterEchoServiceHandlerServer(ctx, mux, server)
//	})
//
// Unary methods only: a stream is better served as Server-Sent Events by a handler of its own.
// Query parameters are read with GET, HEAD and DELETE only.
package gateway

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/internal/wary"
)

// Method is one method as it appears over HTTP.
type Method struct {
	// Pattern is its route in the form of http.ServeMux. Wildcards have the names of the
	// request's fields: "GET /v1/games/{game_id}". A slash in one that stands for a single
	// segment, however it is escaped, is an unknown route.
	Pattern string
	// Request is the message that the method takes; a nil pointer of its type will do.
	Request proto.Message
}

// Mount has r answer the methods. register is called once, with the mux to register the
// generated handlers of the service on; its error is Mount's.
func Mount(r *chassis.Router, methods []Method, register func(*runtime.ServeMux) error, opts ...chassis.RouteOption) error {
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, newCodec()),
		runtime.WithErrorHandler(refuse),
		runtime.WithRoutingErrorHandler(func(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, _ int) {
			chassis.Fail(w, r, unknownRoute(r))
		}),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithWriteContentLength(),
	)
	if err := register(mux); err != nil {
		return fmt.Errorf("gateway: register the methods: %w", err)
	}
	for _, m := range methods {
		c, err := newCall(m)
		if err != nil {
			return err
		}
		r.Handle(m.Pattern, func(w http.ResponseWriter, req *http.Request) error { return c.serve(mux, w, req) }, opts...)
	}
	return nil
}

func unknownRoute(r *http.Request) error {
	return failure.UnknownRoute.With("path", failure.Safe(r.URL.Path))
}

// newCall finds the fields that m's path fills.
func newCall(m Method) (*call, error) {
	if m.Request == nil {
		return nil, fmt.Errorf("gateway: method %q: Request is nil: name the message it takes", m.Pattern)
	}
	c := &call{message: m.Request.ProtoReflect().Descriptor()}
	for rest := m.Pattern; ; {
		_, after, ok := strings.Cut(rest, "{")
		if !ok {
			return c, nil
		}
		name, next, _ := strings.Cut(after, "}")
		rest = next
		name, several := strings.CutSuffix(name, "...")
		if name == "$" {
			continue
		}
		f := field(c.message, name)
		if f == nil {
			return nil, fmt.Errorf("gateway: method %q: %s has no field %q", m.Pattern, c.message.FullName(), name)
		}
		c.path = append(c.path, wildcard{name, several, f})
	}
}

// refuse answers an error: what reading the body found, what the method returned, or what the
// gateway did not understand.
func refuse(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
	_, declared := wary.As[failure.Failer](err)
	own, hasStatus := wary.As[interface {
		error
		GRPCStatus() *status.Status
	}](err)
	b, _ := ctx.Value(bodyKey{}).(*body)
	switch {
	case b != nil && b.err != nil:
		err = b.err // the gateway keeps only the text of it
	case hasStatus && !declared:
		err = classify(own.GRPCStatus(), err)
	}
	chassis.Fail(w, r, err)
}

// classify gives err, which carries a plain status, the code that fits. The gateway's own errors
// are INVALID_ARGUMENT.
func classify(st *status.Status, err error) error {
	switch st.Code() {
	case codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.FailedPrecondition, codes.Aborted, codes.OutOfRange:
		return failure.Malformed.With("reason", failure.Safe(st.Message())).Wrap(err).WithStatus(runtime.HTTPStatusFromCode(st.Code()))
	case codes.Unauthenticated:
		return failure.Unauthenticated.Wrap(err)
	case codes.PermissionDenied:
		return failure.Forbidden.Wrap(err)
	case codes.Unimplemented:
		return failure.UnknownRoute.Wrap(err)
	case codes.DeadlineExceeded:
		return failure.DeadlineExceeded.Wrap(err)
	case codes.Canceled:
		return fmt.Errorf("%w: %w", context.Canceled, err) // the chassis knows whether the caller left
	}
	return err
}
