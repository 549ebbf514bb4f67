package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A Size is a number of bytes, 0 or more. It is written as GNU coreutils write block sizes: a whole
// number and a unit, in upper or lower case, where k, M, G, T and KiB, MiB, GiB, TiB are powers of
// 1024, and kB, MB, GB, TB powers of 1000; without a unit, or with B, the number counts bytes.
type Size int64

// The units a default is most often written in: 4 * config.MiB.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
	TiB Size = 1 << 40
)

const sizeForm = "a size such as 64KiB or 1MiB"

// String is the size in the unit, of 1024 or of 1000, that makes the smallest whole number:
// "1MiB", "2GB", "1500B".
func (s Size) String() string {
	best, name := s, "B"
	for _, u := range []struct {
		unit Size
		name string
	}{{TiB, "TiB"}, {1e12, "TB"}, {GiB, "GiB"}, {1e9, "GB"}, {MiB, "MiB"}, {1e6, "MB"}, {KiB, "KiB"}, {1e3, "kB"}} {
		if n := s / u.unit; s%u.unit == 0 && n != 0 && n < best {
			best, name = n, u.name
		}
	}
	return strconv.FormatInt(int64(best), 10) + name
}

// MarshalText gives String.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what String writes and the other forms that the type describes.
func (s *Size) UnmarshalText(text []byte) error {
	n, ok := parseSize(string(text))
	if !ok {
		return fmt.Errorf("want %s, got %s", sizeForm, quote(string(text)))
	}
	*s = n
	return nil
}

func parseSize(text string) (Size, bool) {
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	unit := int64(1)
	switch strings.ToLower(text[len(digits):]) {
	case "", "b":
	case "k", "kib":
		unit = 1 << 10
	case "m", "mib":
		unit = 1 << 20
	case "g", "gib":
		unit = 1 << 30
	case "t", "tib":
		unit = 1 << 40
	case "kb":
		unit = 1e3
	case "mb":
		unit = 1e6
	case "gb":
		unit = 1e9
	case "tb":
		unit = 1e12
	default:
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(digits, " "), 10, 63)
	if err != nil || n > uint64(math.MaxInt64/unit) {
		return 0, false
	}
	return Size(n) * Size(unit), true
}
