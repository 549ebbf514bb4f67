package failure

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A Code is one failure that a service can answer with, as declared in a [Set]. It never changes
// after its declaration.
//
// A Code is an error itself, so a handler may return it bare, and errors.Is(err, code) reports
// whether err carries it. Compare codes as pointers: each is declared once.
type Code struct {
	set        string
	number     int
	message    string
	class      Class
	status     int
	grpc       GRPC
	retryable  bool
	retryAfter time.Duration
	severity   Severity
	runbook    string
	place      string
	uri        string
	reason     string
}

// Error is the code as it stands in a log: set, number and message.
func (c *Code) Error() string { return c.set + " " + strconv.Itoa(c.number) + ": " + c.message }

// Failure is c as an occurrence that does not know where it was made; it makes a Code a [Failer].
func (c *Code) Failure() *Error { return &Error{code: c} }

// New is an occurrence of c with neither arguments nor cause, made where New is called; see
// [Error.Callers].
func (c *Code) New() *Error { return &Error{code: c, callers: c.here()} }

// With is an occurrence of c with one argument, made where With is called; see [Error.With].
func (c *Code) With(key string, value any) *Error {
	return (&Error{code: c, callers: c.here()}).With(key, value)
}

// Wrap is an occurrence of c caused by err, made where Wrap is called; see [Error.Wrap].
func (c *Code) Wrap(err error) *Error {
	return (&Error{code: c, callers: c.here()}).Wrap(err)
}

// Set is the name of the set that c was declared in.
func (c *Code) Set() string { return c.set }

// Number is unique in c's set: below 1000 for the chassis, from 1000 on for services.
func (c *Code) Number() int { return c.number }

// Message is what the code says to everybody, clients included.
func (c *Code) Message() string { return c.message }

// Class says whose fault the failure is.
func (c *Code) Class() Class { return c.class }

// HTTPStatus is what an HTTP answer has, from 400 to 599.
func (c *Code) HTTPStatus() int { return c.status }

// GRPCCode is what a gRPC answer has, never GRPCOK.
func (c *Code) GRPCCode() GRPC { return c.grpc }

// Retryable reports whether the same request may be sent again as it is: the failed one had no
// effect, and a later one may succeed.
func (c *Code) Retryable() bool { return c.retryable }

// RetryAfter is how long a caller should wait before it tries again; 0 leaves that to the caller.
func (c *Code) RetryAfter() time.Duration { return c.retryAfter }

// Severity says who hears of the failure.
func (c *Code) Severity() Severity { return c.severity }

// Runbook is the address of the page that tells what to do, or empty. It is for those who run the
// service and is never sent to clients.
func (c *Code) Runbook() string { return c.runbook }

// Place is where the code was declared: import path, file and line.
func (c *Code) Place() string { return c.place }

// TypeURI identifies the code in the type member of a problem document: urn:failure:SET:NUMBER.
func (c *Code) TypeURI() string { return c.uri }

// Reason identifies the code in a google.rpc.ErrorInfo, whose domain is the set's name: the name
// in capitals and the number, such as GAME_1042. It is at most 63 bytes, as AIP-193 demands.
func (c *Code) Reason() string { return c.reason }

// Describe is all that was declared, for tools that generate alerts and runbooks from it.
func (c *Code) Describe() Description {
	return Description{
		Set: c.set, Number: c.number, Message: c.message, Class: c.class,
		HTTPStatus: c.status, GRPCCode: c.grpc, Type: c.uri, Reason: c.reason,
		Retryable: c.retryable, RetryAfter: c.retryAfter.Seconds(),
		Severity: c.severity, Runbook: c.runbook, Place: c.place,
	}
}

// A Description is a [Code] as JSON: the fields mean what the methods of Code say.
type Description struct {
	Set        string   `json:"set"`
	Number     int      `json:"number"`
	Message    string   `json:"message"`
	Class      Class    `json:"class"`
	HTTPStatus int      `json:"http_status"`
	GRPCCode   GRPC     `json:"grpc_code"`
	Type       string   `json:"type"`
	Reason     string   `json:"reason"`
	Retryable  bool     `json:"retryable"`
	RetryAfter float64  `json:"retry_after_seconds,omitempty"`
	Severity   Severity `json:"severity"`
	Runbook    string   `json:"runbook,omitempty"`
	Place      string   `json:"place"`
}

// An Option changes what the class of a code decides by default. A value out of its bounds makes
// the declaration panic.
type Option func(*Code) error

