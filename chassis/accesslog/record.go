// Package accesslog writes one line per finished request, HTTP and gRPC alike, in the form that a
// LogFormat of the Apache HTTP Server gives:
//
//	f, err := accesslog.Compile(`%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"`)
//
//	192.0.2.7 - ada [10/Oct/2000:13:55:36 -0700] "GET /games/7?full=1 HTTP/1.1" 200 2326 "https://example.org/" "curl/8.5"
//
// Every log analyser reads such lines, so a service that keeps to them needs no parser of its own.
// [Compile] lists the directives. They mean what they mean in httpd 2.4 by its manual (mod_log_config,
// mod_logio) and its source. The tests in tools/logdiff send the same requests to httpd and to a
// service, and list each difference that is left.
//
// What clients send is hostile. A request line may hold quotes, line breaks and terminal
// escapes, each of them a way to forge a line or to attack whoever reads it. Text is therefore
// escaped byte by byte exactly as httpd does it: \" and \\, \b \n \r \t \v, and \xhh for every
// other byte outside printable ASCII. Long fields end in "..." so that one request cannot fill
// a disk (see [Format.MaxLine]).
//
// A log is read by more people than the service's data is. Nothing but the headers that a format
// names gets into it, headers that carry secrets are refused when it is compiled, and [Privacy]
// says how much of addresses and query strings is written.
//
// A service makes one [Writer] per log and hands it a [Record] for each request; a [File] is a
// file to write to that survives being removed. [Format.Append] is the encoder alone, and
// [Format.Parse] its inverse for tests and tools.
package accesslog

import (
	"net/netip"
	"time"
)

// A Record is what is known of one request when it has finished. A format shows some of it. The
// zero value is a request of which nothing is known, and is logged as such.
//
// A Record is read only while it is being logged, so callers may reuse one.
type Record struct {
	// Client is who asked, after trusted proxies have been looked through: %h and %a. An IPv4
	// address mapped into IPv6 is shown as IPv4 and a zone is left out, as httpd does. The zero
	// Addr stands for a peer without an address, such as one on a unix socket: -.
	Client netip.Addr
	// Peer is the other end of the connection, which may be a proxy: %{c}h, %{c}a, %{remote}p.
	Peer netip.AddrPort
	// Local is this end of the connection: %A, %p, %{canonical}p, %{local}p.
	Local netip.AddrPort
	// Server is the name the server goes by, whatever the client called it: %v.
	Server string
	// Host is what the client called the server, as it wrote it: a name or address, with or
	// without a port. %V shows it without port in lower case, and Server when it is empty; %{Host}i shows
	// it as it is, unless Request has such a header.
	Host string
	// User is the authenticated user, as the client wrote it: %u. EmptyUser says that there was
	// one, with an empty name: "".
	User      string
	EmptyUser bool
	// Start is when the request began: %t. It is shown in its own location.
	Start time.Time
	// Duration is the time from Start to the last byte handed to the connection: %D, %T.
	Duration time.Duration
	// Method, URI and Proto make up the request line: %r, %m, %U, %q, %H. URI is the request
	// target as it was sent (http.Request.RequestURI), for gRPC the full method; Proto is
	// "HTTP/1.1" or "HTTP/2.0". A request line that could not be understood goes into URI alone.
	Method, URI, Proto string
	// Status is the final HTTP status, 200 for a gRPC call that got an answer of any code: %s.
	// Zero or less means that none was sent: -.
	Status int
	// Bytes counts the body bytes sent, without headers: %b, %B.
	Bytes int64
	// BytesIn and BytesOut count what was received and sent over the network for the request, headers
	// and what TLS adds included: %I, %O and %S. Zero or less means that they are not known: -. They
	// are known when the answer has left the buffers, which may be after the handler.
	BytesIn, BytesOut int64
	// Reused is the number of requests that came over the same connection before: %k. Below zero means
	// that there is no such number, as with HTTP/2, whose requests come side by side: -.
	Reused int
	// Conn is what became of the connection: %X.
	Conn ConnState
	// Request and Response are the headers: %{Name}i, %{Name}C and %{Name}o. Nil is none.
	Request, Response Header

	// Route is the pattern that matched, never the path: %{route}x, and %f, which is the file that
	// httpd maps a request to.
	Route string
	// RequestID is the id that the request carries through all services: %{request_id}x, and
	// %L, by which httpd's error log tells of the request.
	RequestID string
	// TraceID is the id of the distributed trace that the request belongs to, shown in hexadecimal:
	// %{trace_id}x. Zero is none.
	TraceID [16]byte
	// FailureCode is the number of the failure code that was answered, 0 for success:
	// %{failure}x.
	FailureCode int
	// ErrorID is the error id that was answered with the failure, empty for success: %{error_id}x.
	ErrorID string
	// GRPCStatus is the number of the gRPC status as the grpc-status trailer has it, "0" for OK.
	// It is empty for requests that are no gRPC calls: %{grpc_status}x.
	GRPCStatus string
	// QueueWait is how long the request waited until it was admitted: %{queue_wait_us}x.
	QueueWait time.Duration
	// Listener is the name of the listener that took the request: %{listener}x.
	Listener string
}

// A Header holds the fields of a request or an answer. [net/http.Header] is one.
type Header interface {
	// Values returns the values of all lines whose name is the given one, which is in the form
	// of [net/textproto.CanonicalMIMEHeaderKey], in their order. The result is only read.
	Values(name string) []string
}

// A ConnState is what became of a connection after an answer. The zero value is ConnClosed.
type ConnState byte

const (
	ConnClosed  ConnState = iota // it is closed after the answer: -
	ConnKept                     // it may carry more requests: +
	ConnAborted                  // it broke before the answer was complete: X
)
