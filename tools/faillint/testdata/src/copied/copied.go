package copied // want package:"copied 1001, copied 1002, copied 1003, copied 1004, copied 1005, copied 1006"

import "github.com/seed-754044b3/roadworthy/chassis/failure"

var codes = failure.NewSet("copied")

var (
	errExported = codes.Caller(1001, "under another name")
	errAnswer   = codes.Caller(1002, "as an answer")
	errLater    = codes.Caller(1003, "assigned later")
	errTable    = codes.Caller(1004, "in an exported table")
	errPointed  = codes.Caller(1005, "in an exported table behind a pointer")
	errInside   = codes.Caller(1006, "in a table of this package")
)

var ErrExported = errExported // want `failure code errExported \(copied 1001\) is kept in another package-level variable, by which it can be answered anywhere: answer with errExported itself`

var answer = (errAnswer.With("a", 1).Wrap(nil)) // want `failure code errAnswer \(copied 1002\) is kept in another package-level variable`

var later error

func init() {
	later = errLater // want `failure code errLater \(copied 1003\) is kept in another package-level variable`
}

var Table = map[int]error{1: errTable} // want `failure code errTable \(copied 1004\) is kept in another package-level variable`

var Pointed = &struct{ err error }{err: errPointed} // want `failure code errPointed \(copied 1005\) is kept in another package-level variable`

var inside = []error{errInside}

// Chassis codes have other names where one likes.
var refused = failure.Overloaded
