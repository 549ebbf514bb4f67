package echo

import (
	"context"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/gateway"

	"github.com/seed-754044b3/roadworthy/template/echov1"
)

// methods are those of proto/echo/v1/http.yaml.
var methods = []gateway.Method{
	{Pattern: "GET /v1/echo", Request: (*echov1.EchoRequest)(nil)},
	{Pattern: "POST /v1/echo", Request: (*echov1.EchoRequest)(nil)},
}

// newRouter serves the methods of api as JSON.
func newRouter(ctx context.Context, api echov1.EchoServiceServer) (*chassis.Router, error) {
	r := chassis.NewRouter()
	return r, gateway.Mount(r, methods, func(mux *runtime.ServeMux) error {
		return echov1.RegisterEchoServiceHandlerServer(ctx, mux, api)
	})
}
