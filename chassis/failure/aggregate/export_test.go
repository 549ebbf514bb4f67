package aggregate

import "runtime/debug"

// Owns reports whether a function is the service's own in a binary that info tells of, and what its source
// file is called.
func Owns(info *debug.BuildInfo, function, file string) (bool, string) {
	m := moduleOf(info)
	return m.owns(function), m.file(function, file)
}

// Trace are the frames that are read from a text, and the topmost of the service's own.
func Trace(info *debug.BuildInfo, text string) (frames []Frame, top string) {
	s := sites{module: moduleOf(info), known: map[uintptr]site{}}
	return s.parsed(text), s.panicked(text)
}
