package chassis

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-754044b3/roadworthy/chassis/acl"
	"github.com/seed-754044b3/roadworthy/chassis/kpi"
)

// maxShownLists bounds the lists of a listener that the status page shows; there may be one a path.
const maxShownLists = 10

// guarded is a listener and its rules.
type guarded struct {
	name  string
	rules acl.Summary
}

// showGuard has the status page tell of a listener's rules.
func (s *Service) showGuard(name string, guard *acl.Guard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.guards = append(s.guards, guarded{name, guard.Summary()})
}

// guardTable is what the status page shows of who may call.
func (s *Service) guardTable() StatusTable {
	s.mu.Lock()
	guards := slices.Clone(s.guards)
	s.mu.Unlock()
	t := StatusTable{Title: "Access rules", Columns: []string{"listener", "who may call", "who names the client", "denied"}}
	counted := s.metrics.Listeners()
	for _, g := range guards {
		var denied uint64
		if i := slices.IndexFunc(counted, func(c kpi.ListenerStats) bool { return c.Name == g.name }); i >= 0 {
			denied = counted[i].RefusedConns[kpi.DeniedConn.String()] + counted[i].RefusedRequests[kpi.DeniedRequest.String()]
		}
		t.Rows = append(t.Rows, []string{g.name, lists(g.rules), named(g.rules), short(float64(denied))})
	}
	return t
}

// lists says how many entries each list has: "allow 3, deny 1; /admin: allow 2".
func lists(rules acl.Summary) string {
	var out []string
	for i, l := range rules.Lists {
		if i == maxShownLists {
			out = append(out, strconv.Itoa(len(rules.Lists)-i)+" more")
			break
		}
		var parts []string
		if l.Exclusive {
			parts = append(parts, "allow "+strconv.Itoa(l.Allow))
		}
		if l.Deny > 0 || !l.Exclusive {
			parts = append(parts, "deny "+strconv.Itoa(l.Deny))
		}
		text := strings.Join(parts, ", ")
		if l.Route != "" {
			text = l.Route + ": " + text
		}
		out = append(out, text)
	}
	return cmp.Or(strings.Join(out, "; "), "everybody")
}

// named says whose word counts, and how it is given.
func named(rules acl.Summary) string {
	if rules.ClientFrom == "" {
		return "nobody"
	}
	return fmt.Sprintf("%d trusted, by %s", rules.Proxies, rules.ClientFrom)
}
