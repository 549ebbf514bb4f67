// Package gamefake is a network fake of the game service: the service itself, its games in
// memory, run inside the tests of its clients and misbehaving on request.
//
//	f := gamefake.Start(t)
//	conn, err := grpc.NewClient(f.Addr("grpc"), …)   // or JSON at f.URL("http")
//	f.FailNext(2, fake.Code(1042), fake.On("/game.v1.GameService/DropDisc"))
//	f.Advance(30 * time.Second)                     // a turn runs out
//
// Clients import this package and gamev1, and nothing else of the service.
package gamefake

import (
	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/examples/game"
	"github.com/seed-754044b3/roadworthy/fake"
)

var options = fake.Options[game.Config]{Configure: func(_ *chassis.Settings, c *game.Config) { c.Journal = "mem:" }}

// Start runs the fake for the length of a test, on the listeners "http" and "grpc".
func Start(tb fake.TB) *fake.Fake { tb.Helper(); return fake.Start(tb, game.Spec, options) }

// Main runs the fake as a program.
func Main() { fake.Main(game.Spec, options) }
