// Package peerbench measures what a request costs on the chassis beside what it costs on net/http and grpc-go
// alone and on the stacks that people use instead.
//
// [Run] starts one server at a time on one processor, loads it with h2load from another, and reads from the
// kernel how much processor time the server took. It goes through all servers again and again, so that what
// else happens on the machine falls on all of them alike, and compares each with its base within a round.
// The command is tools/cmd/peerbench; README.md says how it is run and what to beware of.
//
// The servers are [Peers]. Those that need modules of others are modules of their own beside this package,
// outside the workspace, since what they require must not raise what the chassis requires. The service on
// the chassis is package own, the stack assembled by hand package naive.
package peerbench
