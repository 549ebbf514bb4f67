package kpi

import (
	"strconv"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// A Code is how a request ended: an HTTP status or a gRPC code. Make one with [HTTP] or [GRPC];
// the zero Code is neither and shown as [Other].
type Code int

const (
	otherCode Code = 0
	grpcBase  Code = 1000
)

// HTTP is the code of an HTTP status. One outside 100 to 599 is counted as [Other].
func HTTP(status int) Code {
	if status < 100 || status > 599 {
		return otherCode
	}
	return Code(status)
}

// GRPC is the code of a gRPC call. One above 16 is counted as [Other].
func GRPC(number uint32) Code {
	if number >= uint32(len(grpcCodes)) {
		return otherCode
	}
	return grpcBase + Code(number)
}

// grpcCodes are the codes of gRPC (https://grpc.io/docs/guides/status-codes/), spelled as
// grpc-go prints them, and who is to blame: the service for those that the OpenTelemetry semantic
// conventions for gRPC servers take for errors.
var grpcCodes = [...]struct {
	name  string
	class failure.Class
}{
	{"OK", failure.NotProblem},
	{"Canceled", failure.NotProblem},
	{"Unknown", failure.Service},
	{"InvalidArgument", failure.Caller},
	{"DeadlineExceeded", failure.Service},
	{"NotFound", failure.Caller},
	{"AlreadyExists", failure.Caller},
	{"PermissionDenied", failure.Caller},
	{"ResourceExhausted", failure.Caller},
	{"FailedPrecondition", failure.Caller},
	{"Aborted", failure.Caller},
	{"OutOfRange", failure.Caller},
	{"Unimplemented", failure.Service},
	{"Internal", failure.Service},
	{"Unavailable", failure.Service},
	{"DataLoss", failure.Service},
	{"Unauthenticated", failure.Caller},
}

// String is the value of the label code.
func (c Code) String() string {
	switch {
	case c >= grpcBase && c < grpcBase+Code(len(grpcCodes)):
		return grpcCodes[c-grpcBase].name
	case c >= 100 && c <= 599:
		return strconv.Itoa(int(c))
	}
	return Other
}

// Class says whose fault an answer with the code is, as far as the code tells:
// [failure.NotProblem] for one that is no error. HTTP's 502 and 504 blame what stands behind the
// service (RFC 9110, sections 15.6.3 and 15.6.5); 499 is nginx's for a caller who left, which is
// nobody's fault. A code that does not exist is the service's.
func (c Code) Class() failure.Class {
	switch {
	case c >= grpcBase && c < grpcBase+Code(len(grpcCodes)):
		return grpcCodes[c-grpcBase].class
	case c < 100 || c > 599:
		return failure.Service
	case c == 502, c == 504:
		return failure.Dependency
	case c >= 500:
		return failure.Service
	case c >= 400 && c != 499:
		return failure.Caller
	}
	return failure.NotProblem
}
