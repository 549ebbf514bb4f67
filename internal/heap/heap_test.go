package heap_test

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/internal/heap"
)

const mib = 1 << 20

// goal is the size that the heap may grow to before the next collection.
func goal() int64 {
	sample := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// gogc is GOGC as it stands.
func gogc() int {
	p := debug.SetGCPercent(100)
	debug.SetGCPercent(p)
	return p
}

// settled waits until GOGC, which is set after a collection, is what ok wants.
func settled(t *testing.T, what string, ok func(percent int) bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; runtime.GC() {
		p := gogc()
		if ok(p) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: GOGC is %d", what, p)
		}
		time.Sleep(time.Millisecond) // between two looks
	}
}

func TestASmallHeapMayGrowToItsFloor(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	runtime.GC()
	without := goal()
	const floor = 64 * mib
	stop := heap.Keep(floor)
	settled(t, "with a floor", func(int) bool { return goal() > floor*9/10 })
	if with := goal(); with > floor*11/10 || without > floor/4 {
		t.Errorf("the heap may grow to %d bytes with a floor, %d without", with, without)
	}
	stop()
	if p := gogc(); p != 100 {
		t.Errorf("GOGC is %d afterwards", p)
	}
}

func TestALargeHeapIsCollectedAsEver(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	defer heap.Keep(16 * mib)()
	settled(t, "a small heap", func(p int) bool { return p > 200 })
	large := make([]byte, 64*mib)
	settled(t, "a large heap", func(p int) bool { return p == 100 })
	runtime.KeepAlive(large)
	settled(t, "a small heap again", func(p int) bool { return p > 200 })
}

func TestTheHeapGrowsToItsFloorOrToTwiceOfWhatIsInUse(t *testing.T) {
	for _, c := range []struct{ live, roots, floor, want int64 }{
		{0, 0, 16 * mib, 16 * mib}, {mib, 0, 16 * mib, 16 * mib}, {3 * mib, 0, 16 * mib, 16 * mib}, {5 * mib, 0, 16 * mib, 16 * mib},
		{8 * mib, 0, 16 * mib, 16 * mib}, {9 * mib, 0, 16 * mib, 18 * mib}, {1 << 40, 0, 16 * mib, 2 << 40}, {mib, 0, 0, 4 * mib}, {mib, 0, mib, 4 * mib},
		{mib, mib, 16 * mib, 16 * mib}, {4 * mib, 4 * mib, 16 * mib, 16 * mib}, {4 * mib, 8 * mib, 16 * mib, 16 * mib}, {0, 2 * mib, 16 * mib, 16 * mib},
		{4 * mib, 32 * mib, 16 * mib, 40 * mib}, {9 * mib, 8 * mib, 16 * mib, 26 * mib},
	} {
		p := int64(heap.Percent(c.live, c.roots, c.floor))
		got := max(c.live+(c.live+c.roots)*p/100, 4*mib*p/100) // the runtime's rule
		if got > c.want || got < c.want*95/100 {
			t.Errorf("%d MiB in use, roots of %d, floor %d: GOGC %d, so %d MiB, want %d", c.live/mib, c.roots/mib, c.floor/mib, p, got/mib, c.want/mib)
		}
	}
}

// held is a goroutine's stack that has grown to about as many bytes as depth KiB.
func held(depth int, ready *sync.WaitGroup, end <-chan struct{}) byte {
	var frame [1 << 10]byte
	if depth == 0 {
		ready.Done()
		<-end
		return frame[0]
	}
	return held(depth-1, ready, end) + frame[depth]
}

func TestStacksDoNotLiftTheFloor(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	const floor = 32 * mib
	defer heap.Keep(floor)()
	end := make(chan struct{})
	var ready, ended sync.WaitGroup
	for range 1000 { // 32 MiB of stacks
		ready.Add(1)
		ended.Go(func() { held(20, &ready, end) })
	}
	ready.Wait()
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/heap/goal:bytes"}}
	settled(t, "with stacks", func(p int) bool {
		metrics.Read(sample)
		live, stacks, goal := sample[0].Value.Uint64(), sample[1].Value.Uint64(), sample[2].Value.Uint64()
		// By as much as is in use, stacks among it, or up to the floor.
		return stacks > 8*mib && goal <= max(floor, 2*live+stacks)*17/16+mib
	})
	close(end)
	ended.Wait()
}
