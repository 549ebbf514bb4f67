package journal

import (
	"fmt"
	"math"
)

// Expect is what an append demands of its stream: [NoStream], [Any], or a version with [At]. The
// zero value is NoStream, so a forgotten expectation is refused on the second append instead of
// overwriting somebody's decision.
type Expect uint64

const (
	// NoStream expects that the stream has no events yet.
	NoStream Expect = 0
	// Any expects nothing: the append never conflicts.
	Any Expect = math.MaxUint64
)

// maxPosition is the highest position an engine may give out.
const maxPosition = math.MaxInt64

// At expects the stream's version to be v. At(0) is [NoStream]. A v that no event can have, 2⁶³
// or more, is an expectation that is never met.
func At(v Version) Expect { return Expect(min(v, maxPosition+1)) }

// Met reports whether a stream of the given version is as expected.
func (e Expect) Met(actual Version) bool { return e == Any || Version(e) == actual }

// String says what is expected, as error messages do.
func (e Expect) String() string {
	switch e {
	case NoStream:
		return "no stream"
	case Any:
		return "any version"
	}
	return fmt.Sprintf("version %d", uint64(e))
}
