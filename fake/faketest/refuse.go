package faketest

import (
	"fmt"
	"time"

	"github.com/seed-754044b3/roadworthy/fake"
)

// refuses checks that rules are refused that make no sense, and those with them.
func refuses(install func(...fake.Rule) ([]*fake.Fault, error), code int) error {
	fails := fake.Code(code)
	wrong := []fake.Rule{
		{}, {Phase: fake.AfterCommit}, {Match: fake.On("/nowhere"), Failure: fails}, {Match: fake.OnListener("nowhere"), Failure: fails},
		{Match: fake.OnMethod("get"), Failure: fails}, {Match: fake.Match{Header: "X"}, Failure: fails},
		{Failure: fake.Code(-1)}, {Failure: fake.HTTPStatus(200)}, {Failure: fails, Nth: 1, After: 1}, {Failure: fails, Nth: -1},
		{Failure: fails, Every: -1}, {Failure: fails, Count: -1}, {Failure: fails, Probability: 2}, {Failure: fails, At: 1},
		{Latency: -1}, {Latency: 2 * time.Hour}, {Spread: fake.Spread{P50: 2, P90: 1}}, {Failure: fails, Rate: 1},
		{Action: fake.Slow}, {Action: fake.Hold + 1}, {Failure: fails, Phase: fake.Connect + 1},
		{Phase: fake.Connect, Match: fake.OnMethod("GET"), Latency: 1}, {Phase: fake.Connect, Action: fake.GoAway},
		{Phase: fake.Connect, Action: fake.Truncate}, {Phase: fake.Before, Action: fake.Truncate},
		{Phase: fake.Connect, Failure: fails}, {Phase: fake.DuringResponse, Failure: fails},
	}
	for _, a := range []fake.Action{fake.RST, fake.FIN, fake.Truncate, fake.Garbage, fake.HalfOpen} {
		wrong = append(wrong, fake.Rule{Phase: fake.AfterCommit, Action: a, Failure: fails})
	}
	for _, rule := range wrong {
		faults, err := install(fake.Rule{Failure: fails}, rule)
		for _, f := range faults {
			f.Remove()
		}
		if err == nil {
			return fmt.Errorf("a rule was installed that makes no sense: %+v", rule)
		}
	}
	return nil
}
