package scrub_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/seed-754044b3/roadworthy/chassis/failure/scrub"
)

func Example() {
	fmt.Println(scrub.Text("dial postgres://app:s3cr3t@db:5432/games: no route to host"))
	fmt.Println(scrub.Text(`insert into users (name, password) values ('bob', 'x'): card 4111 1111 1111 1111`))
	// Output:
	// dial postgres://[redacted]db:5432/games: no route to host
	// insert into users (name, password) values ('bob', 'x'): card [redacted]
}

// secrets are what must not be found again behind Text, with the text they stand in.
var secrets = []struct{ text, secret string }{
	{"token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl refused", "eyJzdWIiOiJhbGljZSJ9"},
	{"Authorization: Bearer abc.def-123", "abc.def"},
	{"authorization=Basic YWxpY2U6aHVudGVyMg==", "YWxpY2U6"},
	{"got bearer 0123456789abcdef", "0123456789abcdef"},
	{"Cookie: sid=cookiesecret; theme=dark", "cookiesecret"},
	{"Set-Cookie:[sid=cookiesecret; Path=/]", "cookiesecret"},
	{"X-Vault-Token: hunter2", "hunter2"},
	{`map[X-Api-Key:[k1secret] Accept:[*/*]]`, "k1secret"},
	{"postgres://u:p4ss@db/x", "p4ss"},
	{"https://deploy-token@example.com/repo", "deploy-token"},
	{"root:p4ssw0rd@tcp(127.0.0.1:3306)/games", "p4ssw0rd"},
	{"GET /login?user=alice&code=otp999 HTTP/1.1", "otp999"},
	{"password=hunter2", "hunter2"},
	{`{"user":"bob","password":"hun ter2"}`, "hun ter2"},
	{`{\"password\":\"hunter2\"}`, "hunter2"},
	{"{Name:alice Password:hunter2 Age:7}", "hunter2"},
	{`config.DB{Host:"db", Passwd:"hunter2"}`, "hunter2"},
	{"UPDATE users SET password_hash = 'hunter2' WHERE id = 1", "hunter2"},
	{"CREATE USER app IDENTIFIED BY 'hunter2'", "hunter2"},
	{"ALTER ROLE app PASSWORD 'hunter2'", "hunter2"},
	{"AWS_SECRET_ACCESS_KEY=abcd/efgh", "abcd/efgh"},
	{"DATABASE_PASSWORD=hunter2 HOME=/root", "hunter2"},
	{"grant_type=code&client_secret=hunter2&x=y", "hunter2"},
	{"client_secret%3Dhunter2%26x", "hunter2"},
	{"api-key: hunter2", "hunter2"},
	{"pin=1234", "1234"},
	{"AKIAIOSFODNN7EXAMPLE", "IOSFODNN7"},
	{"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKE9 is wrong", "K7MDENG"},
	{"AIzaSyA1234567890abcdefghijklmnopqrstuv", "SyA1234567890"},
	{"ghp_0123456789abcdefghij0123456789abcdef", "0123456789abcdefghij"},
	{"xoxb-123456789012-abcdefghijkl", "123456789012"},
	{"sk_live_0123456789abcdef", "0123456789abcdef"},
	{"SG.abcdefghijklmnop.qrstuvwxyz012345", "qrstuvwxyz"},
	{"AGE-SECRET-KEY-1QQQQQQQQQQQQ", "QQQQQQQQ"},
	{"-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----\nafter", "MIIEow"},
	{"-----BEGIN PRIVATE KEY-----\nMIIEow cut", "MIIEow"},
	{"mail to alice.b+c@example.co.uk bounced", "alice"},
	{"alice%40example.com", "alice"},
	{"card 4111111111111111 declined", "4111111111111111"},
	{"card 4111-1111-1111-1111", "1111-1111"},
	{"amex 378282246310005", "378282246310005"},
	{"ssn 078-05-1120", "078-05-1120"},
	{"https://hooks.slack.com/services/T000/B000/q8Zr", "B000"},
	{"AccountName=x;AccountKey=hunter2==;Suffix=y", "hunter2"},
	{"X-Forwarded-For: 198.51.100.7", "198.51.100.7"},
}

func TestSecretsAreTakenOut(t *testing.T) {
	for _, c := range secrets {
		got := scrub.Text(c.text)
		if strings.Contains(got, c.secret) || !strings.Contains(got, scrub.Redacted) {
			t.Errorf("of %q is left %q", c.text, got)
		}
	}
}

func TestTextWithoutSecretsStaysAsItIs(t *testing.T) {
	for _, s := range []string{
		"", "column is full", "game 1042: column is full (column=7)",
		"dial tcp 10.0.0.1:5432: connect: connection refused",
		"arena.(*Table).Drop arena/table.go:77", "context deadline exceeded",
		"github.com/seed-754044b3/roadworthy/examples/game/internal/arena.(*Arena).Run.func1",
		"2026-01-02T03:04:05.678Z", "12345678901234567890123456789012", "0af7651916cd43dd8448eb211c80319c",
		"721e41770371db95eee98ca2707686226b993eda", "v0.0.0-20260918162117-cecb64721679",
		"order 4111111111111112 is no card", "9111111111111111", "a key was not found", "/v1/games/{id}/moves",
		"monkey=banana", "https://example.com/a/b#c", "{Column:7 Player:red}", "8KQ2M4XV7P0R",
	} {
		if got := scrub.Text(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
}

func TestScrubbingTwiceIsScrubbingOnce(t *testing.T) {
	for _, c := range secrets {
		once := scrub.Text(c.text)
		if twice := scrub.Text(once); twice != once {
			t.Errorf("%q became %q", once, twice)
		}
	}
}

func TestNamesOfSecretsAreKnown(t *testing.T) {
	for _, name := range []string{"password", "DB_PASSWORD", "api-key", "token", "clientSecret", "sid", "Cookie"} {
		if !scrub.Name(name) {
			t.Errorf("%q is not known", name)
		}
	}
	for _, name := range []string{"", "column", "game", "code", "request_id", "monkey"} {
		if scrub.Name(name) {
			t.Errorf("%q is taken for a secret's name", name)
		}
	}
}

func BenchmarkTextWithoutSecrets(b *testing.B) {
	for b.Loop() {
		scrub.Text("github.com/seed-754044b3/roadworthy/examples/game/internal/arena.(*Arena).Run.func1")
	}
}

func FuzzText(f *testing.F) {
	for _, c := range secrets {
		f.Add(c.text, "")
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"
		got := scrub.Text(before + " " + jwt + " " + after)
		if strings.Contains(got, "eyJzdWIiOiJhbGljZSJ9") {
			t.Errorf("a token is left in %q", got)
		}
		if !utf8.ValidString(got) {
			t.Errorf("%q is not UTF-8", got)
		}
	})
}
