// Package scenario is specifications of an event-sourced service that run: given what happened, when
// somebody commands something, then these events, this answer or that failure.
//
// A [Scenario] is data, written in Go with the service's own types of events and commands, and shown
// as text wherever a person reads it, in the output of tests and in documentation:
//
//	given  game created; ann joined as red; bob joined as yellow; 6 moves in column 3
//	when   ann drops into column 3
//	then   failure 1042 "the column is full"; no events
//
// A [Suite] is the scenarios of a service and what the package must know of it: how its events are
// encoded, which streams they are in, how events read. It knows nothing of how commands reach the
// service, so that the same scenarios run in process, over a network, and against the program
// that goes into production: each is a [System], with one function that carries out a command.
// Histories are put straight into the service's journal, and what came of a command is read there
// and compared event by event, byte by byte.
//
// [Suite.Run] runs every scenario on a system in a [Mode]: as it stands, with every command sent
// twice, with the service replaced in the middle, with the answer to each append lost. [Suite.Compare]
// holds two systems against each other, [Suite.Hunt] looks for sequences of commands that break a
// rule and makes them as short as they can be, [Suite.Uncovered] says for which failures and
// events there is no scenario, and [Suite.Markdown] writes all of them down.
//
// Package chassis/journal/scenario/wire carries commands of a service whose contract is protobuf, in
// process, over gRPC, as JSON over HTTP, and as the bare bytes of both.
package scenario
