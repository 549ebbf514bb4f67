package scenario

import (
	"fmt"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// A Scenario is one thing that a service promises. E is the type of its events, C that of commands
// and A that of answers; String of the latter two says in words what they are.
type Scenario[E any, C, A fmt.Stringer] struct {
	// Name is the promise as a sentence, such as "a full column takes no disc". It is unique in
	// its suite.
	Name string
	// Setting is the configuration that the service must have, in words such as "one open game
	// allowed"; whoever opens a [System] knows what they mean. Empty is the usual configuration.
	Setting string
	// Given is what happened before, put into the journal without a command.
	Given []History[E]
	// Before are commands that were carried out after that, one after another, and succeeded. They
	// are for what events alone cannot say, such as a request that is repeated. What they make
	// of the journal is not looked at.
	Before []C
	// Fault is what is wrong with the journal from then on. The zero Fault is nothing.
	Fault Fault
	// When is the command that the scenario is about.
	When C
	// Then is what must come of it.
	Then Then[E, A]
	// Except are the modes that the scenario does not run in, with the reason.
	Except map[Mode]string
}

// A History is events of one subject, such as one game.
type History[E any] struct {
	// Subject tells the subjects of a scenario apart. Most have one, whose name is empty.
	Subject string
	// Ago is how long before the command the events happened, 0 or more. Where the service's clock
	// runs, what is due happens as soon as the service sees the history. One of which something is due
	// therefore stands last, and in one piece.
	Ago time.Duration
	// Events happened one right after another.
	Events []E
}

// Then is what comes of a command: either a failure or success, and events in both cases.
type Then[E, A any] struct {
	// Failure is the number of the failure code that is answered; 0 is success.
	Failure int
	// Answer is what is answered, compared by reflect.DeepEqual. The zero value is not compared.
	Answer A
	// Subject is whose events they are: one of the histories', or that of the subject which the
	// command made if no history has its name.
	Subject string
	// Events are all that happened, in order; none means that nothing may happen. Events that
	// come later than the answer are waited for.
	Events []E
}

// A Fault is what is wrong with the journal while a command is carried out, whatever subject the service
// is busy with.
type Fault struct {
	// Appends is what appends are answered with, such as journal.ErrFull; nil leaves them alone.
	Appends error
	// Stored has appends take place all the same.
	Stored bool
	// Reads is the error that every Read of a stream ends with at once; nil leaves them alone.
	Reads error
}

func (f Fault) isSet() bool { return f.Appends != nil || f.Reads != nil }

// A Chapter is scenarios about one thing.
type Chapter[E any, C, A fmt.Stringer] struct {
	Title     string // such as "Moves"
	Scenarios []Scenario[E, C, A]
}

// A Suite is the scenarios of one service. All fields are needed. It must not change while it is
// used; its methods are safe for concurrent use on different systems.
type Suite[E any, C, A fmt.Stringer] struct {
	// Name is that of the service.
	Name string
	// Chapters are the scenarios in the order in which they are read.
	Chapters []Chapter[E, C, A]
	// Failures are the codes that the service answers with.
	Failures *failure.Set
	// Encode gives the type and the data of the journal's event. Equal events have equal data.
	Encode func(E) (kind string, data []byte, err error)
	// Decode is the reverse of Encode.
	Decode func(kind string, data []byte) (E, error)
	// Tell says in words what happened, in as few phrases as it likes: six moves may be one.
	Tell func([]E) []string
	// NewID makes the id of a subject from unique text: equal ids of equal texts, and others of
	// others.
	NewID func(unique string) string
	// Stream is the journal's stream for a subject.
	Stream func(id string) string
}

// check says what is wrong with the suite itself.
func (s *Suite[E, C, A]) check() error {
	seen := map[string]bool{}
	for _, sc := range s.all() {
		if err := s.checkScenario(&sc, seen[sc.Name]); err != nil {
			return fmt.Errorf("scenario %q: %w", sc.Name, err)
		}
		seen[sc.Name] = true
	}
	return nil
}

func (s *Suite[E, C, A]) checkScenario(sc *Scenario[E, C, A], taken bool) error {
	switch {
	case sc.Name == "":
		return fmt.Errorf("it has no name; give it one that says what is promised")
	case taken:
		return fmt.Errorf("another one has this name")
	}
	if _, declared := s.Failures.Lookup(sc.Then.Failure); sc.Then.Failure >= 1000 && !declared {
		return fmt.Errorf("failure %d is not declared", sc.Then.Failure)
	}
	for _, h := range sc.Given {
		if h.Ago < 0 {
			return fmt.Errorf("a history is %v ago; want 0 or more", h.Ago)
		}
		if len(h.Events) == 0 {
			return fmt.Errorf("a history of subject %q has no events", h.Subject)
		}
	}
	return nil
}

// all are the scenarios of all chapters.
func (s *Suite[E, C, A]) all() []Scenario[E, C, A] {
	var all []Scenario[E, C, A]
	for _, c := range s.Chapters {
		all = append(all, c.Scenarios...)
	}
	return all
}
