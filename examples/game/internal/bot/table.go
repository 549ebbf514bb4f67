package bot

// bound says how the value of an entry relates to that of the position.
type bound uint8

const (
	atLeast bound = iota + 1 // the search was cut off: it may be better still
	atMost                   // no move came up to what was needed
	exact
)

// entry is what the search found out about a position. The zero value is no
// entry, since no position that is looked up has the key 0.
type entry struct {
	key   uint64
	value int16
	depth int8
	move  int8 // column of the best move
	bound bound
}

// slot returns where an entry for key belongs. Multiplying by the golden ratio
// spreads keys, which differ in few bits, over the table (Knuth, The Art of
// Computer Programming, volume 3, section 6.4).
func (s *search) slot(key uint64) *entry {
	return &s.table[key*0x9E3779B97F4A7C15>>32&uint64(len(s.table)-1)]
}

// lookup returns what is known about the position of that key.
func (s *search) lookup(key uint64) (entry, bool) {
	if len(s.table) == 0 {
		return entry{}, false
	}
	found := *s.slot(key)
	return found, found.key == key
}

// store keeps e in place of whatever was in its slot: what was searched last is
// what the search is about to need again.
func (s *search) store(e entry) {
	if len(s.table) != 0 {
		*s.slot(e.key) = e
	}
}
