// Command lossd is the service that lossbench asks while it is replaced; -h shows its flags.
package main

import (
	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/tools/lossbench/target"
)

func main() { chassis.Main(target.Spec) }
