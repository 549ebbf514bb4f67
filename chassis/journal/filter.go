package journal

import (
	"slices"
	"strings"
)

// Match reports whether the filter selects events of the given stream and type.
func (f Filter) Match(stream, eventType string) bool {
	return f.MatchStream(stream) && f.MatchType(eventType)
}

// MatchStream reports whether the filter selects events of the given stream.
func (f Filter) MatchStream(stream string) bool {
	return (f.Stream == "" || f.Stream == stream) && strings.HasPrefix(stream, f.StreamPrefix)
}

// MatchType reports whether the filter selects events of the given type.
func (f Filter) MatchType(eventType string) bool {
	return len(f.Types) == 0 || slices.Contains(f.Types, eventType)
}
