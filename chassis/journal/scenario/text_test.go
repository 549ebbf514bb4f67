package scenario_test

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/scenario"
)

func TestScenariosReadAsText(t *testing.T) {
	long := jarScenario{Given: []jarHistory{{}}, When: order{Do: "look"}, Then: jarThen{Answer: 9}}
	for range 9 {
		long.Given[0].Events = append(long.Given[0].Events, filled(1))
	}
	broken := takesOne
	broken.Setting = "a small jar"
	broken.Fault = scenario.Fault{Appends: journal.ErrFull, Reads: journal.ErrCorrupt}
	broken.Then = jarThen{Failure: 503}
	broken.Before = []order{{Do: "take", By: "bob"}}
	for _, test := range []struct {
		name     string
		scenario jarScenario
		want     string
	}{
		{"an answer and events", takesOne, `
given  a jar was bought; 2 biscuits were put in
when   ann takes a biscuit
then   answer: 1 biscuits are left; events: ann was taken a biscuit
`},
		{"nothing given and no answer", buys, `
given  nothing
when   somebody buys a jar
then   events: a jar was bought
`},
		{"several subjects, some long ago", twoJars, `
given  left: a jar was bought; 1 biscuits were put in; right 1d ago: a jar was bought; 2 biscuits were put in
when   bob takes a biscuit
then   answer: 1 biscuits are left; events right: bob was taken a biscuit
`},
		{"a fault, a setting and what was done before", broken, `
given  a small jar; a jar was bought; 2 biscuits were put in; bob takes a biscuit;
       the journal answers appends with "journal storage is full";
       the journal answers reads with "journal is damaged"
when   ann takes a biscuit
then   failure 503; no events
`},
		{"lines that are broken between phrases", long, `
given  1 biscuits were put in; 1 biscuits were put in; 1 biscuits were put in; 1 biscuits were put in;
       1 biscuits were put in; 1 biscuits were put in; 1 biscuits were put in; 1 biscuits were put in;
       1 biscuits were put in
when   somebody looks into the jar
then   answer: 9 biscuits are left; no events
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := "\n" + suite().Text(test.scenario); got != test.want {
				t.Errorf("it reads%s\nwant%s", got, test.want)
			}
		})
	}
}

func TestASuiteIsAPage(t *testing.T) {
	want := `
## Biscuits

**A jar can be bought**

    given  nothing
    when   somebody buys a jar
    then   events: a jar was bought

**Nobody knows whether a biscuit was taken**

    given  a jar was bought; 2 biscuits were put in;
           the journal answers appends with "outcome is unknown" though it stores them
    when   ann takes a biscuit
    then   failure 1201 "it is not known whether that was stored"; events: ann was taken a biscuit
`
	if got := suite(buys, lost).Markdown(); got != want {
		t.Errorf("the page is\n%s\nwant\n%s", got, want)
	}
}

func TestSpansReadAsPeopleSayThem(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 90 * time.Second: "1m30s", time.Minute: "1m", time.Hour: "1h", 90 * time.Minute: "1h30m",
		24 * time.Hour: "1d", 14 * 24 * time.Hour: "14d", 25 * time.Hour: "25h", 10 * time.Second: "10s", -time.Minute: "-1m",
	} {
		if got := scenario.Span(d); got != want {
			t.Errorf("%v reads %q, want %q", d, got, want)
		}
	}
	if strings.Contains(scenario.Span(10*time.Minute+time.Second), "0s") {
		t.Error("a second was lost")
	}
}
