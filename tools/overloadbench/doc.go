// Package overloadbench offers servers more than they can do, over real sockets, and counts what good comes of
// it: what users get within their deadline, how often their requests arrive, how soon all is well again.
//
// [Run] starts one server at a time, in a process of its own, has users ask it from this one, and returns a
// [Result] for each server, client, protocol and load; [WriteTable] writes them as Markdown and [Result.Check]
// says what they miss. The command is tools/cmd/overloadbench; README.md says how it is run and what to beware of.
//
// All servers do the same work, package work. That on the chassis is package target, those of others are the
// module peers, which is outside the workspace, since what it requires must not raise what the chassis requires.
package overloadbench
