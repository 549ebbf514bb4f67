package failure

import (
	"encoding/base32"
	"fmt"
	"io"
	"strings"
)

// crockford is the alphabet of Douglas Crockford's Base 32 (https://www.crockford.com/base32.html):
// no I, L, O, which are taken for digits, and no U.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// idLength is the length of an error id: 12 characters of 5 bits.
const idLength = 12

var idEncoding = base32.NewEncoding(crockford).WithPadding(base32.NoPadding)

// NewID is a fresh error id, read from random: 12 characters of Crockford's Base 32, which can be
// quoted on a telephone. It has 60 bits: of a million ids, two are the same with a probability of
// 4 in ten million. It is a name, not a secret. When random fails, it is empty: a failure without an
// id is better than none.
func NewID(random io.Reader) string {
	// 8 bytes make 13 characters; the last, of only 4 bits, is cut off.
	var bits [8]byte
	if _, err := io.ReadFull(random, bits[:]); err != nil {
		return ""
	}
	return idEncoding.EncodeToString(bits[:])[:idLength]
}

// ParseID is the id that a person meant: lower case is as good as upper, I and L are 1, O is 0, and
// spaces and hyphens do not count. What is no id then is an error.
func ParseID(s string) (string, error) {
	id := strings.NewReplacer(" ", "", "-", "", "I", "1", "L", "1", "O", "0").Replace(strings.ToUpper(s))
	if i := strings.IndexFunc(id, func(r rune) bool { return !strings.ContainsRune(crockford, r) }); i >= 0 {
		return "", fmt.Errorf("error id %.40q: %q is no character of one", s, []rune(id[i:])[0])
	}
	if len(id) != idLength {
		return "", fmt.Errorf("error id %.40q: %d characters, want %d", s, len(id), idLength)
	}
	return id, nil
}
