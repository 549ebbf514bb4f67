// Package sentry reports failures to Sentry without losing any and without telling secrets.
//
// A service takes it by one line of its Setup and one field of its configuration:
//
//	type Config struct {
//		Sentry sentry.Config `config:"sentry"` // the zero value is off
//	}
//
//	err := sentry.Use(s, cfg.Sentry)
//
// From then on every report of the service's aggregator (package aggregate) becomes one event: not
// each failure, but each group of them with its count, so that a line of code that fails 20,000 times
// a second costs Sentry a few events and loses none of the numbers. Failures never wait for it: a
// report is written to a spool on disk, and delivered from there.
//
// # What of sentry-go is used, and what is not
//
// Its event type, which knows how Sentry wants events as JSON, and its DSN. Not its client and
// transport: the queue is in memory, drops what comes while Sentry is down, and sends nothing again.
// Not its integrations: they collect the environment, headers, modules and query strings.
//
// # What is sent
//
// An allow-list. An event has the failure code, its class and message, the place in the code, the
// count, total, first and last time; of one failure as an example its error id, request and trace
// ids, listener, protocol, method, route template, status, safe arguments, a salted hash of the user,
// and the stack without arguments; and service, version, host, environment. No path, query, header,
// cookie, body, address or variable. Package scrub looks over every string of it once more before it
// is written to disk.
//
// Events are one issue when code and function are the same; line numbers are left out of the
// fingerprint, because a release moves them.
//
// # Delivery
//
// Events are sent one by one, at most [Config].Rate a second, with the report's ID as the event's:
// one that is sent again, after a crash or when an answer got lost, is recognised by Sentry and kept
// once. While Sentry is down, reports wait on disk, at most [Config].Bytes and [Config].Age of them,
// the oldest dropped first and counted; what Sentry says in Retry-After and X-Sentry-Rate-Limits is
// kept to. An event that Sentry will never take (400, 413) is parked in the spool for an operator to
// look at; a key that it does not know (401, 403) makes all wait and is logged. A spool whose disk fails is
// opened again until that works, and what comes meanwhile is dropped and counted; the service lives on.
package sentry
