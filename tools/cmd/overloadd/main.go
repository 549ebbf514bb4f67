// Command overloadd is the service that overloadbench asks for more than it can do; -h shows its flags.
package main

import (
	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/tools/overloadbench/target"
)

func main() { chassis.Main(target.Spec) }
