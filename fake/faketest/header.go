package faketest

import (
	"context"
	"fmt"
	"strings"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/fake"
)

// canAsk reports whether a call can ask for the rule in its header, see how it strikes, and needs no release.
// It asks for what takes time once.
func canAsk(r fake.Rule) bool {
	slow := r.Action == fake.Slow || r.Latency > 0
	return r.Phase != fake.Connect && !waits(r.Action) && r.Spread == fake.Spread{} && (r.Phase == fake.Before || !slow)
}

// headerOf is a rule as a call asks for it; see fake.ParseFault.
func headerOf(r fake.Rule) string {
	fields := []string{fmt.Sprintf("phase=%v", r.Phase)}
	add := func(given bool, name string, value any) {
		if given {
			fields = append(fields, fmt.Sprintf("%s=%v", name, value))
		}
	}
	// A failure says of itself what the header says of it: "code 1042", "HTTP status 503".
	what := strings.Fields(r.Failure.String())
	add(what[0] == "code", "code", what[len(what)-1])
	add(what[0] == "HTTP", "status", what[len(what)-1])
	add(r.Latency > 0, "latency", r.Latency)
	add(r.Action != 0, "action", r.Action)
	add(r.Rate > 0, "rate", r.Rate)
	add(r.At > 0, "at", r.At)
	return strings.Join(fields, ";")
}

// refusesHeaders checks that a call which asks for what cannot be is refused, and that what a call asks for
// is its own.
func (d *door) refusesHeaders(ctx context.Context, f *fake.Fake) error {
	defer f.Clear()
	f.Fail(fake.HTTPStatus(behind), d.match(""))
	return d.visit(func(c *client) error {
		wrong := []string{"status=200", "action=hold", "phase=connect;action=rst", "phase=before;action=truncate", "code=1;code=1", "so=what"}
		if d.protocol == http1 {
			wrong = append(wrong, "action=goaway")
		}
		for _, text := range wrong {
			last := lastCall(f)
			seen := c.knock(ctx, d.route, map[string]string{fake.FaultHeader: text})
			if got, err := seen.fault(); err != nil || got.code != failure.Malformed.Number() {
				return fmt.Errorf("%s: %s: the client saw %v, want code %d", fake.FaultHeader, text, seen, failure.Malformed.Number())
			}
			call, err := onlyCall(ctx, f, last)
			if err == nil && (call.Ran || call.Sent != fake.SentFailure) {
				err = fmt.Errorf("it is recorded as %+v", call)
			}
			if err != nil {
				return fmt.Errorf("%s: %s: %w", fake.FaultHeader, text, err)
			}
		}
		for _, header := range []map[string]string{{fake.FaultHeader: "status=404"}, nil} {
			want := behind
			if header != nil {
				want = 404
			}
			if err := c.knock(ctx, d.route, header).injected(want); err != nil {
				return fmt.Errorf("%v: %w", header, err)
			}
		}
		return nil
	})
}
