package acl_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/acl"
	"github.com/seed-754044b3/roadworthy/chassis/config"
)

func TestEntriesThatCannotBeMeantAreRefused(t *testing.T) {
	const prefix = "want a prefix such as 10.0.0.0/8 or 2001:db8::/32, or an address, got "
	for entry, want := range map[string]string{
		"10.0.0.5/8":          `"10.0.0.5/8" has bits set behind its length: write 10.0.0.0/8 for the network, or 10.0.0.5 for the address`,
		"2001:db8::1/64":      `"2001:db8::1/64" has bits set behind its length: write 2001:db8::/64 for the network, or 2001:db8::1 for the address`,
		"::ffff:10.0.0.0/104": `"::ffff:10.0.0.0/104" would match nobody, because such callers are seen as IPv4: write 10.0.0.0/8`,
		"::ffff:10.1.2.3":     `"::ffff:10.1.2.3" would match nobody, because such callers are seen as IPv4: write 10.1.2.3`,
		"::ffff:10.1.2.3/128": `"::ffff:10.1.2.3/128" would match nobody, because such callers are seen as IPv4: write 10.1.2.3`,
		"::ffff:10.1.2.3/104": `"::ffff:10.1.2.3/104" would match nobody, because such callers are seen as IPv4: write 10.0.0.0/8`,
		"::ffff:0.0.0.0/64":   `"::ffff:0.0.0.0/64" has bits set behind its length: write ::/64 for the network, or ::ffff:0.0.0.0 for the address`,
		"fe80::1%eth0":        `"fe80::1%eth0" has the zone "eth0", but addresses are compared without: write fe80::1`,
		"fe80::%eth0/64":      `"fe80::%eth0/64" has the zone "eth0", but addresses are compared without: write fe80::/64`,
		"10.0.0.0/33":         prefix + `"10.0.0.0/33"`,
		"10.0.0.0/08":         prefix + `"10.0.0.0/08"`,
		"10.0.0.0-10.0.0.9":   prefix + `"10.0.0.0-10.0.0.9"`,
		"010.0.0.1":           prefix + `"010.0.0.1"`,
		"0x0a000001":          prefix + `"0x0a000001"`,
		"10.1":                prefix + `"10.1"`,
		"167772161":           prefix + `"167772161"`,
		"\uff11\uff10.0.0.1":  prefix + `"１０.0.0.1"; a file is written file:` + "\uff11\uff10.0.0.1",
		"[2001:db8::1]":       prefix + `"[2001:db8::1]"`,
		"10.0.0.1 ":           prefix + `"10.0.0.1 "`,
		"fe80::1%":            `"fe80::1%" has the zone "", but addresses are compared without: write fe80::1`,
		"10.0.0.1:80":         prefix + `"10.0.0.1:80"`,
		"":                    prefix + `""`,
		"localhost":           prefix + `"localhost"`,
		"/etc/office":         prefix + `"/etc/office"; a file is written file:/etc/office`,
		"office.txt":          prefix + `"office.txt"; a file is written file:office.txt`,
		"file:":               "file: names none, want file:PATH",
	} {
		for key, cfg := range map[string]acl.Config{"allow": {Allow: []string{"10.0.0.1", entry}}, "deny": {Deny: []string{"10.0.0.1", entry}}} {
			err := cfg.Validate()
			if full := key + ": item 2: " + want; err == nil || err.Error() != full {
				t.Errorf("%q: %v\nwant %s", entry, err, full)
			}
			if _, made := acl.New(cfg); made == nil || made.Error() != "acl: "+err.Error() {
				t.Errorf("New says %v", made)
			}
		}
	}
}

