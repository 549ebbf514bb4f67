package sqlite

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// A record is the blob in the row of an event. It has all there is to say, also what the row says in
// columns for the sake of indexes, because each column that is read costs a replay some 10 % of its speed:
//
//	 0  format, 2
//	 1  CRC-32C of the blob from byte 5
//	 5  position
//	13  number of the stream
//	21  position of the event before this one in its stream, 0 for none
//	29  time in nanoseconds since 1970
//	37  length of the type
//	38  length of the ID, 0 when the journal made it
//	39  type, ID, data
//
// Numbers are little-endian. The slices of a record that was decoded are parts of the blob.
type record struct {
	pos           journal.Position
	stream        int64
	prev          journal.Position
	at            int64
	eventType, id []byte
	data          []byte
}

const (
	formerFormat = 1
	recordFormat = 2
	recordHeader = 39
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// recordSum is the CRC-32C (RFC 3720, appendix B.4) of a blob.
func recordSum(blob []byte) uint32 { return crc32.Checksum(blob[5:], castagnoli) }

// streamSum is the CRC-32C of a row of streams.
func streamSum(stream int64, name string) uint32 {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, 8+len(name)), uint64(stream))
	return crc32.Checksum(append(b, name...), castagnoli)
}

// A sum is the CRC-32C of the columns of a row so far; 0 is that of none.
type sum uint32

func (s sum) number(n int64) sum {
	return sum(crc32.Update(uint32(s), castagnoli, binary.LittleEndian.AppendUint64(nil, uint64(n))))
}

// text adds a text with its length, so that no two rows of texts add up alike.
func (s sum) text(t string) sum { return s.number(int64(len(t))).bytes([]byte(t)) }

func (s sum) bytes(b []byte) sum { return sum(crc32.Update(uint32(s), castagnoli, b)) }

// appendRecord appends the blob of an event to an empty b.
func appendRecord(b []byte, pos journal.Position, stream int64, prev journal.Position, at int64, e *journal.Event) []byte {
	b = append(b, recordFormat, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(pos))
	b = binary.LittleEndian.AppendUint64(b, uint64(stream))
	b = binary.LittleEndian.AppendUint64(b, uint64(prev))
	b = binary.LittleEndian.AppendUint64(b, uint64(at))
	b = append(b, byte(len(e.Type)), byte(len(e.ID)))
	b = append(b, e.Type...)
	b = append(b, e.ID...)
	b = append(b, e.Data...)
	binary.LittleEndian.PutUint32(b[1:], recordSum(b))
	return b
}

// decodeRecord takes apart a blob, which should be that of the event at pos or a later one. It never returns
// what was not written.
func decodeRecord(pos journal.Position, b []byte) (r record, err error) {
	if len(b) > 0 && b[0] == formerFormat { // two bits from recordFormat, so hardly damage
		return r, fmt.Errorf("%w: the event at position %d has a record of format %d, which builds before the first release wrote and this one cannot read; go on with that build, or name a file that does not exist yet", journal.ErrInvalid, pos, formerFormat)
	}
	if len(b) < recordHeader || b[0] != recordFormat {
		return r, fmt.Errorf("%w: the event at position %d has no record of format %d", journal.ErrCorrupt, pos, recordFormat)
	}
	types := recordHeader + int(b[37])
	ids := types + int(b[38])
	if len(b) < ids || binary.LittleEndian.Uint32(b[1:]) != recordSum(b) {
		return r, fmt.Errorf("%w: the checksum of the event at position %d is wrong", journal.ErrCorrupt, pos)
	}
	return record{
		pos:       journal.Position(binary.LittleEndian.Uint64(b[5:])),
		stream:    int64(binary.LittleEndian.Uint64(b[13:])),
		prev:      journal.Position(binary.LittleEndian.Uint64(b[21:])),
		at:        int64(binary.LittleEndian.Uint64(b[29:])),
		eventType: b[recordHeader:types],
		id:        b[types:ids],
		data:      b[ids:],
	}, nil
}
