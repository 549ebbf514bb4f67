package acl

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"strconv"
	"strings"
)

const (
	// fileBytes bounds a list: more than a million IPv6 prefixes.
	fileBytes = 48 << 20
	// mistakes bounds what is reported of one file: in one of another kind every line is wrong.
	mistakes = 20
)

// Words that stand for peers which no prefix can describe.
const (
	wordUnix = "unix"
	wordAll  = "all"
)

var errTrustsAll = errors.New("trusting everybody lets every client choose its address; name the proxies")

// An Origin is where a rule is written.
type Origin struct {
	Route string // whose rules it is one of; empty for the listener's
	Key   string // of the configuration: "allow" or "deny"
	Item  int    // in that list, from 1
	File  string // that the item names, if it does
	Line  int    // in File, from 1
}

// String is "allow item 2", "routes /admin, deny item 1", or "allow item 1, office.txt:7".
func (o Origin) String() string {
	s := o.Key + " item " + strconv.Itoa(o.Item)
	if o.Route != "" {
		s = "routes " + o.Route + ", " + s
	}
	if o.Line > 0 {
		s += ", " + o.File + ":" + strconv.Itoa(o.Line)
	}
	return s
}

// An item is one entry of a list as it is written. One of prefix, word and file is set.
type item struct {
	origin Origin
	prefix netip.Prefix
	word   string // unix or all
	file   string
}

func parseItem(text string, origin Origin) (item, error) {
	it := item{origin: origin}
	if text == wordUnix || text == wordAll {
		it.word = text
		return it, nil
	}
	if file, ok := strings.CutPrefix(text, "file:"); ok {
		if file == "" {
			return it, errors.New("file: names none, want file:PATH")
		}
		it.file, it.origin.File = file, file
		return it, nil
	}
	var err error
	it.prefix, err = parsePrefix(text)
	if err != nil && strings.ContainsAny(text, "/.") && !strings.ContainsAny(text, ":%") && !strings.ContainsAny(text[:1], "0123456789") {
		err = fmt.Errorf("%w; a file is written file:%s", err, text)
	}
	return it, err
}

// parsePrefix reads a prefix, or an address as the prefix of its full length. What it accepts contains
// addresses in their canonical form.
func parsePrefix(text string) (netip.Prefix, error) {
	if addr, zone, ok := strings.Cut(text, "%"); ok {
		zone, length, _ := strings.Cut(zone, "/")
		if length != "" {
			addr += "/" + length
		}
		return netip.Prefix{}, fmt.Errorf("%q has the zone %q, but addresses are compared without: write %s", text, zone, addr)
	}
	var p netip.Prefix
	var err error
	if strings.Contains(text, "/") {
		p, err = netip.ParsePrefix(text)
	} else {
		var a netip.Addr
		a, err = netip.ParseAddr(text)
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("want a prefix such as 10.0.0.0/8 or 2001:db8::/32, or an address, got %q", text)
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		meant := netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96).Masked()
		return netip.Prefix{}, fmt.Errorf("%q would match nobody, because such callers are seen as IPv4: write %s", text, brief(meant))
	}
	if p.Masked() != p {
		return netip.Prefix{}, fmt.Errorf("%q has bits set behind its length: write %s for the network, or %s for the address", text, p.Masked(), p.Addr())
	}
	return p, nil
}

// brief is p as one would write it.
func brief(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// readFile hands the prefixes of a file to add, with their lines. The error tells all lines that are
// wrong, up to a bound, and names the file.
func readFile(open func(string) (fs.File, error), name string, add func(p netip.Prefix, line int) error) (err error) {
	f, err := open(name)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, f.Close()) }()
	data, err := io.ReadAll(io.LimitReader(f, fileBytes+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if len(data) > fileBytes {
		return fmt.Errorf("%s is larger than %d MiB", name, fileBytes>>20)
	}
	return parseFile(name, data, add)
}

func parseFile(name string, data []byte, add func(p netip.Prefix, line int) error) error {
	var errs []error
	line := 0
	for text := range bytes.Lines(data) {
		line++
		text, _, _ = bytes.Cut(text, []byte("#"))
		text = bytes.TrimSpace(text)
		if len(text) == 0 {
			continue
		}
		if len(errs) == mistakes {
			errs = append(errs, fmt.Errorf("%s:%d: reading stops here, after %d mistakes", name, line, mistakes))
			break
		}
		const longest = 64 // bytes; what is longer is no prefix, and not worth printing
		p, err := parsePrefix(string(text[:min(len(text), longest)]))
		if err == nil {
			err = add(p, line)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", name, line, err))
		}
	}
	return errors.Join(errs...)
}
