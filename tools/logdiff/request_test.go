package logdiff_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
)

// A conversation is what one connection carries.
type conversation struct {
	requests  []request
	pipelined bool // all are sent before an answer is read
}

// A request is known by its number, which is in its header X-Case and, where that may not be read, in
// its target.
type request struct {
	name   string // of its kind, and what is odd about it
	raw    string
	number int
}

// A generator makes conversations.
type generator struct {
	numbers       int
	conversations []conversation
}

// request makes one. line and header may hold CASE, which is its number; a header line X-Case is added
// and a Host, unless there is one.
func (g *generator) request(name, line string, headers ...string) request {
	g.numbers++
	all := append([]string{"X-Case: CASE"}, headers...)
	host := false
	for _, h := range headers {
		host = host || strings.HasPrefix(strings.ToLower(h), "host:") || h == noHost
	}
	if !host {
		all = append(all, "Host: "+serverName)
	}
	text := line + "\r\n"
	for _, h := range all {
		if h != noHost {
			text += h + "\r\n"
		}
	}
	return request{name, strings.ReplaceAll(text+"\r\n", "CASE", fmt.Sprint(g.numbers)), g.numbers}
}

const noHost = "no host"

// one adds a request with a connection of its own.
func (g *generator) one(name, line string, headers ...string) {
	g.body(name, line, "", headers...)
}

// body is one with a body.
func (g *generator) body(name, line, body string, headers ...string) {
	r := g.request(name, line, append([]string{"Connection: close"}, headers...)...)
	r.raw += body
	g.conversations = append(g.conversations, conversation{requests: []request{r}})
}

// generate makes the same conversations each time.
func generate() []conversation {
	g := &generator{}
	g.targets()
	g.methods()
	g.versions()
	g.hosts()
	g.headers()
	g.users()
	g.ranges()
	g.bodies()
	g.connections()
	g.malformed()
	g.random(rand.New(rand.NewPCG(1, 2)))
	return g.conversations
}

func (g *generator) targets() {
	for _, target := range []string{
		"/hello.txt", "/empty.txt", "/nope", "/", "/a%20b.txt", "/a%20b.txt?x=%20y", "/hello.txt?", "/hello.txt??", "/hello.txt?a=1&b=2#c",
		"/hello.txt?q=\"quoted\"", "/quote%22.txt", "/quote\".txt", "/back%5cslash", "/back\\slash", "/new%0aline", "/carriage%0dreturn", "/tab%09",
		"/nul%01", "/del%7f", "/high%ff%fe", "/utf8%c3%a9", "/raw\xc3\xa9", "/raw\xff", "/%2e%2e/x", "/%41", "/a%2Fb", "/%", "/%zz", "/%4", "/%00",
		"/.", "/..", "/a/../hello.txt", "/./hello.txt", "//hello.txt", "/hello.txt//", "/a/./b", "/a/..", "/;x=y", "/hello.txt;v=1", "/~user", "/*", "/a|b", "/a^b`c",
		"/<script>", "/{a}", "/a'b", "/'%27", "/[x]", "/a,b", "/$(id)", "/a:b@c", "/?x", "/?", "*", "hello.txt", "?x",
		"http://games.test/hello.txt", "http://games.test", "http://games.test?x", "http://games.test/a%20b.txt?y#z", "http://user:s3cret@games.test/hello.txt", "http://user@games.test/hello.txt",
		"HTTP://Other.TEST:8080/hello.txt", "https://games.test/hello.txt", "ftp://games.test/x", "urn:x:y", "games.test:80",
	} {
		g.one("target "+target, "GET "+target+" HTTP/1.1")
	}
	g.one("a long target", "GET /"+strings.Repeat("a", 3000)+"?case=CASE HTTP/1.1")
	g.one("a target above the cap", "GET /"+strings.Repeat("b", 5000)+"?case=CASE HTTP/1.1")
	g.one("a target above httpd's limit", "GET /CASE?"+strings.Repeat("c", 9000)+" HTTP/1.1")
}

