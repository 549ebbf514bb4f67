// Package sentryfake is a network fake of Sentry: what a test has a service report its errors to.
//
// It speaks the envelope endpoint over real sockets on loopback, more strictly than Sentry itself: a
// malformed envelope, an item type that does not exist, an event without what the documentation
// requires or a wrong key fails the test, while Sentry would drop it and tell nobody.
//
//	fake := sentryfake.Start(t, sentryfake.Options{})
//	cfg.Sentry.DSN = config.NewSecret(fake.DSN())
//	…
//	err := fake.Wait(ctx, 1)
//	event := fake.Events()[0] // event.Code(), event.Count(), event.Tags, event.Fingerprint, …
//
// It works with every client of Sentry, not only this project's; [Event.Code] and [Event.Count] alone
// read what package chassis/failure/sentry writes.
//
// # Faults
//
// What goes wrong is a script, of which each step lasts for some requests or some time:
//
//	fake.Script(
//		sentryfake.Fault{Kind: sentryfake.Down, For: time.Hour},
//		sentryfake.Fault{Kind: sentryfake.Status, Status: 429, RetryAfter: time.Minute, Count: 1},
//		sentryfake.Fault{Kind: sentryfake.Lose, Count: 1}, // heard, and the answer got lost
//	)
//
// Time is that of [Options].Clock, so an outage of an hour takes a virtual clock no time at all. A
// fault that never struck fails the test: it was meant to.
//
// # Rate limits and repetitions
//
// [Options].Quotas limit what is accepted of each category; what is more is answered as Sentry does,
// with 429, Retry-After and X-Sentry-Rate-Limits. [Stats].Early counts requests that came though the
// client had been told to wait. An event that comes again with the same id is answered with 200 and
// counted, but recorded once.
//
// # As a program
//
// Command fake/sentryfake/cmd/sentryfake is the fake for suites in other languages: it says on standard
// output where it is, and [Fake.Control] is what they ask it by.
package sentryfake
