package setname

import "github.com/seed-754044b3/roadworthy/chassis/failure"

var name = "setname"

var codes = failure.NewSet(name) // want `the name of a failure set is not a constant: write it in the call, failure.NewSet\("game"\)`

var (
	errOne = codes.Caller(1001, "one")
	errTwo = codes.Caller(1001, "two")
	errNot = codes.Caller(1002, "not") // want `failure code errNot \(1002\) is never answered`
)

func Use() []error { return []error{errOne, errTwo} }
