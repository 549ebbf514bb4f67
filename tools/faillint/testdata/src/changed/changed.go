package changed // want package:"changed 1001, changed 1002, changed 1003, changed 1004"

import "github.com/seed-754044b3/roadworthy/chassis/failure"

var codes = failure.NewSet("changed")

var (
	errSet     = codes.Caller(1001, "assigned to")
	errAddress = codes.Caller(1002, "address taken")
	errRange   = codes.Caller(1003, "assigned by a loop")
	errFine    = codes.Caller(1004, "fine")
)

func Change(other *failure.Code) []error {
	errSet = other                                   // want `failure code errSet \(changed 1001\) is assigned to or its address taken, but a code never changes: hand the value on, or declare another code`
	set(&errAddress)                                 // want `failure code errAddress \(changed 1002\) is assigned to or its address taken`
	for _, errRange = range []*failure.Code{other} { // want `failure code errRange \(changed 1003\) is assigned to`
	}
	return []error{errSet, errAddress, errRange, (&response{errFine}).err}
}

func set(code **failure.Code) {}

type response struct{ err error }
