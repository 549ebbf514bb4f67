package failure_test

import (
	"bytes"
	"crypto/rand"
	"math/bits"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

func TestACounterStartsEveryCodeAtZero(t *testing.T) {
	a, b := failure.NewSet("a"), failure.NewSet("b")
	b1 := b.Caller(1001, "x")
	a2, a1 := a.Caller(1002, "x"), a.Caller(1001, "x")
	counts := failure.NewCounter(b, nil, a, b).Counts()
	want := append(failure.Chassis.Codes(), b1, a1, a2)
	if len(counts) != len(want) {
		t.Fatalf("%d codes, want %d", len(counts), len(want))
	}
	for i, count := range counts {
		if count.Code != want[i] || count.N != 0 {
			t.Errorf("place %d: %v %d, want %v 0", i, count.Code, count.N, want[i])
		}
	}
}

func TestACounterCountsByCodeAndForeignOnesAsUnclassified(t *testing.T) {
	set := failure.NewSet("a")
	mine := set.Caller(1001, "x")
	foreign := failure.NewSet("b").Caller(1001, "x")
	counter, other := failure.NewCounter(set), failure.NewCounter(set)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				counter.Add(mine)
				counter.Add(foreign)
				counter.Counts()
			}
		})
	}
	wg.Wait()
	counter.Add(nil)
	counter.Add(failure.Overloaded)
	for _, count := range counter.Counts() {
		want := map[*failure.Code]uint64{mine: 800, failure.Unclassified: 801, failure.Overloaded: 1}[count.Code]
		if count.N != want {
			t.Errorf("%v: %d, want %d", count.Code, count.N, want)
		}
	}
	for _, count := range other.Counts() {
		if count.N != 0 {
			t.Errorf("another counter of the set has %d of %v", count.N, count.Code)
		}
	}
}

func TestACounterSealsItsSets(t *testing.T) {
	set := failure.NewSet("a")
	failure.NewCounter(set)
	got := panicOf(t, func() { set.Caller(1001, "late") })
	if !regexp.MustCompile(`sealed at \S+/failure_test/counter_test\.go:\d+`).MatchString(got) {
		t.Errorf("panics with %q", got)
	}
}

func TestTwoSetsOfOneNameCannotBeCounted(t *testing.T) {
	got := panicOf(t, func() { failure.NewCounter(failure.NewSet("a"), failure.NewSet("a")) })
	if !regexp.MustCompile(`^failure: counter \(\S+counter_test\.go:\d+\): two sets are named "a"$`).MatchString(got) {
		t.Errorf("panics with %q", got)
	}
}

func TestAnIDHasTwelveCharactersOfSixtyBits(t *testing.T) {
	form := regexp.MustCompile(`^[0-9A-HJKMNP-TV-Z]{12}$`)
	seen := map[string]bool{}
	for range 1000 {
		id := failure.NewID(rand.Reader)
		if !form.MatchString(id) || seen[id] {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
		if back, err := failure.ParseID(id); back != id || err != nil {
			t.Fatalf("%s is read as %s, %v", id, back, err)
		}
	}
	// Each of the first 60 bits read changes exactly the character it belongs to; the last 4 none.
	zero := failure.NewID(bytes.NewReader(make([]byte, 8)))
	if zero != "000000000000" {
		t.Errorf("of zeros: %s", zero)
	}
	for bit := range 64 {
		source := make([]byte, 8)
		source[bit/8] = bits.Reverse8(1 << (bit % 8))
		changed := -1
		for i, c := range failure.NewID(bytes.NewReader(source)) {
			if c != '0' {
				changed = i
			}
		}
		want := bit / 5
		if bit >= 60 {
			want = -1
		}
		if changed != want {
			t.Errorf("bit %d changes character %d, want %d", bit, changed, want)
		}
	}
}

func TestAnIDWithoutRandomnessIsEmpty(t *testing.T) {
	if id := failure.NewID(bytes.NewReader([]byte("short"))); id != "" {
		t.Errorf("id %q", id)
	}
	if id := failure.NewID(iotest.ErrReader(iotest.ErrTimeout)); id != "" {
		t.Errorf("id %q", id)
	}
}

func TestAnIDIsReadAsItWasMeant(t *testing.T) {
	for given, want := range map[string]string{
		"0123456789AB":          "0123456789AB",
		"ol23-4567 89ab":        "0123456789AB",
		" oI2345-6789-AB ":      "0123456789AB",
		"0123456789A":           `error id "0123456789A": 11 characters, want 12`,
		"0123456789ABC":         `error id "0123456789ABC": 13 characters, want 12`,
		"0123456789AU":          `error id "0123456789AU": 'U' is no character of one`,
		"0123456789Aü":          `error id "0123456789Aü": 'Ü' is no character of one`,
		"":                      `error id "": 0 characters, want 12`,
		strings.Repeat("a", 99): `error id "` + strings.Repeat("a", 40) + `": 99 characters, want 12`,
	} {
		got, err := failure.ParseID(given)
		if err != nil {
			got += err.Error()
		}
		if got != want {
			t.Errorf("ParseID(%q) = %s, want %s", given, got, want)
		}
	}
}
