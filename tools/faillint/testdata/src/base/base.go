package base // want package:"base 1001"

import "github.com/seed-754044b3/roadworthy/chassis/failure"

// Failures is the set that other packages declare in as well.
var Failures = failure.NewSet("base")

var errBase = Failures.Caller(1001, "base")

func Base() error { return errBase }
