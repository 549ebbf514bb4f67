package duplicate // want package:"duplicate 1001, duplicate 1001, duplicate-other 1001"

import "github.com/seed-754044b3/roadworthy/chassis/failure"

var (
	codes = failure.NewSet("duplicate")
	same  = codes
	other = failure.NewSet("duplicate-other")
	again = failure.NewSet("duplicate") // want `failure set duplicate is made here and at duplicate/duplicate.go:6: answers, logs and metrics could not tell their codes apart`
)

var (
	errOne   = codes.Caller(1001, "one")
	errTwo   = same.Service(1001, "two") // want `failure code duplicate 1001 is declared here as errTwo and at duplicate/duplicate.go:13 as errOne: give this one a number that was never used, by "roadworthy failures list"`
	errOther = other.Caller(1001, "another set has numbers of its own")
)

func Use() []error { return []error{errOne, errTwo, errOther} }
