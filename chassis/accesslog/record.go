// Package accesslog writes one line per finished request, HTTP and gRPC alike, in the
// Combined Log Format of the Apache HTTP Server:
//
//	192.0.2.7 - ada [10/Oct/2000:13:55:36 -0700] "GET /games/7?full=1 HTTP/1.1" 200 2326 "https://example.org/" "curl/8.5"
//
// Every log analyser reads that format, so a service that keeps to it needs no parser of its
// own. The fields are, in httpd's LogFormat language (mod_log_config):
//
//	%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"
//
// client, identd name (always -), user, time the request began, request line, final status,
// body bytes sent (- for none), and two request headers. A field that is empty is written as -.
//
// What clients send is hostile. A request line may hold quotes, line breaks and terminal
// escapes, each of them a way to forge a line or to attack whoever reads it. Text is therefore
// escaped byte by byte exactly as httpd does it: \" and \\, \b \n \r \t \v, and \xhh for every
// other byte outside printable ASCII. Long fields end in "..." so that one request cannot fill
// a disk (see [MaxLine]).
//
// A service makes one [Writer] per log and hands it a [Record] for each request. [AppendCombined]
// is the encoder alone, [Parse] its inverse for tests and tools.
package accesslog

import (
	"net/netip"
	"time"
)

// A Record is what is known of one request when it has finished. The Combined format shows
// the fields Client to UserAgent; the others are there for formats that ask for them. The zero
// value is a request of which nothing is known, and is logged as such.
//
// A Record is read only while it is being logged, so callers may reuse one.
type Record struct {
	// Client is who asked, after trusted proxies have been looked through. An IPv4 address
	// mapped into IPv6 is shown as IPv4 and a zone is left out, as httpd does. The zero
	// Addr stands for a peer without an address, such as one on a unix socket: -.
	Client netip.Addr
	// User is the authenticated user, as the client wrote it.
	User string
	// Start is when the request began. It is shown in its own location, with seconds, and
	// years from 0 to 9999.
	Start time.Time
	// Method, URI and Proto make up the request line. URI is the request target as it was
	// sent (http.Request.RequestURI), for gRPC the full method; Proto is "HTTP/1.1" or
	// "HTTP/2.0". A request line that could not be understood goes into URI alone.
	Method, URI, Proto string
	// Status is the final HTTP status, 200 for a gRPC call that got an answer of any code.
	// Zero or less means that none was sent: -.
	Status int
	// Bytes counts the body bytes sent, without headers.
	Bytes int64
	// Referer and UserAgent are the request headers of these names.
	Referer, UserAgent string

	// Duration is the time from Start to the last byte handed to the connection.
	Duration time.Duration
	// Route is the pattern that matched, never the path.
	Route string
	// RequestID is the id that the request carries through all services.
	RequestID string
	// FailureCode is the number of the failure code that was answered, 0 for success.
	FailureCode int
	// Listener is the name of the listener that took the request.
	Listener string
}
