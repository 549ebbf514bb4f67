package scenario_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/journaltest"
	"github.com/seed-754044b3/roadworthy/chassis/journal/scenario"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
)

func TestScenariosThatHoldPassInEveryMode(t *testing.T) {
	replaced := 0
	for _, mode := range []scenario.Mode{scenario.Once, scenario.Retried, scenario.Replaced, scenario.AnswerLost} {
		t.Run(string(mode), func(t *testing.T) {
			suite(holding...).Run(t, func(t testing.TB, _ string) *jarSystem {
				sys := start(t, nil)
				sys.Replace = func(context.Context) error { replaced++; return nil }
				sys.Settle = func() {}
				return sys
			}, mode)
		})
	}
	if replaced != len(holding) {
		t.Errorf("the service was replaced %d times for %d scenarios", replaced, len(holding))
	}
}

func TestTwoSystemsThatAgreeCompareWell(t *testing.T) {
	open := func(t testing.TB, setting string) *jarSystem {
		if setting != "" {
			return nil
		}
		return start(t, nil)
	}
	unusual := takesOne
	unusual.Name, unusual.Setting = "that needs a setting which nobody has", "a bigger jar"
	suite(append(holding, unusual)...).Compare(t, open, open)
}

func TestWhatComesOutOtherwiseIsTold(t *testing.T) {
	wrong := func(sc jarScenario, then jarThen) jarScenario { sc.Then = then; return sc }
	for _, test := range []struct {
		name     string
		mistake  func(*jars)
		scenario jarScenario
		mode     scenario.Mode
		want     []string
	}{
		{"another failure", nil, wrong(findsNone, jarThen{Failure: 1002}), scenario.Once,
			[]string{`- failure 1002 "a jar holds 10 biscuits"`, `+ failure 1001 "the jar is empty"`}},
		{"success in place of a failure", nil, wrong(takesOne, jarThen{Failure: 1001}), scenario.Once,
			[]string{`- failure 1001`, `+ success: 1 biscuits are left`, `+ taken {"Kind":"taken","By":"ann"}`}},
		{"a failure in place of success", nil, wrong(findsNone, jarThen{}), scenario.Once,
			[]string{"- success\n+ failure 1001"}},
		{"another answer", nil, wrong(takesOne, jarThen{Answer: 7, Events: []fact{taken("ann")}}), scenario.Once,
			[]string{"- 7 biscuits are left\n+ 1 biscuits are left"}},
		{"another event", nil, wrong(takesOne, jarThen{Events: []fact{taken("eve")}}), scenario.Once,
			[]string{`- taken {"Kind":"taken","By":"eve"}`, `+ taken {"Kind":"taken","By":"ann"}`}},
		{"an event too many", nil, wrong(takesOne, jarThen{}), scenario.Once,
			[]string{`+ taken {"Kind":"taken","By":"ann"}`}},
		{"an event of another subject", nil, wrong(twoJars, jarThen{Subject: "left", Events: []fact{taken("bob")}}), scenario.Once,
			[]string{`- left: taken`, `+ right: taken`}},
		{"an event of a subject that nobody told of", func(j *jars) { j.secretive = true }, wrong(buys, jarThen{}), scenario.Once,
			[]string{"+ a subject of which no answer told: bought"}},
		{"events of another order", func(j *jars) { j.chatty = true }, wrong(takesOne, jarThen{Events: []fact{taken("ann")}}), scenario.Once,
			[]string{"+ a subject of which no answer told: bought", `= taken {"Kind":"taken","By":"ann"}`}},
		{"no answer", func(j *jars) { j.mute = true }, takesOne, scenario.Once, []string{"connection refused"}},
		{"a failure before", nil, jarScenario{Name: "n", Before: []order{{Do: "take", By: "ann"}}, When: order{Do: "buy"}}, scenario.Once,
			[]string{"before: ann takes a biscuit: it failed with 1003"}},
		{"an order that is carried out twice", func(j *jars) { j.forgetful = true }, wrong(takesOne, jarThen{Events: []fact{taken("ann")}}), scenario.Retried,
			[]string{"the repeated command was answered \"0 biscuits are left\"", "the first one \"1 biscuits are left\""}},
		{"another answer the second time", func(j *jars) { j.fickle = true }, takesOne, scenario.Retried, []string{"the repeated command was answered"}},
		{"a failure the second time", func(j *jars) { j.forgetful = true },
			jarScenario{Name: "n", Given: []jarHistory{{Events: []fact{filled(1)}}}, When: order{Do: "take", By: "ann"}}, scenario.Retried,
			[]string{"answered failure 1001"}},
		{"an event twice because an answer was lost", func(j *jars) { j.forgetful = true }, takesOne, scenario.AnswerLost,
			[]string{"the answer to append 1 was lost", `= taken {"Kind":"taken","By":"ann"}`, `+ taken {"Kind":"taken","By":"ann"}`}},
		{"an event that cannot be encoded", nil, wrong(takesOne, jarThen{Events: []fact{{}}}), scenario.Once,
			[]string{"encode an expected event: a fact has a kind"}},
		{"a history that cannot be encoded", nil, jarScenario{Name: "n", Given: []jarHistory{{Events: []fact{{}}}}, When: order{Do: "buy"}}, scenario.Once,
			[]string{"put the history into the journal: a fact has a kind"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			sys := start(t, test.mistake)
			err := suite(test.scenario).Check(t.Context(), sys, test.scenario, test.mode)
			if err == nil {
				t.Fatal("it came out as it should")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not tell of %q:\n%v", want, err)
				}
			}
		})
	}
}

