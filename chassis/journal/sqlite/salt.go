package sqlite

import (
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
)

// A salt makes the IDs of events that came without one: the salt, a dash and the position. They
// are unique in the journal and need no storage. Each journal draws its own when it is made, so
// that IDs of different journals differ too.
type salt string

const saltBytes = 6

func newSalt(random io.Reader) (salt, error) {
	var b [saltBytes]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("draw the salt of event IDs: %w", err)
	}
	return salt(hex.EncodeToString(b[:])), nil
}

// appendID appends the ID of the event at pos to b.
func (s salt) appendID(b []byte, pos journal.Position) []byte {
	b = append(b, s...)
	b = append(b, '-')
	return strconv.AppendUint(b, uint64(pos), 10)
}

// owns reports whether id is one that this journal makes, and for which position.
func (s salt) owns(id string) (journal.Position, bool) {
	digits, ok := strings.CutPrefix(id, string(s)+"-")
	if !ok {
		return 0, false
	}
	pos, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || pos < 1 || strconv.FormatInt(pos, 10) != digits {
		return 0, false
	}
	return journal.Position(pos), true
}
