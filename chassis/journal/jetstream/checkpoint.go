package jetstream

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// checkpoints are those of a store. The body of a cell is a mark: position and fence, 8 bytes each.
type checkpoints struct{ store *store }

// A mark is where a checkpoint is.
type mark struct {
	pos   journal.Position
	fence journal.Fence
}

const markBytes = 16

// Checkpoints implements [journal.Journal].
func (s *store) Checkpoints() journal.Checkpoints { return checkpoints{s} }

// Load implements [journal.Checkpoints].
func (s checkpoints) Load(ctx context.Context, name string) (journal.Position, error) {
	if err := journal.ValidateCheckpoint(name); err != nil {
		return 0, err
	}
	what := fmt.Sprintf("checkpoint %q", name)
	c, err := s.store.read(ctx, what, s.subject(name))
	if err != nil {
		return 0, err
	}
	at, err := decodeMark(c.body)
	if err != nil {
		return 0, s.store.readError(ctx, what, err)
	}
	return at.pos, nil
}

// Move implements [journal.Checkpoints].
func (s checkpoints) Move(ctx context.Context, name string, fence journal.Fence, from, to journal.Position) error {
	if err := journal.ValidateMove(name, fence, from, to); err != nil {
		return err
	}
	return s.store.update(ctx, fmt.Sprintf("move checkpoint %q", name), s.subject(name), func(last []byte) ([]byte, error) {
		at, err := decodeMark(last)
		switch {
		case err != nil:
			return nil, err
		case fence < at.fence:
			return nil, &journal.FencedError{Name: name, Fence: fence, Current: at.fence}
		case from != at.pos:
			return nil, &journal.CheckpointError{Name: name, From: from, Actual: at.pos}
		}
		return encodeMark(mark{to, fence}), nil
	})
}

func (s checkpoints) subject(name string) string {
	return stateSubject(s.store.name, "checkpoint", tokenOf(name))
}

func encodeMark(m mark) []byte {
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, markBytes), uint64(m.pos))
	return binary.LittleEndian.AppendUint64(b, uint64(m.fence))
}

// decodeMark takes apart a body; nil is the zero mark.
func decodeMark(b []byte) (mark, error) {
	switch len(b) {
	case 0:
		return mark{}, nil
	case markBytes:
		return mark{journal.Position(binary.LittleEndian.Uint64(b)), journal.Fence(binary.LittleEndian.Uint64(b[8:]))}, nil
	}
	return mark{}, fmt.Errorf("%w: a checkpoint of %d bytes", journal.ErrCorrupt, len(b))
}
