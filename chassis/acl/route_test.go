package acl_test

import (
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/chassis/acl"
)

func TestTheLongestRouteWithSomethingToSayDecides(t *testing.T) {
	g := mustNew(t, acl.Config{
		Deny: []string{"203.0.113.0/24"},
		Routes: map[string]string{
			"/admin/":                     "allow 10.0.0.0/8, deny 10.0.0.13",
			"/admin/public":               "allow all",
			"/admin/audit/log":            "deny 10.1.0.0/16",
			"/login":                      "deny 198.51.100.0/24",
			"/game.v1.Game":               "allow 10.0.0.0/8",
			"/game.v1.Game/Watch":         "allow 0.0.0.0/0",
			"/deep/down/below/the/ground": "deny all",
		},
	})
	for path, want := range map[string]map[string]acl.Verdict{
		"/":                                 {"10.0.0.1": acl.Allowed, "203.0.113.1": acl.Denied},
		"":                                  {"10.0.0.1": acl.Allowed, "203.0.113.1": acl.Denied},
		"*":                                 {"10.0.0.1": acl.Allowed, "203.0.113.1": acl.Denied},
		"/admin":                            {"10.0.0.1": acl.Allowed, "10.0.0.13": acl.Denied, "192.0.2.1": acl.Unlisted},
		"/admin/":                           {"10.0.0.1": acl.Allowed, "10.0.0.13": acl.Denied, "192.0.2.1": acl.Unlisted},
		"/admin/users/7":                    {"10.0.0.1": acl.Allowed, "10.0.0.13": acl.Denied, "203.0.113.1": acl.Unlisted},
		"/administrator":                    {"10.0.0.13": acl.Allowed, "192.0.2.1": acl.Allowed},
		"/Admin":                            {"192.0.2.1": acl.Allowed},
		"/admin/public/x":                   {"10.0.0.13": acl.Allowed, "203.0.113.1": acl.Allowed}, // what allows says so of all
		"/admin/publicity":                  {"192.0.2.1": acl.Unlisted},
		"/admin/audit":                      {"10.1.0.1": acl.Allowed},
		"/admin/audit/log":                  {"10.1.0.1": acl.Denied, "10.2.0.1": acl.Allowed, "192.0.2.1": acl.Unlisted}, // the route above is asked next
		"/login":                            {"198.51.100.1": acl.Denied, "203.0.113.1": acl.Denied, "192.0.2.1": acl.Allowed},
		"/game.v1.Game/Move":                {"10.0.0.1": acl.Allowed, "192.0.2.1": acl.Unlisted},
		"/game.v1.Game/Watch":               {"192.0.2.1": acl.Allowed},
		"/game.v1.Games/Move":               {"192.0.2.1": acl.Allowed},
		"/deep/down":                        {"192.0.2.1": acl.Allowed},
		"/deep/down/below/the":              {"192.0.2.1": acl.Allowed},
		"/deep/down/below/the/ground/floor": {"192.0.2.1": acl.Denied},

		// Paths that a handler may read in another way.
		"//admin":                      {"192.0.2.1": acl.Unlisted, "10.0.0.1": acl.Allowed},
		"/./admin/":                    {"192.0.2.1": acl.Unlisted},
		"/x/../admin/users":            {"192.0.2.1": acl.Unlisted},
		"/login/../admin":              {"198.51.100.1": acl.Denied, "10.0.0.1": acl.Allowed},
		"/admin/public/../users":       {"192.0.2.1": acl.Unlisted, "10.0.0.1": acl.Allowed},
		"/admin/../public":             {"192.0.2.1": acl.Unlisted, "10.0.0.1": acl.Allowed},
		"/../../admin":                 {"192.0.2.1": acl.Unlisted},
		"/admin/..":                    {"192.0.2.1": acl.Unlisted},
		"/.well-known/admin":           {"192.0.2.1": acl.Allowed},
		"/deep//down/below/the/ground": {"192.0.2.1": acl.Denied},
	} {
		for addr, verdict := range want {
			if _, got := g.Check(g.Peer(remote(addr)), nil, path); got != verdict {
				t.Errorf("%s at %q is %s, want %s", addr, path, got, verdict)
			}
		}
	}
}

func TestRoutesWithoutListenerRules(t *testing.T) {
	g := mustNew(t, acl.Config{Routes: map[string]string{"/a/b": "deny 10.0.0.1", "/a": "deny 10.0.0.2"}})
	for path, denied := range map[string]string{"/a/b": "10.0.0.1 10.0.0.2", "/a/c": "10.0.0.2", "/": ""} {
		for _, addr := range []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"} {
			_, got := g.Check(g.Peer(remote(addr)), nil, path)
			if got.Allowed() == strings.Contains(denied, addr) {
				t.Errorf("%s at %s is %s", addr, path, got)
			}
		}
	}
}
