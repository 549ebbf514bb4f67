// Package scrub takes secrets out of text that leaves the process.
//
// It is a backstop. What may leave is decided by an allow-list: route templates in place of paths, no
// query, no body, the failure code's own message, and arguments that were marked as safe. But people
// mark as safe what is not, and put into names what belongs into values. [Text] therefore looks for
// what secrets look like: tokens and keys by their form, passwords by the name before them, card
// numbers by their check digit.
//
// It errs on the side of taking out too much, and knows nothing of secrets that look like words: text
// that is not meant to leave must not be given to it.
package scrub

import (
	"regexp"
	"strings"
)

// Redacted stands in place of what was taken out.
const Redacted = "[redacted]"

// A rule finds a kind of secret. The first group, if there is one, stays.
type rule struct {
	expr *regexp.Regexp
	// hints are what text must contain, one of them, to be looked at: most text has none, and looking
	// for them costs a hundredth of the expression. None: all text is looked at.
	hints []string
	may   func(string) bool // like hints, for what no single text hints at; nil: all may
	is    func(string) bool // what else must hold of a match; nil: nothing
}

// value is what stands behind a name: quoted, in brackets, or up to the next separator.
const value = `(?:"(?:[^"\\]|\\.)*"?|'[^']*'?|\[[^\]]*\]?|\{[^}]*\}?|[^\s,;&|)}\]"'\[{]+)`

// separator stands between a name and its value in Go, JSON, SQL, shells, forms and URLs.
const separator = `\\?["'\x60]?\s*(?:=>|:=|=|:|%3[aA]|%3[dD])\s*\\?`

// rules are applied one after another: what stands for much comes before what stands for parts of it.
var rules = []rule{
	// PEM: keys, certificates (RFC 7468). One without an end was cut.
	{expr: regexp.MustCompile(`(?s)-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|$)`), hints: []string{"-----BEGIN "}},
	// Header fields that carry credentials, to the end of the line: their values have many forms.
	{expr: regexp.MustCompile(`(?i)((?:(?:proxy-)?authorization|(?:set-)?cookie2?|x-(?:[a-z]+-)*(?:token|key|secret|password|signature)|x-forwarded-for|x-real-ip)\\?["']?\s*[:=]\s*)[^\r\n]+`), hints: []string{":", "="}},
	// A password before a host: URLs, and the data source names of MySQL's driver.
	{expr: regexp.MustCompile(`([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/?#"'<>]*@`), hints: []string{"://"}},
	{expr: regexp.MustCompile(`[^\s:@/"'=]+:[^\s@/"']+@((?:tcp|unix|udp)\()`), hints: []string{"@tcp(", "@unix(", "@udp("}},
	// The query of a URL or of a request target, of which no name is known to be harmless.
	{expr: regexp.MustCompile(`(\?)[^\s"'<>?=]+=[^\s"'<>]*`), hints: []string{"?"}},
	// JSON Web Tokens (RFC 7519): two or three parts in base64url, of which the first is an object.
	{expr: regexp.MustCompile(`eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}(?:\.[A-Za-z0-9_-]*)*`), hints: []string{"eyJ"}},
	// Credentials behind the name of their scheme (RFC 9110, section 11).
	{expr: regexp.MustCompile(`(?i)\b((?:bearer|basic|negotiate|digest)(?:\s+|%20|\+))[A-Za-z0-9+/_.=~-]{6,}`), hints: []string{" ", "%20", "+", "\t"}},
	// Secrets behind their name, wherever names and values are: struct dumps, JSON, SQL, environments.
	{expr: regexp.MustCompile(`(?i)([a-z0-9_.-]*(?:passw(?:or)?d|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|account[_-]?key|private[_-]?key|signing[_-]?key|shared[_-]?access|credential|cookie|session[_-]?id|jsessionid|csrf|xsrf|otp|cvv|cvc|iban)[a-z0-9_.-]*` + separator + `)` + value), hints: []string{":", "=", "%3"}},
	{expr: regexp.MustCompile(`(?i)(\b(?:auth|sid|sig|signature|pin|ssn|pass|key|email|phone|card)` + separator + `)` + value), hints: []string{":", "=", "%3"}},
	// SQL that sets a password.
	{expr: regexp.MustCompile(`(?i)((?:identified\s+by|password)\s+)'[^']*'?`), hints: []string{"'"}},
	// Keys that tell by their form whose they are.
	{expr: regexp.MustCompile(`\b(?:AKIA|ASIA|AROA|AIDA|AGPA|ANPA|ANVA)[A-Z0-9]{16}\b`), hints: []string{"AKIA", "ASIA", "AROA", "AIDA", "AGPA", "ANPA", "ANVA"}}, // Amazon
	{expr: regexp.MustCompile(`AIza[0-9A-Za-z_-]{30,}|ya29\.[0-9A-Za-z_-]{10,}|GOCSPX-[\w-]{10,}`), hints: []string{"AIza", "ya29", "GOCSPX-"}},                   // Google
	{expr: regexp.MustCompile(`gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[\w-]{16,}|npm_[A-Za-z0-9]{30,}`), hints: []string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "npm_"}},
	{expr: regexp.MustCompile(`xox[abeoprs]-[A-Za-z0-9-]{8,}|hooks\.slack\.com/services/[A-Za-z0-9/_-]+`), hints: []string{"xox", "hooks.slack"}},
	{expr: regexp.MustCompile(`\b(?:sk|rk|pk|whsec)_(?:live_|test_)?[A-Za-z0-9]{10,}|\bsk-[A-Za-z0-9_-]{16,}`), hints: []string{"sk_", "rk_", "pk_", "sk-", "whsec_"}},
	{expr: regexp.MustCompile(`\bSG\.[\w-]{10,}\.[\w-]{10,}|\bSK[0-9a-f]{32}\b|\bhv[sb]\.[\w-]{20,}|\bdop_v1_[0-9a-f]{32,}`), hints: []string{"SG.", "SK", "hvs.", "hvb.", "dop_"}},
	{expr: regexp.MustCompile(`AGE-SECRET-KEY-1[0-9A-Za-z]+`), hints: []string{"AGE-"}},
	{expr: regexp.MustCompile(`[A-Za-z0-9/+]{40}=*`), may: longRun, is: secretKey},
	// Addresses of people.
	{expr: regexp.MustCompile(`[\w.!#$&'*+/^{|}~-]+(?:@|%40)[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}`), hints: []string{"@", "%40"}},
	{expr: regexp.MustCompile(`\d(?:[ .-]?\d){12,18}`), may: manyDigits, is: card},
	{expr: regexp.MustCompile(`\b\d{3}-\d{2}-\d{4}\b`), hints: []string{"-"}}, // social security number
}

