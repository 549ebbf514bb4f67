package logfile_test

import (
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/seed-754044b3/roadworthy/chassis/logfile"
)

const segmentName = "access-20261128T153351.123456Z-3-4711-1"

func TestAManifestIsReadPastWhatIsDamaged(t *testing.T) {
	good := `{"step":"packed","segment":"` + segmentName + `","lines":7}` + "\n"
	text := good + "\x00\x00\n" + `{"step":"eaten","segment":"` + segmentName + `"}` + "\n" + `{"step":"packed","segment":"x"}` + "\n" +
		strings.Repeat("x", 200_000) + "\n" + strings.Replace(good, "packed", "uploaded", 1) + strings.TrimSuffix(good, "\n")
	records, err := logfile.ReadManifest(strings.NewReader(text))
	want := []logfile.Record{{Step: logfile.Packed, Segment: segmentName, Lines: 7}, {Step: logfile.Uploaded, Segment: segmentName, Lines: 7}}
	if !reflect.DeepEqual(records, want) {
		t.Errorf("records %+v", records)
	}
	for _, part := range []string{"line 2: invalid character", `line 3: step "eaten": want packed, uploaded or removed`, `line 4: "x" is no segment`, "line 5: bufio: buffer full"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want %s", err, part)
		}
	}
	if records, err = logfile.ReadManifest(strings.NewReader(strings.Repeat("x\n", 1000))); len(records) != 0 || strings.Count(err.Error(), "\n") != 9 {
		t.Errorf("%d records, %v", len(records), err)
	}
	broken := errors.New("broken")
	if records, err = logfile.ReadManifest(io.MultiReader(strings.NewReader(good), iotest.ErrReader(broken))); len(records) != 1 || !errors.Is(err, broken) {
		t.Errorf("%d records, %v", len(records), err)
	}
}

func FuzzManifest(f *testing.F) {
	f.Add(`{"time":"2026-11-28T15:33:51Z","step":"removed","segment":"` + segmentName + `","lines":7,"why":"age"}` + "\n")
	f.Add("x\n{}\n")
	f.Fuzz(func(t *testing.T, text string) {
		records, _ := logfile.ReadManifest(strings.NewReader(text))
		for _, r := range records {
			line, err := json.Marshal(r)
			if err != nil {
				t.Fatalf("%+v: %v", r, err)
			}
			again, err := logfile.ReadManifest(strings.NewReader(string(line) + "\n"))
			if err != nil || len(again) != 1 || again[0].Segment != r.Segment || again[0].Lines != r.Lines {
				t.Errorf("%+v became %+v, %v", r, again, err)
			}
		}
	})
}
