package jetstream

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// snapshots are those of a store. The body of a cell is the version, 8 bytes, the schema, 4 bytes, and the
// data.
type snapshots struct{ store *store }

const snapshotHeader = 12

// Snapshots implements [journal.Journal].
func (s *store) Snapshots() journal.Snapshots { return snapshots{s} }

// Load implements [journal.Snapshots].
func (s snapshots) Load(ctx context.Context, stream string, schema uint32) (journal.Snapshot, bool, error) {
	if err := journal.ValidateStream(stream); err != nil {
		return journal.Snapshot{}, false, err
	}
	what := fmt.Sprintf("snapshot of stream %q", stream)
	c, err := s.store.read(ctx, what, s.subject(stream))
	if err != nil {
		return journal.Snapshot{}, false, err
	}
	found, ok, err := decodeSnapshot(c.body)
	if err != nil {
		return journal.Snapshot{}, false, s.store.readError(ctx, what, err)
	}
	if !ok || found.Schema != schema {
		return journal.Snapshot{}, false, nil
	}
	return found, true, nil
}

// Save implements [journal.Snapshots].
func (s snapshots) Save(ctx context.Context, stream string, n journal.Snapshot) error {
	if err := journal.ValidateSnapshot(stream, n); err != nil {
		return err
	}
	version, err := s.store.Version(ctx, stream)
	if err != nil {
		return err
	}
	if n.Version > version {
		return fmt.Errorf("snapshot of stream %q: %w: it is of version %d, and the stream has reached %d", stream, journal.ErrInvalid, n.Version, version)
	}
	body := encodeSnapshot(n)
	return s.store.update(ctx, fmt.Sprintf("save a snapshot of stream %q", stream), s.subject(stream), func(last []byte) ([]byte, error) {
		there, ok, err := decodeSnapshot(last)
		if err != nil || ok && there.Schema == n.Schema && there.Version > n.Version {
			return last, err
		}
		return body, nil
	})
}

func (s snapshots) subject(stream string) string {
	return stateSubject(s.store.name, "snapshot", tokenOf(stream))
}

func encodeSnapshot(s journal.Snapshot) []byte {
	b := make([]byte, 0, snapshotHeader+len(s.Data))
	b = binary.LittleEndian.AppendUint64(b, uint64(s.Version))
	b = binary.LittleEndian.AppendUint32(b, s.Schema)
	return append(b, s.Data...)
}

// decodeSnapshot takes apart a body; nil is no snapshot.
func decodeSnapshot(b []byte) (s journal.Snapshot, ok bool, err error) {
	switch {
	case b == nil:
		return s, false, nil
	case len(b) < snapshotHeader:
		return s, false, fmt.Errorf("%w: a snapshot of %d bytes", journal.ErrCorrupt, len(b))
	}
	return journal.Snapshot{
		Version: journal.Version(binary.LittleEndian.Uint64(b)),
		Schema:  binary.LittleEndian.Uint32(b[8:]),
		Data:    b[snapshotHeader:],
	}, true, nil
}
