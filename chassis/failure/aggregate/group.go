package aggregate

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// A Group is what is known of the failures of one code at one place.
type Group struct {
	Key   string              `json:"group"` // as Report.Group
	Code  failure.Description `json:"code"`
	Place string              `json:"place"`
	Count uint64              `json:"count"`
	First time.Time           `json:"first"`
	Last  time.Time           `json:"last"`
	// Days says how often it failed on each of the last eight days with failures, the newest first.
	Days []Day `json:"days,omitempty"`
	// Pinned groups are kept however long they have been quiet. Decided is when that was last changed,
	// zero for never; a group that has not failed in its process has nothing else but its key.
	Pinned  bool      `json:"pinned"`
	Decided time.Time `json:"pin_changed,omitzero"`
	// Sample is one of the failures of the last minutes; nil before the first, of a group that was
	// pinned in another process.
	Sample *Sample `json:"sample,omitempty"`
	// Seen are the newest failures, the newest first: at most 64 of one process, and of all.
	Seen []Seen `json:"seen,omitempty"`
}

// Day is a day in UTC, as 2006-01-02, and how often a group failed on it.
type Day struct {
	Day   string `json:"day"`
	Count uint64 `json:"count"`
}

// On is how often the group failed on a day.
func (g *Group) On(day string) uint64 {
	for _, d := range g.Days {
		if d.Day == day {
			return d.Count
		}
	}
	return 0
}

// Seen is a failure by the ids that people quote.
type Seen struct {
	ID        string    `json:"error_id"`
	RequestID string    `json:"request_id,omitempty"`
	Time      time.Time `json:"time"`
}

const (
	// MaxGroups bounds the groups of one process. Failures of further ones are counted in the groups
	// [Overflow] and [OverflowOfCallers].
	MaxGroups = 512
	// Overflow is the key of the group of all failures that have found no room and are the service's own
	// or those of what it depends on. They may be of different codes: Group.Code is that of the sample.
	Overflow = "overflow"
	// OverflowOfCallers is that of those that are no failures of the service, of which nobody is told.
	OverflowOfCallers = "overflow of callers"
	// Keep is how long a group that does not fail again is kept, unless it is pinned.
	Keep = 7 * 24 * time.Hour

	maxSeen  = 64
	maxDays  = 8
	newFor   = 24 * time.Hour
	maxState = 4 << 20 // bytes
)

// New reports whether the group failed for the first time within the 24 hours before now.
func (g *Group) New(now time.Time) bool { return g.Count > 0 && now.Sub(g.First) < newFor }

// TimedOut reports whether the group is of work that was not done in time, rather than of work that went
// wrong: its gRPC code is DEADLINE_EXCEEDED.
func (g *Group) TimedOut() bool { return g.Code.GRPCCode == failure.GRPCDeadlineExceeded }

// Sort orders groups as operators want to read them: new ones first, then those with the larger count.
func Sort(groups []Group, now time.Time) {
	slices.SortFunc(groups, func(a, b Group) int {
		if a.New(now) != b.New(now) {
			if a.New(now) {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Key, b.Key))
	})
}

// Merge puts together what several processes of one service know: counts are added, of samples and
// decisions the newest stands. At most MaxGroups and two of the overflow are left: those of which something
// was decided, then those that failed last, which is the order of the result too.
// The result shares nothing with what was given but samples, which nobody changes.
func Merge(of ...[]Group) []Group {
	byKey := map[string]*Group{}
	var merged []*Group
	for _, groups := range of {
		for _, g := range groups {
			into := byKey[g.Key]
			if into == nil {
				g.Seen, g.Days = slices.Clone(g.Seen), slices.Clone(g.Days)
				byKey[g.Key] = &g
				merged = append(merged, &g)
				continue
			}
			into.add(g)
		}
	}
	slices.SortStableFunc(merged, func(a, b *Group) int {
		return cmp.Or(-cmp.Compare(rank(a), rank(b)), b.Last.Compare(a.Last))
	})
	out := make([]Group, 0, len(merged))
	for _, g := range merged[:min(len(merged), MaxGroups+2)] {
		out = append(out, *g)
	}
	return out
}

