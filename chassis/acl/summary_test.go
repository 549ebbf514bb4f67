package acl_test

import (
	"io/fs"
	"reflect"
	"testing"
	"testing/fstest"

	"github.com/seed-754044b3/roadworthy/chassis/acl"
)

func TestASummaryCountsTheRules(t *testing.T) {
	files := fstest.MapFS{
		"office": {Data: []byte("10.0.0.0/8 # all\n\n2001:db8::/32\n")},
		"empty":  {Data: []byte("# nobody\n")},
	}
	for _, c := range []struct {
		cfg  acl.Config
		want acl.Summary
	}{
		{acl.Config{}, acl.Summary{}},
		{acl.Config{TrustedProxies: []string{"10.0.0.5", "unix"}, ClientFrom: acl.FromXForwardedFor, Deny: []string{"192.0.2.0/24"}},
			acl.Summary{ClientFrom: "x-forwarded-for", Proxies: 2, Lists: []acl.ListSummary{{Deny: 1}}}},
		{acl.Config{TrustedProxies: []string{"10.0.0.5"}, ClientFrom: acl.FromForwarded, Allow: []string{"file:office", "192.0.2.7"}, Routes: map[string]string{"/b/c": "deny 10.0.0.1", "/b": "allow all"}},
			acl.Summary{ClientFrom: "forwarded", Proxies: 1, Lists: []acl.ListSummary{{"", true, 3, 0}, {"/b", true, 3, 0}, {"/b/c", false, 0, 1}}}},
		{acl.Config{TrustedProxies: []string{"file:office"}, ClientFrom: acl.FromProxy, Allow: []string{"file:empty"}},
			acl.Summary{ClientFrom: "proxy", Proxies: 2, Lists: []acl.ListSummary{{Exclusive: true}}}},
	} {
		c.cfg.Open = func(name string) (fs.File, error) { return files.Open(name) }
		g, err := acl.New(c.cfg)
		if err != nil {
			t.Fatal(err)
		}
		if got := g.Summary(); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v\n got %+v\nwant %+v", c.cfg, got, c.want)
		}
	}
}
