package right // want package:"base 1001, base 2001, both 1001"

import (
	"base"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

var both = failure.NewSet("both")

var (
	errRight = base.Failures.Caller(2001, "right")
	errBoth  = both.Caller(1001, "both")
)

func Use() []error { return []error{errRight, errBoth} }
