// Command peerd is the echo service on the chassis, which peerbench measures beside its peers; -h shows its
// flags.
package main

import (
	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/tools/peerbench/own"
)

func main() { chassis.Main(own.Spec) }
