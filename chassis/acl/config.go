package acl

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/config"
)

// The values of Config.ClientFrom.
const (
	FromXForwardedFor = "x-forwarded-for" // the header that most proxies write
	FromForwarded     = "forwarded"       // the header of RFC 7239
	FromProxy         = "proxy"           // the PROXY protocol, version 1 or 2
)

// Config says who is trusted to name the client, and who is let in. The zero Config trusts nobody and
// lets everyone in. The package's documentation tells what an entry of the lists can be.
type Config struct {
	TrustedProxies []string      `config:"trusted_proxies" doc:"who may name the client: prefixes, addresses, unix, file:PATH"`
	ClientFrom     string        `config:"client_from" doc:"how trusted proxies name it: x-forwarded-for, forwarded or proxy"`
	ProxyTimeout   time.Duration `config:"proxy_timeout" doc:"time for the PROXY header of a connection to arrive"`
	Allow          []string      `config:"allow" doc:"who is let in; once anyone is listed, nobody else: prefixes, addresses, unix, all, file:PATH"`
	Deny           []string      `config:"deny" doc:"who is refused, in the same way; the longest prefix decides"`
	// Routes has the rules of single paths: below "/admin" something like
	// "allow 10.0.0.0/8 file:/etc/office deny 10.0.0.13". Commas may stand for blanks, but not in a
	// variable or flag, where they separate routes.
	Routes map[string]string `config:"routes" doc:"rules of paths, such as /admin: allow 10.0.0.0/8 deny 10.0.0.13"`

	// Open opens the files that entries name; nil is os.Open.
	Open func(name string) (fs.File, error) `config:"-"`
}

// SetDefaults fills what is zero: 3 s for a PROXY header.
func (c *Config) SetDefaults() {
	if c.ProxyTimeout == 0 {
		c.ProxyTimeout = 3 * time.Second
	}
}

// Validate refuses what cannot be meant. It opens no files; [New] does.
func (c *Config) Validate() error {
	_, err := c.parse()
	return err
}

// A ruling is a Config as it is understood, with the files still to be read.
type ruling struct {
	trusted []item
	lists   []listing // the listener's first, then those of routes, shorter ones before longer ones
}

// A listing is what is written of one route; the route "" is the listener.
type listing struct {
	route       string
	allow, deny []item
}

// parse reads the entries and reports all that are wrong.
func (c *Config) parse() (ruling, error) {
	var r ruling
	var errs []error
	items := func(key string, entries []string) (out []item) {
		for i, text := range entries {
			it, err := parseItem(text, Origin{Key: key, Item: i + 1})
			if err != nil {
				errs = append(errs, config.Invalid(key, "item %d: %w", i+1, err))
			}
			out = append(out, it)
		}
		return out
	}
	r.trusted = items("trusted_proxies", c.TrustedProxies)
	for _, it := range r.trusted {
		if it.word == wordAll || it.prefix.IsValid() && it.prefix.Bits() == 0 {
			errs = append(errs, config.Invalid("trusted_proxies", "item %d: %w", it.origin.Item, errTrustsAll))
		}
	}
	r.lists = []listing{{allow: items("allow", c.Allow), deny: items("deny", c.Deny)}}
	seen := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(c.Routes)) {
		l, err := parseRoute(name, c.Routes[name])
		if err == nil && seen[l.route] != "" {
			err = fmt.Errorf("%q and %q are the same route; write its rules once", seen[l.route], name)
		}
		if err != nil {
			errs = append(errs, config.Invalid("routes", "%w", err))
			continue
		}
		seen[l.route] = name
		r.lists = append(r.lists, l)
	}
	slices.SortStableFunc(r.lists, func(a, b listing) int { return len(a.route) - len(b.route) })
	if err := c.validateSource(); err != nil {
		errs = append(errs, err)
	}
	return r, errors.Join(errs...)
}

func (c *Config) validateSource() error {
	switch c.ClientFrom {
	case "", FromXForwardedFor, FromForwarded, FromProxy:
	default:
		return config.Invalid("client_from", "want %s, %s or %s, got %q", FromXForwardedFor, FromForwarded, FromProxy, c.ClientFrom)
	}
	switch {
	case c.ClientFrom == "" && len(c.TrustedProxies) > 0:
		return config.Invalid("client_from", "trusted_proxies is set, so say by what they name the client: %s, %s or %s", FromXForwardedFor, FromForwarded, FromProxy)
	case c.ClientFrom != "" && len(c.TrustedProxies) == 0:
		return config.Invalid("trusted_proxies", "client_from is %s, so say whose word counts, such as 10.0.0.5 or 10.1.0.0/16", c.ClientFrom)
	case c.ProxyTimeout < 0:
		return config.Invalid("proxy_timeout", "want more than 0, got %v", c.ProxyTimeout)
	}
	return nil
}

// parseRoute reads the rules of one route: words separated by blanks or commas, of which "allow" and
// "deny" say what the entries behind them are.
func parseRoute(name, text string) (listing, error) {
	l := listing{route: strings.TrimRight(name, "/")}
	switch {
	case !strings.HasPrefix(name, "/"):
		return l, fmt.Errorf("%q: want a path without method or host, such as /admin", name)
	case l.route == "":
		return l, fmt.Errorf("%q is every path; write its rules as allow and deny of the listener", name)
	case shortest(l.route) != l.route:
		return l, fmt.Errorf("%q: want the path in its shortest form, %s", name, shortest(l.route))
	case strings.ContainsAny(name, "*{}%"):
		return l, fmt.Errorf("%q: want a path as it is called, decoded and without wildcards; it covers all below it", name)
	}
	var list *[]item
	var key string
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' || r == ',' }) {
		switch word {
		case "allow":
			list, key = &l.allow, word
			continue
		case "deny":
			list, key = &l.deny, word
			continue
		}
		if list == nil {
			return l, fmt.Errorf("%s: want allow or deny before %q", name, word)
		}
		it, err := parseItem(word, Origin{Route: l.route, Key: key, Item: len(*list) + 1})
		if err != nil {
			return l, fmt.Errorf("%s: %s item %d: %w", name, key, len(*list)+1, err)
		}
		*list = append(*list, it)
	}
	if len(l.allow)+len(l.deny) == 0 {
		return l, fmt.Errorf("%s: want allow or deny and entries, such as allow 10.0.0.0/8, got %q", name, text)
	}
	return l, nil
}
