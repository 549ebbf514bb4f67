package lossbench_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/tools/lossbench"
	"github.com/seed-754044b3/roadworthy/tools/lossbench/target"
)

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
