package failure

import (
	"net/http"
	"time"
)

const (
	chassisName  = "chassis"
	unclassified = 1 // the number of Unclassified, whose declaration wants a literal
)

// own is the chassis's set while it is being declared; everybody else sees it sealed, as Chassis.
var own = &Set{name: chassisName, first: 1, last: firstOfServices - 1, codes: map[int]*Code{}}

// The codes that every host answers with, whatever service it runs. Where one code stands for one
// HTTP status, its number is that status; the others count from 1.
var (
	// Unclassified is every failure that nobody has given a code: an error that From does not
	// know, or a panic. It pages, so that the failure behind it gets a code of its own.
	Unclassified = own.Service(1, "internal error")
	// Draining refuses what arrives while the service stops. It is ticketed, because a reload
	// promises that nobody ever sees it. Over HTTP/1 the host also closes the connection.
	Draining = own.Service(2, "service is shutting down",
		HTTPStatus(http.StatusServiceUnavailable), Retryable(time.Second), Alert(Ticket))
	// Injected is a fault that a network fake was told to produce and that stands for no other
	// code. It never occurs in production.
	Injected = own.Service(3, "injected fault", Alert(Silent))

	// Malformed is a request that cannot be understood: broken JSON or protobuf, a wrong type, an
	// unknown field, a parameter that does not parse.
	Malformed = own.Caller(400, "malformed request")
	// Unauthenticated is a caller that did not say who it is, or said it wrongly. The host adds
	// the WWW-Authenticate header that RFC 9110 demands.
	Unauthenticated = own.Caller(401, "authentication required", HTTPStatus(http.StatusUnauthorized))
	// Forbidden is a caller that is known and may not do this, or whose address may not be here.
	Forbidden = own.Caller(403, "forbidden", HTTPStatus(http.StatusForbidden))
	// UnknownRoute is a path or gRPC method that the service does not have.
	UnknownRoute = own.Caller(404, "no such route", HTTPStatus(http.StatusNotFound), GRPCCode(GRPCUnimplemented))
	// MethodNotAllowed is a path that exists for other HTTP methods. The host adds the Allow
	// header that RFC 9110 demands.
	MethodNotAllowed = own.Caller(405, "method not allowed", HTTPStatus(http.StatusMethodNotAllowed))
	// TooSlow is a request whose body did not arrive in time.
	TooSlow = own.Caller(408, "request arrived too slowly", HTTPStatus(http.StatusRequestTimeout))
	// TooLarge is a body or message above its limit; grpc-go answers RESOURCE_EXHAUSTED too.
	TooLarge = own.Caller(413, "request too large", HTTPStatus(http.StatusRequestEntityTooLarge))
	// UnsupportedMediaType is a body in a type or encoding that the route does not take.
	UnsupportedMediaType = own.Caller(415, "unsupported media type", HTTPStatus(http.StatusUnsupportedMediaType))
	// RateLimited is a caller or tenant that asks more than its share. Say how long to wait with
	// [Error.After] where that is known.
	RateLimited = own.Caller(429, "too many requests", HTTPStatus(http.StatusTooManyRequests), Retryable(time.Second))
	// HeaderTooLarge is a request whose header or address is above its limit.
	HeaderTooLarge = own.Caller(431, "request header too large",
		HTTPStatus(http.StatusRequestHeaderFieldsTooLarge), GRPCCode(GRPCResourceExhausted))
	// CallerLeft is a request whose caller did not wait for the answer. Nobody reads the answer;
	// the code is for counters and logs. 499 is the status that google.rpc.Code gives CANCELLED.
	CallerLeft = own.NotProblem(499, "caller went away", HTTPStatus(statusClientClosed))
	// Overloaded refuses work that cannot be done in time: a queue is full, a limit is reached.
	// Nothing of it was started.
	Overloaded = own.Service(503, "service is overloaded", HTTPStatus(http.StatusServiceUnavailable), Retryable(time.Second))
	// DeadlineExceeded is work that was not done in time. It may have had an effect, so it is not
	// retryable; and it is ticketed rather than paged, because callers may set deadlines that
	// nobody can keep.
	DeadlineExceeded = own.Service(504, "deadline exceeded", HTTPStatus(http.StatusGatewayTimeout), Alert(Ticket))
)

// Chassis is the set of the codes above. It is sealed; counters hold it without being told.
var Chassis = sealed(own,
	Unclassified, Draining, Injected, Malformed, Unauthenticated, Forbidden, UnknownRoute,
	MethodNotAllowed, TooSlow, TooLarge, UnsupportedMediaType, RateLimited, HeaderTooLarge,
	CallerLeft, Overloaded, DeadlineExceeded)

// sealed seals s after the codes are declared: naming them is what tells the compiler to initialise
// them first, and one that is forgotten panics at start.
func sealed(s *Set, _ ...*Code) *Set {
	s.seal(place(1))
	return s
}
