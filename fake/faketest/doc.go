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
// [Run] starts the fake, several times, and checks what clients' suites rely on, over every protocol that the
// service's listeners speak:
//
//   - it is ready at once, and a stop or a reset leaves nothing behind;
//   - every failure code that the service declares can be injected;
//   - every kind of rule strikes: each phase with each action, installed or asked for by a call's header. What a
//     stock client sees, the fault's hits and the recorded call must agree; rules that make no sense are refused;
//   - rules strike the calls that they select, and no others;
//   - each call is recorded once, with what became of it, and duplicates are known;
//   - fakes and tenants do not disturb each other;
//   - states are restored and forked.
//
// It knows nothing about the service. Where it can, it calls routes with a fault that answers before the
// handler reads anything. Faults that strike after the handler need one that runs: those are called with an
// empty request, and Run takes whatever they answer. A handler that fails has committed nothing, and
// faults after a commit must then leave its answer alone; Run looks for one that succeeds. Streams do not run.
// In a service whose handlers all fail, or are streams, fewer kinds of rules are seen, and that is no failure.
//
// [NoHandlers] reads the source of the fake's package and refuses business logic in it. A
// handler written for the fake alone is how a fake begins to drift from the service.
package faketest
