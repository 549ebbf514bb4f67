package peerbench_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/tools/peerbench"
)

func sample(us int) peerbench.Sample {
	d := time.Duration(us) * time.Microsecond
	return peerbench.Sample{Requests: 100, Rate: 1e6 / float64(us), User: d / 2, System: d - d/2, Allocs: 3, Resident: 4 << 20}
}

// result is of a machine that became half as fast in its last round.
func result() *peerbench.Result {
	return &peerbench.Result{
		Protocol: peerbench.HTTP1, Duration: time.Second, Rounds: 3,
		Peers: []peerbench.PeerResult{
			{Name: "bare", Base: "bare", Samples: []peerbench.Sample{sample(10), sample(10), sample(20)}},
			{Name: "ours", Base: "bare", Samples: []peerbench.Sample{sample(12), sample(10), sample(25)}},
			{Name: "theirs", Base: "ours", Samples: []peerbench.Sample{sample(24), sample(20), sample(50)}},
		},
	}
}

func TestRatiosAreTakenWithinARound(t *testing.T) {
	s := result().Summaries()
	// 10/12, 10/10, 20/25: its own medians would give 10/12.
	if ours := s[1]; ours.Ratio < 0.83 || ours.Ratio > 0.84 || ours.RatioLo != 0.8 || ours.RatioH != 1 || ours.CPU != 12*time.Microsecond || ours.Added != 2*time.Microsecond {
		t.Errorf("%+v", ours)
	}
	if theirs := s[2]; theirs.Like != 0.5 || theirs.Base != "ours" || theirs.Ratio != 10./24 || theirs.Added != 12*time.Microsecond {
		t.Errorf("%+v", theirs)
	}
	if s := (&peerbench.Result{}).Summaries(); s != nil {
		t.Errorf("without a round: %+v", s)
	}
}

func TestASampleTooShortForTheKernelGivesNoRatio(t *testing.T) {
	r := &peerbench.Result{Rounds: 1, Peers: []peerbench.PeerResult{{Name: "bare", Base: "bare", Samples: make([]peerbench.Sample, 1)}}}
	if s := r.Summaries()[0]; s.Ratio != 0 || s.Like != 0 || s.Bad != 0 {
		t.Errorf("%+v", s)
	}
}

func TestTheMedianOfAnEvenNumberLiesBetween(t *testing.T) {
	r := result()
	r.Rounds = 2
	for i := range r.Peers {
		r.Peers[i].Samples = r.Peers[i].Samples[:2]
	}
	if s := r.Summaries()[1]; s.CPU != 11*time.Microsecond {
		t.Errorf("%+v", s)
	}
}

func TestATableHasALineForEachPeerAndNothingWhereNothingIsKnown(t *testing.T) {
	r := result()
	r.Peers[2].Samples[0].Bad = 3
	r.Peers[0].Samples[0].P50, r.Peers[0].Samples[1].P50 = 90*time.Microsecond, 90*time.Microsecond
	var out bytes.Buffer
	if err := r.WriteTable(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"**http1, saturated**: 3 rounds of 1s each",
		"| bare | 1.00 (1.00 to 1.00) | bare | 1.00 | +0.0 | 10.0 (5.0 + 5.0) | 100000 | 3.0 |  | 4 | 90 |  |  |",
		"| theirs | 0.42 (0.40 to 0.50) | ours | 0.50 | +12.0 | 24.0 (12.0 + 12.0) | 41667 | 3.0 |  | 4 |  |  | 1.00 % |",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no line %q in:\n%s", want, &out)
		}
	}
	r.Offered = 5000
	out.Reset()
	if err := r.WriteTable(&out); err != nil || !strings.Contains(out.String(), "5000 requests/s offered") {
		t.Errorf("%v: %s", err, &out)
	}
	if err := r.WriteTable(full{}); !errors.Is(err, errFull) {
		t.Errorf("a writer that fails: %v", err)
	}
}

var errFull = errors.New("full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
