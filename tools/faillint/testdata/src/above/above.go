package above // want package:"base 1001, base 1001, base 1002"

import "base"

// It needs no import of package failure to declare a code.
var (
	errSame = base.Failures.Caller(1001, "same") // want `failure code base 1001 is declared here as errSame and at base/base.go:8 as errBase`
	errMore = base.Failures.Caller(1002, "more")
	errNot  = base.Failures.Caller(1002+1, "not") // want `the number of a failure code is not a literal`
)

func Use() []error { return []error{errSame, errMore, errNot} }