func (g *generator) methods() {
	for _, method := range []string{"HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND", "MKCOL", "LOCK", "FOO", "get", "M-SEARCH", "X$Y!Z", "G\"T", "G\\T", "G\xc3T", "A" + strings.Repeat("B", 40)} {
		for _, target := range []string{"/hello.txt?case=CASE", "/nope?case=CASE", "/private/x.txt?case=CASE"} {
			g.one("method "+method, method+" "+target+" HTTP/1.1", "Content-Length: 0")
		}
	}
	g.one("OPTIONS *", "OPTIONS * HTTP/1.1")
	g.one("CONNECT", "CONNECT games.test:443 HTTP/1.1", "Host: games.test:443")
	g.one("CONNECT /", "CONNECT / HTTP/1.1")
}

func (g *generator) versions() {
	for _, version := range []string{"HTTP/1.0", "HTTP/1.1", "HTTP/1.2", "HTTP/1.9", "HTTP/2.0", "HTTP/0.9", "HTTP/3", "HTTP/1", "HTTP/1.10", "HTTP/01.1", "http/1.1", "HTTPS/1.1", "XTTP/1.1", "1.1", ""} {
		g.one("version "+version, "GET /hello.txt?case=CASE "+version)
		g.one("version "+version+" of a HEAD", "HEAD /nope?case=CASE "+version)
	}
	g.one("no version", "GET /hello.txt?case=CASE")
	g.one("spaces between", "GET  /hello.txt?case=CASE  HTTP/1.1")
	g.one("a tab between", "GET\t/hello.txt?case=CASE\tHTTP/1.1")
	g.one("a space behind", "GET /hello.txt?case=CASE HTTP/1.1 ")
	g.one("a space in front", " GET /hello.txt?case=CASE HTTP/1.1")
	g.one("a space in the target", "GET /a b.txt?case=CASE HTTP/1.1")
	g.one("an empty line in front", "\r\nGET /hello.txt?case=CASE HTTP/1.1")
	g.one("HTTP/1.0 without a host", "GET /hello.txt?case=CASE HTTP/1.0", noHost)
}

