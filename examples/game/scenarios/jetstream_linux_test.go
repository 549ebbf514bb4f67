package scenarios_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/journal/scenario"
	"github.com/seed-754044b3/roadworthy/examples/game/scenarios"
	"github.com/seed-754044b3/roadworthy/internal/natscluster"
)

// One cluster is for all, since it takes longer to start than the scenarios to run.
func TestEveryScenarioOnJetStream(t *testing.T) {
	cluster := natscluster.Start(t)
	var made atomic.Int64
	onJetStream := func(testing.TB) string { return fmt.Sprintf("nats://%s/GAMES%d", cluster.Hosts(), made.Add(1)) }
	for _, mode := range []scenario.Mode{scenario.Once, scenario.AnswerLost} {
		t.Run("in process, "+string(mode), func(t *testing.T) { scenarios.Suite.Run(t, inProcess(onJetStream), mode) })
	}
	t.Run("on the production binary, with a reload in the middle", func(t *testing.T) {
		scenarios.Suite.Run(t, production(usual, onJetStream), scenario.Replaced)
	})
	t.Run("compared with SQLite in memory", func(t *testing.T) {
		scenarios.Suite.Compare(t, inProcess(inMemory), inProcess(onJetStream))
	})
	t.Run("compared with SQLite on disk, on the production binary", func(t *testing.T) {
		scenarios.Suite.Compare(t, production(usual, onDisk), production(usual, onJetStream))
	})
}
