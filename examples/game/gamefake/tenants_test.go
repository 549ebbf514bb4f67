package gamefake_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/seed-754044b3/roadworthy/examples/game/gamefake"
)

// TestATenantTakesLittleOfGosMemory counts heap and stacks. What SQLite takes for a journal in memory
// is not Go's, and comes on top.
func TestATenantTakesLittleOfGosMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector takes memory of its own for each")
	}
	const tenants, most = 200, 150 << 10
	f := gamefake.Start(t)
	f.Tenant("first")
	used := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before := used()
	for i := range tenants {
		f.Tenant(fmt.Sprint("t", i))
	}
	each := int64(used()-before) / tenants
	t.Logf("a tenant takes %d KiB", each>>10)
	if each > most {
		t.Errorf("a tenant takes %d bytes of heap and stacks, want %d at most", each, most)
	}
}
