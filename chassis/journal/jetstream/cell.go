package jetstream

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strconv"

	"github.com/nats-io/nats.go"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// A cell is the last message of a subject of the second JetStream stream, which keeps one for each: a
// snapshot, a checkpoint or a lease. Its body:
//
//	 0  format, 1
//	 1  CRC-32C of the subject and of the body from byte 5
//	 5  16 bytes of chance, by which who wrote it knows it again
//	21  what it holds
type cell struct {
	seq    journal.Position // 0: there is none
	chance [16]byte
	body   []byte
}

const (
	cellFormat = 1
	cellHeader = 21
)

func cellSum(subject string, b []byte) uint32 {
	return crc32.Update(crc32.Checksum([]byte(subject), castagnoli), castagnoli, b[5:])
}

func encodeCell(subject string, chance [16]byte, body []byte) []byte {
	b := make([]byte, 0, cellHeader+len(body))
	b = append(b, cellFormat, 0, 0, 0, 0)
	b = append(b, chance[:]...)
	b = append(b, body...)
	binary.LittleEndian.PutUint32(b[1:], cellSum(subject, b))
	return b
}

// decodeCell takes apart the body of a message. It never returns what was not written.
func decodeCell(subject string, seq journal.Position, b []byte) (cell, error) {
	if len(b) < cellHeader || b[0] != cellFormat || binary.LittleEndian.Uint32(b[1:]) != cellSum(subject, b) {
		return cell{}, fmt.Errorf("%w: the checksum of %s is wrong", journal.ErrCorrupt, subject)
	}
	return cell{seq, [16]byte(b[5:cellHeader]), b[cellHeader:]}, nil
}

// load asks the leader for the cell of a subject.
func (s *store) load(ctx context.Context, subject string) (c cell, err error) {
	m, err := s.ask(ctx, stateName(s.name), question{LastFor: subject})
	if err != nil || m == nil {
		return cell{}, err
	}
	return decodeCell(subject, m.Seq, m.Data)
}

// read is load for calls that change nothing.
func (s *store) read(ctx context.Context, what, subject string) (c cell, err error) {
	ctx, cancel := s.reading(ctx)
	defer cancel()
	err = s.retry(ctx, func() error {
		c, err = s.load(ctx, subject)
		return err
	})
	if err != nil {
		return cell{}, s.readError(ctx, what, err)
	}
	return c, nil
}

// update makes the body of a cell what next says, which gets the last one, nil if there was none, and is
// asked again when others were faster. To return the one that it got changes nothing.
func (s *store) update(ctx context.Context, what, subject string, next func(last []byte) ([]byte, error)) error {
	c, err := s.change(ctx, what)
	if err != nil {
		return err
	}
	defer c.done()
	for {
		var last cell
		err := s.retry(c.ctx, func() (err error) {
			last, err = s.load(c.ctx, subject)
			return err
		})
		if err != nil {
			return c.failed(err)
		}
		body, err := next(last.body)
		if err != nil {
			return c.failed(err)
		}
		if (body == nil) == (last.body == nil) && bytes.Equal(body, last.body) {
			return nil // nor is an empty body stored where there is none, which no lease could be read from
		}
		stored, err := c.put(subject, last.seq, body)
		if err != nil {
			return c.failed(err)
		}
		if stored != 0 {
			return nil
		}
	}
}

// put stores the body of a cell if the last one has the sequence number base; 0 means that others were
// faster.
func (c *change) put(subject string, base journal.Position, body []byte) (journal.Position, error) {
	var chance [16]byte
	if err := c.chance(chance[:]); err != nil {
		return 0, err
	}
	data := encodeCell(subject, chance, body)
	return c.attempts(func() (journal.Position, error) {
		ctx, cancel := context.WithTimeout(c.wire, attemptPatience)
		defer cancel()
		header := nats.Header{headerExpected: []string{strconv.FormatUint(uint64(base), 10)}}
		return c.deliver(ctx, &nats.Msg{Subject: subject, Header: header, Data: data})
	}, func() (journal.Position, bool, error) {
		now, err := c.load(c.ctx, subject)
		switch {
		case err != nil || now.seq <= base:
			return 0, false, err
		case now.chance == chance:
			return now.seq, true, nil
		}
		// It may have been stored and replaced since; only the last one is kept.
		return 0, false, errReplaced
	})
}
