// Package scenarios is what the game service promises, as scenarios: given what happened in a game,
// when somebody does something, then this. docs/game-scenarios.md shows all of them as text.
//
// [Suite] holds them, in one file for each chapter. Its tests run them in process, over gRPC and HTTP
// against one fake, as bare bytes, and on the program that goes into production.
package scenarios

import (
	"crypto/sha256"
	"encoding/base32"

	"github.com/seed-754044b3/roadworthy/chassis/journal/scenario"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/arena"
	"github.com/seed-754044b3/roadworthy/examples/game/internal/record"
)

// What the scenarios of this service are made of.
type (
	// Scenario is one promise of the service.
	Scenario = scenario.Scenario[record.Fact, Command, Answer]
	// Chapter is promises about one thing.
	Chapter = scenario.Chapter[record.Fact, Command, Answer]
	// System is a service that scenarios are run on.
	System = scenario.System[Command, Answer]

	history = scenario.History[record.Fact]
	then    = scenario.Then[record.Fact, Answer]
)

// Settings that some scenarios need, in words.
const (
	OneOpenGame = "one open game is allowed"
	OneWatcher  = "one watcher is allowed"
)

// Suite is the scenarios of the game service. It does not change.
var Suite = scenario.Suite[record.Fact, Command, Answer]{
	Name:     "game",
	Chapters: []Chapter{creating, joining, dropping, bots, resigning, timing, looking, listing, watching, trouble},
	Failures: arena.Failures,
	Encode:   record.Encode,
	Decode:   record.Decode,
	Tell:     tell,
	NewID:    newID,
	Stream:   func(id string) string { return "game-" + id },
}

var crockford = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// newID is an id as games have it.
func newID(unique string) string {
	sum := sha256.Sum256([]byte(unique))
	return crockford.EncodeToString(sum[:16])
}
