package overloadbench

import "time"

// What the tests of the parts need.
var ParsePeak = parsePeak

// Outcome names what becomes of a request.
func Outcome(err error, took, deadline time.Duration) string {
	return [...]string{good: "good", late: "late", refused: "refused", failed: "failed"}[judge(err, took, deadline)]
}

// Answered is what a status says, as Outcome.
func Answered(code int) string { return Outcome(answered(code), 0, time.Second) }