// Text is s without what looks like a secret, and valid UTF-8.
func Text(s string) string {
	s = strings.ToValidUTF8(s, "?")
	for _, r := range rules {
		if r.hinted(s) && r.expr.MatchString(s) {
			s = r.apply(s)
		}
	}
	return s
}

func (r rule) hinted(s string) bool {
	if r.may != nil {
		return r.may(s)
	}
	for _, h := range r.hints {
		if strings.Contains(s, h) {
			return true
		}
	}
	return len(r.hints) == 0
}

func (r rule) apply(s string) string {
	var b strings.Builder
	last := 0
	for _, m := range r.expr.FindAllStringSubmatchIndex(s, -1) {
		if r.is != nil && (wordAround(s, m[0], m[1]) || !r.is(s[m[0]:m[1]])) {
			continue
		}
		b.WriteString(s[last:m[0]])
		switch {
		case len(m) < 4 || m[2] < 0:
			b.WriteString(Redacted)
		case m[2] == m[0]: // the name stands before the secret
			b.WriteString(s[m[2]:m[3]])
			b.WriteString(Redacted)
		default:
			b.WriteString(Redacted)
			b.WriteString(s[m[2]:m[3]])
		}
		last = m[1]
	}
	b.WriteString(s[last:])
	return b.String()
}

// Name reports whether what goes by this name is secret whatever it looks like.
func Name(name string) bool { return name != "" && Text(name+"=x") != name+"=x" }

func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// wordAround reports whether s goes on with a letter or digit on either side: what was found is a
// part of something longer.
func wordAround(s string, from, to int) bool {
	return from > 0 && nameByte(s[from-1]) && s[from-1] != '-' || to < len(s) && nameByte(s[to]) && s[to] != '-'
}

// longRun reports whether 40 bytes stand together of which a secret key may consist, with enough
// capitals: paths have few.
func longRun(s string) bool {
	run, upper := 0, 0
	for i := range len(s) {
		if run++; !nameByte(s[i]) && s[i] != '/' && s[i] != '+' {
			run, upper = 0, 0
		}
		if s[i] >= 'A' && s[i] <= 'Z' {
			upper++
		}
		if run >= 40 && upper >= 4 {
			return true
		}
	}
	return false
}

// manyDigits reports whether there are enough digits for a card number.
func manyDigits(s string) bool {
	n := 0
	for i := range len(s) {
		if s[i] >= '0' && s[i] <= '9' {
			n++
		}
	}
	return n >= 13
}

// secretKey reports whether 40 characters are random enough for a secret key of a cloud.
func secretKey(s string) bool {
	var upper, lower, digit int
	for _, c := range s {
		switch {
		case c >= 'A' && c <= 'Z':
			upper++
		case c >= 'a' && c <= 'z':
			lower++
		case c >= '0' && c <= '9':
			digit++
		}
	}
	return upper >= 4 && lower >= 4 && digit >= 2
}

// card reports whether s is a card number: by the issuer's digits (ISO/IEC 7812) and Luhn's check
// digit.
func card(s string) bool {
	var digits []byte
	for i := range len(s) {
		if s[i] >= '0' && s[i] <= '9' {
			digits = append(digits, s[i]-'0')
		}
	}
	if digits[0] < 2 || digits[0] > 6 {
		return false
	}
	sum := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i])
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}
