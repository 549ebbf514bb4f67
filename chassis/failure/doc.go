// Package failure gives every failure that a service can answer with a number, declared once.
//
// A service declares its codes as package-level variables, in one [Set]:
//
//	var codes = failure.NewSet("game")
//
//	var errColumnFull = codes.Caller(1042, "column is full", failure.HTTPStatus(http.StatusConflict))
//	var errStore      = codes.Dependency(1201, "the game store does not answer")
//
// and uses each in exactly one place, so that an alarm for a number names a line of code:
//
//	return errColumnFull.With("column", failure.Safe(column))
//	return errStore.With("file", path).Wrap(err)
//
// # Classes
//
// The [Class] says whose fault a failure is, and with it whether anybody is woken up. It also
// decides what is answered when the declaration says nothing else:
//
//	class        meaning                                   HTTP           gRPC               alarm
//	Caller       the request cannot be served as it is     400 (4xx)      INVALID_ARGUMENT   never
//	Service      this service is broken or overloaded      500 (5xx)      INTERNAL           page
//	Dependency   something this service needs is broken    502 (5xx)      UNAVAILABLE        ticket
//	NotProblem   answered as a failure, expected in fact   404            NOT_FOUND          never
//
// [HTTPStatus] and [GRPCCode] set one status each; when only one of the two is given, the other
// follows from it. [Retryable], [Runbook] and [Alert] say the rest.
//
// # Who sees what
//
// An [*Error] is one occurrence of a code: with arguments ([Error.With]) and a cause
// ([Error.Wrap]). Its Error method is for the log and tells everything. What leaves the process
// is [Error.Detail] or [Error.Problem]: the declared message and those arguments that were
// marked with [Safe]. A cause never leaves, whatever it says.
//
// # What a host does
//
// Whatever a handler returns goes through [From], which finds the code in the chain of errors,
// knows the errors of the standard library that mean something of their own (a deadline, a
// caller that left, a body that is too large), and calls everything else [Unclassified]: code 1,
// counted and alarmed, so that the list of things to classify burns down. Panics become code 1
// through [Recovered]. The host counts the code ([Counter], one per running service), makes an
// id ([NewID]) for the answer and the log line, and answers over HTTP with [WriteProblem], an
// RFC 9457 problem document that a client reads with [ReadProblem], and over gRPC with the
// same facts as google.rpc.ErrorInfo: [Code.Reason] and the set's name as its domain.
//
// Codes below 1000 belong to the chassis and are declared here, in [Chassis]; services start at
// 1000. All of this package is safe for concurrent use, and codes and errors never change after
// they are made: methods that add something return a copy.
package failure