// HTTPStatus sets the HTTP status, from 400 to 599. A Caller's code stays within 4xx, a Service's
// or Dependency's within 5xx, so that codes and plain statuses tell the same story. By default it
// follows from [GRPCCode] as google.rpc.Code maps it, if that fits the class, or from the class.
func HTTPStatus(status int) Option {
	return func(c *Code) error {
		if status < 400 || status > 599 {
			return fmt.Errorf("HTTP status %d is not from 400 to 599", status)
		}
		c.status = status
		return nil
	}
}

// GRPCCode sets the gRPC status code, any but GRPCOK. By default it follows from [HTTPStatus] (404
// is NOT_FOUND, 409 is FAILED_PRECONDITION, 503 is UNAVAILABLE, …), or from the class.
func GRPCCode(code GRPC) Option {
	return func(c *Code) error {
		if code == GRPCOK || code > GRPCUnauthenticated {
			return fmt.Errorf("gRPC code %v is not from 1 (CANCELLED) to 16 (UNAUTHENTICATED)", code)
		}
		c.grpc = code
		return nil
	}
}

// Retryable says that the failed request had no effect and that the same one may succeed later. A
// caller is told to wait for after, 0 or more; 0 leaves the wait to the caller. Without this option
// a code is not retryable.
func Retryable(after time.Duration) Option {
	return func(c *Code) error {
		if after < 0 {
			return fmt.Errorf("retry after %v is negative", after)
		}
		c.retryable, c.retryAfter = true, after
		return nil
	}
}

// Runbook names the page that says what to do about the failure: an absolute http or https URL.
func Runbook(address string) Option {
	return func(c *Code) error {
		u, err := url.Parse(address)
		if err != nil {
			return fmt.Errorf("runbook: %w", err)
		}
		if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return fmt.Errorf("runbook %q is no absolute http or https URL", address)
		}
		c.runbook = address
		return nil
	}
}

// Alert sets who hears of the failure. By default it is Page for a Service's code, Ticket for a
// Dependency's and Silent for the others; for the others nothing else is allowed.
func Alert(s Severity) Option {
	return func(c *Code) error {
		if s > Page {
			return fmt.Errorf("%v is none of silent, ticket, page", s)
		}
		if s != Silent && (c.class == Caller || c.class == NotProblem) {
			return fmt.Errorf("class %v never alarms, so its severity cannot be %v", c.class, s)
		}
		c.severity = s
		return nil
	}
}

// byClass is what a code has when its declaration says nothing else.
var byClass = map[Class]Code{
	Caller:     {status: http.StatusBadRequest, grpc: GRPCInvalidArgument, severity: Silent},
	Service:    {status: http.StatusInternalServerError, grpc: GRPCInternal, severity: Page},
	Dependency: {status: http.StatusBadGateway, grpc: GRPCUnavailable, severity: Ticket},
	NotProblem: {status: http.StatusNotFound, grpc: GRPCNotFound, severity: Silent},
}

// complete applies the options to c, of which set, number, message and class are known, and fills
// in what they leave open.
func (c *Code) complete(opts []Option) error {
	if err := checkMessage(c.message); err != nil {
		return err
	}
	base := byClass[c.class]
	c.severity = base.severity
	for _, opt := range opts {
		if err := opt(c); err != nil {
			return err
		}
	}
	given := c.status
	if given != 0 && !c.class.allows(given) {
		return fmt.Errorf("HTTP status %d does not suit class %v, which answers %dxx", given, c.class, base.status/100)
	}
	if given == 0 {
		c.status = base.status
		if c.grpc != 0 && c.class.allows(httpOf[c.grpc]) {
			c.status = httpOf[c.grpc]
		}
	}
	if c.grpc == 0 {
		c.grpc = base.grpc
		if given != 0 {
			c.grpc = grpcOf(given)
		}
	}
	number := strconv.Itoa(c.number)
	c.uri = "urn:failure:" + c.set + ":" + number
	c.reason = strings.ToUpper(strings.ReplaceAll(c.set, "-", "_")) + "_" + number
	return nil
}

// allows reports whether a code of class c may answer with status.
func (c Class) allows(status int) bool {
	switch c {
	case Caller:
		return status < 500
	case NotProblem:
		return true
	}
	return status >= 500
}

func checkMessage(message string) error {
	if strings.TrimSpace(message) == "" {
		return errors.New("the message is empty")
	}
	if len(message) > maxValue {
		return fmt.Errorf("the message has %d bytes, more than %d", len(message), maxValue)
	}
	if printable(message) != message {
		return fmt.Errorf("the message %q is not one line of printable text", message)
	}
	return nil
}
