package sqlite

const (
	fewNames  = 1 << 6
	manyNames = 1 << 14 // at most 4 MiB
)

// names remembers the names of streams by their numbers; a stream's name never changes. Numbers are dense,
// so each has a place that follows from it, and one that others share when there are more than manyNames: a
// replay asks for every event, which a map of numbers slowed by 5 %. The zero value is empty.
type names struct {
	places []named // as many as a power of two
	used   int
}

type named struct {
	stream int64 // 0: nothing is here
	name   string
}

func (n *names) place(stream int64) *named { return &n.places[uint64(stream)&uint64(len(n.places)-1)] }

// get returns the name of a stream, if it is remembered.
func (n *names) get(stream int64) (name string, ok bool) {
	if len(n.places) == 0 {
		return "", false
	}
	p := n.place(stream)
	return p.name, p.stream == stream && stream != 0
}

// put remembers the name of a stream.
func (n *names) put(stream int64, name string) {
	if n.used == len(n.places)/2 && len(n.places) < manyNames {
		old := n.places
		n.places, n.used = make([]named, max(fewNames, 4*len(old))), 0
		for _, p := range old {
			n.set(p)
		}
	}
	n.set(named{stream, name})
}

func (n *names) set(p named) {
	at := n.place(p.stream)
	if at.stream == 0 && p.stream != 0 {
		n.used++
	}
	*at = p
}
