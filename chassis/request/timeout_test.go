package request_test

import (
	"fmt"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/request"
)

func ExampleParseTimeout() {
	fmt.Println(request.ParseTimeout("4999870u"))
	fmt.Println(request.FormatTimeout(1500 * time.Millisecond))
	// Output:
	// 4.99987s true
	// 1500000u
}

func TestATimeoutIsUpToEightDigitsAndAUnit(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0n": 0, "1n": 1, "99999999n": 99999999, "00000015S": 15 * time.Second,
		"3u": 3 * time.Microsecond, "20m": 20 * time.Millisecond, "7M": 7 * time.Minute, "2H": 2 * time.Hour,
		"1281023H": 1281023 * time.Hour, "1281024H": math.MaxInt64 / 2, "99999999H": math.MaxInt64 / 2,
		"76861433M": 76861433 * time.Minute, "76861434M": math.MaxInt64 / 2,
	} {
		if got, ok := request.ParseTimeout(text); got != want || !ok {
			t.Errorf("%q: %v, %v; want %v", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "S", "5", "15", "S5", "-1S", "+1S", "1.5S", " 1S", "1S ", "1 S", "1s", "1h", "1ms", "123456789n", "1S2", "٣S"} {
		if got, ok := request.ParseTimeout(text); got != 0 || ok {
			t.Errorf("%q is read as %v, %v", text, got, ok)
		}
	}
}

func TestATimeoutIsReadWithoutAnAllocation(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { request.ParseTimeout("4999870u") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParseTimeout(f *testing.F) {
	for _, text := range []string{"4999870u", "99999999H", "0n", "", "1x", "123456789S", "-1S"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, ok := request.ParseTimeout(text)
		if !ok {
			if d != 0 {
				t.Errorf("%q is none, and %v", text, d)
			}
			return
		}
		if n, err := strconv.ParseUint(text[:len(text)-1], 10, 64); err != nil || len(text) > 9 || d < 0 || d == 0 != (n == 0) {
			t.Errorf("%q is read as %v", text, d)
		}
		// Written again it is no longer, and shorter by less than what the last of eight digits stands for.
		again, ok := request.ParseTimeout(request.FormatTimeout(d))
		if least := d - max(time.Second, d/1e7); !ok || again > d || again < least && d < 99999999*time.Second {
			t.Errorf("%q: %v is written as %q", text, d, request.FormatTimeout(d))
		}
	})
}
