// Package faketest holds the network fakes of services to what they promise. Each fake's own
// tests call it:
//
//	func TestTheFakeKeepsItsPromises(t *testing.T) {
//		faketest.Run(t, gamefake.Start)
//	}
//
//	func TestTheFakeHasNoHandlersOfItsOwn(t *testing.T) {
//		faketest.NoHandlers(t, ".")
//	}
//
// [Run] starts the fake, several times, and checks what clients' suites rely on: that it is
// ready at once, that every failure code the service declares can be injected over every
// protocol it speaks, that latency, recording and reset work, that fakes do not disturb each
// other and leave nothing behind.
//
// [NoHandlers] reads the source of the fake's package and refuses business logic in it. A
// handler written for the fake alone is how a fake begins to drift from the service.
package faketest
