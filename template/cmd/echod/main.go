// Command echod is the echo service. -h lists its flags.
package main

import (
	"github.com/seed-754044b3/roadworthy/chassis"

	"github.com/seed-754044b3/roadworthy/template/internal/echo"
)

func main() { chassis.Main(echo.Spec) }
