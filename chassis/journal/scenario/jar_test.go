package scenario_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/clock"
	"github.com/seed-754044b3/roadworthy/chassis/failure"
	"github.com/seed-754044b3/roadworthy/chassis/journal"
	"github.com/seed-754044b3/roadworthy/chassis/journal/scenario"
	"github.com/seed-754044b3/roadworthy/chassis/journal/sqlite"
)

// The service that these tests are about keeps jars of biscuits.

var (
	jarCodes   = failure.NewSet("jar")
	errEmpty   = jarCodes.Caller(1001, "the jar is empty")
	errFull    = jarCodes.Caller(1002, "a jar holds 10 biscuits")
	errUnknown = jarCodes.Caller(1003, "there is no such jar")
	errStale   = jarCodes.Caller(1004, "the biscuits are stale")
	errLater   = jarCodes.Dependency(1201, "it is not known whether that was stored")
)

// fact is an event: Bought, Filled or Taken.
type fact struct {
	Kind  string
	Count int    `json:",omitempty"`
	By    string `json:",omitempty"`
}

func bought() fact          { return fact{Kind: "bought"} }
func filled(n int) fact     { return fact{Kind: "filled", Count: n} }
func taken(who string) fact { return fact{Kind: "taken", By: who} }
func eaten(who string) fact { return fact{Kind: "eaten", By: who} }
func tellFacts(f []fact) (phrases []string) {
	for _, f := range f {
		switch f.Kind {
		case "bought":
			phrases = append(phrases, "a jar was bought")
		case "filled":
			phrases = append(phrases, fmt.Sprintf("%d biscuits were put in", f.Count))
		default:
			phrases = append(phrases, fmt.Sprintf("%s was %s a biscuit", f.By, f.Kind))
		}
	}
	return phrases
}

// order is a command.
type order struct {
	Do    string // buy, fill, take or look
	Count int
	By    string
	Jar   string
}

func (o order) String() string {
	switch o.Do {
	case "buy":
		return "somebody buys a jar"
	case "fill":
		return fmt.Sprintf("somebody puts %d biscuits in", o.Count)
	case "take":
		return o.By + " takes a biscuit"
	}
	return "somebody looks into the jar"
}

// left is an answer: how many biscuits there are.
type left int

func (l left) String() string { return fmt.Sprintf("%d biscuits are left", int(l)) }

type (
	jarScenario = scenario.Scenario[fact, order, left]
	jarThen     = scenario.Then[fact, left]
	jarSystem   = scenario.System[order, left]
	jarHistory  = scenario.History[fact]
)

// suite is these scenarios, in one chapter.
func suite(scenarios ...jarScenario) *scenario.Suite[fact, order, left] {
	return &scenario.Suite[fact, order, left]{
		Name:     "jar",
		Chapters: []scenario.Chapter[fact, order, left]{{Title: "Biscuits", Scenarios: scenarios}},
		Failures: jarCodes,
		Encode: func(f fact) (string, []byte, error) {
			if f.Kind == "" {
				return "", nil, errors.New("a fact has a kind")
			}
			data, err := json.Marshal(f)
			return f.Kind, data, err
		},
		Decode: func(kind string, data []byte) (f fact, err error) {
			if kind == "eaten" {
				return f, errors.New("nobody knows this kind")
			}
			return f, json.Unmarshal(data, &f)
		},
		Tell:   tellFacts,
		NewID:  func(unique string) string { return strings.ReplaceAll(unique, "/", ".") },
		Stream: func(id string) string { return "jar-" + id },
	}
}

// jars is the service.
type jars struct {
	journal journal.Journal
	clock   clock.Clock

	// Mistakes that it can make.
	forgetful bool // a repeated order is carried out again
	doubtful  bool // it gives up when the journal does not know
	careless  bool // it does not count what is in a jar
	secretive bool // it does not say which jar was bought
	chatty    bool // it buys another jar with each order
	crumbly   bool // it writes what cannot be read
	mute      bool // it has no answer
	fickle    bool // it answers each time otherwise
	answered  int
}

var errMute = errors.New("connection refused")

func (j *jars) do(ctx context.Context, r *scenario.Run, key string, o order) scenario.Result[left] {
	if j.mute {
		return scenario.Result[left]{Err: errMute}
	}
	n, made, err := j.carryOut(ctx, r, key, o)
	if j.answered++; j.fickle {
		n += j.answered
	}
	if j.secretive {
		made = ""
	}
	var failed *failure.Code
	switch {
	case err == nil:
		return scenario.Result[left]{Answer: left(n), Made: made}
	case errors.As(err, &failed):
		return scenario.Result[left]{Failure: failed.Number()}
	}
	return scenario.Result[left]{Err: err}
}

