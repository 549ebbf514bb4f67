package tested // want package:"tested 1001, tested 1002"

import "github.com/seed-754044b3/roadworthy/chassis/failure"

var codes = failure.NewSet("tested")

var (
	errOnce = codes.Caller(1001, "once, and in tests")
	errTest = codes.Caller(1002, "only in tests") // want `failure code errTest \(tested 1002\) is never answered`
)

func Once() error { return errOnce }
