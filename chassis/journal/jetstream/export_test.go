package jetstream

import "github.com/seed-754044b3/roadworthy/chassis/journal"

// What the tests of the encodings need.
var (
	ParseAddress = parseAddress
	TokenOf      = tokenOf
	StreamOf     = streamOf
	EncodeCell   = encodeCell
)

type Address = address

// Name is the name that an address is about.
func (a address) Name() string { return a.name }

// Servers are the servers of an address.
func (a address) Servers() string { return a.servers }

// Record encodes an event and decodes it again.
func Record(stream string, base journal.Version, i int, at int64, e journal.Event, pos journal.Position) (journal.Recorded, journal.Position, error) {
	r, err := decodeRecord(stream, pos, encodeRecord(stream, base, i, at, &e))
	return r.Recorded, r.previous(), err
}

// DecodeRecord decodes what may be none.
func DecodeRecord(stream string, pos journal.Position, b []byte) (journal.Recorded, error) {
	r, err := decodeRecord(stream, pos, b)
	return r.Recorded, err
}

// DecodeState decodes what may be no cell, or the cell of something else.
func DecodeState(subject string, b []byte) error {
	c, err := decodeCell(subject, 1, b)
	if err != nil {
		return err
	}
	if _, _, err := decodeSnapshot(c.body); err != nil {
		return err
	}
	if _, err := decodeMark(c.body); err != nil {
		return err
	}
	_, err = decodeLease("x", c.body)
	return err
}

// Forgetful has a journal remember fewer streams and IDs.
func Forgetful(j journal.Journal, streams, ids int) {
	m := &j.(*store).memory
	m.maxStreams, m.maxIDs = streams, ids
}

// Confuse has a journal take all IDs for one another.
func Confuse(j journal.Journal) { j.(*store).memory.hash = func(string) uint64 { return 1 } }

// Remembered is how many streams and IDs a journal remembers.
func Remembered(j journal.Journal) (streams, ids int) {
	m := &j.(*store).memory
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.streams), m.ids
}

// Crowd takes all places for batches, until the returned function is called.
func Crowd(j journal.Journal) (leave func()) {
	s := j.(*store)
	for range cap(s.batches) {
		s.batches <- struct{}{}
	}
	return func() {
		for range cap(s.batches) {
			<-s.batches
		}
	}
}
