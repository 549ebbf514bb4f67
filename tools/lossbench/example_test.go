package lossbench_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/tools/lossbench"
	"github.com/seed-754044b3/roadworthy/tools/lossbench/target"
)

func TestClientsTellOfEachAnswerAndWhatTheServiceCallsIt(t *testing.T) {
	ctx := t.Context()
	service, err := chassis.Start(ctx, target.Spec, func(s *chassis.Settings, c *target.Config) {
		s.Admin.Addr, s.AccessLog.Path, s.Log.Level = "off", "off", "error"
		c.HTTP.Addr, c.GRPC.Addr = "127.0.0.1:0", "127.0.0.1:0"
	}, chassis.World{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = service.Stop(context.Background()) }()
	var mu sync.Mutex
	told := map[string]lossbench.Answer{}
	load, err := lossbench.Start(lossbench.Options{
		HTTP: service.Addr("http").String(), GRPC: service.Addr("grpc").String(), Protocols: []string{"h1", "h2c-get", "h2c-post", "grpc"},
		Answered: func(a lossbench.Answer) {
			mu.Lock()
			defer mu.Unlock()
			told[a.ID] = a
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "each asks", func() bool {
		return !slices.ContainsFunc(load.Results(), func(r lossbench.Result) bool { return r.Requests == 0 })
	})
	answered := 0
	for _, r := range load.Stop() {
		answered += int(r.Requests - r.Failed)
	}
	if len(told) != answered {
		t.Errorf("%d ids of %d answers", len(told), answered)
	}
	for id, a := range told {
		if len(id) != 36 || a.Received.Before(a.Sent) || a.Sent.IsZero() {
			t.Errorf("told of %+v", a)
		}
	}
}

// Clients ask a service that runs in the same process and is not replaced.
func ExampleStart() {
	ctx := context.Background()
	service, err := chassis.Start(ctx, target.Spec, func(s *chassis.Settings, c *target.Config) {
		s.Admin.Addr, s.AccessLog.Path, s.Log.Level = "off", "off", "error"
		c.HTTP.Addr, c.GRPC.Addr = "127.0.0.1:0", "127.0.0.1:0"
	}, chassis.World{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer service.Stop(ctx)

	load, err := lossbench.Start(lossbench.Options{
		HTTP:      service.Addr("http").String(),
		GRPC:      service.Addr("grpc").String(),
		Protocols: []string{"h1", "h2c-post", "grpc"},
		Delay:     time.Millisecond,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	unasked := func(r lossbench.Result) bool { return r.Requests == 0 }
	for slices.ContainsFunc(load.Results(), unasked) {
		time.Sleep(10 * time.Millisecond)
	}
	for _, r := range load.Stop() {
		fmt.Printf("%s: %d failed\n", r.Protocol, r.Failed)
	}
	// Output:
	// h1: 0 failed
	// h2c-post: 0 failed
	// grpc: 0 failed
}