// Its caller asks again, and what was stored is found.
func TestAServiceMayTellItsCallerThatItDoesNotKnow(t *testing.T) {
	sys := start(t, func(j *jars) { j.doubtful = true })
	if err := suite(takesOne).Check(t.Context(), sys, takesOne, scenario.AnswerLost); err != nil {
		t.Error(err)
	}
}

func TestACommandThatAppendsForEverIsFound(t *testing.T) {
	sys := start(t, nil)
	restless, err := journal.Open(t.Context(), &journal.Local{}, "mem:", sys.Tap.Engine())
	if err != nil {
		t.Fatal(err)
	}
	defer restless.Close()
	sys.Do = func(ctx context.Context, r *scenario.Run, key string, o order) scenario.Result[left] {
		for range 60 {
			if _, err := restless.Append(ctx, "elsewhere", journal.Any, journal.Event{Type: "bought"}); err != nil && !errors.Is(err, journal.ErrUnknownOutcome) {
				return scenario.Result[left]{Err: err}
			}
		}
		return scenario.Result[left]{}
	}
	// What it appends is known before the scenario begins: it is of no interest here.
	if _, err := restless.Append(t.Context(), "elsewhere", journal.Any, journal.Event{Type: "bought"}); err != nil {
		t.Fatal(err)
	}
	sc := jarScenario{Name: "n", When: order{Do: "look"}}
	err = suite(sc).Check(t.Context(), sys, sc, scenario.AnswerLost)
	if err == nil || !strings.Contains(err.Error(), "appends more than 50 times") {
		t.Errorf("the error is %v", err)
	}
}

func TestEventsThatComeLaterAreWaitedFor(t *testing.T) {
	sys := start(t, nil)
	do, late := sys.Do, make(chan error, 1)
	sys.Do = func(ctx context.Context, r *scenario.Run, key string, o order) scenario.Result[left] {
		go func() { late <- do(ctx, r, key, o).Err }()
		return scenario.Result[left]{Answer: 1}
	}
	if err := suite(takesOne).Check(t.Context(), sys, takesOne, scenario.Once); err != nil {
		t.Error(err)
	}
	if err := <-late; err != nil {
		t.Error(err)
	}
}

func TestAMistakeInASuiteIsRefused(t *testing.T) {
	nameless, negative, empty, undeclared := takesOne, takesOne, takesOne, takesOne
	nameless.Name = ""
	negative.Given = []jarHistory{{Ago: -time.Second, Events: []fact{bought()}}}
	empty.Given = []jarHistory{{Subject: "left"}}
	undeclared.Then = jarThen{Failure: 1999}
	for _, test := range []struct {
		scenarios []jarScenario
		want      string
	}{
		{[]jarScenario{nameless}, "it has no name"},
		{[]jarScenario{takesOne, takesOne}, "another one has this name"},
		{[]jarScenario{negative}, "a history is -1s ago; want 0 or more"},
		{[]jarScenario{empty}, `a history of subject "left" has no events`},
		{[]jarScenario{undeclared}, "failure 1999 is not declared"},
	} {
		err := suite(test.scenarios...).Hunt(t.Context(), start(t, nil), biscuitHunt())
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("the error is %v, want one that says %q", err, test.want)
		}
	}
}

