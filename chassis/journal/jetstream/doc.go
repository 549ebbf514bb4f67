// Package jetstream is the distributed engine of chassis/journal: a journal in a stream of NATS JetStream
// that is replicated to three servers. It is a module of its own, so that only services that name it link
// a NATS client:
//
//	events, err := journal.Open(ctx, s, cfg.Journal, sqlite.Engine, jetstream.Engine)
//
//	nats://HOST[:PORT][,HOST[:PORT]]…/NAME[?OPTION=VALUE&…]
//	tls://…                   the same over TLS
//
// A host may have USER:PASSWORD@ before it. The journal is the JetStream stream NAME (letters, digits, -
// and _), which is made when it does not exist. Options:
//
//	replicas=3        servers that keep a copy of a stream that is made: 1, 3 or 5
//	creds=FILE        a file of NATS credentials
//
// What has no place in a URL, such as certificates, is given to [With].
//
// # What the servers need
//
// NATS 2.12 or later, with JetStream and, in each server's configuration,
//
//	max_payload: 2MB
//	jetstream { sync_interval: always }
//
// An event of a mebibyte does not fit into the default payload, so Open refuses less. It cannot see the
// interval: with the default of two minutes an append that was acknowledged survives the death of
// processes but not of all machines at once.
//
// # Guarantees
//
// Any number of processes may have the journal open. Positions are sequence numbers of the JetStream stream,
// dense as long as nobody deletes messages, which the stream's configuration forbids. An append of one
// event is one message, one of several an atomic batch. Each is stored under the condition that the
// journal's stream still ends where it was when the engine looked, also if the caller expects nothing, so
// that an attempt whose answer is lost can be repeated, by the engine and by the caller, and is stored once.
//
// Snapshots, checkpoints and leases are in a second JetStream stream, NAME-state, each changed only if nobody
// else has changed it since it was read.
//
// Appends of one process to one stream follow each other, each taking a round trip and two fsyncs; those
// to different streams do not wait. Of the IDs of the streams written to last the engine remembers
// 262,144 in memory; for other streams, and those that are longer, an append that carries IDs reads the
// stream first.
//
// A sequence of all events has up to three batches in hand and on their way, each of at most 512 events and
// about a mebibyte, so that a subscriber that is slow and far behind holds some three mebibytes.
//
// Reads ask the server that leads the stream for the end, and any server for the events up to it. A leader
// that was cut off from the others answers for up to 20 seconds with what it knew, if the client reaches
// no other; an answer that is older than what this process has seen is never taken.
//
// # When servers fail
//
// With one of three servers down, or not answering, the others elect a leader within 4 to 9 seconds, and
// calls wait for that. With two down they fail when their context ends, or after 30 seconds: with
// [journal.ErrUnknownOutcome] when a server may have taken what was to be stored, else with the context's
// error or [journal.ErrUnavailable]. Subscriptions wait until servers answer again, and skip nothing.
package jetstream
