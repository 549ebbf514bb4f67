package own_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/tools/peerbench/echo"
	"github.com/seed-754044b3/roadworthy/tools/peerbench/own"
)

func start(ctx context.Context, change func(*own.Config)) (*chassis.Instance, error) {
	return chassis.Start(ctx, own.Spec, func(s *chassis.Settings, c *own.Config) {
		s.Admin.Addr, s.AccessLog.Path, s.Log.Level = "off", "off", "error"
		c.HTTP.Addr, c.GRPC.Addr, c.Debug.Addr = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
		change(c)
	}, chassis.World{Stdout: io.Discard, Stderr: io.Discard})
}

func ExampleSpec() {
	ctx := context.Background()
	service, err := start(ctx, func(*own.Config) {})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer service.Stop(ctx)
	res, err := http.Get("http://" + service.Addr("http").String() + "/hello")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()
	line, err := bufio.NewReader(res.Body).ReadString('\n')
	fmt.Print(line, err)
	// Output:
	// {"message":"hello, world","service":"bench","version":"1.0.0","padding":"0123456789abcdef0123456789"}
	// <nil>
}

func TestTheServiceAnswersCallsAndTellsWhatItAllocates(t *testing.T) {
	service, err := start(t.Context(), func(*own.Config) {})
	if err != nil {
		t.Fatal(err)
	}
	defer service.Stop(context.Background())
	c, err := grpc.NewClient(service.Addr("grpc").String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	out := new(wrapperspb.BytesValue)
	if err := c.Invoke(t.Context(), echo.Method, wrapperspb.Bytes([]byte("x")), out); err != nil || string(out.Value) != "x" {
		t.Errorf("call: %q, %v", out.Value, err)
	}
	res, err := http.Get("http://" + service.Addr("debug").String() + "/debug/vars")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var vars struct{ Memstats struct{ Mallocs uint64 } }
	if err := json.NewDecoder(res.Body).Decode(&vars); err != nil || vars.Memstats.Mallocs == 0 {
		t.Errorf("%+v: %v", vars, err)
	}
}

func TestAListenerThatCannotBeOpenedIsNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().String()
	for name, change := range map[string]func(*own.Config){
		"http":  func(c *own.Config) { c.HTTP.Addr = taken },
		"debug": func(c *own.Config) { c.Debug.Addr = taken },
		"grpc":  func(c *own.Config) { c.GRPC.Addr = taken },
	} {
		if _, err := start(t.Context(), change); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
