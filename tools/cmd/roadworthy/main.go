// Command roadworthy answers what operators of a service ask; without arguments it shows what that can be.
package main

import (
	"os"

	"github.com/seed-754044b3/roadworthy/tools/roadworthy"
)

func main() { os.Exit(roadworthy.Run(os.Args[1:], os.Stdout, os.Stderr)) }
