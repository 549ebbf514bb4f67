// Package journal keeps what happened: events, appended to streams and never changed.
//
// A service that keeps its state as events writes down each decision ("ann dropped a disc in
// column 3") in the stream of the thing it is about ("game-7f3a"), and rebuilds the thing by
// reading the stream again. The journal gives it four guarantees to build on:
//
//   - An [Journal.Append] is all or nothing, and durable when it returns nil.
//   - An append says which [Version] of the stream it was decided on ([Expect]). If somebody was
//     faster, nothing is stored and a [*ConflictError] names the version to decide on again.
//   - All events of a journal have one order, their [Position]. Whoever has read up to a position
//     never has to look back: no event appears later at a lower one.
//   - An append that carries event IDs may be repeated after a timeout or a lost answer: it is
//     stored once.
//
// # Using it
//
// A service opens its journal by URL and names the engines it wants linked:
//
//	events, err := journal.Open(ctx, s, cfg.Journal, sqlite.Engine)
//
// Then one decision is a read, a check and an append:
//
//	version := journal.Version(0)
//	for e, err := range events.Read(ctx, "game-7f3a", 0) {
//		if err != nil {
//			return err
//		}
//		game.Apply(e)
//		version = e.Position
//	}
//	drop, err := game.Drop(column) // refuses a full column
//	…
//	_, err = events.Append(ctx, "game-7f3a", journal.At(version), drop)
//
// Everyone who follows along uses [Journal.Subscribe] with the last position they have seen.
//
// # Working together
//
// [Journal.AppendMany] decides about several streams at once, where the engine can. [Snapshots]
// shorten the reading of long streams. [Checkpoints] keep how far a reader has come, and [Leases] who
// may do what only one may do; a reader that several processes run uses both, so that one takes over
// when another ends, and one that was thought dead changes nothing any more:
//
//	lease, err := events.Leases().Acquire(ctx, "mailer", "host-3:4711", 30*time.Second)
//	…
//	at, err := events.Checkpoints().Load(ctx, "mailer")
//	…
//	err = events.Checkpoints().Move(ctx, "mailer", lease.Fence, at, at) // fences all earlier holders
//
// # Engines
//
// This package is the interface only. Package chassis/journal/sqlite is the embedded engine
// (mem: and file: URLs); package chassis/journal/journaltest checks that an engine keeps the
// promises made here. An engine calls [ValidateAppend] and its sisters first, so that every
// engine refuses the same bad input with the same words.
package journal