func TestMistakesOfOtherKeys(t *testing.T) {
	routes := func(name, rules string) acl.Config { return acl.Config{Routes: map[string]string{name: rules}} }
	for want, cfg := range map[string]acl.Config{
		`client_from: want x-forwarded-for, forwarded or proxy, got "x-real-ip"`:                                                              {ClientFrom: "x-real-ip", TrustedProxies: []string{"10.0.0.5"}},
		`client_from: trusted_proxies is set, so say by what they name the client: x-forwarded-for, forwarded or proxy`:                       {TrustedProxies: []string{"10.0.0.5"}},
		`trusted_proxies: client_from is forwarded, so say whose word counts, such as 10.0.0.5 or 10.1.0.0/16`:                                {ClientFrom: "forwarded"},
		`trusted_proxies: item 1: trusting everybody lets every client choose its address; name the proxies`:                                  {ClientFrom: "proxy", TrustedProxies: []string{"all"}},
		`trusted_proxies: item 2: trusting everybody lets every client choose its address; name the proxies`:                                  {ClientFrom: "proxy", TrustedProxies: []string{"::1", "::/0"}},
		`trusted_proxies: item 1: "10.0.0.5/8" has bits set behind its length: write 10.0.0.0/8 for the network, or 10.0.0.5 for the address`: {ClientFrom: "proxy", TrustedProxies: []string{"10.0.0.5/8"}},
		`proxy_timeout: want more than 0, got -1s`:                                                                                            {ProxyTimeout: -time.Second},

		`routes: "GET /admin": want a path without method or host, such as /admin`: routes("GET /admin", "deny all"),
		`routes: "/" is every path`:                                                                          routes("/", "deny all"),
		`routes: "//admin": want the path in its shortest form, /admin`:                                      routes("//admin", "deny all"),
		`routes: "/a/../admin/": want the path in its shortest form, /admin`:                                 routes("/a/../admin/", "deny all"),
		`routes: "/a/*": want a path as it is called, decoded and without wildcards; it covers all below it`: routes("/a/*", "deny all"),
		`routes: /admin: want allow or deny before "10.0.0.1"`:                                               routes("/admin", "10.0.0.1 deny all"),
		`routes: /admin: want allow or deny and entries, such as allow 10.0.0.0/8, got "allow"`:              routes("/admin", "allow"),
		`routes: /admin: deny item 2: "10.0.0.5/8" has bits set`:                                             routes("/admin", "allow all deny 10.0.0.1,10.0.0.5/8"),
		`routes: "/admin" and "/admin/" are the same route; write its rules once`:                            {Routes: map[string]string{"/admin": "deny all", "/admin/": "deny all"}},
	} {
		if err := cfg.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}

// A service is told where in its file the entry is.
func TestAMistakeIsFoundInTheConfigurationFile(t *testing.T) {
	const file = `
acl:
  trusted_proxies: [10.0.0.5, unix]
  client_from: proxy
  deny:
    - 10.0.0.1
    - ::ffff:10.0.0.0/104
  routes:
    /admin: allow 10.0.0.0/8
    /x: deny it
`
	var cfg struct {
		ACL acl.Config `config:"acl"`
	}
	set, err := config.New("game", &cfg)
	if err != nil {
		t.Fatal(err)
	}
	err = set.Load(config.Sources{File: "game.yaml", Open: files(map[string]string{"game.yaml": file})})
	want := `game.yaml:6:5: key "acl.deny": item 2: "::ffff:10.0.0.0/104" would match nobody, because such callers are seen as IPv4: write 10.0.0.0/8
game.yaml:9:5: key "acl.routes": /x: deny item 1: want a prefix such as 10.0.0.0/8 or 2001:db8::/32, or an address, got "it"`
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
}

func TestDefaults(t *testing.T) {
	var c acl.Config
	c.SetDefaults()
	if c.ProxyTimeout != 3*time.Second {
		t.Errorf("a PROXY header may take %v", c.ProxyTimeout)
	}
	c.ProxyTimeout = time.Second
	c.SetDefaults()
	if c.ProxyTimeout != time.Second {
		t.Error("a default replaces what is set")
	}
}

func TestAFileListsOnePrefixALine(t *testing.T) {
	name := filepath.Join(t.TempDir(), "office")
	if err := os.WriteFile(name, []byte("# offices\n\n10.1.0.0/16 # Berlin\r\n\t2001:db8::/32\n192.0.2.1"), 0o600); err != nil {
		t.Fatal(err)
	}
	g := mustNew(t, acl.Config{Allow: []string{"file:" + name, "198.51.100.1"}})
	for addr, want := range map[string]acl.Verdict{
		"10.1.2.3": acl.Allowed, "2001:db8::1": acl.Allowed, "192.0.2.1": acl.Allowed, "198.51.100.1": acl.Allowed,
		"10.2.0.0": acl.Unlisted, "192.0.2.2": acl.Unlisted,
	} {
		if _, got := g.Check(g.Peer(remote(addr)), nil, "/"); got != want {
			t.Errorf("%s is %s, want %s", addr, got, want)
		}
	}
}

func TestMistakesInFilesTellFileAndLine(t *testing.T) {
	open := files(map[string]string{
		"bad":   "10.0.0.0/8\n10.0.0.5/8 # a comment\nunix\n" + strings.Repeat("y", 1000) + "\n",
		"worse": strings.Repeat("garbage\n", 100),
		"all":   "10.0.0.0/8\n0.0.0.0/0\n",
	})
	const want = "want a prefix such as 10.0.0.0/8 or 2001:db8::/32, or an address, got "
	_, err := acl.New(acl.Config{Open: open, Allow: []string{"file:bad"}, Deny: []string{"file:none"}})
	expected := "acl: allow item 1: bad:2: \"10.0.0.5/8\" has bits set behind its length: write 10.0.0.0/8 for the network, or 10.0.0.5 for the address\n" +
		"bad:3: " + want + "\"unix\"\n" +
		"bad:4: " + want + `"` + strings.Repeat("y", 64) + "\"\n" +
		"deny item 1: open none: file does not exist"
	if err == nil || err.Error() != expected {
		t.Errorf("%v\nwant %s", err, expected)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error("that a file is missing cannot be told from the error")
	}
	_, err = acl.New(acl.Config{Open: open, Routes: map[string]string{"/a": "deny file:worse"}})
	if err == nil || strings.Count(err.Error(), "\n") != 20 || !strings.HasPrefix(err.Error(), "acl: routes /a, deny item 1: worse:1: ") ||
		!strings.HasSuffix(err.Error(), "worse:21: reading stops here, after 20 mistakes") {
		t.Errorf("a file of another kind gives %v", err)
	}
	_, err = acl.New(acl.Config{Open: open, TrustedProxies: []string{"file:all"}, ClientFrom: acl.FromProxy})
	if err == nil || err.Error() != "acl: trusted_proxies item 1: all:2: trusting everybody lets every client choose its address; name the proxies" {
		t.Errorf("a file that trusts everybody gives %v", err)
	}
}

// zeros is a file of endless zeros, or an empty one that fails, or cannot be closed.
type zeros struct {
	fs.File
	read, closed error
}

func (z zeros) Read(p []byte) (int, error) {
	if z.read != nil {
		return 0, z.read
	}
	clear(p)
	return len(p), nil
}
func (z zeros) Close() error { return z.closed }

func TestFilesAreBoundedAndTheirErrorsReported(t *testing.T) {
	broken, stuck := errors.New("broken"), errors.New("stuck")
	for name, c := range map[string]struct {
		open func(string) (fs.File, error)
		want string
	}{
		"endless":  {func(string) (fs.File, error) { return zeros{}, nil }, "list is larger than 48 MiB"},
		"broken":   {func(string) (fs.File, error) { return zeros{read: broken}, nil }, "read list: broken"},
		"stuck":    {func(string) (fs.File, error) { return zeros{read: io.EOF, closed: stuck}, nil }, "stuck"},
		"too many": {files(map[string]string{"list": strings.Repeat("10.0.0.1\n", 1<<20+1)}), "list:1048577: more than 1048576 entries"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := acl.New(acl.Config{Open: c.open, Allow: []string{"file:list"}})
			if err == nil || !strings.HasSuffix(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

// What a chain of configuration management left empty must not open the door.
func TestAnEmptyAllowFileLetsNobodyIn(t *testing.T) {
	g := mustNew(t, acl.Config{Open: fstest.MapFS{"empty": {}}.Open, Allow: []string{"file:empty"}})
	for _, addr := range []string{"10.0.0.1", "unix"} {
		if _, verdict := g.Check(g.Peer(remote(addr)), nil, "/"); verdict != acl.Unlisted {
			t.Errorf("%s is %s", addr, verdict)
		}
	}
	g = mustNew(t, acl.Config{Open: fstest.MapFS{"empty": {}}.Open, Deny: []string{"file:empty"}})
	if _, verdict := g.Check(g.Peer(remote("10.0.0.1")), nil, "/"); verdict != acl.Allowed {
		t.Errorf("an empty deny list gives %s", verdict)
	}
}

func TestOriginsReadLikePlaces(t *testing.T) {
	for want, o := range map[string]acl.Origin{
		"allow item 2":                                  {Key: "allow", Item: 2},
		"routes /admin, deny item 1":                    {Route: "/admin", Key: "deny", Item: 1},
		"routes /admin, deny item 1, /etc/bad.txt:1204": {Route: "/admin", Key: "deny", Item: 1, File: "/etc/bad.txt", Line: 1204},
	} {
		if got := fmt.Sprint(o); got != want {
			t.Errorf("%+v is %q", o, got)
		}
	}
}