func (j *jars) carryOut(ctx context.Context, r *scenario.Run, key string, o order) (n int, made string, err error) {
	if j.chatty {
		if _, err := j.journal.Append(ctx, "jar-"+r.Unique()+key, journal.Any, journal.Event{Type: "bought", Data: []byte(`{}`)}); err != nil {
			return 0, "", err
		}
	}
	if o.Do == "buy" {
		made = "bought-" + key
		_, err := j.write(ctx, made, key, journal.NoStream, bought())
		return 0, made, err
	}
	id := r.ID(o.Jar)
	if id == "" {
		return 0, "", errUnknown
	}
	version, done := journal.Version(0), false
	var filledAt time.Time
	for e, err := range j.journal.Read(ctx, "jar-"+id, 0) {
		if err != nil {
			return 0, "", err
		}
		var f fact
		if err := json.Unmarshal(e.Data, &f); err != nil {
			return 0, "", err
		}
		n += f.Count
		if f.Kind == "taken" {
			n--
		}
		if f.Kind == "filled" {
			filledAt = e.Time
		}
		version = e.Position
		if done = e.ID == key && !j.forgetful; done {
			break
		}
	}
	switch {
	case done || o.Do == "look":
		return n, "", nil
	case o.Do == "fill":
		if n+o.Count > 10 && !j.careless {
			return 0, "", errFull
		}
		_, err := j.write(ctx, id, key, journal.At(version), filled(o.Count))
		return n + o.Count, "", err
	case n == 0:
		return 0, "", errEmpty
	case j.clock.Now().Sub(filledAt) > 30*24*time.Hour:
		return 0, "", errStale
	}
	f := taken(o.By)
	if j.crumbly {
		f.Kind = "eaten"
	}
	_, err = j.write(ctx, id, key, journal.At(version), f)
	return n - 1, "", err
}

func (j *jars) write(ctx context.Context, id, key string, expect journal.Expect, f fact) (journal.Version, error) {
	data, err := json.Marshal(f)
	if err != nil {
		return 0, err
	}
	e := journal.Event{ID: key, Type: f.Kind, Data: data}
	if j.forgetful {
		e.ID, expect = "", journal.Any
	}
	version, err := j.journal.Append(ctx, "jar-"+id, expect, e)
	if errors.Is(err, journal.ErrUnknownOutcome) && !j.doubtful {
		version, err = j.journal.Append(ctx, "jar-"+id, expect, e)
	}
	if errors.Is(err, journal.ErrUnknownOutcome) {
		err = errLater
	}
	return version, err
}

// start is the service with the mistakes that change makes.
func start(t testing.TB, change func(*jars)) *jarSystem {
	t.Helper()
	clk := clock.NewVirtual(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC))
	host := &journal.Local{Time: clk}
	tap := scenario.NewTap(sqlite.Engine)
	j, err := journal.Open(t.Context(), host, "mem:", tap.Engine())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	service := &jars{journal: j, clock: clk}
	if change != nil {
		change(service)
	}
	return &jarSystem{Name: "the jars", Do: service.do, Tap: tap}
}

// full and others are scenarios that hold.
var (
	givenTwo = []jarHistory{{Events: []fact{bought(), filled(2)}}}

	takesOne = jarScenario{
		Name: "whoever takes a biscuit leaves the others", Given: givenTwo,
		When: order{Do: "take", By: "ann"},
		Then: jarThen{Answer: 1, Events: []fact{taken("ann")}},
	}
	findsNone = jarScenario{
		Name: "nobody takes a biscuit from an empty jar", Given: []jarHistory{{Events: []fact{bought()}}},
		When: order{Do: "take", By: "ann"},
		Then: jarThen{Failure: 1001},
	}
	buysOne = jarScenario{
		Name: "a jar that was bought can be filled", Before: []order{{Do: "buy"}},
		When: order{Do: "fill", Count: 3},
		Then: jarThen{Answer: 3, Events: []fact{filled(3)}},
	}
	buys = jarScenario{
		Name: "a jar can be bought",
		When: order{Do: "buy"},
		Then: jarThen{Events: []fact{bought()}},
	}
	twoJars = jarScenario{
		Name: "jars are told apart",
		Given: []jarHistory{
			{Subject: "left", Events: []fact{bought(), filled(1)}},
			{Subject: "right", Ago: 24 * time.Hour, Events: []fact{bought(), filled(2)}},
		},
		When: order{Do: "take", By: "bob", Jar: "right"},
		Then: jarThen{Answer: 1, Subject: "right", Events: []fact{taken("bob")}},
	}
	stale = jarScenario{
		Name: "nobody takes a stale biscuit", Given: []jarHistory{{Ago: 31 * 24 * time.Hour, Events: []fact{bought(), filled(2)}}},
		When: order{Do: "take", By: "ann"},
		Then: jarThen{Failure: 1004},
	}
	lost = jarScenario{
		Name: "nobody knows whether a biscuit was taken", Given: givenTwo,
		Fault:  scenario.Fault{Appends: journal.ErrUnknownOutcome, Stored: true},
		When:   order{Do: "take", By: "ann"},
		Then:   jarThen{Failure: 1201, Events: []fact{taken("ann")}},
		Except: map[scenario.Mode]string{scenario.Retried: "the second time it is known"},
	}
	holding = []jarScenario{takesOne, findsNone, buysOne, buys, twoJars, stale, lost}
)
