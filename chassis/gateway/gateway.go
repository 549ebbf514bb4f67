// Package gateway serves the methods of a gRPC service as JSON over HTTP: grpc-gateway in
// process, with the chassis's manners. Each method is a route of its own, in metrics, log lines
// and faults; what a method returns as an error is answered as a problem document; and what a
// caller sends is read strictly: one JSON document in UTF-8, no unknown fields, no unknown
// query parameters, nothing in the body that contradicts the path.
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
package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// Method is one method as it appears over HTTP.
type Method struct {
	// Pattern is its route in the form of http.ServeMux. Wildcards have the names of the
	// request's fields: "GET /v1/games/{game_id}".
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
			chassis.Fail(w, r, failure.UnknownRoute.With("path", failure.Safe(r.URL.Path)))
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

// newCall finds the fields that m's path fills.
func newCall(m Method) (*call, error) {
	if m.Request == nil {
		return nil, fmt.Errorf("gateway: method %q: Request is nil: name the message it takes", m.Pattern)
	}
	c := &call{fields: m.Request.ProtoReflect().Descriptor().Fields()}
	for rest := m.Pattern; ; {
		_, after, ok := strings.Cut(rest, "{")
		if !ok {
			return c, nil
		}
		name, next, _ := strings.Cut(after, "}")
		rest = next
		name = strings.TrimSuffix(name, "...")
		if name == "$" {
			continue
		}
		if c.field(name) == nil {
			return nil, fmt.Errorf("gateway: method %q: %s has no field %q", m.Pattern, m.Request.ProtoReflect().Descriptor().FullName(), name)
		}
		c.path = append(c.path, name)
	}
}

// refuse answers an error: what reading the body found, what the method returned, or what the
// gateway did not understand.
func refuse(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
	_, declared := errors.AsType[failure.Failer](err)
	b, _ := ctx.Value(bodyKey{}).(*body)
	if b != nil && b.err != nil {
		err = b.err // the gateway keeps only the text of it
	} else if st, ok := status.FromError(err); ok && !declared {
		err = failure.Malformed.With("reason", failure.Safe(st.Message())).Wrap(err)
	}
	chassis.Fail(w, r, err)
}
