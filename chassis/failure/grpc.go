package failure

import "net/http"

// A GRPC is a gRPC status code, with the numbers and names of the gRPC documentation
// (https://grpc.io/docs/guides/status-codes/). It converts to and from the Code type of any gRPC
// library; this package imports none.
type GRPC uint32

// The seventeen status codes of gRPC.
const (
	GRPCOK                 GRPC = 0
	GRPCCancelled          GRPC = 1
	GRPCUnknown            GRPC = 2
	GRPCInvalidArgument    GRPC = 3
	GRPCDeadlineExceeded   GRPC = 4
	GRPCNotFound           GRPC = 5
	GRPCAlreadyExists      GRPC = 6
	GRPCPermissionDenied   GRPC = 7
	GRPCResourceExhausted  GRPC = 8
	GRPCFailedPrecondition GRPC = 9
	GRPCAborted            GRPC = 10
	GRPCOutOfRange         GRPC = 11
	GRPCUnimplemented      GRPC = 12
	GRPCInternal           GRPC = 13
	GRPCUnavailable        GRPC = 14
	GRPCDataLoss           GRPC = 15
	GRPCUnauthenticated    GRPC = 16
)

var grpcNames = []string{
	"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
	"ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED",
	"OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
}

// String is the name in the gRPC documentation, such as NOT_FOUND.
func (g GRPC) String() string { return nameOf("grpc", grpcNames, g) }

// MarshalText is String and never fails.
func (g GRPC) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// UnmarshalText takes a name that String gives; any other is an error and leaves g as it is.
func (g *GRPC) UnmarshalText(text []byte) error { return parseName(g, "grpc", grpcNames, text) }

// statusClientClosed is not registered with IANA; google.rpc.Code and nginx use it for a request
// whose caller did not wait for the answer.
const statusClientClosed = 499

// httpOf is the HTTP status that google.rpc.Code documents for each gRPC code from CANCELLED on.
var httpOf = []int{
	GRPCCancelled:          statusClientClosed,
	GRPCUnknown:            http.StatusInternalServerError,
	GRPCInvalidArgument:    http.StatusBadRequest,
	GRPCDeadlineExceeded:   http.StatusGatewayTimeout,
	GRPCNotFound:           http.StatusNotFound,
	GRPCAlreadyExists:      http.StatusConflict,
	GRPCPermissionDenied:   http.StatusForbidden,
	GRPCResourceExhausted:  http.StatusTooManyRequests,
	GRPCFailedPrecondition: http.StatusBadRequest,
	GRPCAborted:            http.StatusConflict,
	GRPCOutOfRange:         http.StatusBadRequest,
	GRPCUnimplemented:      http.StatusNotImplemented,
	GRPCInternal:           http.StatusInternalServerError,
	GRPCUnavailable:        http.StatusServiceUnavailable,
	GRPCDataLoss:           http.StatusInternalServerError,
	GRPCUnauthenticated:    http.StatusUnauthorized,
}

// grpcOf is the gRPC code for an HTTP status: the reverse of httpOf where that is unambiguous,
// and the nearest meaning elsewhere.
func grpcOf(status int) GRPC {
	switch status {
	case http.StatusUnauthorized:
		return GRPCUnauthenticated
	case http.StatusForbidden:
		return GRPCPermissionDenied
	case http.StatusNotFound, http.StatusGone:
		return GRPCNotFound
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return GRPCUnimplemented
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return GRPCDeadlineExceeded
	case http.StatusConflict, http.StatusPreconditionFailed, http.StatusPreconditionRequired, http.StatusLocked:
		return GRPCFailedPrecondition
	case http.StatusRequestEntityTooLarge, http.StatusTooManyRequests, http.StatusInsufficientStorage:
		return GRPCResourceExhausted
	case http.StatusRequestedRangeNotSatisfiable:
		return GRPCOutOfRange
	case statusClientClosed:
		return GRPCCancelled
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return GRPCUnavailable
	}
	if status < 500 {
		return GRPCInvalidArgument
	}
	return GRPCInternal
}
