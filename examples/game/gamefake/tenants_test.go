package gamefake_test

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"testing"

	"google.golang.org/grpc/metadata"

	"github.com/seed-754044b3/roadworthy/examples/game/gamefake"
	"github.com/seed-754044b3/roadworthy/examples/game/gamev1"
	"github.com/seed-754044b3/roadworthy/fake"
)

// TestAThousandTenantsAreApartAndLight has as many tenants as a process is promised to hold, each with a
// game of its own, and removes them; docs/benchmarks.md shows what they take. More than half of it is SQLite's.
func TestAThousandTenantsAreApartAndLight(t *testing.T) {
	tenants, most := 1000, 320<<10
	if raceEnabled {
		tenants = 100
	}
	f := gamefake.Start(t)
	client := dial(t, f.Addr("grpc"))
	as := func(tenant any) context.Context {
		return metadata.AppendToOutgoingContext(t.Context(), fake.TenantHeader, fmt.Sprint(tenant))
	}
	f.Tenant("first")
	play(t, client, as("first")) // what the first one takes, all share
	before := resident(t)
	all := make([]*fake.Fake, tenants)
	for i := range all {
		all[i] = f.Tenant(fmt.Sprint(i))
	}
	idle := resident(t)
	games := map[string]bool{}
	for i := range all {
		games[play(t, client, as(i))] = true
	}
	played := resident(t)
	if len(games) != tenants {
		t.Errorf("%d games, want one for each of %d tenants", len(games), tenants)
	}
	for i := range all {
		list, err := client.ListGames(as(i), &gamev1.ListGamesRequest{})
		if err != nil || len(list.Games) != 1 || !games[list.Games[0].Id] {
			t.Fatalf("tenant %d has %v, %v; want the one game that it has made", i, list, err)
		}
		delete(games, list.Games[0].Id)
	}
	for _, one := range all {
		if err := one.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	all = nil
	if left := f.Tenants(); len(left) != 1 {
		t.Errorf("%d tenants are left, want 1", len(left))
	}
	after := resident(t)
	if raceEnabled || before == 0 {
		return // the race detector takes memory of its own for each; and not every system tells
	}
	each, withGame := (idle-before)/tenants, (played-before)/tenants
	t.Logf("%d tenants take %d KiB of resident memory each, %d KiB with a game, and leave %d KiB when they are gone",
		tenants, each>>10, withGame>>10, (after-before)/tenants>>10)
	if each > most {
		t.Errorf("a tenant takes %d KiB, want %d at most", each>>10, most>>10)
	}
	if left := after - before; left > (played-before)/4 {
		t.Errorf("%d of the %d KiB that the tenants took are not given back", left>>10, (played-before)>>10)
	}
}

// play makes a game and returns its name.
func play(t *testing.T, client gamev1.GameServiceClient, ctx context.Context) string {
	t.Helper()
	created, err := client.CreateGame(ctx, &gamev1.CreateGameRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return created.Game.Id
}

// resident is how many bytes of memory this process has without garbage, 0 where the system does not tell.
func resident(t *testing.T) int {
	t.Helper()
	for range 3 { // what a sync.Pool has goes with the second collection that finds it unused
		debug.FreeOSMemory()
	}
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, pages int
	if _, err := fmt.Sscan(string(b), &size, &pages); err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	return pages * os.Getpagesize()
}
