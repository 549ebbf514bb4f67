package scenario

import (
	"fmt"
	"slices"
)

// Uncovered lists, one sentence for each, the failure codes of the suite's set that no scenario ends
// with and the types of events that happen in none: that they are given does not count. types are
// those that there are, as Encode names them. An event that cannot be encoded, or whose type is not
// among types, is listed too.
func (s *Suite[E, C, A]) Uncovered(types []string) []string {
	failed := map[int]bool{}
	happens := map[string]bool{}
	var lacks []string
	for _, sc := range s.all() {
		failed[sc.Then.Failure] = true
		for _, e := range sc.Then.Events {
			kind, _, err := s.Encode(e)
			if err != nil {
				lacks = append(lacks, fmt.Sprintf("scenario %q expects an event that cannot be encoded: %v", sc.Name, err))
				continue
			}
			if !happens[kind] && !slices.Contains(types, kind) {
				lacks = append(lacks, fmt.Sprintf("scenario %q expects an event of type %q, which is not among the known types", sc.Name, kind))
			}
			happens[kind] = true
		}
	}
	for _, code := range s.Failures.Codes() {
		if !failed[code.Number()] {
			lacks = append(lacks, "no scenario ends with "+s.failure(code.Number()))
		}
	}
	for _, kind := range types {
		if !happens[kind] {
			lacks = append(lacks, fmt.Sprintf("in no scenario happens an event of type %q", kind))
		}
	}
	return lacks
}
