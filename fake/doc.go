// Package fake makes network fakes of services on the chassis: what a client's test suite runs
// against instead of the real thing.
//
// A fake is not a second implementation. It runs the service's own [chassis.Spec] in this
// process, with its own handlers behind real sockets on loopback, so it cannot drift from
// production. Only the world around the service differs: its configuration keeps state in
// memory, time is a [clock.Virtual] that stands still until a test advances it, and every
// call passes a layer that misbehaves when it is told to.
//
// The team that owns a service ships a package for it, a few lines long and without a
// handler of its own (faketest.NoHandlers sees to that):
//
//	package gamefake
//
//	var options = fake.Options[game.Config]{
//		Configure: func(_ *chassis.Settings, c *game.Config) { c.Journal = "mem:" },
//	}
//
//	// Start runs the game service for the length of a test.
//	func Start(tb fake.TB) *fake.Fake { tb.Helper(); return fake.Start(tb, game.Spec, options) }
//
//	// Main runs it as a program.
//	func Main() { fake.Main(game.Spec, options) }
//
// and a client's test uses it without ever importing the service:
//
//	f := gamefake.Start(t)
//	client := dial(f.Addr("grpc"))
//	f.FailNext(2, fake.Code(1042), fake.On("/game.v1.GameService/DropDisc"))
//	f.Latency(200*time.Millisecond, fake.OnListener("http"))
//	f.Advance(30 * time.Second) // every timer due has run when it returns
//	f.Reset()                   // empty, at the same addresses
//
// [Code] answers exactly what production answers for a failure code; [HTTPStatus] answers a
// bare status, over gRPC the code that belongs to it. A fault that never struck fails the
// test: it was meant to.
//
// # As a program
//
// Suites in other languages start the program that [Main] makes. It prints one line of JSON
// when it is ready and exits when its standard input closes, so it never outlives the suite
// that started it:
//
//	$ gamefake -port 0
//	{"ready":true,"service":"game","listeners":{"grpc":"127.0.0.1:40123","http":"127.0.0.1:40124"},"control":"127.0.0.1:40125","pid":4711}
//
// The control address speaks JSON over HTTP (see [Fake.Control]) and never misbehaves. GET /
// on it lists what it can do:
//
//	curl -d '{"code":1042,"count":2}' http://127.0.0.1:40125/faults
//	curl -d '{"seconds":30}' http://127.0.0.1:40125/clock/advance
//
// Fakes listen on loopback only, whatever the service's configuration says. Each has its own
// sockets, clock, faults and recording, so any number of them run side by side.
package fake
