package never // want package:"never 1001, never 1002, never 1003"

import (
	"errors"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

var codes = failure.NewSet("never")

var (
	errNever    = codes.Caller(1001, "never")                    // want `failure code errNever \(never 1001\) is never answered: answer with it where it occurs, or delete the declaration \("roadworthy failures check -w" then retires its number\)`
	errCompared = codes.Caller(1002, "only compared")            // want `failure code errCompared \(never 1002\) is never answered`
	errBlank    = codes.Caller(1003, "only assigned to nothing") // want `failure code errBlank \(never 1003\) is never answered`
)

func Compare(err error) bool {
	_ = errBlank
	return errors.Is(err, errCompared)
}
