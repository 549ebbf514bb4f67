package aggregate_test

import (
	"runtime/debug"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/failure/aggregate"
)

func TestTheServicesOwnCodeIsToldFromThatOfOthers(t *testing.T) {
	built := &debug.BuildInfo{Path: "example.com/shop/cmd/shopd", Main: debug.Module{Path: "example.com/shop"}, Deps: []*debug.Module{
		{Path: "example.com/shared", Version: "(devel)"}, {Path: "example.com/lib", Version: "v1.0.0"},
	}}
	script := &debug.BuildInfo{Path: "command-line-arguments", Main: debug.Module{Path: "command-line-arguments"}}
	chassis := &debug.BuildInfo{Main: debug.Module{Path: "github.com/seed-754044b3/roadworthy"}}
	for _, c := range []struct {
		info     *debug.BuildInfo
		function string
		own      bool
		file     string
	}{
		{built, "example.com/shop/till.(*Till).Open", true, "till/x.go"},
		{built, "example.com/shop.Main.func1", true, "x.go"},
		{built, "example.com/shop/till_test.TestTill", true, "till/x.go"},
		{built, "example.com/shop/till.Map[example.com/lib.Key,go.shape.int].Get", true, "till/x.go"},
		{built, "example.com/shopping.Open", false, "example.com/shopping/x.go"},
		{built, "example.com/shared/money.Add", true, "money/x.go"},
		{built, "example.com/lib.Do", false, "example.com/lib/x.go"},
		{built, "net/http.(*conn).serve", false, "net/http/x.go"},
		{built, "main.main", true, "cmd/shopd/x.go"},
		{script, "main.serve", true, "command-line-arguments/x.go"},
		{script, "net/http.(*conn).serve", false, "net/http/x.go"},
		{nil, "main.main", true, "main/x.go"},
		{chassis, "github.com/seed-754044b3/roadworthy/chassis.(*exchange).fail", false, "chassis/x.go"},
		{chassis, "github.com/seed-754044b3/roadworthy/chassis/queue.Do", false, "chassis/queue/x.go"},
		{chassis, "github.com/seed-754044b3/roadworthy/chassis_test.TestX", true, "chassis/x.go"},
	} {
		own, file := aggregate.Owns(c.info, c.function, "/home/build/x.go")
		if own != c.own || file != c.file {
			t.Errorf("%s: own %v in %s, want %v in %s", c.function, own, file, c.own, c.file)
		}
	}
}

const panicked = `goroutine 8 [running]:
runtime/debug.Stack()
	/usr/local/go/src/runtime/debug/stack.go:26 +0x5e
example.com/shop/host.rescue(0xc000012345)
	/src/shop/host/host.go:12 +0x31
panic({0x5432a0?, 0xc0000140c8?})
	/usr/local/go/src/runtime/panic.go:783 +0x132
runtime.panicIndex()
	/usr/local/go/src/runtime/panic.go:115 +0x71
example.com/lib.Each(...)
	/src/lib/each.go:9
example.com/shop/till.(*Till).Open(0xc00007c6c0, {0x1, 0x2})
	/src/shop/till/till.go:77 +0x1d
not a call
	/src/shop/till/till.go:78
example.com/shop/till.bad()
	no place
created by net/http.(*Server).Serve in goroutine 1
	/usr/local/go/src/net/http/server.go:3454 +0x485

goroutine 9 [running]:
example.com/shop.Other()
	/src/shop/other.go:1 +0x1
`

func TestATraceIsReadFromThePanicOn(t *testing.T) {
	info := &debug.BuildInfo{Main: debug.Module{Path: "example.com/shop"}}
	frames, top := aggregate.Trace(info, panicked)
	if top != "till.(*Till).Open till/till.go:77" {
		t.Errorf("top %q", top)
	}
	var functions []string
	for _, f := range frames {
		functions = append(functions, f.Function)
	}
	if got := strings.Join(functions, " "); got != "runtime.panicIndex example.com/lib.Each example.com/shop/till.(*Till).Open net/http.(*Server).Serve" {
		t.Error(got)
	}
	if frames[3].File != "net/http/server.go" || frames[3].Line != 3454 {
		t.Errorf("last %+v", frames[3])
	}
	if _, top := aggregate.Trace(info, "nothing"); top != "" {
		t.Errorf("top of nothing: %q", top)
	}
	if frames, _ := aggregate.Trace(info, strings.Repeat("a.b()\n\t/a.go:1 +0x1\n", 100)); len(frames) != 64 {
		t.Errorf("%d frames, want 64", len(frames))
	}
}

func FuzzTrace(f *testing.F) {
	f.Add(panicked)
	f.Add("panic(\n\t:\n")
	f.Fuzz(func(t *testing.T, text string) {
		frames, _ := aggregate.Trace(&debug.BuildInfo{Main: debug.Module{Path: "example.com/shop"}}, text)
		if len(frames) > 64 {
			t.Errorf("%d frames", len(frames))
		}
		for _, frame := range frames {
			if frame.Line < 0 || frame.Function == "" {
				t.Errorf("frame %+v", frame)
			}
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`[{"group":"a","count":1,"sample":{"stack":[{"line":1}]}}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		groups, err := aggregate.Decode(data)
		if err != nil {
			return
		}
		again, err := aggregate.Encode(groups)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := aggregate.Decode(again); err != nil || len(back) != len(groups) {
			t.Errorf("%d groups became %d, %v", len(groups), len(back), err)
		}
	})
}
