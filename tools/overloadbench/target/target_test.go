package target_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/tools/overloadbench/target"
	"github.com/seed-754044b3/roadworthy/tools/overloadbench/work"
)

func start(ctx context.Context, change func(*target.Config)) (*chassis.Instance, error) {
	return chassis.Start(ctx, target.Spec, func(s *chassis.Settings, c *target.Config) {
		s.Admin.Addr, s.AccessLog.Path, s.Log.Level = "off", "off", "error"
		c.HTTP.Addr, c.GRPC.Addr, c.Debug.Addr = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
		c.Mean = time.Millisecond
		change(c)
	}, chassis.World{Stdout: io.Discard, Stderr: io.Discard})
}

func ExampleSpec() {
	ctx := context.Background()
	service, err := start(ctx, func(*target.Config) {})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer service.Stop(ctx)
	res, err := http.Get("http://" + service.Addr("http").String() + work.Path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()
	fmt.Println(res.Status)
	// Output: 200 OK
}

func TestTheServiceCountsWhatComesOverBothProtocols(t *testing.T) {
	service, err := start(t.Context(), func(*target.Config) {})
	if err != nil {
		t.Fatal(err)
	}
	defer service.Stop(context.Background())
	c, err := grpc.NewClient(service.Addr("grpc").String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Invoke(t.Context(), work.Method, new(emptypb.Empty), new(emptypb.Empty)); err != nil {
		t.Fatal(err)
	}
	get := func(listener, path string) []byte {
		res, err := http.Get("http://" + service.Addr(listener).String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", path, res.Status, err)
		}
		return body
	}
	get("http", work.Path)
	// An answer is counted when its request is over, which may be after it has arrived.
	var s work.State
	for deadline := time.Now().Add(time.Minute); s.Arrivals != 2 && time.Now().Before(deadline); {
		if err := json.Unmarshal(get("debug", "/state"), &s); err != nil {
			t.Fatal(err)
		}
	}
	if s.Arrivals != 2 || s.Connections != 2 || s.Goroutines < 2 {
		t.Errorf("%+v, want 2 arrivals on 2 connections", s)
	}
}

func TestAListenerThatCannotBeOpenedIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().String()
	for name, change := range map[string]func(*target.Config){
		"http":  func(c *target.Config) { c.HTTP.Addr = taken },
		"debug": func(c *target.Config) { c.Debug.Addr = taken },
		"grpc":  func(c *target.Config) { c.GRPC.Addr = taken },
	} {
		if _, err := start(t.Context(), change); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
