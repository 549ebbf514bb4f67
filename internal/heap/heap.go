// Package heap keeps the garbage collector of a small process from running all the time.
//
// The collector lets the heap grow to twice of what is in use, and at least to 4 MiB. A service that
// holds 2 MiB and allocates 3 KB a request collects every 700 requests, and spends a tenth of its
// processor time on it. A floor of 16 MiB makes that every 5,000, for 12 MiB of memory.
package heap

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// least is what the runtime lets a heap grow to when GOGC is 100.
const least = 4 << 20

// usual is GOGC where nobody has set it.
const usual = 100

// Keep has the collector let the heap grow to floor bytes before it runs, or to twice of what is in
// use if that is more, from now on until stop is called. It takes the place of GOGC; the memory limit
// stands. A process keeps one floor at a time.
func Keep(floor int64) (stop func()) {
	k := &keeper{floor: floor, percent: usual}
	k.look()
	k.wait()
	return k.stop
}

// keeper adapts GOGC after each collection.
type keeper struct {
	floor int64

	mu      sync.Mutex
	percent int
	ended   bool
}

// look sets GOGC by what the latest collection has found in use, and reports whether to look again.
func (k *keeper) look() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended {
		return false
	}
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	metrics.Read(s)
	p := percent(int64(s[0].Value.Uint64()), int64(s[1].Value.Uint64()+s[2].Value.Uint64()), k.floor)
	// Setting it stops all goroutines for a moment, which small changes are not worth.
	if off := p - k.percent; off > k.percent/16 || -off > k.percent/16 {
		debug.SetGCPercent(p)
		k.percent = p
	}
	return true
}

// wait has look called after the next collection, which finds nobody who uses the byte.
func (k *keeper) wait() {
	runtime.AddCleanup(new(cycle), func(k *keeper) {
		if k.look() {
			k.wait()
		}
	}, k)
}

// cycle is not so small that it would share its memory with something else.
type cycle [16]byte

func (k *keeper) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ended = true
	debug.SetGCPercent(usual)
}

// percent is the GOGC by which a heap that has so many bytes in use grows to floor, or to twice of
// them. The runtime lets it grow by as much for the roots, which are stacks and globals: a thousand
// goroutines with stacks of 20 KiB would lift a floor of 16 MiB to 100 where 4 are in use.
func percent(live, roots, floor int64) int {
	most := floor * usual / least // then the runtime's own least is the floor
	if live+roots <= 0 {
		return int(max(most, usual))
	}
	return int(max(min((floor-live)*100/(live+roots), most), usual))
}
