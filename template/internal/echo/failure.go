package echo

import "github.com/seed-754044b3/roadworthy/chassis/failure"

// The failures of the service. A number means the same for ever and is used in one place, so
// that an alarm for it names a line of code.
var (
	codes = failure.NewSet(Name)

	errMessageMissing = codes.Caller(1001, "a message is needed")
	errMessageTooLong = codes.Caller(1002, "the message is too long")
)
