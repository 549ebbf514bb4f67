// Command echofake is a network fake of the echo service, for the test suites of its clients.
// -h lists its flags.
package main

import "github.com/seed-754044b3/roadworthy/template/echofake"

func main() { echofake.Main() }
