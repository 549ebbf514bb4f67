package jetstream

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// A record is the body of an event's message:
//
//	 0  format, 1
//	 1  CRC-32C of the stream's name and of the record from byte 5
//	 5  version of the stream that the append was stored on
//	13  index of the event in its append, which is at most 999
//	15  time in nanoseconds since 1970
//	23  length of the type
//	24  length of the ID
//	25  type, ID, data
//
// Numbers are little-endian. It is not in the message's headers, because those lose space at the ends of
// values.
type record struct {
	base  journal.Version
	index int
	journal.Recorded
}

const (
	recordFormat = 1
	recordHeader = 25
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// recordSum is the CRC-32C (RFC 3720, appendix B.4) of a record.
func recordSum(stream string, b []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte(stream), castagnoli), castagnoli, b[5:])
}

// encodeRecord writes the i-th event of an append that is stored on base.
func encodeRecord(stream string, base journal.Version, i int, at int64, e *journal.Event) []byte {
	b := make([]byte, 0, recordHeader+len(e.Type)+len(e.ID)+len(e.Data))
	b = append(b, recordFormat, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(base))
	b = binary.LittleEndian.AppendUint16(b, uint16(i))
	b = binary.LittleEndian.AppendUint64(b, uint64(at))
	b = append(b, byte(len(e.Type)), byte(len(e.ID)))
	b = append(b, e.Type...)
	b = append(b, e.ID...)
	b = append(b, e.Data...)
	binary.LittleEndian.PutUint32(b[1:], recordSum(stream, b))
	return b
}

// decodeRecord takes apart the record of the message at pos, whose memory it keeps. It never returns what
// was not written.
func decodeRecord(stream string, pos journal.Position, b []byte) (record, error) {
	if len(b) < recordHeader || b[0] != recordFormat {
		return record{}, fmt.Errorf("%w: the message at position %d has no record of format %d", journal.ErrCorrupt, pos, recordFormat)
	}
	types := recordHeader + int(b[23])
	ids := types + int(b[24])
	if len(b) < ids || binary.LittleEndian.Uint32(b[1:]) != recordSum(stream, b) {
		return record{}, fmt.Errorf("%w: the checksum of the event at position %d is wrong", journal.ErrCorrupt, pos)
	}
	return record{
		base:  journal.Version(binary.LittleEndian.Uint64(b[5:])),
		index: int(binary.LittleEndian.Uint16(b[13:])),
		Recorded: journal.Recorded{
			Event:    journal.Event{Type: string(b[recordHeader:types]), ID: string(b[types:ids]), Data: b[ids:]},
			Stream:   stream,
			Position: pos,
			Time:     time.Unix(0, int64(binary.LittleEndian.Uint64(b[15:]))).UTC(),
		},
	}, nil
}

// previous is the position of the event before this one in its stream, 0 for none.
func (r *record) previous() journal.Position {
	if r.index == 0 {
		return r.base
	}
	return r.Position - 1
}
