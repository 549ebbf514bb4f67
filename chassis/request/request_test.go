package request_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"

	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/request"
)

func Example() {
	ctx := request.With(context.Background(), &request.Info{ID: "order-17"})
	fmt.Println(request.ID(ctx))
	trace, ok := request.ParseTrace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	fmt.Println(trace.Header(), ok)
	// Output:
	// order-17
	// 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 true
}

func TestAContextWithoutARequestHasNoID(t *testing.T) {
	if request.From(t.Context()) != nil || request.ID(t.Context()) != "" {
		t.Error("an empty context carries a request")
	}
}

func TestIDsAreVersion7UUIDsThatSortByTime(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	last := ""
	for i := range 1000 {
		id := request.NewID(now.Add(time.Duration(i)*time.Millisecond), rand.Reader)
		if !form.MatchString(id) || !request.ValidID(id) || id <= last {
			t.Fatalf("id %q after %q", id, last)
		}
		last = id
	}
	// RFC 9562, appendix A.6: the same time gives the same first 48 bits.
	at := time.UnixMilli(0x017F22E279B0)
	if id := request.NewID(at, rand.Reader); !strings.HasPrefix(id, "017f22e2-79b0-7") {
		t.Errorf("id %q does not begin with the time of the RFC's example", id)
	}
}

func TestASourceMakesWhatTheFunctionsMakeOfItsRandomness(t *testing.T) {
	seed := [32]byte([]byte("thirty-two bytes, no more needed"))
	now := time.UnixMilli(0x017F22E279B0)
	var id [request.IDLen]byte
	source := request.NewSource(seed)
	source.PutID(&id, now)
	same := mathrand.NewChaCha8(seed)
	if want := request.NewID(now, same); string(id[:]) != want {
		t.Errorf("id %s, want %s", id, want)
	}
	trace, want := source.NewTrace(), request.NewTrace(same)
	if trace != want {
		t.Errorf("trace %s, want %s", trace.Header(), want.Header())
	}
	if got, want := source.Child(trace), want.Child(same); got != want {
		t.Errorf("child %s, want %s", got.Header(), want.Header())
	}
	if got := source.Child(request.Trace{}); !got.IsZero() {
		t.Errorf("no trace has the child %s", got.Header())
	}
	seen := map[string]bool{}
	for range 30 {
		source.PutID(&id, now)
		seen[string(id[:])] = true
	}
	if len(seen) != 30 {
		t.Errorf("%d ids of 30 differ", len(seen))
	}
	if n := testing.AllocsPerRun(10, func() { source.PutID(&id, now); source.Child(source.NewTrace()) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestARandomSourceThatFailsIsNotSurvived(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	request.NewID(time.Now(), bytes.NewReader(nil))
}

func TestOnlyHarmlessIDsAreTakenOver(t *testing.T) {
	for id, want := range map[string]bool{
		"a": true, "A-1._z": true, strings.Repeat("x", 64): true,
		"": false, strings.Repeat("x", 65): false, "a b": false, "a\n": false, "a\"": false, "é": false,
	} {
		if got := request.ValidID(id); got != want {
			t.Errorf("ValidID(%q) = %v", id, got)
		}
	}
}

func TestTraceparentIsReadAsTheRecommendationSays(t *testing.T) {
	const ids = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"
	for header, want := range map[string]string{
		"00-" + ids + "-01":                  "00-" + ids + "-01",
		"00-" + ids + "-00":                  "00-" + ids + "-00",
		"00-" + ids + "-ff":                  "00-" + ids + "-01",
		"cc-" + ids + "-01":                  "00-" + ids + "-01",
		"cc-" + ids + "-01-future":           "00-" + ids + "-01",
		"":                                   "",
		"00-" + ids + "-1":                   "",
		"00-" + ids + "-01-more":             "",
		"cc-" + ids + "-01.more":             "",
		"ff-" + ids + "-01":                  "",
		"00-" + strings.ToUpper(ids) + "-01": "",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01": "",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01": "",
		"00_" + ids + "-01": "",
	} {
		got, ok := request.ParseTrace(header)
		if ok != (want != "") {
			t.Errorf("ParseTrace(%q) = %v", header, ok)
		}
		if ok && got.Header() != want {
			t.Errorf("ParseTrace(%q) = %s, want %s", header, got.Header(), want)
		}
	}
}

func TestAChildStaysInItsTrace(t *testing.T) {
	parent := request.NewTrace(rand.Reader)
	child := parent.Child(rand.Reader)
	if child.TraceID != parent.TraceID || child.SpanID == parent.SpanID || child.IsZero() {
		t.Errorf("child %s of %s", child.Header(), parent.Header())
	}
	if orphan := (request.Trace{}).Child(rand.Reader); !orphan.IsZero() {
		t.Errorf("no trace has the child %s", orphan.Header())
	}
	known := request.NewTrace(bytes.NewReader([]byte("0123456789abcdefABCDEFGH")))
	if want := "00-30313233343536373839616263646566-4142434445464749-00"; known.Header() != want {
		t.Errorf("made of known bytes: %s, want %s", known.Header(), want)
	}
	zeros := request.NewTrace(bytes.NewReader(make([]byte, 24)))
	if _, ok := request.ParseTrace(zeros.Header()); !ok {
		t.Errorf("a source of zeros makes the invalid trace %s", zeros.Header())
	}
}

func FuzzParseTrace(f *testing.F) {
	f.Add("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	f.Fuzz(func(t *testing.T, header string) {
		trace, ok := request.ParseTrace(header)
		if !ok {
			return
		}
		again, ok := request.ParseTrace(trace.Header())
		if !ok || again != trace {
			t.Errorf("%q reads as %s, which reads as %s", header, trace.Header(), again.Header())
		}
	})
}

func TestASourceHasNumbersBesideIDs(t *testing.T) {
	source := request.NewSource([32]byte{1})
	sum, seen := 0.0, map[float64]bool{}
	const numbers = 1000
	for range numbers {
		f := source.Float64()
		if f < 0 || f >= 1 {
			t.Fatalf("%v", f)
		}
		sum += f
		seen[f] = true
	}
	if mean := sum / numbers; mean < 0.45 || mean > 0.55 || len(seen) != numbers {
		t.Errorf("mean %v of %d numbers", mean, len(seen))
	}
}
