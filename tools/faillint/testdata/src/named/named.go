package named // want package:"named 1001, named 1002, named 1003"

import "github.com/seed-754044b3/roadworthy/chassis/failure"

var codes = failure.NewSet("named")

var (
	ErrSeen = codes.Caller(1001, "seen by everybody") // want `failure code ErrSeen \(named 1001\) is exported, so its place of use is not decided by its own package: begin its name with a small letter`
	errFine = codes.Caller(1002, "fine")
	_       = codes.Caller(1003, "nobody can say it") // want `failure code named 1003 has no name, so nothing can answer with it: name it, or delete the declaration`
)

func Fine() error { return errFine }
