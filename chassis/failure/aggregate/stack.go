package aggregate

import (
	"runtime"
	"strconv"
	"strings"
	"sync"
)

const (
	maxFrames = 64
	maxSites  = 4096 // program counters that are remembered; those after are looked up each time
)

// sites remembers what program counters stand for: to look one up takes longer than all else that is
// done with a failure. It is safe for concurrent use.
type sites struct {
	module module
	mu     sync.RWMutex
	known  map[uintptr]site
}

// A site is a call.
type site struct {
	frame Frame
	own   bool   // it is the service's code
	place string // the frame as a group is named by it
}

func (s *sites) at(pc uintptr) site {
	s.mu.RLock()
	found, ok := s.known[pc]
	s.mu.RUnlock()
	if ok {
		return found
	}
	f, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	found = s.of(f.Function, f.File, f.Line)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) < maxSites {
		s.known[pc] = found
	}
	return found
}

func (s *sites) of(function, file string, line int) site {
	f := Frame{function, s.module.file(function, file), line}
	return site{f, s.module.owns(function), short(function) + " " + f.File + ":" + strconv.Itoa(line)}
}

// top is the place of the innermost call in the service's own code; empty if there is none.
func (s *sites) top(pcs []uintptr) string {
	for _, pc := range pcs {
		if at := s.at(pc); at.own {
			return at.place
		}
	}
	return ""
}

// frames are the calls that pcs stand for.
func (s *sites) frames(pcs []uintptr) []Frame {
	var out []Frame
	left := maxStack
	for _, pc := range pcs[:min(len(pcs), maxFrames)] {
		at := s.at(pc)
		if left -= len(at.frame.Function) + len(at.frame.File); left < 0 {
			break
		}
		out = append(out, at.frame)
	}
	return out
}

// trace reads the calls of the first goroutine in text, which is as runtime/debug.Stack has it, and
// gives each to f until f returns false. Calls above the last panic, which are those of who recovered
// it, are left out. What it cannot read it skips.
func (s *sites) trace(text string, f func(site) bool) {
	text, _, _ = strings.Cut(text, "\n\n")
	if i := strings.LastIndex(text, "\npanic("); i >= 0 {
		text = text[i+1:]
		_, text, _ = strings.Cut(text, "\n") // the call
		_, text, _ = strings.Cut(text, "\n") // its place, in package runtime
	}
	function := ""
	for line := range strings.SplitSeq(text, "\n") {
		place, isPlace := strings.CutPrefix(line, "\t")
		if !isPlace {
			function = called(line)
			continue
		}
		if function == "" {
			continue
		}
		place, _, _ = strings.Cut(place, " +0x")
		colon := strings.LastIndexByte(place, ':')
		if colon < 0 {
			continue
		}
		number, err := strconv.Atoi(place[colon+1:])
		if err != nil || number < 0 {
			continue
		}
		if !f(s.of(function, place[:colon], number)) {
			return
		}
		function = ""
	}
}

// called is the function in a line of a trace, without its arguments; empty if there is none.
func called(line string) string {
	if made, ok := strings.CutPrefix(line, "created by "); ok {
		made, _, _ = strings.Cut(made, " in goroutine ")
		return made
	}
	// Names of methods have parentheses as well: pkg.(*Type).Method(0x1, …).
	i := strings.LastIndexByte(line, '(')
	if i <= 0 || !strings.HasSuffix(line, ")") {
		return ""
	}
	return line[:i]
}

// panicked is the place of the innermost call of a trace in the service's own code; empty if there is
// none.
func (s *sites) panicked(text string) (place string) {
	s.trace(text, func(at site) bool {
		if at.own {
			place = at.place
		}
		return !at.own
	})
	return place
}

// parsed are the calls of a trace.
func (s *sites) parsed(text string) []Frame {
	var out []Frame
	left := maxStack
	s.trace(text, func(at site) bool {
		if left -= len(at.frame.Function) + len(at.frame.File); left < 0 {
			return false
		}
		at.frame.Function = strings.Clone(at.frame.Function) // and not all of text
		out = append(out, at.frame)
		return len(out) < maxFrames
	})
	return out
}
