// Command gamefake is a network fake of the game service, for the test suites of its clients in
// any language. -h lists its flags.
package main

import "github.com/seed-754044b3/roadworthy/examples/game/gamefake"

func main() { gamefake.Main() }
