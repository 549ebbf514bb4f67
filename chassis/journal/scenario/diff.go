package scenario

import (
	"fmt"
	"reflect"
	"strings"
)

// expected is what a scenario wants, as it would be found.
func (s *Suite[E, C, A]) expected(t *Then[E, A]) (outcome[A], error) {
	want := outcome[A]{failure: t.Failure, answer: t.Answer}
	for _, e := range t.Events {
		kind, data, err := s.Encode(e)
		if err != nil {
			return want, fmt.Errorf("encode an expected event: %w", err)
		}
		want.events = append(want.events, happened{t.Subject, kind, data})
	}
	return want, nil
}

// differ says how got differs from want, in lines that begin with - for what is missing and + for what
// is too much; it is empty when they are equal.
func (s *Suite[E, C, A]) differ(want, got outcome[A], answers bool) string {
	var lines []string
	if want.failure != got.failure {
		lines = append(lines, "- "+s.verdict(want), "+ "+s.verdict(got))
	} else if answers && !reflect.DeepEqual(want.answer, got.answer) {
		lines = append(lines, fmt.Sprintf("- %v", want.answer), fmt.Sprintf("+ %v", got.answer))
	}
	if events, same := align(want.events, got.events); !same {
		lines = append(lines, events...)
	}
	return strings.Join(lines, "\n")
}

// verdict is whether a command succeeded.
func (s *Suite[E, C, A]) verdict(o outcome[A]) string {
	if o.failure != 0 {
		return s.failure(o.failure)
	}
	if isSet(o.answer) {
		return fmt.Sprintf("success: %v", o.answer)
	}
	return "success"
}

// align holds two lists of events against each other, one line for each event: with = where they are
// equal, by the longest common subsequence.
func align(want, got []happened) (lines []string, same bool) {
	equal := func(i, j int) bool { return want[i].String() == got[j].String() }
	// common[i][j] is how many events want[i:] and got[j:] have in common.
	common := make([][]int, len(want)+1)
	for i := range common {
		common[i] = make([]int, len(got)+1)
	}
	for i := len(want) - 1; i >= 0; i-- {
		for j := len(got) - 1; j >= 0; j-- {
			if equal(i, j) {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(want) || j < len(got) {
		switch {
		case i < len(want) && j < len(got) && equal(i, j):
			lines = append(lines, "= "+want[i].String())
			i++
			j++
		case j == len(got) || i < len(want) && common[i+1][j] >= common[i][j+1]:
			lines = append(lines, "- "+want[i].String())
			i++
		default:
			lines = append(lines, "+ "+got[j].String())
			j++
		}
	}
	return lines, common[0][0] == len(want) && len(want) == len(got)
}
