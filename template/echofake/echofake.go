// Package echofake is a network fake of the echo service: the service itself, run inside the
// tests of its clients, misbehaving on request.
//
//	f := echofake.Start(t)
//	f.FailNext(1, fake.Code(1002))
package echofake

import (
	"github.com/seed-754044b3/roadworthy/fake"

	"github.com/seed-754044b3/roadworthy/template/internal/echo"
)

var options fake.Options[echo.Config]

// Start runs the fake for the length of a test, on the listeners "http" and "grpc".
func Start(tb fake.TB) *fake.Fake { tb.Helper(); return fake.Start(tb, echo.Spec, options) }

// Main runs the fake as a program.
func Main() { fake.Main(echo.Spec, options) }
