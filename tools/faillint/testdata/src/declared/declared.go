package declared // want package:""

import "github.com/seed-754044b3/roadworthy/chassis/failure"

var codes = failure.NewSet("declared")

// group hides its codes in fields.
var group = struct{ full, over *failure.Code }{
	full: codes.Caller(1001, "full"), // want `a failure code is declared elsewhere than in a package-level variable of its own: write var errFull = codes.Caller\(1042, …\)`
	over: codes.Caller(1002, "over"), // want `a failure code is declared elsewhere`
}

var first, second = two()

func two() (a, b *failure.Code) {
	a = codes.Caller(1003, "first")         // want `a failure code is declared elsewhere`
	return a, codes.Service(1004, "second") // want `a failure code is declared elsewhere`
}

var answer = codes.Caller(1005, "answer").New() // want `a failure code is declared elsewhere`

func Local() error {
	var err = codes.Dependency(1006, "local") // want `a failure code is declared elsewhere`
	return err
}

// Other ways to call what declares.
var (
	declare   = codes.Caller // want `Set.Caller is not called here but taken as a value, which hides what it declares`
	errValue  = declare(1007, "by a method value")
	errMethod = (*failure.Set).Caller(codes, 1008, "by a method expression") // want `Set.Caller is called as a method expression, which hides the set: call it on the set`
	expr      = (*failure.Set).NotProblem                                    // want `Set.NotProblem is not called here but taken as a value`
)

func Generic[T any](v T) *failure.Code {
	return codes.Caller(1009, "generic") // want `a failure code is declared elsewhere`
}

// Sets that cannot be told.
type service struct{ set *failure.Set }

var (
	srv       = service{failure.NewSet("field")}
	errField  = srv.set.Caller(1010, "set in a field")               // want `the set of this failure code cannot be told: declare the code in a package-level variable that holds what failure.NewSet returned`
	errMade   = failure.NewSet("made").Caller(1011, "set made here") // want `the set of this failure code cannot be told`
	errOwn    = failure.Chassis.Caller(1012, "the chassis's set")    // want `the set of this failure code cannot be told`
	embedded  = struct{ *failure.Set }{failure.NewSet("embedded")}
	errInside = embedded.Caller(1013, "embedded set") // want `the set of this failure code cannot be told`
)
