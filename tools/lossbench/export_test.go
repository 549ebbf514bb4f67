package lossbench

import "time"

// What the tests of the inside need.
var (
	CauseOf   = causeOf
	Children  = children
	Ended     = ended
	ReadPID   = readPID
	StepError = at
)

// MaxCauses bounds the causes told apart.
const MaxCauses = maxCauses

// CountHeaders counts the requests in what an HTTP/2 client writes, piece by piece.
func CountHeaders(pieces ...[]byte) (n int64) {
	var h headerCount
	for _, p := range pieces {
		n += h.add(p)
	}
	return n
}

// Recorder records as clients do.
type Recorder struct {
	windows windows
	*stats
}

func NewRecorder() *Recorder {
	r := new(Recorder)
	r.stats = newStats(&r.windows)
	return r
}

func (r *Recorder) Begin()                     { r.windows.begin() }
func (r *Recorder) End()                       { r.windows.end() }
func (r *Recorder) Fail(cause string, n int64) { r.fail(cause, n) }
func (r *Recorder) Result() Result             { return r.result("test") }

func (r *Recorder) Done(t0 time.Time) { r.done(t0, "") }
