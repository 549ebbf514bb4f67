// Command arcaded serves the web pages of the game service. arcaded -h shows its flags.
package main

import (
	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/examples/arcade"
)

func main() { chassis.Main(arcade.Spec) }
