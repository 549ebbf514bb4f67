// Package projection keeps tables that are made from a journal's events, for the questions that
// reading streams cannot answer: the ten best players, the orders that are late.
//
// A projection is a table and a function that takes one event at a time ([Spec]). Nothing in it is
// known by it alone: it can always be made again from the events, so it is in a file of its own,
// which may be removed.
//
//	standings, err := projection.Open(ctx, s, "file:standings.db", events, spec)
//	…
//	s.Go("standings", standings.Run)
//
// # Exactly once
//
// Events are applied in batches of at most 1,000, each in one transaction with the position that the
// table has come to. A process that is killed goes on there; several processes may run the same
// projection on the same file, and each event is applied by one of them.
//
// # A new version
//
// Whoever changes the table, the filter or what Apply does counts up Spec.Version. The new version
// is built beside the old one, in the table p_NAME_vVERSION. [Query] asks the old one until the
// new one has come to the journal's head, and the new one from then on, so a query that a service
// asks meanwhile must suit both. [Projection.Ready] tells when that is over: a service that would
// rather wait does so in its Setup, while the worker before it serves and keeps its own version up
// to date. Versions that are neither the one that was completed last nor this process's are dropped
// when a projection is opened. A process whose version is dropped goes on with the other one.
//
// # Durability
//
// The file is in WAL mode with synchronous=NORMAL: a power cut may undo the last transactions, with
// the positions in them, and their events are applied again. With "mem:" the table is in memory and
// built at each start.
package projection
