package main

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// registerEverything stands for the registration code that is there already; generated code
// would have the descriptor below.
func registerEverything(r grpc.ServiceRegistrar) {
	r.RegisterService(&grpc.ServiceDesc{
		ServiceName: "shop.Prices",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Of", Handler: priceOf}},
	}, struct{}{})
}

func priceOf(srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
	var name wrapperspb.StringValue
	if err := decode(&name); err != nil {
		return nil, err
	}
	price := func(_ context.Context, req any) (any, error) {
		if name := req.(*wrapperspb.StringValue).GetValue(); name != "apple" {
			return nil, status.Errorf(codes.NotFound, "no price for %q", name)
		}
		return wrapperspb.Int64(3), nil
	}
	if intercept == nil {
		return price(ctx, &name)
	}
	return intercept(ctx, &name, &grpc.UnaryServerInfo{Server: srv, FullMethod: "/shop.Prices/Of"}, price)
}
