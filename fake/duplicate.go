package fake

import (
	"hash/maphash"
	"io"

	"google.golang.org/protobuf/proto"
)

// print tells whether two calls ask for the same: a hash of method, target and body. 0 is none.
type print uint64

// printed is the body of a request, whose hash is taken as the handler reads it.
type printed struct {
	io.ReadCloser
	hash maphash.Hash
}

// Read implements io.Reader.
func (p *printed) Read(b []byte) (int, error) {
	n, err := p.ReadCloser.Read(b)
	_, _ = p.hash.Write(b[:n]) // it never fails
	return n, err
}

// print is that of the call, as far as its handler has read it.
func (v *visit) print() print {
	var h maphash.Hash
	h.SetSeed(v.fake.calls.prints)
	if r := v.call.Request; r != nil {
		_, _ = h.WriteString(r.Method + " " + r.RequestURI + "\n")
		if v.body != nil {
			maphash.WriteComparable(&h, v.body.hash.Sum64())
		}
	} else {
		message, ok := v.call.Message.(proto.Message)
		if !ok {
			return 0
		}
		_, _ = h.WriteString(v.call.Route + "\n")
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
		if err != nil {
			return 0
		}
		_, _ = h.Write(b)
	}
	return print(max(h.Sum64(), 1))
}

// maxLost is how many lost answers are remembered: the latest.
const maxLost = 1000

// lost are the answers that were kept from clients, by the prints of their calls.
type lost struct {
	seqs  map[print]uint64
	order []print // oldest first
}

// find is the call that one with this print repeats, 0 if there is none.
func (l *lost) find(p print, seq uint64) uint64 {
	if first, ok := l.seqs[p]; ok && first != seq {
		return first
	}
	return 0
}

// add remembers that the answer to a call was lost. The first of several counts.
func (l *lost) add(p print, seq uint64) {
	if _, known := l.seqs[p]; known {
		return
	}
	if l.seqs == nil {
		l.seqs = map[print]uint64{}
	}
	if len(l.order) == maxLost {
		delete(l.seqs, l.order[0])
		l.order = l.order[1:]
	}
	l.seqs[p] = seq
	l.order = append(l.order, p)
}

// remove forgets a call whose answer has come after all.
func (l *lost) remove(p print, seq uint64) {
	if l.seqs[p] != seq {
		return
	}
	delete(l.seqs, p)
	for i, q := range l.order {
		if q == p {
			l.order = append(l.order[:i:i], l.order[i+1:]...)
			return
		}
	}
}
