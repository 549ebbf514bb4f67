package main

import (
	"io"
	"net/http"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-754044b3/roadworthy/chassis"
)

func TestWhatWasThereIsServedUnchanged(t *testing.T) {
	i, err := chassis.Start(t.Context(), shop, func(s *chassis.Settings, c *config) {
		c.HTTP.Addr, c.GRPC.Addr, s.AccessLog.Path = "127.0.0.1:0", "127.0.0.1:0", "off"
	}, chassis.World{Stderr: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := i.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	res, err := http.Get("http://" + i.Addr("http").String() + "/prices")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); string(body) != `{"apple":3}`+"\n" || err != nil {
		t.Errorf("GET /prices: %q, %v", body, err)
	}
	conn, err := grpc.NewClient(i.Addr("grpc").String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var price wrapperspb.Int64Value
	if err := conn.Invoke(t.Context(), "/shop.Prices/Of", wrapperspb.String("apple"), &price); err != nil || price.Value != 3 {
		t.Errorf("price of an apple: %d, %v", price.Value, err)
	}
	err = conn.Invoke(t.Context(), "/shop.Prices/Of", wrapperspb.String("pear"), &price)
	if status.Code(err) != codes.NotFound || status.Convert(err).Message() != `no price for "pear"` {
		t.Errorf("price of a pear: %v", err)
	}
	health, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{Service: "shop.Prices"})
	if err != nil || health.Status != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("health: %v, %v", health, err)
	}
}
