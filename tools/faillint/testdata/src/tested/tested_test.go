package tested

import (
	"errors"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// Codes of tests are no service's.
var (
	ErrForTest = failure.NewSet("test").Caller(1001, "for this test")
	set        = failure.NewSet("tested")
)

func TestUses(t *testing.T) {
	codes := failure.NewSet("local")
	for n := range 3 {
		codes.Caller(n+1000, "many")
	}
	for _, err := range []error{errOnce, errOnce, errTest, errTest} {
		if errors.Is(err, set.Caller(1001, "x")) {
			t.Error(err)
		}
	}
}
