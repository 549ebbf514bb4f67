package scenario

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// A System is a running service that scenarios are run on. It must not change once it is used, and
// runs one scenario at a time: what happens in subjects of other scenarios meanwhile, such as a
// bot's late move, is told apart and does no harm.
type System[C, A any] struct {
	// Name says what runs, such as "production binary on SQLite".
	Name string
	// Do carries out a command. key is unique to the wish: whoever sends a command again sends it
	// with the same key, and the service must then grant it once.
	Do func(ctx context.Context, r *Run, key string, command C) Result[A]
	// Tap is the way to the journal.
	Tap *Tap
	// Beside says that the tap's journal is not the one that the service holds but another handle
	// on the same storage: it can be read and appended to, and cannot be made to fail.
	Beside bool
	// Unable are scenarios, by name, that this way of calling the service cannot say, with the reason.
	// They are skipped.
	Unable map[string]string
	// Settle, if not nil, has everything happen that is due by the service's clock. It is called after
	// each command.
	Settle func()
	// Replace, if not nil, replaces the running service by one that takes over, as a deployment
	// does, and returns when that one serves.
	Replace func(ctx context.Context) error
}

// A Result is what came of a command.
type Result[A any] struct {
	// Failure is the number of the failure code that was answered; 0 is none.
	Failure int
	// Answer is what was answered; the zero value after a failure.
	Answer A
	// Made is the id of the subject that the command made; empty when it made none.
	Made string
	// Err says that there is no answer at all, or none that can be understood. It fails the scenario.
	Err error
}

// A Run is one scenario while it runs. It is used by one goroutine at a time.
type Run struct {
	journal journal.Journal
	unique  string
	ids     map[string]string // of the scenario's subjects, by name
	kept    map[string]string
	after   []func()
}

func newRun(j journal.Journal) *Run {
	return &Run{journal: j, unique: rand.Text(), ids: map[string]string{}, kept: map[string]string{}}
}

// Unique is text that no other run has: 26 letters and digits.
func (r *Run) Unique() string { return r.unique }

// ID is the id of the subject with a name, empty when there is none.
func (r *Run) ID(subject string) string { return r.ids[subject] }

// Journal is the service's journal as it is, without a [Fault].
func (r *Run) Journal() journal.Journal { return r.journal }

// Keep keeps a value for later commands of this run, such as what shows that a seat is taken.
func (r *Run) Keep(name, value string) { r.kept[name] = value }

// Kept is what was kept under a name, empty when nothing was.
func (r *Run) Kept(name string) string { return r.kept[name] }

// OnEnd has f called when the scenario is over, later registrations first.
func (r *Run) OnEnd(f func()) { r.after = append(r.after, f) }

func (r *Run) end() {
	for i := len(r.after) - 1; i >= 0; i-- {
		r.after[i]()
	}
}

// key is that of the n-th command of the run.
func (r *Run) key(n int) string { return fmt.Sprintf("%s-%d", r.unique, n) }
