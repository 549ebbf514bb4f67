package deps

// A Floor says how high a package of the root module, with the packages below it, stands in the house.
type Floor struct {
	Package string // path within the root module
	Level   int    // it imports packages of its own module only from this level or lower ones
}

// Ground is the level whose packages import nothing but the standard library and each other.
const Ground = 0

// A Reservation keeps a heavy module out of all packages but a few.
type Reservation struct {
	Module string   // path of a module
	For    []string // packages of the root module that may reach it, with those below them
	Why    string   // shown to whoever breaks it
}

// Floors is the house of this repository, from the ground up. The most specific entry counts.
var Floors = []Floor{
	{"internal", Ground},
	{"chassis/clock", Ground},
	{"chassis/failure", Ground},
	{"chassis/queue", Ground},
	{"chassis/accesslog", Ground},
	{"chassis/journal", Ground},
	{"chassis/request", Ground},
	{"chassis/drain", Ground},
	{"chassis/certificate", Ground},

	{"internal/sqlitefile", 1},
	{"chassis/config", 1},
	{"chassis/acl", 1},
	{"chassis/failure/aggregate", 1},
	{"chassis/kpi", 1},
	{"chassis/logfile", 1},
	{"chassis/reload", 1},
	{"chassis/retry", 1},
	{"chassis/journal/sqlite", 1},
	{"chassis/spool", 1},

	{"chassis/client", 2},
	{"chassis/spool/webhook", 2},
	{"chassis/journal/projection", 2},
	{"chassis/failure/sentry", 2},

	{"chassis", 3},

	{"chassis/grpcserver", 4},
	{"chassis/grpcclient", 4},
	{"chassis/gateway", 4},
	{"chassis/journal/scenario/wire", 4},

	{"fake", 5},
}

// Reservations are the modules that this repository keeps in a few rooms.
var Reservations = []Reservation{
	{
		Module: "google.golang.org/grpc",
		For:    []string{"chassis/grpcserver", "chassis/grpcclient", "chassis/gateway", "chassis/journal/scenario/wire", "fake"},
		Why:    "it alone brings a hundred packages into services that serve no gRPC",
	},
	{
		Module: "github.com/hashicorp/go-retryablehttp",
		For:    []string{"chassis/client", "chassis/spool/webhook"},
		Why:    "by its defaults it retries a POST that was refused, and without a budget: use chassis/client",
	},
	{
		Module: "github.com/grpc-ecosystem/go-grpc-middleware/v2",
		For:    []string{"chassis/grpcclient", "chassis/journal/scenario/wire", "fake"},
		Why:    "its retries know no budget, and only who calls gRPC services needs them: use chassis/grpcclient",
	},
	{
		Module: "github.com/grpc-ecosystem/grpc-gateway/v2",
		For:    []string{"chassis/gateway"},
		Why:    "only who serves gRPC methods as JSON should link it",
	},
	{
		Module: "github.com/getsentry/sentry-go",
		For:    []string{"chassis/failure/sentry"},
		Why:    "its own client loses events when Sentry is down, and secrets in messages: use chassis/failure/sentry",
	},
	{
		Module: "modernc.org/sqlite",
		For:    []string{"chassis/journal/sqlite", "chassis/journal/projection", "chassis/spool", "chassis/failure/sentry", "internal/sqlitefile"},
		Why:    "a service names its journal engine and its spool itself, so that only what it names is linked",
	},
	{
		Module: "zombiezen.com/go/sqlite",
		For:    []string{"chassis/journal/sqlite", "chassis/journal/projection", "chassis/spool", "chassis/failure/sentry", "internal/sqlitefile"},
		Why:    "a service names its journal engine and its spool itself, so that only what it names is linked",
	},
}