// rank says what is to be kept before all else.
func rank(g *Group) int {
	if g.Pinned || !g.Decided.IsZero() || overflow(g.Key) {
		return 1
	}
	return 0
}

func overflow(key string) bool { return key == Overflow || key == OverflowOfCallers }

// Recent leaves out the groups that are forgotten at now: those quiet for [Keep] that are not pinned, and
// whose pin was not removed within that time either. groups stays as it is.
func Recent(groups []Group, now time.Time) []Group {
	return slices.DeleteFunc(slices.Clone(groups), func(g Group) bool {
		return !g.Pinned && now.Sub(g.Last) >= Keep && now.Sub(g.Decided) >= Keep
	})
}

// add puts what another process knows of the same group into g.
func (g *Group) add(o Group) {
	g.Count += o.Count
	if g.First.IsZero() || !o.First.IsZero() && o.First.Before(g.First) {
		g.First = o.First
	}
	if o.Last.After(g.Last) {
		g.Last = o.Last
		if !overflow(g.Key) || g.Sample == nil {
			g.Code, g.Place = o.Code, o.Place
		}
	}
	if o.Decided.After(g.Decided) {
		g.Pinned, g.Decided = o.Pinned, o.Decided
	}
	if o.Sample != nil && (g.Sample == nil || o.Sample.Time.After(g.Sample.Time)) {
		g.Sample = o.Sample
		if overflow(g.Key) {
			g.Code, g.Place = o.Code, o.Place
		}
	}
	for _, day := range o.Days {
		if i := slices.IndexFunc(g.Days, func(d Day) bool { return d.Day == day.Day }); i >= 0 {
			g.Days[i].Count += day.Count
		} else {
			g.Days = append(g.Days, day)
		}
	}
	slices.SortFunc(g.Days, func(a, b Day) int { return strings.Compare(b.Day, a.Day) })
	g.Days = g.Days[:min(len(g.Days), maxDays)]
	g.Seen = append(g.Seen, o.Seen...)
	slices.SortStableFunc(g.Seen, func(a, b Seen) int { return b.Time.Compare(a.Time) })
	g.Seen = g.Seen[:min(len(g.Seen), maxSeen)]
}

// Find is the group that an error id was seen in, with what was seen. Nil for none: an id is
// remembered for as long as it is one of the newest of its group.
func Find(groups []Group, id string) (*Group, Seen) {
	for i := range groups {
		for _, seen := range groups[i].Seen {
			if seen.ID == id {
				return &groups[i], seen
			}
		}
	}
	return nil, Seen{}
}

// Encode is groups as bytes that [Decode] reads, at most 4 MiB. When they would be more, samples and what was
// seen are left out, of the groups that stand last first, and when that is not enough, these groups.
func Encode(groups []Group) ([]byte, error) {
	parts := make([][]byte, len(groups))
	size := len("[]")
	put := func(i int, g Group) error {
		part, err := json.Marshal(g)
		size += len(part) - len(parts[i])
		parts[i] = part
		return err
	}
	for i, g := range groups {
		size += len(",")
		if err := put(i, g); err != nil {
			return nil, fmt.Errorf("group of failures %q: %w", g.Key, err)
		}
	}
	for i := len(groups) - 1; i >= 0 && size > maxState; i-- {
		bare := groups[i]
		bare.Sample, bare.Seen = nil, nil
		if err := put(i, bare); err != nil {
			return nil, fmt.Errorf("group of failures %q: %w", bare.Key, err)
		}
	}
	for size > maxState {
		last := len(parts) - 1
		size -= len(parts[last]) + len(",")
		parts = parts[:last]
	}
	return slices.Concat([]byte("["), bytes.Join(parts, []byte(",")), []byte("]")), nil
}

// Decode reads what Encode has made. Nothing is no groups; what is larger than 4 MiB or is something else
// is an error.
func Decode(data []byte) ([]Group, error) {
	if len(data) == 0 {
		return nil, nil
	}
	if len(data) > maxState {
		return nil, fmt.Errorf("groups of failures: %d bytes, more than %d", len(data), maxState)
	}
	var groups []Group
	if err := json.Unmarshal(data, &groups); err != nil {
		return nil, fmt.Errorf("groups of failures: %w", err)
	}
	return groups, nil
}
