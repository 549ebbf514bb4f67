package roadworthy_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/roadworthy"
)

// ask runs the command in the folder of the test.
func ask(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = roadworthy.Run(args, &out, &errs)
	return code, out.String(), errs.String()
}

const service = `
# a service
http:
  addr: 127.0.0.1:80
  acl:
    # who speaks for others
    trusted_proxies: [10.0.0.5]
    client_from: forwarded

    deny:
      - 198.51.100.1
      - file:bad.txt
    routes:
      /admin: allow 10.0.0.0/8 unix
  max_conns: 7
public: {grpc: {acl: {deny: [10.0.0.0/8], allow: [all]}, addr: x}}
none: {addr: 127.0.0.1:0}
empty:
  acl:
broken:
  acl:
    allow:
      - 10.0.0.5/8
    alow: [all]
text:
  acl: all
`

func folder(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"service.yaml": service, "bad.txt": "# known\n203.0.113.0/24\n", "half.yaml": "a: [", "nothing.yaml": ""} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestExplainSaysWhichRuleDecidesAndWhereItIsWritten(t *testing.T) {
	folder(t)
	for name, c := range map[string]struct {
		args string
		code int
		want string
	}{
		"a file's line": {"-config service.yaml 203.0.113.9 /x", 1,
			"203.0.113.9 may not call /x: 203.0.113.0/24 is denied (deny item 2, bad.txt:2)\nthat is set by service.yaml:11:7\n"},
		"a mapped address": {"-config service.yaml ::ffff:198.51.100.1 /x", 1,
			"198.51.100.1 may not call /x: 198.51.100.1 is denied (deny item 1)\nthat is set by service.yaml:11:7\n"},
		"a route": {"-config service.yaml -listener http 10.1.2.3 /admin/users", 0,
			"10.1.2.3 may call /admin/users: 10.0.0.0/8 is allowed (routes /admin, allow item 1)\nthat is set by service.yaml:14:7\n"},
		"who is not in a route's list": {"-config service.yaml 192.0.2.1 /admin", 1,
			"192.0.2.1 may not call /admin: route /admin has an allow list, and no entry of it is for this client\nthat is set by service.yaml:14:7\n"},
		"a unix socket": {"-config service.yaml unix /admin", 0,
			"a peer of a unix socket may call /admin: unix is allowed (routes /admin, allow item 2)\nthat is set by service.yaml:14:7\n"},
		"a trusted proxy": {"-config service.yaml 10.0.0.5 /", 0,
			"10.0.0.5 may call /: no rule says otherwise\nnote: it is a trusted proxy; a request it passes on is decided by the client it names\n"},
		"flow style, and a key of two parts": {"-config service.yaml -listener public.grpc 10.0.0.1 /a.B/C", 1,
			"10.0.0.1 may not call /a.B/C: 10.0.0.0/8 is denied (deny item 1)\nthat is set by service.yaml:16:29\n"},
		"a listener without rules": {"-config service.yaml -listener none 10.0.0.1 /", 0,
			"service.yaml: none has no section acl\n10.0.0.1 may call /: no rule says otherwise\n"},
		"an empty section": {"-config service.yaml -listener empty 10.0.0.1 /", 0, "10.0.0.1 may call /: no rule says otherwise\n"},
		"a flag over the file": {"-config service.yaml -deny 192.0.2.0/24 192.0.2.1 /", 1,
			"192.0.2.1 may not call /: 192.0.2.0/24 is denied (deny item 1)\nthat is set by flag -deny\n"},
		"flags alone": {"-allow 10.0.0.0/8 192.0.2.1 /", 1,
			"192.0.2.1 may not call /: the listener has an allow list, and no entry of it is for this client\nthat is set by flag -allow\n"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := ask(t, append([]string{"acl", "explain"}, strings.Fields(c.args)...)...)
			if code != c.code || out != c.want || errs != "" {
				t.Errorf("exit code %d, want %d\n%s%s\nwant\n%s", code, c.code, out, errs, c.want)
			}
		})
	}
	code, out, _ := ask(t, "acl", "explain", "-routes", "/a=deny all", "10.0.0.1", "/a/b")
	if code != 1 || out != "10.0.0.1 may not call /a/b: 0.0.0.0/0 is denied (routes /a, deny item 1)\nthat is set by flag -routes\n" {
		t.Errorf("exit code %d, %s", code, out)
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	folder(t)
	for name, c := range map[string]struct{ args, want string }{
		"no file":             {"-config none.yaml 10.0.0.1 /", "open none.yaml: no such file or directory"},
		"no YAML":             {"-config half.yaml 10.0.0.1 /", "half.yaml: yaml: "},
		"an empty file":       {"-config nothing.yaml 10.0.0.1 /", "nothing.yaml: there is no section http; there is: "},
		"no such listener":    {"-config service.yaml -listener htp 10.0.0.1 /", "service.yaml: there is no section htp; there is: http, public, none, empty, broken, text"},
		"a part of a key":     {"-config service.yaml -listener http.x 10.0.0.1 /", "service.yaml: there is no section http.x; there is: addr, acl, max_conns"},
		"an unknown key":      {"-config service.yaml -listener broken 10.0.0.1 /", `service.yaml:24:5: key "alow" is unknown; did you mean "allow"?`},
		"no section":          {"-config service.yaml -listener text 10.0.0.1 /", `service.yaml:26:8: want a mapping of keys to values, got "all"`},
		"a bad rule":          {"-deny 10.0.0.5/8 10.0.0.1 /", `flag -deny: key "deny": item 1: "10.0.0.5/8" has bits set behind its length: write 10.0.0.0/8 for the network, or 10.0.0.5 for the address`},
		"a list not found":    {"-deny file:none 10.0.0.1 /", "acl: deny item 1: open none: no such file or directory"},
		"no rules":            {"10.0.0.1 /", "there are no rules: name a configuration with -config, or give some with -allow, -deny or -routes"},
		"a listener of none":  {"-listener http -deny all 10.0.0.1 /", "-listener names a section of a configuration: name that with -config"},
		"a port":              {"-deny all 10.0.0.1:80 /", `want an address without a port, or unix, got "10.0.0.1:80"`},
		"no path":             {"-deny all 10.0.0.1 admin", `want a path such as /admin or a gRPC method such as /game.v1.Game/Move, got "admin"`},
		"too few arguments":   {"-deny all 10.0.0.1", `want ADDR and PATH behind the flags, got 1 arguments: ["10.0.0.1"]`},
		"flags at the end":    {"10.0.0.1 / -deny all", `want ADDR and PATH behind the flags, got 4 arguments: ["10.0.0.1" "/" "-deny" "all"]`},
		"a flag nobody knows": {"-denny all 10.0.0.1 /", "flag provided but not defined: -denny"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := ask(t, append([]string{"acl", "explain"}, strings.Fields(c.args)...)...)
			if code != 2 || out != "" || !strings.HasPrefix(strings.TrimPrefix(errs, "roadworthy acl explain: "), c.want) {
				t.Errorf("exit code %d\n%s%s\nwant %s", code, out, errs, c.want)
			}
		})
	}
}

