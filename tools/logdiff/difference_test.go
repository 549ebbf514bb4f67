package logdiff_test

import "regexp"

// A difference is a kind of request whose lines differ, or whose line only one of the servers writes,
// and why that is right. One that is found nowhere fails the test: the list must stay true.
type difference struct {
	requests string // a regular expression that matches the whole name
	fields   []string
	why      string
}

// answer are the fields that tell of the answer, which the service's handler gives and not the chassis.
var answer = []string{"%s", "%>s", "%b", "%B", "%u", "%{Content-Type}o", "%400,404{Referer}i", "%!200,206{User-Agent}i"}

// differences are of requests that both servers log.
var differences = []difference{
	{"target (/a/\\.\\./hello\\.txt|/\\./hello\\.txt|//hello\\.txt|/a/\\./b|/a/\\.\\.|/\\.)", []string{"%U"}, "the service did not clean the path up, so it is logged as it was asked for"},
	{"target (/%2e%2e/x|/\\.\\.|/hello\\.txt//|/%00)", append([]string{"%U"}, answer...), "httpd cleans paths up, refuses those that lead above the root, and takes a path with NUL for one that ends there"},
	{"target https://games\\.test.*", []string{"%V", "%{Host}i"}, "httpd takes the host of another scheme than its own for none of its own"},
	{"target ftp://.*", append([]string{"%V", "%{Host}i"}, answer...), "httpd serves nothing but its own scheme"},
	{"a long target", answer, "its file system has no names of that length"},
	{"a target above the cap", append([]string{"%r", "%U"}, answer...), "targets are cut at 4096 bytes; httpd's file system has no names of that length"},
	{"a target above httpd's limit", append([]string{"%r", "%U", "%m", "%q", "%H", "%{X-Case}i", "%%%{X-Case}i", "%{Host}i", "%X", "%V", "%I"}, answer...), "httpd reads 8190 bytes of a request line and no more"},
	{"target HTTP://.*", []string{"%{Host}i"}, "httpd writes the host of the target as the Host header, in lower case"},
	{"host ", []string{"%{Host}i"}, "net/http does not tell an empty Host header from none"},
	{"a header above httpd's limit", append([]string{"%{Host}i", "%X", "%I"}, answer...), "httpd reads 8190 bytes of a header line and no more"},
	{"a referer above the cap", []string{"%{Referer}i"}, "it is cut at 2048 bytes"},
	{"method AB+", []string{"%r", "%m"}, "methods are cut at 32 bytes"},
	{"method TRACE", answer, "httpd refuses the method before it asks for a user"},
	{"method OPTIONS", []string{"%{Content-Type}o"}, "httpd says what type the file has"},
	{"host (|:80|a\\.\\.b|a%41|games\\.test:x?|\\[::1)", append([]string{"%V", "%X"}, answer...), "httpd refuses the host; net/http does not look that closely"},
	{"user (ada|)|authorization Basic( .*|)", answer, "httpd takes credentials that http.Request.BasicAuth does not: without a colon, with more behind"},
	{"a user where none is asked for", []string{"%u"}, "the chassis cannot know whether a handler looks at the user, and logs who the client says it is"},
	{"range (bytes=2-1|bytes=x|lines=1-2|bytes=-0)( of a HEAD)?", answer, "httpd ignores ranges that it does not understand, net/http refuses them"},
	{"range bytes=(5-|9-10)( of a HEAD)?", []string{"%{Content-Type}o"}, "httpd's error page is HTML"},
	{"a bare line feed", append([]string{"%{Referer}i", "%{x-MULTI}i", "%{Host}i", "%X", "%I"}, answer...), "net/http takes a line feed for the end of a line, as RFC 9112 allows"},
	{"two cookie lines", []string{"%{theme}C"}, "httpd finds no cookie but in the first line"},
	{"(request [1-9] of .*|HTTP/1.0, not kept alive|closed in capitals)", []string{"%k"}, "httpd counts a request that closes the connection as if it were the one before; its manual says otherwise"},
	{"length and coding", []string{"%I"}, "httpd does not read the body of a request with two lengths to its end"},
}

// told are the fields that the line of a request has which never reached a handler: who, and what stood
// in the first line.
var told = []string{"%h", "%a", "%r", "%v"}

// refused are requests that never reach a handler: net/http refuses or answers them by itself. Their
// lines tell no more than told.
var refused = []difference{
	{requests: "target (/%|/%zz|/%4)", why: "refused before the handler: 400, a percent sign with nothing to decode"},
	{requests: "target \\?x", why: "refused before the handler: 400, a target without a path"},
	{requests: "method G.T", why: "refused before the handler: 400, no token"},
	{"version ( of a HEAD)?", []string{"%r"}, "refused before the handler: 400; the line is logged as it came, httpd leaves the space behind it out"},
	{requests: "version .+|no version", why: "refused before the handler: 400 or 505, and HTTP/0.9, which httpd still speaks"},
	{"(spaces|a tab) between|a space (behind|in front|in the target)", []string{"%r"}, "refused before the handler: 400; the line is logged as it came, httpd's is made of its parts"},
	{requests: "an empty line in front", why: "refused before the handler: 400"},
	{requests: "OPTIONS \\*", why: "answered before the handler: net/http does so for the server as a whole"},
	{requests: "host (a b|a/b|a\"b|a\\\\b|ex.*mple|user@host)|no host|two hosts", why: "refused before the handler: 400, not one host"},
	{requests: "header (Referer|User-Agent|Accept|X-Multi|Content-Type): (del|bell|esc|nul)(?s:.*)", why: "refused before the handler: 400, a control byte in a header"},
	{requests: "a (length .*|quote in the name|comma in the name|space in the name|space before the colon|header without a (colon|name)|header named in Latin-1|NUL in the name|bare carriage return)|two lengths", why: "refused before the handler: 400, no header"},
	{requests: "an unknown coding", why: "refused before the handler: 501"},
	{requests: "an expectation nobody knows", why: "refused before the handler: 417"},
	{requests: "a (control byte|DEL) in the target|TLS|one word", why: "refused before the handler: 400, no request line"},
	{"a NUL in the target", []string{"%r"}, "refused before the handler: 400; for httpd the line ends there"},
}

// onlyService are requests whose lines httpd writes without the request: it refuses their request line
// before it has read a header, and says no more than that.
var onlyService = []difference{
	{requests: "target (/hello\\.txt\\?a=1&b=2#c|http://games\\.test/a%20b\\.txt\\?y#z)", why: "httpd refuses fragments: 400"},
	{requests: "target http://user.*", why: "httpd refuses users in targets: 400"},
	{requests: "target (\\*|urn:x:y|games\\.test:80)|CONNECT /", why: "httpd refuses these forms of target: 400"},
	{requests: "words", why: "httpd refuses the line: 400"},
}

// neither are requests of which httpd's line tells no number and the service has none.
var neither = []difference{
	{requests: "target hello\\.txt", why: "refused by both: 400"},
}

func (d difference) explains(name string) bool {
	return regexp.MustCompile("^(?s:" + d.requests + ")$").MatchString(name)
}
