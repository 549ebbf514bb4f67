package faketest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/fake"
	"github.com/seed-754044b3/roadworthy/fake/faketest"
)

// TestWhatARuleDoesIsJudgedByWhatIsSeenAndRecorded has fakes do something else than the rule says.
func TestWhatARuleDoesIsJudgedByWhatIsSeenAndRecorded(t *testing.T) {
	f := starting(setup)(t)
	injected := failure.Injected.Number()
	var (
		reset    = fake.Rule{Action: fake.RST}
		fails    = fake.Rule{Failure: fake.HTTPStatus(404), Phase: fake.AfterCommit}
		declared = fake.Rule{Failure: fake.Code(1002)}
		late     = fake.Rule{Latency: time.Second}
		drawn    = fake.Rule{Spread: fake.Spread{P50: time.Second}, Phase: fake.AfterCommit}
		slow     = fake.Rule{Action: fake.Slow, Rate: 10, Phase: fake.DuringResponse}
		refuses  = fake.Rule{Action: fake.RST, Phase: fake.Connect}
		cuts     = fake.Rule{Action: fake.RST, Phase: fake.DuringResponse, At: 5}
	)
	notThere := faketest.Seen{Code: injected, Status: 404}
	ran := fake.Call{Ran: true, Committed: true}
	with := func(c fake.Call, sent fake.Sent, fault string) fake.Call {
		c.Sent, c.Fault = sent, fault
		return c
	}
	for name, c := range map[string]struct {
		rule  fake.Rule
		seen  faketest.Seen
		calls []fake.Call
		says  string // "" when it is as it should be
	}{
		"a reset":                             {reset, faketest.Seen{Lost: true}, []fake.Call{with(fake.Call{}, fake.SentNothing, "reset the connection")}, ""},
		"an answer in place of a reset":       {reset, faketest.Seen{}, []fake.Call{with(fake.Call{}, fake.SentNothing, "reset the connection")}, "the client saw 200 OK, want a connection that ends"},
		"a reset of which nothing is known":   {reset, faketest.Seen{Lost: true}, nil, "one call, which saw no answer: cut off, is recorded as []"},
		"a reset after the handler ran":       {reset, faketest.Seen{Lost: true}, []fake.Call{with(ran, fake.SentNothing, "reset the connection")}, "want that the handler ran false"},
		"a reset that is recorded as sent":    {reset, faketest.Seen{Lost: true}, []fake.Call{with(fake.Call{}, fake.SentAnswer, "reset the connection")}, `and sent "nothing"`},
		"a reset by no rule":                  {reset, faketest.Seen{Lost: true}, []fake.Call{with(fake.Call{}, fake.SentNothing, "")}, "want the rule that struck"},
		"a part of an answer":                 {cuts, faketest.Seen{Lost: true}, []fake.Call{with(ran, fake.SentPart, "at byte 5 of the answer reset the connection")}, ""},
		"nothing of it":                       {cuts, faketest.Seen{Lost: true}, []fake.Call{with(ran, fake.SentNothing, "at byte 5 of the answer reset the connection")}, `and sent "part"`},
		"a connection that is refused":        {refuses, faketest.Seen{Lost: true}, nil, ""},
		"a connection that is not":            {refuses, faketest.Seen{}, nil, "want a connection that ends"},
		"a call by a refused connection":      {refuses, faketest.Seen{Lost: true}, []fake.Call{ran}, "the connection was ended, and a call is recorded"},
		"a failure after commit":              {fails, notThere, []fake.Call{with(ran, fake.SentFailure, "after commit fail with HTTP status 404")}, ""},
		"an answer in its place":              {fails, faketest.Seen{}, []fake.Call{with(ran, fake.SentFailure, "after commit fail with HTTP status 404")}, "want the fault's HTTP status 404"},
		"nothing in its place":                {fails, faketest.Seen{Lost: true}, []fake.Call{with(ran, fake.SentFailure, "after commit fail with HTTP status 404")}, "the client saw no answer: cut off, want one"},
		"a handler that failed":               {fails, faketest.Seen{Code: 1001, Status: 422}, []fake.Call{{Ran: true, Failure: 1001, Sent: fake.SentAnswer}}, ""},
		"a handler that failed, unheard":      {fails, faketest.Seen{Lost: true}, []fake.Call{{Ran: true, Failure: 1001, Sent: fake.SentAnswer}}, "the handler has failed, and the client saw no answer"},
		"a handler that failed, for nothing":  {fails, faketest.Seen{Code: 1001, Status: 422}, []fake.Call{{Ran: true, Failure: 1001, Sent: fake.SentNothing}}, "the handler has failed"},
		"another failure than is declared":    {declared, notThere, []fake.Call{with(fake.Call{}, fake.SentFailure, "fail with code 1002")}, "answered {http:404"},
		"no failure":                          {declared, faketest.Seen{}, []fake.Call{with(fake.Call{}, fake.SentFailure, "fail with code 1002")}, "200 OK"},
		"a latency that is none":              {late, faketest.Seen{Code: injected, Status: 503, Took: 1}, []fake.Call{with(fake.Call{}, fake.SentFailure, "wait 1s")}, "the answer was there after 1ns, want 1s or more"},
		"a latency that is not recorded":      {late, faketest.Seen{Code: injected, Status: 503, Took: time.Second}, []fake.Call{with(fake.Call{}, fake.SentFailure, "wait 1s")}, "with its latency"},
		"a call that goes on to its handler":  {late, faketest.Seen{Took: time.Second}, []fake.Call{with(ran, fake.SentAnswer, "wait 1s")}, "want the fault's HTTP status 503"},
		"a latency that is drawn from no die": {drawn, faketest.Seen{}, []fake.Call{with(ran, fake.SentAnswer, "after commit wait as drawn from p50 1s")}, "with its latency"},
		"an answer at full speed":             {slow, faketest.Seen{Took: 1}, []fake.Call{with(ran, fake.SentAnswer, "send 10 bytes a second")}, "the answer was there after 1ns, want 3.9s or more"},
	} {
		t.Run(name, func(t *testing.T) {
			err := faketest.Judge(f, c.rule, c.seen, c.calls...)
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}
