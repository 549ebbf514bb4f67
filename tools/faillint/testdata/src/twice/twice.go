package twice // want package:"twice 1001, twice 1002, twice 1003, twice 1004"

import (
	"fmt"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

var codes = failure.NewSet("twice")

var (
	errTwice  = codes.Caller(1001, "two places")
	errThrice = codes.Caller(1002, "three places")
	errTable  = codes.Caller(1003, "two keys of a table")
	errAgain  = codes.Caller(1004, "two files")
)

var table = map[int]error{
	1: errTable,
	2: errTable, // want `failure code errTable \(twice 1003\) is answered here and at twice.go:19`
}

func Answer(n int) error {
	switch n {
	case 1:
		return errTwice.With("n", n)
	case 2:
		return errThrice
	case 3:
		return fmt.Errorf("three: %w", errThrice) // want `failure code errThrice \(twice 1002\) is answered here and at twice.go:28: an alarm for it must name one place; declare a code of its own for this one, or answer in one function that both call`
	case 4:
		return fmt.Errorf("four: %w", errThrice.New()) // want `failure code errThrice \(twice 1002\) is answered here and at twice.go:28`
	}
	return errTwice.With("n", n) // want `failure code errTwice \(twice 1001\) is answered here and at twice.go:26`
}

func Again() error { return errAgain }
