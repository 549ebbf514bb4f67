package peerbench_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/tools/peerbench"
)

// printed is what h2load 1.52 prints, but for its progress.
const printed = `finished in 301.27ms, 14706.67 req/s, 2.96MB/s
requests: 4412 total, 4416 started, 4412 done, 4410 succeeded, 2 failed, 0 errored, 0 timeout
status codes: 4410 2xx, 0 3xx, 0 4xx, 2 5xx
traffic: 909.11KB (930932) total, 336.38KB (344448) headers (space savings 0.00%), 439.88KB (450432) data
`

func TestAnAnswerIsGoodWhenItsStatusAndItsBodyAre(t *testing.T) {
	for size, bad := range map[int]int{102: 2, 1000: 4412 - 450} {
		n, got, span, err := peerbench.ParseLoad(printed, size)
		if n != 4412 || got != bad || span != 301270*time.Microsecond || err != nil {
			t.Errorf("bodies of %d: %d requests, %d bad, in %v: %v", size, n, got, span, err)
		}
	}
	for text, want := range map[string]string{
		"": "no result",
		strings.Replace(printed, "4412 done", "0 done", 1):                              "no answer",
		strings.Replace(printed, "301.27ms", "301.27xx", 1):                             "h2load's time",
		strings.Replace(printed, "4412 done", "99999999999999999999 done", 1):           "h2load's counts",
		strings.Replace(printed, "finished in 301.27ms", "finished in 0.1.2.3.4.5s", 1): "h2load's time",
	} {
		if _, _, _, err := peerbench.ParseLoad(text, 102); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func TestTimesAreTheMiddleAndTheSlowestInAHundred(t *testing.T) {
	name := filepath.Join(t.TempDir(), "times")
	if _, _, err := peerbench.ReadTimes(name); err == nil {
		t.Error("times of a file that is absent")
	}
	for text, want := range map[string]string{"": "is empty", "1\t200\n": "want start", "1\t200\tx\n": "want start"} {
		write(t, name, text)
		if _, _, err := peerbench.ReadTimes(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	write(t, name, "1795861526392368\t200\t30\n1795861526392397\t200\t10\n1795861526392390\t200\t20\n")
	if p50, p99, err := peerbench.ReadTimes(name); p50 != 20*time.Microsecond || p99 != 30*time.Microsecond || err != nil {
		t.Errorf("p50 %v, p99 %v: %v", p50, p99, err)
	}
}

func TestTheKernelTellsTheMemory(t *testing.T) {
	resident, err := peerbench.ParseMemory("1000 25 10 1 0 100 0\n")
	if resident != 25*int64(os.Getpagesize()) || err != nil {
		t.Errorf("%d bytes: %v", resident, err)
	}
	for _, statm := range []string{"", "1", "1 x"} {
		if _, err := peerbench.ParseMemory(statm); err == nil || !strings.Contains(err.Error(), "statm") {
			t.Errorf("%q: %v", statm, err)
		}
	}
}

func FuzzWhatH2loadPrints(f *testing.F) {
	f.Add(printed, 102)
	f.Add("finished in 0s, 1 done, 10 succeeded traffic: (200) data", 78)
	f.Fuzz(func(t *testing.T, text string, size int) {
		n, bad, span, err := peerbench.ParseLoad(text, max(size, 1))
		if err == nil && (n <= 0 || bad < 0 || span <= 0) {
			t.Errorf("%d requests, %d bad, in %v", n, bad, span)
		}
	})
}

func FuzzTimes(f *testing.F) {
	f.Add("1795861526392368\t200\t30\n")
	f.Fuzz(func(t *testing.T, text string) {
		name := filepath.Join(t.TempDir(), "times")
		write(t, name, text)
		if p50, p99, err := peerbench.ReadTimes(name); err == nil && p99 < p50 {
			t.Errorf("p50 %v, p99 %v", p50, p99)
		}
	})
}

func FuzzMemory(f *testing.F) {
	f.Add("1000 25")
	f.Fuzz(func(t *testing.T, statm string) {
		if _, err := peerbench.ParseMemory(statm); err == nil && len(strings.Fields(statm)) < 2 {
			t.Errorf("%q is no statm", statm)
		}
	})
}
