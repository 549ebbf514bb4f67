package dot // want package:"dot 1001, dot 1002, dot 1003"

import (
	. "github.com/seed-754044b3/roadworthy/chassis/failure"
	renamed "github.com/seed-754044b3/roadworthy/chassis/failure"
)

type (
	set  = Set
	code = *Code
)

var codes *set = NewSet("dot")

var (
	errFine  code = codes.Caller(1001, "fine", Retryable(0))
	errNever code = codes.Caller(1002, "never") // want `failure code errNever \(dot 1002\) is never answered: answer with it where it occurs, or delete the declaration`
	ErrNamed      = codes.Caller(1003, "named") // want `failure code ErrNamed \(dot 1003\) is exported`
)

func Fine() *renamed.Error { return errFine.New() }
