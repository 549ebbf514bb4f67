package faketest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-754044b3/roadworthy/fake"
)

// mark is a field of the header that only calls of these checks have.
const mark = "X-Faketest"

// everySelector checks at each door that a rule strikes those calls that it selects, and no others. No handler
// runs: behind the rule there is a fault for every call.
func everySelector(ctx context.Context, start starter) error {
	return with(start, func(f *fake.Fake) error {
		return atDoors(f, func(d *door, c *client) error {
			for _, check := range []func(context.Context, *fake.Fake) error{c.counts, c.draws, c.matches} {
				if err := check(ctx, f); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// struck calls n times with the rule installed, and returns a letter for each call: X when the rule has struck.
func (c *client) struck(ctx context.Context, f *fake.Fake, rule fake.Rule, n int) (string, error) {
	rule.Failure = fake.HTTPStatus(404)
	faults, err := f.Replace(rule, fake.Rule{Match: c.door.match(""), Failure: fake.HTTPStatus(behind)})
	if err != nil {
		return "", err
	}
	defer f.Clear()
	letters := ""
	for range n {
		got, err := c.knock(ctx, c.door.route, map[string]string{mark: "1"}).fault()
		switch {
		case err != nil:
			return "", err
		case got.injected(404):
			letters += "X"
		case got.injected(behind):
			letters += "."
		default:
			return "", fmt.Errorf("answered %+v, want a fault's HTTP status 404 or %d", got, behind)
		}
	}
	if hits := strings.Count(letters, "X"); faults[0].Hits() != hits {
		return "", fmt.Errorf("%v: %d hits, and the client saw %s", rule, faults[0].Hits(), letters)
	}
	return letters, nil
}

// counts checks what selects by number.
func (c *client) counts(ctx context.Context, f *fake.Fake) error {
	for _, s := range []struct {
		rule fake.Rule
		want string
	}{
		{fake.Rule{}, "XX"},
		{fake.Rule{Nth: 2}, ".X."},
		{fake.Rule{Count: 2}, "XX."},
		{fake.Rule{Every: 2}, ".X.X"},
		{fake.Rule{After: 1, Every: 2, Count: 1}, "..X.."},
		{fake.Rule{Probability: 1}, "X"},
	} {
		s.rule.Match = c.door.match(c.door.route)
		got, err := c.struck(ctx, f, s.rule, len(s.want))
		if err == nil && got != s.want {
			err = fmt.Errorf("%v: struck %s, want %s", s.rule, got, s.want)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// draws checks that chance is repeated by its seed.
func (c *client) draws(ctx context.Context, f *fake.Fake) error {
	rule := fake.Rule{Probability: 0.5, Seed: 3, Match: c.door.match(c.door.route)}
	var rounds [2]string
	for i := range rounds {
		var err error
		if rounds[i], err = c.struck(ctx, f, rule, 8); err != nil {
			return err
		}
	}
	if rounds[0] != rounds[1] || !strings.Contains(rounds[0], "X") || !strings.Contains(rounds[0], ".") {
		return fmt.Errorf("%v: struck %s, and then %s, want some of the calls, and the same", rule, rounds[0], rounds[1])
	}
	return nil
}

// matches checks what selects by what a call is.
func (c *client) matches(ctx context.Context, f *fake.Fake) error {
	d := c.door
	call, err := c.marked(ctx, f)
	if err != nil {
		return err
	}
	yes := []fake.Match{
		fake.OnListener(d.listener), fake.On(d.route), fake.OnMethod(d.method(d.route)), fake.OnHeader(mark, "1"), fake.OnHeader(strings.ToLower(mark), "1"),
	}
	no := []fake.Match{fake.OnMethod("TRACE"), fake.OnHeader(mark, "2"), fake.OnHeader(mark+"-Not", "1"), fake.OnTenant(call.Tenant + "-not")}
	if call.Tenant != "" {
		yes = append(yes, fake.OnTenant(call.Tenant))
	}
	for _, l := range f.Description().Listeners {
		if l.Name != d.listener {
			no = append(no, fake.OnListener(l.Name))
		}
	}
	if i := slices.IndexFunc(d.routes, func(route string) bool { return route != d.route }); i >= 0 {
		no = append(no, fake.On(d.routes[i]))
	}
	for i, m := range append(yes, no...) {
		got, err := c.struck(ctx, f, fake.Rule{Match: m}, 1)
		switch {
		case err != nil:
			return err
		case i < len(yes) && got != "X":
			return fmt.Errorf("a rule of %v has not struck a call of %s", m, d.route)
		case i >= len(yes) && got == "X":
			return fmt.Errorf("a rule of %v has struck a call of %s", m, d.route)
		}
	}
	return nil
}

// marked is how a call of these checks is recorded.
func (c *client) marked(ctx context.Context, f *fake.Fake) (*fake.Call, error) {
	last := lastCall(f)
	if _, err := c.struck(ctx, f, fake.Rule{Match: c.door.match("")}, 1); err != nil {
		return nil, err
	}
	return onlyCall(ctx, f, last)
}
