// Command gamed serves games of Connect Four; -h shows how.
package main

import (
	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/examples/game"
)

func main() { chassis.Main(game.Spec) }
