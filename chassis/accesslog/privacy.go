package accesslog

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash"
	"net/netip"
	"strings"
	"time"
)

// Privacy says how much of what tells people apart a [Writer] writes. The zero value writes
// everything.
//
// It holds for the addresses of clients and peers and for query strings, those in the headers
// Referer, Location and Content-Location included. What other headers say is in the hands of whoever writes the
// format: one that shows X-Forwarded-For shows addresses.
type Privacy struct {
	Addresses AddressMode
	// Secret is the key that pseudonyms are made with; only HashAddresses needs one. Logs of processes
	// with the same secret have the same pseudonyms. Empty means 32 random bytes, which
	// end with the process.
	Secret []byte
	// NoQuery leaves query strings out, with their question marks.
	NoQuery bool
}

// AddressMode is what is written of an address.
type AddressMode int

const (
	// FullAddresses writes it whole.
	FullAddresses AddressMode = iota
	// TruncateAddresses writes its network: of IPv4 the first 24 bits, of IPv6 the first 48.
	TruncateAddresses
	// HashAddresses writes a pseudonym: the first 64 bits of an HMAC-SHA-256 of the address, as an
	// IPv6 address in 100::/64. No client has such a one (RFC 6666, discard-only), and log
	// analysers take it for what they expect. The key changes at midnight UTC, so that visits
	// can be told apart during a day and nobody can be followed for longer; who has the
	// secret can find the address to a pseudonym by trying all.
	HashAddresses
	// DropAddresses writes -. GoAccess, for one, refuses such lines.
	DropAddresses
)

var addressModes = [...]string{"full", "truncate", "hmac", "drop"}

// ParseAddressMode reads the name of a mode: full, truncate, hmac or drop.
func ParseAddressMode(s string) (AddressMode, error) {
	for i, name := range addressModes {
		if s == name {
			return AddressMode(i), nil
		}
	}
	return 0, fmt.Errorf("want full, truncate, hmac or drop, got %q", s)
}

// String is the mode's name.
func (m AddressMode) String() string {
	if m < 0 || int(m) >= len(addressModes) {
		return fmt.Sprintf("AddressMode(%d)", int(m))
	}
	return addressModes[m]
}

// A mask applies Privacy. It is not safe for concurrent use.
type mask struct {
	privacy  Privacy
	day      int64     // since 1970, that mac has the key of
	mac      hash.Hash // nil until needed
	text     [16]byte
	sum      [sha256.Size]byte
	request  unqueried
	response unqueried
}

// newMask returns nil for a Privacy that hides nothing.
func newMask(p Privacy) *mask {
	if p.Addresses == FullAddresses && !p.NoQuery {
		return nil
	}
	if p.Addresses == HashAddresses && len(p.Secret) == 0 {
		p.Secret = make([]byte, 32)
		_, _ = rand.Read(p.Secret) // it never fails
	}
	return &mask{privacy: p}
}

// cover takes from r what must not be seen. Headers are covered until the next record is.
func (m *mask) cover(r *Record) {
	r.Client = m.address(r.Client, r.Start)
	if a := r.Peer.Addr(); a.IsValid() {
		r.Peer = netip.AddrPortFrom(m.address(a, r.Start), r.Peer.Port())
	}
	if !m.privacy.NoQuery {
		return
	}
	r.URI = unquery(r.URI)
	if m.request.Header = r.Request; r.Request != nil {
		r.Request = &m.request
	}
	if m.response.Header = r.Response; r.Response != nil {
		r.Response = &m.response
	}
}

func (m *mask) address(a netip.Addr, at time.Time) netip.Addr {
	if !a.IsValid() {
		return a
	}
	a = a.Unmap().WithZone("")
	switch m.privacy.Addresses {
	case FullAddresses:
		return a
	case TruncateAddresses:
		bits := 48
		if a.Is4() {
			bits = 24
		}
		network, _ := a.Prefix(bits) // the bits fit
		return network.Addr()
	case HashAddresses:
		return m.pseudonym(a, at)
	}
	return netip.Addr{}
}

func (m *mask) pseudonym(a netip.Addr, at time.Time) netip.Addr {
	const perDay = 24 * 60 * 60
	if day := at.Unix() / perDay; m.mac == nil || day != m.day {
		key := hmac.New(sha256.New, m.privacy.Secret)
		key.Write(at.UTC().AppendFormat(nil, "access log 2006-01-02"))
		m.mac, m.day = hmac.New(sha256.New, key.Sum(nil)), day
	}
	m.mac.Reset()
	m.text = a.As16()
	m.mac.Write(m.text[:])
	pseudonym := [16]byte{0: 1} // 100::
	copy(pseudonym[8:], m.mac.Sum(m.sum[:0]))
	return netip.AddrFrom16(pseudonym)
}

// unqueried is a Header whose URLs have no query strings.
type unqueried struct {
	Header
	value [1]string
}

// Values implements Header.
func (h *unqueried) Values(name string) []string {
	values := h.Header.Values(name)
	if name != "Referer" && name != "Location" && name != "Content-Location" || len(values) == 0 {
		return values
	}
	if len(values) == 1 {
		h.value[0] = unquery(values[0])
		return h.value[:]
	}
	cut := make([]string, len(values))
	for i, v := range values {
		cut[i] = unquery(v)
	}
	return cut
}

// unquery is a URL without its query and fragment.
func unquery(url string) string {
	if i := strings.IndexAny(url, "?#"); i >= 0 {
		return url[:i]
	}
	return url
}
