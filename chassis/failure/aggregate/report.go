package aggregate

import (
	"context"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// A Report is what one group of failures did since the last report of that group.
type Report struct {
	// ID is 32 lower-case hexadecimal digits, unique to the report, and the same when it is sent
	// again: who receives a report twice knows it by that.
	ID string `json:"id"`
	// Group is the key of the group, the same in every process and after every reload as long as the
	// line of code does not move: set, number and place, such as
	// "game 1042 arena.(*Table).Drop arena/table.go:77".
	Group string `json:"group"`
	// Code is the failure code that was answered; in the group [Overflow], which may have several, that of
	// the sample.
	Code failure.Description `json:"code"`
	// Place is the top frame inside the service's own module: function and file:line, as it stands in
	// Group. When none is known, it is what was answered: the method and the route, or the name of
	// the background work. A caller's failure has where its code was declared.
	Place string `json:"place"`
	// Count is how often the group failed since its last report, at least 1. The sum over all reports
	// of a group is exact.
	Count uint64 `json:"count"`
	// Total is how often the group failed since the service started, this report included. A reload does
	// not set it back. It begins anew when the group has been forgotten, which takes [Keep] without a
	// failure.
	Total uint64 `json:"total"`
	// First and Last are when the first and the last of the Count failures were answered.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Sample is one of the Count failures.
	Sample Sample `json:"sample"`

	// Service is the name of the Spec, Version and Revision what the binary was built from, Host the
	// machine's name, Generation the number of the worker process, 0 without a supervisor.
	Service    string `json:"service"`
	Version    string `json:"version"`
	Revision   string `json:"revision,omitempty"`
	Host       string `json:"host"`
	Generation int    `json:"generation"`
}

// A Sample is one failure in full, as far as it may leave the process. It has at most 12 KiB of text.
type Sample struct {
	// ID is the error id that the client got; see [failure.NewID].
	ID string `json:"error_id"`
	// RequestID and TraceID are those of the request, empty for background work.
	RequestID string `json:"request_id,omitempty"`
	TraceID   string `json:"trace_id,omitempty"`
	// Listener is the name of the listener, Protocol "http" or "grpc" (or "" for background work),
	// Method the HTTP method, "POST" for gRPC. Route is the pattern that matched or gRPC's full
	// method, never the path that the caller sent.
	Listener string `json:"listener,omitempty"`
	Protocol string `json:"protocol,omitempty"`
	Method   string `json:"method,omitempty"`
	Route    string `json:"route,omitempty"`
	// Status is the HTTP status of the answer, over gRPC the code's one; 0 for background work.
	Status int `json:"status,omitempty"`
	// Message is the code's message and, behind it, the shape of the error: the types in its chain and
	// its safe arguments, never the text of a cause.
	Message string `json:"message"`
	// Args are the arguments in the order in which they were added, at most 2 KiB of them. The value of one
	// that is not marked [failure.Safe] is [Redacted].
	Args []Arg `json:"args,omitempty"`
	// Stack is where the failure was made, or where it panicked: innermost first, at most 64 frames and
	// 6 KiB, without arguments. A caller's failure has none.
	Stack []Frame `json:"stack,omitempty"`
	// Panic reports whether the failure was a panic.
	Panic bool `json:"panic,omitempty"`
	// User is a salted hash of who asked, or empty.
	User string `json:"user,omitempty"`
	// Time is when the failure was answered.
	Time time.Time `json:"time"`
}

// Redacted stands for a value that may not leave the process.
const Redacted = "[redacted]"

// An Arg is an argument of a failure: at most 256 bytes of key and of value each.
type Arg struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// A Frame is a call on a stack.
type Frame struct {
	// Function is the function with its import path, as runtime.Frame has it.
	Function string `json:"function"`
	// File is the path of the source file: below the service's own module, or else with the import path
	// of its package. No path of a build machine is in it.
	File string `json:"file"`
	// Line is 1 or more, 0 when it is not known.
	Line int `json:"line"`
}

// A Sink takes reports. It is called by one goroutine at a time, in the order in which reports were
// made.
type Sink interface {
	// Take keeps r, durably if it can, or says why not. It must not block for longer than it takes to
	// write r down: what takes longer is the sink's own to do later. An error is counted and logged;
	// the report is not offered again.
	Take(ctx context.Context, r Report) error
}
