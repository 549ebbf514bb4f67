package failure_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

func TestTheCodeOfAnErrorIsThatOfWhoeverTellsOfItFirst(t *testing.T) {
	full := &failure.Problem{Set: "game", Code: 1042}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"made here":                 {benchStore.New(), "bench 1002"},
		"a bare code":               {fmt.Errorf("more: %w", benchCaller), "bench 1001"},
		"answered":                  {fmt.Errorf("move: %w", full), "game 1042"},
		"made of what was answered": {benchStore.Wrap(full), "bench 1002"},
		"no code":                   {errors.New("x"), ""},
		"nothing":                   {nil, ""},
		"a page of a proxy":         {&failure.Problem{Status: 502}, ""},
	} {
		ref, ok := failure.CodeOf(c.err)
		if ok != (c.want != "") || ok && ref.String() != c.want {
			t.Errorf("%s: %v, %v, want %q", name, ref, ok, c.want)
		}
	}
}

func TestAProblemIsTheCodeItTellsOf(t *testing.T) {
	err := fmt.Errorf("shop: %w", &failure.Problem{Set: "bench", Code: 1002})
	if !errors.Is(err, benchStore) || errors.Is(err, benchCaller) || errors.Is(err, errors.New("x")) {
		t.Error("it is not the code, or another one")
	}
}

// A client decides by the code that it was answered, without the service's codes.
func ExampleCodeOf() {
	columnFull := failure.Ref{Set: "game", Number: 1042}
	err := fmt.Errorf("play: %w", &failure.Problem{Set: "game", Code: 1042, Title: "column is full"})
	if code, ok := failure.CodeOf(err); ok && code == columnFull {
		fmt.Println("choose another column")
	}
	// Output: choose another column
}
