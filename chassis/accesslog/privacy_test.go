package accesslog_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
)

func ExamplePrivacy() {
	f, err := accesslog.Compile(`%h "%r" "%{Referer}i"`)
	if err != nil {
		fmt.Println(err)
		return
	}
	log := accesslog.NewWriter(os.Stdout, accesslog.Options{
		Format:  f,
		Privacy: accesslog.Privacy{Addresses: accesslog.TruncateAddresses, NoQuery: true},
	})
	log.Log(&accesslog.Record{
		Client: netip.MustParseAddr("192.0.2.77"), Method: "GET", URI: "/search?q=illness", Proto: "HTTP/1.1",
		Request: header("Referer", "https://example.org/?name=ada"),
	})
	if err := log.Close(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 192.0.2.0 "GET /search HTTP/1.1" "https://example.org/"
}

// logged is what a new writer makes of records.
func logged(t *testing.T, format string, p accesslog.Privacy, records ...accesslog.Record) []string {
	t.Helper()
	var d disk
	w := accesslog.NewWriter(&d, accesslog.Options{Format: compile(t, format, "Location"), Privacy: p})
	for _, r := range records {
		w.Log(&r)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	lines := d.lines()
	return lines[:len(lines)-1]
}

func TestAddressesAreWrittenAsPrivacyAsks(t *testing.T) {
	r := accesslog.Record{Client: netip.MustParseAddr("2001:db8:1:2::7%eth0"), Peer: netip.MustParseAddrPort("[::ffff:192.0.2.77]:5000")}
	for mode, want := range map[accesslog.AddressMode]string{
		accesslog.FullAddresses:     "2001:db8:1:2::7 192.0.2.77 5000\n",
		accesslog.TruncateAddresses: "2001:db8:1:: 192.0.2.0 5000\n",
		accesslog.DropAddresses:     "- - 5000\n",
	} {
		for _, noQuery := range []bool{false, true} {
			got := logged(t, "%h %{c}a %{remote}p", accesslog.Privacy{Addresses: mode, NoQuery: noQuery}, r, accesslog.Record{})
			if got[0] != want || got[1] != "- - -\n" {
				t.Errorf("%v: %q, want %q", mode, got, want)
			}
		}
	}
}

func TestPseudonymsAreTheSameForADayAndASecret(t *testing.T) {
	noon := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	at := func(client string, start time.Time) accesslog.Record {
		a := netip.MustParseAddr(client)
		return accesslog.Record{Client: a, Peer: netip.AddrPortFrom(a, 1), Start: start}
	}
	records := []accesslog.Record{
		at("192.0.2.7", noon), at("::ffff:192.0.2.7", noon.Add(12*time.Hour-1)), at("192.0.2.8", noon),
		at("192.0.2.7", noon.Add(12*time.Hour)), at("192.0.2.7", noon.In(pacific)),
	}
	hash := func(secret string) []string {
		return logged(t, "%h %{c}a", accesslog.Privacy{Addresses: accesslog.HashAddresses, Secret: []byte(secret)}, records...)
	}
	first, again := hash("one secret of a service"), hash("one secret of a service")
	for i, line := range first {
		client, peer, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		a, err := netip.ParseAddr(client)
		if err != nil || client != peer || !netip.MustParsePrefix("100::/64").Contains(a) {
			t.Errorf("line %q", line)
		}
		if again[i] != line {
			t.Errorf("the same secret gives %q and %q", line, again[i])
		}
	}
	if first[0] != first[1] || first[0] != first[4] || first[0] == first[2] || first[0] == first[3] {
		t.Errorf("pseudonyms %q", first)
	}
	random, other := hash(""), hash("")
	if random[0] != random[1] || random[0] == other[0] || random[0] == first[0] || hash("another secret")[0] == first[0] {
		t.Errorf("pseudonyms without a secret %q and %q", random, other)
	}
	// The first 64 bits of HMAC(HMAC(secret, day), address), as anybody with the secret can make them.
	if first[0] != "100::1ff:e0a3:8d3d:ec76 100::1ff:e0a3:8d3d:ec76\n" {
		t.Errorf("pseudonym %q", first[0])
	}
}

func TestQueriesAreLeftOutOfEveryURL(t *testing.T) {
	r := accesslog.Record{
		Method: "GET", URI: "/p?token=x", Proto: "HTTP/1.1",
		Request:  header("Referer", "http://a/?b", "Referer", "http://c/#d", "User-Agent", "what?"),
		Response: header("Location", "/next?token=y"),
	}
	const format = `"%r" %U "%q" "%{Referer}i" "%{User-Agent}i" "%{Location}o" "%{Content-Location}o"`
	want := `"GET /p HTTP/1.1" /p "" "http://a/, http://c/" "what?" "/next" "-"` + "\n"
	got := logged(t, format, accesslog.Privacy{NoQuery: true}, r, accesslog.Record{})
	if got[0] != want || got[1] != `"-" - "" "-" "-" "-" "-"`+"\n" {
		t.Errorf("%s, want %s", got, want)
	}
	if r.URI != "/p?token=x" || len(r.Request.Values("Referer")) != 2 {
		t.Errorf("the caller's record is changed: %+v", r)
	}
	all := logged(t, format, accesslog.Privacy{}, r)
	if !strings.Contains(all[0], `/p?token=x HTTP`) || !strings.Contains(all[0], "/next?token=y") {
		t.Errorf("with queries: %s", all)
	}
}

func TestAddressModesHaveNames(t *testing.T) {
	for mode, name := range map[accesslog.AddressMode]string{
		accesslog.FullAddresses: "full", accesslog.TruncateAddresses: "truncate", accesslog.HashAddresses: "hmac", accesslog.DropAddresses: "drop",
	} {
		if got, err := accesslog.ParseAddressMode(name); got != mode || err != nil || mode.String() != name {
			t.Errorf("%s is read as %v, %v", name, got, err)
		}
	}
	if _, err := accesslog.ParseAddressMode("none"); err == nil || err.Error() != `want full, truncate, hmac or drop, got "none"` {
		t.Errorf("error %v", err)
	}
	if got := accesslog.AddressMode(7).String(); got != "AddressMode(7)" {
		t.Error(got)
	}
}

func TestHidingAddressesAllocatesNothing(t *testing.T) {
	w := accesslog.NewWriter(&disk{}, accesslog.Options{
		Buffer: 1 << 20, Privacy: accesslog.Privacy{Addresses: accesslog.HashAddresses, Secret: []byte("s"), NoQuery: true},
	})
	r := typical()
	w.Log(&r)
	if n := testing.AllocsPerRun(100, func() { w.Log(&r) }); n != 0 {
		t.Errorf("%v allocations per line", n)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
