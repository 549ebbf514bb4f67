package fake

import (
	"fmt"
	"maps"
	"slices"
	"sync"
)

// MaxStates is how many states the control plane of a fake keeps by name.
const MaxStates = 100

// states are those that the control plane keeps by name, for all tenants.
type states struct {
	mu     sync.Mutex
	byName map[string]*State // at most MaxStates
}

// put keeps a state, in place of one with that name.
func (s *states) put(name string, state *State) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byName == nil {
		s.byName = map[string]*State{}
	}
	if _, there := s.byName[name]; !there && len(s.byName) == MaxStates {
		return fmt.Errorf("%d states would be more than %d: remove those that are not needed any more", len(s.byName)+1, MaxStates)
	}
	s.byName[name] = state
	return nil
}

func (s *states) get(name string) *State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byName[name]
}

func (s *states) remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byName, name)
}

// all are those kept, by name.
func (s *states) all() map[string]*State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.byName)
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