func TestASystemSaysWhatItCannotRun(t *testing.T) {
	s := suite(holding...)
	sys := &jarSystem{Name: "a program", Beside: true, Unable: map[string]string{buys.Name: "it cannot say so"}}
	for _, test := range []struct {
		sys  *jarSystem
		sc   jarScenario
		mode scenario.Mode
		want string
	}{
		{sys, takesOne, scenario.Once, ""},
		{nil, jarScenario{Setting: "a bigger jar"}, scenario.Once, `this system cannot have the setting "a bigger jar"`},
		{sys, lost, scenario.Retried, "the second time it is known"},
		{sys, buys, scenario.Once, "a program: it cannot say so"},
		{sys, lost, scenario.Once, "a program: the journal of another process cannot be made to fail"},
		{sys, takesOne, scenario.AnswerLost, "a program: the answers of another process's journal cannot be lost"},
		{sys, takesOne, scenario.Replaced, "a program cannot be replaced"},
		{&jarSystem{}, lost, scenario.AnswerLost, "the journal is at fault already"},
	} {
		if why := s.Skips(test.sys, &test.sc, test.mode); why != test.want {
			t.Errorf("%s, %s: it says %q, want %q", test.sc.Name, test.mode, why, test.want)
		}
	}
}

func TestASystemWithoutItsJournalIsRefused(t *testing.T) {
	sys := &jarSystem{Tap: scenario.NewTap(sqlite.Engine)}
	err := suite(takesOne).Check(t.Context(), sys, takesOne, scenario.Once)
	if err == nil || !strings.Contains(err.Error(), "has not opened its journal") {
		t.Errorf("the error is %v", err)
	}
}

func TestAServiceThatCannotBeReplacedFailsTheScenario(t *testing.T) {
	sys := start(t, nil)
	sys.Replace = func(context.Context) error { return errors.New("the new one does not start") }
	err := suite(takesOne).Check(t.Context(), sys, takesOne, scenario.Replaced)
	if err == nil || !strings.Contains(err.Error(), "the new one does not start") {
		t.Errorf("the error is %v", err)
	}
}

func TestAClosedJournalFailsTheScenario(t *testing.T) {
	sys := start(t, nil)
	if err := sys.Tap.Journal().Close(); err != nil {
		t.Fatal(err)
	}
	for _, sc := range []jarScenario{takesOne, buys} {
		if err := suite(sc).Check(t.Context(), sys, sc, scenario.Once); !errors.Is(err, journal.ErrClosed) {
			t.Errorf("the error is %v, want journal.ErrClosed", err)
		}
	}
}

func TestATapIsAJournalLikeTheOneBehindIt(t *testing.T) {
	journaltest.Run(t, func(t *testing.T) journal.Journal {
		j, err := journal.Open(t.Context(), &journal.Local{}, "mem:", scenario.NewTap(sqlite.Engine).Engine())
		if err != nil {
			t.Fatal(err)
		}
		return j
	})
}

func TestATapDoesNotHideWhatGoesWrongBehindIt(t *testing.T) {
	tap := scenario.NewTap(sqlite.Engine)
	if _, err := journal.Open(t.Context(), &journal.Local{}, "file:", tap.Engine()); err == nil {
		t.Error("a journal without a path was opened")
	}
	if tap.Journal() != nil {
		t.Error("the tap has a journal that was not opened")
	}
	var host journal.Local
	defer host.Close(context.Background())
	j, err := journal.Open(t.Context(), &host, "mem:", tap.Engine())
	if err != nil {
		t.Fatal(err)
	}
	direct := journal.Backup(t.Context(), tap.Journal(), t.TempDir()+"/a.db")
	if through := journal.Backup(t.Context(), j, t.TempDir()+"/b.db"); (through == nil) != (direct == nil) {
		t.Errorf("a backup through the tap ends with %v, one behind it with %v", through, direct)
	}
}

