// Package record is what is kept of a game: the facts that happened in it, and the game as they
// leave it.
//
// A [Fact] is one of [Created], [Joined], [Dropped] and [Finished]. [Encode] and [Decode] turn
// facts into what a journal stores and back; what is stored carries the version of its encoding,
// so that a release which meets a newer one says so instead of guessing.
//
// A [Game] is the fold of its events and never changes. [Game.With] gives the game after one
// more event and refuses one that cannot follow, so a damaged journal is noticed rather than
// played on. [Game.Prefix] gives the game as it was:
//
//	g := record.New(id)
//	for _, e := range events {
//		if g, err = g.With(e); err != nil {
//			return err
//		}
//	}
//
// The package is pure: no time, no storage, no randomness. Whether a wish may become a fact is
// decided elsewhere.
package record
