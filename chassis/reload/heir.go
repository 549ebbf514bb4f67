//go:build unix

package reload

import (
	"os"
)

// pair connects two workers by a channel, on which the first hands its connections over to the
// second, and tells each what for. The first hears of it when the second has been told: should
// this process die in between, both serve instead of none.
func (s *supervisor) pair(from, to *worker, tell, told message) {
	var as, bs []*os.File
	if a, b, err := socketPair(); err != nil {
		s.log.Warn("connections cannot be handed over", "error", err)
	} else {
		as, bs = []*os.File{a}, []*os.File{b}
	}
	to.post(parcel{message: told, files: bs, then: func() { from.send(tell, as...) }})
}

// heirs gives those who lost their successor the one that became active.
func (s *supervisor) heirs(to *worker) {
	for _, w := range s.workers {
		if w.heirless && w != to {
			w.heirless = false
			s.pair(w, to, message{Kind: kindHeir}, message{Kind: kindAdopt})
		}
	}
}