func (g *generator) hosts() {
	for _, host := range []string{"games.test", "Games.TEST", "games.test:80", "other.test:8080", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:80", "[::1", "under_score", "a b", "a/b", "a\"b", "a\\b", "ex\xc3\xa4mple", "", ":80", "games.test:", "games.test:x", "a..b", "user@host", "a%41", "-", "games.test."} {
		g.one("host "+host, "GET /hello.txt?case=CASE HTTP/1.1", "Host: "+host)
	}
	g.one("no host", "GET /hello.txt?case=CASE HTTP/1.1", noHost)
	g.one("two hosts", "GET /hello.txt?case=CASE HTTP/1.1", "Host: games.test", "Host: other.test")
}

func (g *generator) headers() {
	values := []string{
		"plain", "http://from.test/?a=b", "say \"hi\"", "back\\slash", "back\\\"both", "trailing\\", "tab\there", "caf\xc3\xa9", "\xff\xfe", "del\x7f", "bell\x07", "esc\x1b[2J", "nul\x00nul",
		"-", "\"\"", "", "%41", "a, b", "  padded  ", "'single'", "[10/Oct/2000:13:55:36 -0700]", "\" 200 5 \"-", strings.Repeat("long ", 150), "multi\xe2\x80\xa8line", "\\x41", "\\n",
	}
	for _, v := range values {
		for _, name := range []string{"Referer", "User-Agent", "Accept", "X-Multi", "Content-Type"} {
			g.one("header "+name+": "+v, "GET /nope?case=CASE HTTP/1.1", name+": "+v)
		}
	}
	for _, v := range []string{"theme=dark", "a=b; theme=dark; c=d", "Theme = dark blue ;x=y", "theme", "theme=", "theme= ", "xtheme=1; theme=2", "theme=1; theme=2", "theme=\"q;r\"", ";;theme=x", "a;theme=\xff", "=theme; theme=y", "theme==z"} {
		g.one("cookie "+v, "GET /hello.txt?case=CASE HTTP/1.1", "Cookie: "+v)
	}
	g.one("two cookie lines", "GET /hello.txt?case=CASE HTTP/1.1", "Cookie: a=b", "Cookie: theme=dark")
	g.one("lines of one name", "GET /hello.txt?case=CASE HTTP/1.1", "X-Multi: a", "x-multi: b", "X-MULTI: c\"d")
	g.one("lines of one name, one empty", "GET /hello.txt?case=CASE HTTP/1.1", "X-Multi:", "X-Multi: b")
	g.one("no space behind the colon", "GET /hello.txt?case=CASE HTTP/1.1", "Referer:x")
	g.one("a referer above the cap", "GET /hello.txt?case=CASE HTTP/1.1", "Referer: "+strings.Repeat("r", 3000))
}

func (g *generator) users() {
	for _, user := range []string{"ada:pw", "ada", ":pw", "", "a b:pw", "a\"b:pw", "a\\b:pw", "a\nb:pw", "caf\xc3\xa9:pw", "\xff:pw", "a:b:c", "-:pw", "\"\":pw", "x [10/Oct/2000:13:55:36 -0700] \":pw", "tab\there:pw"} {
		for _, target := range []string{"/private/x.txt", "/private/nope"} {
			g.one("user "+user, "GET "+target+"?case=CASE HTTP/1.1", "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte(user)))
		}
	}
	for _, value := range []string{"Basic", "Basic !!!", "basic YWRhOnB3", "BASIC YWRhOnB3", "Bearer x", "Basic  YWRhOnB3", "Basic YWRhOnB3 x", "Basic YWRhOnB3==", ""} {
		g.one("authorization "+value, "GET /private/x.txt?case=CASE HTTP/1.1", "Authorization: "+value)
	}
	g.one("a user where none is asked for", "GET /hello.txt?case=CASE HTTP/1.1", "Authorization: Basic YWRhOnB3")
}

func (g *generator) ranges() {
	for _, v := range []string{"bytes=0-1", "bytes=2-", "bytes=-2", "bytes=0-0", "bytes=4-9", "bytes=5-", "bytes=9-10", "bytes=2-1", "bytes=x", "lines=1-2", "bytes=-0"} {
		g.one("range "+v, "GET /hello.txt?case=CASE HTTP/1.1", "Range: "+v)
		g.one("range "+v+" of a HEAD", "HEAD /hello.txt?case=CASE HTTP/1.1", "Range: "+v)
	}
}

func (g *generator) bodies() {
	g.body("a body", "POST /hello.txt?case=CASE HTTP/1.1", "abc", "Content-Length: 3")
	g.body("a chunked body", "POST /hello.txt?case=CASE HTTP/1.1", "3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked")
	g.body("a body nobody reads", "PUT /hello.txt?case=CASE HTTP/1.1", "abc", "Content-Length: 3")
	g.one("a length that is none", "POST /hello.txt?case=CASE HTTP/1.1", "Content-Length: x")
	g.one("a length below zero", "POST /hello.txt?case=CASE HTTP/1.1", "Content-Length: -1")
	g.one("two lengths", "POST /hello.txt?case=CASE HTTP/1.1", "Content-Length: 0", "Content-Length: 1")
	g.one("an unknown coding", "POST /hello.txt?case=CASE HTTP/1.1", "Transfer-Encoding: zip")
	g.body("length and coding", "POST /hello.txt?case=CASE HTTP/1.1", "0\r\n\r\n", "Content-Length: 5", "Transfer-Encoding: chunked")
	g.one("an expectation nobody knows", "POST /hello.txt?case=CASE HTTP/1.1", "Expect: miracle", "Content-Length: 0")
	g.one("an upgrade nobody offers", "GET /hello.txt?case=CASE HTTP/1.1", "Upgrade: x")
}

func (g *generator) connections() {
	for n := 2; n <= 6; n++ {
		for _, pipelined := range []bool{false, true} {
			c := conversation{pipelined: pipelined}
			for i := range n {
				name := fmt.Sprintf("request %d of %d on a connection, pipelined: %v", i, n, pipelined)
				line := []string{"GET /hello.txt HTTP/1.1", "HEAD /nope HTTP/1.1", "GET /empty.txt?x HTTP/1.1", "OPTIONS / HTTP/1.1"}[i%4]
				if i == n-1 {
					c.requests = append(c.requests, g.request(name, line, "Connection: close"))
				} else {
					c.requests = append(c.requests, g.request(name, line, "User-Agent: \"same\""))
				}
			}
			g.conversations = append(g.conversations, c)
		}
	}
	g.conversations = append(g.conversations,
		conversation{requests: []request{
			g.request("HTTP/1.0, kept alive", "GET /hello.txt HTTP/1.0", "Connection: keep-alive"),
			g.request("HTTP/1.0, not kept alive", "GET /hello.txt HTTP/1.0"),
		}},
		conversation{requests: []request{
			g.request("kept alive by name", "GET /hello.txt HTTP/1.1", "Connection: Keep-Alive"),
			g.request("closed in capitals", "GET /hello.txt HTTP/1.1", "Connection: CLOSE"),
		}},
	)
}

func (g *generator) malformed() {
	for name, header := range map[string]string{
		"a header without a colon": "Nonsense", "a header without a name": ": x", "a space before the colon": "X-Space : x", "a space in the name": "X Space: x",
		"a continued line": "X-Multi: a\r\n b", "a header named in Latin-1": "X-\xe9: x", "a quote in the name": "X\"Y: x", "a NUL in the name": "X\x00Y: x",
		"a bare line feed": "X-Multi: a\nReferer: b", "a bare carriage return": "X-Multi: a\rb", "a comma in the name": "X,Y: x",
	} {
		g.one(name, "GET /hello.txt?case=CASE HTTP/1.1", header)
	}
	g.one("a header above httpd's limit", "GET /hello.txt?case=CASE HTTP/1.1", "X-Long: "+strings.Repeat("h", 9000))
	g.one("a control byte in the target", "GET /hello.txt?case=CASE\x01 HTTP/1.1")
	g.one("a NUL in the target", "GET /hello.txt?case=CASE\x00 HTTP/1.1")
	g.one("a DEL in the target", "GET /hello.txt?case=CASE\x7f HTTP/1.1")
	g.one("TLS", "\x16\x03\x01?case=CASE")
	g.one("words", "please give me ?case=CASE")
	g.one("one word", "?case=CASE")
}

// random adds requests of random bytes where HTTP allows any.
func (g *generator) random(r *rand.Rand) {
	text := func(most int, from, to byte) string {
		b := make([]byte, r.IntN(most))
		for i := range b {
			b[i] = from + byte(r.IntN(int(to-from)+1))
		}
		return string(b)
	}
	for range 120 {
		var target strings.Builder
		target.WriteString("/r")
		for _, c := range []byte(text(30, 1, 255)) {
			if c != '/' {
				fmt.Fprintf(&target, "%%%02X", c)
			}
		}
		g.one("random bytes", "GET "+target.String()+"?"+strings.Trim(text(20, '$', '~'), "#")+" HTTP/1.1",
			"Referer: "+strings.TrimSpace(text(60, ' ', '~')), "User-Agent: "+strings.TrimSpace(text(60, 128, 255)), "X-Multi: "+strings.TrimSpace(text(9, '!', '~')), "X-Multi: "+strings.TrimSpace(text(9, '!', '~')))
	}
}
