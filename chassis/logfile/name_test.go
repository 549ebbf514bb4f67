package logfile_test

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/logfile"
)

func TestNamesOfSegmentsAreReadAsTheyAreWritten(t *testing.T) {
	const text = "access-20261128T153351.123456Z-3-4711-1"
	want := logfile.Name{Stream: "access", Begun: time.Date(2026, 11, 28, 15, 33, 51, 123456000, time.UTC), Generation: 3, PID: 4711, Number: 1}
	for _, text := range []string{text, text + ".log"} {
		if got, err := logfile.ParseName(text); got != want || err != nil {
			t.Errorf("%s: %+v, %v, want %+v", text, got, err, want)
		}
	}
	if want.String() != text {
		t.Errorf("%s, want %s", want, text)
	}
}

func TestOtherFilesAreNoSegments(t *testing.T) {
	for _, text := range []string{
		"", "access.log", "access-20261128T153351.123456Z-3-4711-1.log.gz", "Access-20261128T153351.123456Z-3-4711-1", "access-20261128T153351.123456Z-3-4711-0",
		"access-20261128T153351Z-3-4711-1", "access-20261128T153351.123456Z-03-4711-1", "a/b-20261128T153351.123456Z-3-4711-1", "access-20261128T253351.123456Z-3-4711-1",
		"access-20261128T153351.123456Z-3-4711-99999999999", "access-20261128T153351.123456Z-3-4711-1.log.log",
	} {
		if n, err := logfile.ParseName(text); err == nil || !strings.Contains(err.Error(), "is no segment") {
			t.Errorf("%q: %+v, %v", text, n, err)
		}
	}
}

func TestNamesOfStreamsAreChecked(t *testing.T) {
	for name, good := range map[string]bool{"access": true, "app_2": true, "": false, "2": false, "a-b": false, "a/b": false, "App": false, strings.Repeat("a", 33): false} {
		if err := logfile.ValidStream(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func FuzzName(f *testing.F) {
	f.Add("access-20261128T153351.123456Z-3-4711-1")
	f.Add("app_2-00010101T000000.000000Z-0-0-1.log")
	f.Fuzz(func(t *testing.T, text string) {
		n, err := logfile.ParseName(text)
		if err != nil {
			return
		}
		if got := n.String(); got != strings.TrimSuffix(text, ".log") {
			t.Errorf("%q became %q", text, got)
		}
		if again, err := logfile.ParseName(n.String()); again != n || err != nil {
			t.Errorf("%q: %+v, then %+v, %v", text, n, again, err)
		}
	})
}