func TestHelpIsNoMistake(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"-h"}, {"acl", "explain", "-h"}, {"acl", "explain", "--help"}} {
		code, out, errs := ask(t, args...)
		if code != 0 || !strings.Contains(out, "usage: roadworthy") || errs != "" {
			t.Errorf("%q: exit code %d, %q, %q", args, code, out, errs)
		}
	}
	for _, help := range []string{"help", "-h", "--help"} {
		code, out, errs := ask(t, "failures", help)
		if code != 0 || !strings.Contains(out, "  failures check  ") || strings.Contains(out, "acl explain") || errs != "" {
			t.Errorf("failures %s: exit code %d, %q, %q", help, code, out, errs)
		}
	}
	for _, args := range [][]string{nil, {"acl"}, {"acl", "show"}, {"explain"}, {"failure", "-h"}} {
		code, out, errs := ask(t, args...)
		if code != 2 || out != "" || !strings.Contains(errs, "acl explain ") || len(args) > 0 && !strings.HasPrefix(errs, `roadworthy: there is no command "`+strings.Join(args, " ")+`"`) {
			t.Errorf("%q: exit code %d, %q, %q", args, code, out, errs)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestAnAnswerThatCannotBeWrittenIsNone(t *testing.T) {
	var errs bytes.Buffer
	code := roadworthy.Run([]string{"acl", "explain", "-allow", "all", "10.0.0.1", "/"}, full{}, &errs)
	if code != 2 || errs.String() != "roadworthy acl explain: disk full\n" {
		t.Errorf("exit code %d, %q", code, errs.String())
	}
}

func TestFilesAreNamedAsTheyWereGiven(t *testing.T) {
	folder(t)
	file, err := filepath.Abs("service.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, out, _ := ask(t, "acl", "explain", "-config", file, "198.51.100.1", "/"); !strings.HasSuffix(out, "that is set by "+file+":11:7\n") {
		t.Errorf("%s", out)
	}
}
