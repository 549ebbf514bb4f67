package literal // want package:"literal 1001"

import "github.com/seed-754044b3/roadworthy/chassis/failure"

var codes = failure.NewSet("literal")

const (
	number  = 1002
	message = "a constant"
)

var (
	errLetter   = codes.Caller('Ϲ', "letter")                // want `the number of a failure code is not a literal: write it out, Caller\(1042, …\)`
	errNumber   = codes.Service(number, "number")            // want `the number of a failure code is not a literal: write it out, Service\(1042, …\)`
	errSum      = codes.Service(1000+3, "sum")               // want `the number of a failure code is not a literal`
	errMessage  = codes.Dependency(1004, message)            // want `the message of a failure code is not a literal: write it out, so that whoever searches`
	errJoined   = codes.Caller(1005, "joined with "+message) // want `the message of a failure code is not a literal`
	errBoth     = codes.Caller(number+1, message+"")         // want `the number of a failure code is not a literal` `the message of a failure code is not a literal`
	errReturned = codes.Caller(both())                       // want `number and message of a failure code are not literals: write them out, Caller\(1042, "the column is full"\)`
	errFine     = codes.Caller(1001, "fine")
)

func both() (int, string) { return 1007, "returned" }

func Use() []error {
	return []error{errLetter, errNumber, errSum, errMessage, errJoined, errBoth, errReturned, errFine}
}
