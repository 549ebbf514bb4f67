package acl

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"
)

// How closely an entry names a peer of a unix socket, as the length of a prefix does for others.
const (
	notUnix = iota
	unixAmongAll
	unixAlone
)

// A table is a set of prefixes, and maybe of peers without an address. The zero table is empty. It
// does not change once it is filled.
type table struct {
	prefixes bart.Lite
	unix     int // how closely an entry names peers without an address
	entries  []entry
	origins  []Origin // of items; a line is told by the entry
}

// An entry is kept for the explanations alone, so it is small: there may be a million.
type entry struct {
	prefix netip.Prefix // invalid for unix
	origin uint32       // index
	line   uint32
}

// fill adds items, and reads the files they name. check may refuse a prefix of a file.
func (t *table) fill(items []item, open func(string) (fs.File, error), check func(netip.Prefix) error) error {
	var errs []error
	for _, it := range items {
		index := uint32(len(t.origins))
		t.origins = append(t.origins, it.origin)
		add := func(p netip.Prefix, line int) error {
			if err := check(p); err != nil {
				return err
			}
			if p.IsValid() {
				t.prefixes.Insert(p)
			}
			t.entries = append(t.entries, entry{p, index, uint32(line)})
			return nil
		}
		var err error
		switch {
		case it.file != "":
			err = readFile(open, it.file, add)
		case it.word == wordAll:
			t.unix = max(t.unix, unixAmongAll)
			err = errors.Join(add(netip.PrefixFrom(netip.IPv4Unspecified(), 0), 0), add(netip.PrefixFrom(netip.IPv6Unspecified(), 0), 0), add(netip.Prefix{}, 0))
		case it.word == wordUnix:
			t.unix = unixAlone
			err = add(netip.Prefix{}, 0)
		default:
			err = add(it.prefix, 0)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%v: %w", it.origin, err))
		}
	}
	return errors.Join(errs...)
}

// contains reports whether client is in t; the zero Addr is a unix peer.
func (t *table) contains(client netip.Addr) bool {
	if !client.IsValid() {
		return t.unix != notUnix
	}
	return t.prefixes.Contains(client)
}

// longest is the longest prefix with client in it. It costs ten times what contains does.
func (t *table) longest(client netip.Addr) netip.Prefix {
	p, _ := t.prefixes.LookupPrefixLPM(netip.PrefixFrom(client, client.BitLen()))
	return p
}

// closeness is how closely t, which contains client, names it.
func (t *table) closeness(client netip.Addr) int {
	if !client.IsValid() {
		return t.unix
	}
	return t.longest(client).Bits()
}

// origin finds where the entry that decides about client is written first. t contains client.
func (t *table) origin(client netip.Addr) (netip.Prefix, Origin) {
	var p netip.Prefix
	if client.IsValid() {
		p = t.longest(client)
	}
	e := t.entries[slices.IndexFunc(t.entries, func(e entry) bool { return e.prefix == p })]
	o := t.origins[e.origin]
	o.Line = int(e.line)
	return p, o
}

// A list is the rules of one route.
type list struct {
	route       string // empty: the listener's
	allow, deny table
	exclusive   bool  // there is an allow list, if only an empty file: who is not in it is denied
	next        *list // to ask when this one has nothing to say of a client
}

// A Verdict says whether a client may call, and if not, why. The zero Verdict is that it may.
type Verdict uint8

// The verdicts.
const (
	Allowed      Verdict = iota
	Denied               // an entry of a deny list contains it
	Unlisted             // there is an allow list, and no entry contains it
	Unidentified         // it is not known who it is, and there are rules
)

// Allowed reports whether the client may call.
func (v Verdict) Allowed() bool { return v == Allowed }

// String is "allowed", "denied", "unlisted" or "unidentified", fit for the label of a metric.
func (v Verdict) String() string {
	switch v {
	case Allowed:
		return "allowed"
	case Denied:
		return "denied"
	case Unlisted:
		return "unlisted"
	case Unidentified:
		return "unidentified"
	}
	return fmt.Sprintf("verdict %d", uint8(v))
}

// decide asks l and those behind it, and says which of them decided; nil is that none had anything
// to say. It is called on nil where there are no rules.
func (l *list) decide(client netip.Addr, identified bool) (Verdict, *list) {
	if l != nil && !identified {
		return Unidentified, l
	}
	for ; l != nil; l = l.next {
		denied := l.deny.contains(client)
		if !denied && !l.exclusive {
			continue
		}
		allowed := l.exclusive && l.allow.contains(client)
		if denied && allowed {
			denied = l.deny.closeness(client) >= l.allow.closeness(client)
		}
		switch {
		case denied:
			return Denied, l
		case allowed:
			return Allowed, l
		}
		return Unlisted, l
	}
	return Allowed, nil
}
