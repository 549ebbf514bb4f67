package config_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/config"
)

func TestSizesAreReadAsCoreutilsReadThem(t *testing.T) {
	for text, want := range map[string]config.Size{
		"0": 0, "7": 7, "7B": 7, "7b": 7, "1k": 1 << 10, "1K": 1 << 10, "1KiB": 1 << 10, "1kib": 1 << 10, "1kB": 1000, "1KB": 1000,
		"2m": 2 << 20, "2MiB": 2 << 20, "2MB": 2e6, "3g": 3 << 30, "3GiB": 3 << 30, "3GB": 3e9, "4T": 4 << 40, "4TiB": 4 << 40, "4TB": 4e12,
		"1 MiB": 1 << 20, "9223372036854775807": math.MaxInt64,
	} {
		var s config.Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%s is %d, %v, want %d", text, s, err, want)
		}
	}
}

func TestWhatIsNoSizeIsRefused(t *testing.T) {
	for _, text := range []string{"", "k", "-1", "+1", "1.5MiB", "1  MiB", " 1", "1Ki", "1PiB", "1 M B", "9223372036854775808", "8388608TiB", "0x10"} {
		s := config.Size(5)
		err := s.UnmarshalText([]byte(text))
		want := `want a size such as 64KiB or 1MiB, got "` + text + `"`
		if err == nil || err.Error() != want || s != 5 {
			t.Errorf("%q is %d, %v, want the error %s", text, s, err, want)
		}
	}
}

func TestSizesWriteWhatTheyRead(t *testing.T) {
	for s, want := range map[config.Size]string{
		0: "0B", 1: "1B", 1023: "1023B", 1024: "1KiB", 1000: "1kB", 1500: "1500B", 1024000: "1000KiB", 3 << 20: "3MiB", 5e6: "5MB",
		config.GiB: "1GiB", 2e9: "2GB", config.TiB: "1TiB", 7e12: "7TB", math.MaxInt64: "9223372036854775807B",
	} {
		if s.String() != want {
			t.Errorf("%d is %s, want %s", int64(s), s, want)
		}
		var back map[string]config.Size
		b, err := json.Marshal(map[string]config.Size{"s": s})
		if err == nil {
			err = json.Unmarshal(b, &back)
		}
		if err != nil || back["s"] != s {
			t.Errorf("%d came back as %d, %v", int64(s), int64(back["s"]), err)
		}
	}
}

func FuzzASizeThatIsReadIsWrittenBack(f *testing.F) {
	for _, s := range []string{"1MiB", "64k", "1000", "8 TB", "9223372036854775807"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s, back config.Size
		if s.UnmarshalText([]byte(text)) != nil {
			return
		}
		if err := back.UnmarshalText([]byte(s.String())); err != nil || s < 0 || back != s {
			t.Errorf("%q is %d, written %s, read %d, %v", text, int64(s), s, int64(back), err)
		}
	})
}
