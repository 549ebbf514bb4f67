package good // want package:"good 1001, good 1002, good 1003, good 1004, good 1005, good 1006, good 1007, good 1008, good 1009, good 1010, good 1011, good 1012, good 1013, good 1014, good 1015"

import (
	"errors"
	"net/http"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/fake"
)

const Name = "good"

// A set may be exported, for whoever runs the service, and have another name.
var (
	Failures = failure.NewSet(Name)
	codes    = Failures
)

var (
	errBare    = Failures.Caller(1001, "returned bare")
	errNew     = codes.Service(1_002, "a number with an underscore", failure.HTTPStatus(http.StatusServiceUnavailable))
	errWrapped = (codes.Dependency((1003), (`a raw message`)))
	errLong    = codes.NotProblem(0x3ec, "a message that is so long "+
		"that it stands on two lines")
	errTyped error = codes.Caller(1005, "as an error")

	errA, errB = codes.Caller(1006, "two at"), codes.Caller(1007, "once")
)

var errTable1, errTable2 = codes.Caller(1008, "in a table"), codes.Caller(1009, "in a table")

// table is one place for each of its codes, however often it is looked into.
var table = map[string]*failure.Code{"a": errTable1, "b": errTable2}

func Bare(n int) error {
	switch n {
	case 1:
		return errBare
	case 2:
		return errNew.New()
	case 3:
		return errWrapped.With("n", failure.Safe(n)).With("m", n).Wrap(errors.New("x"))
	case 4:
		return (errLong)
	case 5:
		return error(errTyped)
	case 6:
		return func() error { return errA.Failure() }()
	case 7:
		return helped()
	case 8:
		return helped()
	}
	return table["a"]
}

// helped is the one place that two others call.
func helped() error { return errB }

var errCompared = codes.Caller(1010, "compared")

// Looks asks about codes, which is no answer.
func Looks(err error, code *failure.Code) bool {
	_ = errCompared
	var _ error = errCompared
	switch code {
	case errCompared:
		return true
	}
	switch errCompared {
	case code:
	}
	advice := map[*failure.Code]string{errCompared: "wait"}
	fake.Fail(errCompared)
	fake.Fail((error)(errCompared))
	return errors.Is(err, errCompared) || code == errCompared || (errCompared) != code ||
		errCompared.Number() == 1010 || errCompared.Describe().Number == 1010 || advice[errCompared] == ""
}

func Answers() error { return errCompared }

var errLocal = codes.Caller(1011, "in a variable of a function")

// Local uses one answer several times.
func Local(deep bool) error {
	code := errLocal
	if deep {
		return code.With("deep", true)
	}
	return code
}

var errHanded = codes.Caller(1012, "handed to a function")

func Handed() error { return refuse(errHanded, 1) }

func refuse(code *failure.Code, n int) error { return code.With("n", n) }

var errMethod = codes.Caller(1013, "by a method value")

func Method() func(error) *failure.Error { return errMethod.Wrap }

var errGeneric = codes.Caller(1014, "in a generic function")

func Generic[T any](v T) error { return errGeneric.With("v", v) }

func Instances() []error { return []error{Generic(1), Generic("a")} }

var errField = codes.Caller(1015, "in a field")

type response struct{ err error }

func (r *response) fail() { r.err = errField }