func TestWhatNoScenarioCoversIsListed(t *testing.T) {
	bad := takesOne
	bad.Name, bad.Then.Events = "one that expects nonsense", []fact{{}}
	odd := takesOne
	odd.Name, odd.Then.Events = "one that expects an unknown event", []fact{eaten("ann")}
	got := suite(takesOne, findsNone, bad, odd).Uncovered([]string{"bought", "taken"})
	want := []string{
		`scenario "one that expects nonsense" expects an event that cannot be encoded: a fact has a kind`,
		`scenario "one that expects an unknown event" expects an event of type "eaten", which is not among the known types`,
		`no scenario ends with failure 1002 "a jar holds 10 biscuits"`,
		`no scenario ends with failure 1003 "there is no such jar"`,
		`no scenario ends with failure 1004 "the biscuits are stale"`,
		`no scenario ends with failure 1201 "it is not known whether that was stored"`,
		`in no scenario happens an event of type "bought"`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("it lists\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if lacks := suite(takesOne, findsNone, lost, stale, wholeJar, noJar).Uncovered([]string{"taken"}); lacks != nil {
		t.Errorf("all is covered, and it lists %q", lacks)
	}
}

var (
	wholeJar = jarScenario{Name: "a full jar takes no more", Given: givenTwo, When: order{Do: "fill", Count: 9}, Then: jarThen{Failure: 1002}}
	noJar    = jarScenario{Name: "a jar that is none has no biscuits", When: order{Do: "look"}, Then: jarThen{Failure: 1003}}
)

func TestTwoSystemsThatDifferAreTold(t *testing.T) {
	s := suite(takesOne)
	careful, other := start(t, nil), start(t, func(j *jars) { j.careless = true })
	other.Name = "the careless jars"
	if err := s.CompareOne(t.Context(), careful, other, takesOne); err != nil {
		t.Errorf("they do not differ in this: %v", err)
	}
	err := s.CompareOne(t.Context(), careful, other, wholeJar)
	for _, want := range []string{`- failure 1002 "a jar holds 10 biscuits"`, "+ success: 11 biscuits are left", `+ filled {"Kind":"filled","Count":9}`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
	mute := start(t, func(j *jars) { j.mute = true })
	mute.Name = "the mute jars"
	for _, pair := range [][2]*jarSystem{{mute, careful}, {careful, mute}} {
		if err := s.CompareOne(t.Context(), pair[0], pair[1], takesOne); !errors.Is(err, errMute) || !strings.Contains(err.Error(), "the mute jars") {
			t.Errorf("without an answer the error is %v", err)
		}
	}
}

func TestOnlyAnswersThatAScenarioLeavesOpenAreNotCompared(t *testing.T) {
	careful, boastful := start(t, nil), start(t, nil)
	do := boastful.Do
	boastful.Do = func(ctx context.Context, r *scenario.Run, key string, o order) scenario.Result[left] {
		got := do(ctx, r, key, o)
		got.Answer++
		return got
	}
	for name, c := range map[string]struct {
		then   jarThen
		differ bool
	}{
		"it is open":                       {jarThen{Events: []fact{filled(3)}}, false},
		"it is known":                      {jarThen{Answer: 5, Events: []fact{filled(3)}}, true},
		"there is none, and both give one": {jarThen{Failure: 1002}, true},
	} {
		sc := jarScenario{Name: name, Given: givenTwo, When: order{Do: "fill", Count: 3}, Then: c.then}
		if err := suite(sc).CompareOne(t.Context(), careful, boastful, sc); (err != nil) != c.differ {
			t.Errorf("%s: they differ: %v; want %v", name, err, c.differ)
		}
	}
}

func TestExceptionsForScenariosThatThereAreNotAreRefused(t *testing.T) {
	s := suite(takesOne)
	if err := s.CheckUnable(&jarSystem{Unable: map[string]string{takesOne.Name: "so it is"}}); err != nil {
		t.Error(err)
	}
	err := s.CheckUnable(&jarSystem{Name: "a program", Unable: map[string]string{"an old name": "so it was"}})
	if err == nil || !strings.Contains(err.Error(), `a program is unable to run "an old name", which is no scenario`) {
		t.Errorf("the error is %v", err)
	}
}

func TestACommandCanKeepThingsForLaterOnes(t *testing.T) {
	sys := start(t, nil)
	do := sys.Do
	var seen []string
	sys.Do = func(ctx context.Context, r *scenario.Run, key string, o order) scenario.Result[left] {
		seen = append(seen, r.Kept("last"), o.Do)
		r.Keep("last", o.Do)
		r.OnEnd(func() { seen = append(seen, "end of "+o.Do) })
		if r.Journal() != sys.Tap.Journal() {
			t.Error("the run's journal is another one")
		}
		return do(ctx, r, key, o)
	}
	if err := suite(buysOne).Check(t.Context(), sys, buysOne, scenario.Once); err != nil {
		t.Error(err)
	}
	if want := []string{"", "buy", "buy", "fill", "end of fill", "end of buy"}; !slices.Equal(seen, want) {
		t.Errorf("it went %q, want %q", seen, want)
	}
}

func TestASecondSubjectThatIsMadeHasANameOfItsOwn(t *testing.T) {
	sc := jarScenario{
		Name: "a second jar can be bought", Given: givenTwo,
		Before: []order{{Do: "buy"}},
		When:   order{Do: "fill", Count: 4, Jar: "new"},
		Then:   jarThen{Answer: 4, Subject: "new", Events: []fact{filled(4)}},
	}
	if err := suite(sc).Check(t.Context(), start(t, nil), sc, scenario.Retried); err != nil {
		t.Error(err)
	}
}

func TestAFaultOfReadsIsToldToTheServiceOnly(t *testing.T) {
	sys := start(t, nil)
	sc := takesOne
	sc.Fault = scenario.Fault{Reads: journal.ErrCorrupt}
	if err := suite(sc).Check(t.Context(), sys, sc, scenario.Once); !errors.Is(err, journal.ErrCorrupt) {
		t.Errorf("the service found %v, want journal.ErrCorrupt", err)
	}
	if err := suite(takesOne).Check(t.Context(), sys, takesOne, scenario.Once); err != nil {
		t.Errorf("the fault goes on after its scenario: %v", err)
	}
}

func TestAnAppendThatIsRefusedHasNoAnswerToLose(t *testing.T) {
	sys := start(t, nil)
	service, err := journal.Open(t.Context(), &journal.Local{}, "mem:", sys.Tap.Engine())
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	var refused error
	sys.Do = func(ctx context.Context, r *scenario.Run, key string, o order) scenario.Result[left] {
		_, refused = service.Append(ctx, "jar-"+r.ID(""), journal.NoStream, journal.Event{Type: "taken"})
		return scenario.Result[left]{}
	}
	sc := takesOne
	sc.Then = jarThen{}
	if err := suite(sc).Check(t.Context(), sys, sc, scenario.AnswerLost); err != nil {
		t.Error(err)
	}
	if _, conflict := errors.AsType[*journal.ConflictError](refused); !conflict {
		t.Errorf("the append was answered with %v, want a conflict", refused)
	}
}

func TestEventsThatDoNotComeAreNotWaitedForForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sc := takesOne
		sc.Then.Events = []fact{taken("ann"), taken("bob")}
		began := time.Now()
		err := suite(sc).Check(t.Context(), start(t, nil), sc, scenario.Once)
		if err == nil || !strings.Contains(err.Error(), "= taken {\"Kind\":\"taken\",\"By\":\"ann\"}\n- taken {\"Kind\":\"taken\",\"By\":\"bob\"}") {
			t.Errorf("the error is %v", err)
		}
		if waited := time.Since(began); waited != 30*time.Second {
			t.Errorf("it waited for %v, want 30s", waited)
		}
	})
}

func TestAnAppendToSeveralStreamsLosesItsAnswerToo(t *testing.T) {
	sys := start(t, nil)
	service, err := journal.Open(t.Context(), &journal.Local{}, "mem:", sys.Tap.Engine())
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	sys.Do = func(ctx context.Context, r *scenario.Run, key string, o order) scenario.Result[left] {
		batch := journal.Batch{Stream: "jar-" + r.ID(""), Expect: journal.Any, Events: []journal.Event{{ID: key, Type: "taken", Data: []byte(`{"Kind":"taken","By":"ann"}`)}}}
		for range 2 {
			if _, err = service.AppendMany(ctx, batch); !errors.Is(err, journal.ErrUnknownOutcome) {
				break
			}
		}
		return scenario.Result[left]{Err: err}
	}
	sc := takesOne
	sc.Then = jarThen{Events: []fact{taken("ann")}}
	for _, mode := range []scenario.Mode{scenario.Once, scenario.AnswerLost} {
		if err := suite(sc).Check(t.Context(), sys, sc, mode); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}
}
