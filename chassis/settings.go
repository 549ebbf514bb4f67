package chassis

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/acl"
	"github.com/seed-754044b3/roadworthy/chassis/config"
)

// Settings is the part of the configuration that every service has. The zero value means the
// defaults that the fields name.
type Settings struct {
	Admin     AdminConfig     `config:"admin"`
	Log       LogConfig       `config:"log"`
	AccessLog AccessLogConfig `config:"access_log"`
	Drain     DrainConfig     `config:"drain"`
	Reload    ReloadConfig    `config:"reload"`
	Errors    ErrorsConfig    `config:"errors"`
	// HeapFloor is below twice of what is in use when it has an effect. It costs up to as much memory, and spares
	// a small service, which would collect garbage many times a second, a tenth of its processor time.
	// GOGC in the environment takes its place. 4MiB, which is Go's own, is none.
	HeapFloor config.Size `config:"heap_floor" doc:"size that the heap may grow to before garbage is collected, unless GOGC says when"`
}

// SetDefaults fills what is zero.
func (s *Settings) SetDefaults() { set(&s.HeapFloor, 16<<20) }

// AdminConfig is the listener for operators: health, metrics, status, profiles.
type AdminConfig struct {
	// Addr is where it listens; "off" opens none.
	Addr string `config:"addr" doc:"health, metrics and status: host:port, unix:/path, or off"`
	// Token is what callers must present as a bearer token. It is required when the address
	// is not on loopback; health checks are answered without it.
	Token config.Secret `config:"token" doc:"bearer token, required beyond loopback"`
	// ACL says who may call besides; without rules, whoever reaches it and has the token. Health checks
	// are under it as well.
	ACL acl.Config `config:"acl"`
	// FlightRecorder keeps the execution trace of the last seconds for GET /debug/flightrecorder.
	// It can be started there as well, with POST, and ended with DELETE. While it does not run it costs
	// nothing. A service that answers as many small requests as it can spends a sixth of its CPU on it
	// (tools/peerbench has "ours, flight recorder": 0.84 of ours), one that waits for others less: what is
	// recorded are switches of goroutines and system calls, not time.
	FlightRecorder bool `config:"flight_recorder" doc:"keep an execution trace of the last seconds, which takes up to a sixth of the CPU"`
}

// SetDefaults fills what is zero.
func (c *AdminConfig) SetDefaults() { set(&c.Addr, "127.0.0.1:0") }

// Validate refuses an admin listener that strangers could reach.
func (c *AdminConfig) Validate() error {
	if c.Addr == "off" {
		return nil
	}
	network, address, err := splitAddr(c.Addr)
	if err != nil {
		return config.Invalid("addr", "%w", err)
	}
	if network == "unix" || c.Token.Reveal() != "" {
		return nil
	}
	host, _, _ := net.SplitHostPort(address)
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return config.Invalid("addr", "%q is reachable from other hosts: use a loopback address such as 127.0.0.1:8081, unix:/path, or set admin.token", c.Addr)
}

// ErrorsConfig is what becomes of failures.
type ErrorsConfig struct {
	// Dir is where a report of what failed is written at the end of each day (UTC), once by all
	// processes of the service, and of the day so far when it stops. Empty writes none.
	Dir string `config:"dir" doc:"directory for daily reports of failures; empty writes none"`
	// Keep bounds the reports in Dir; each is a file of JSON and one of text.
	Keep int `config:"keep" doc:"daily reports that are kept, and reports of parts of days besides; older ones are deleted"`
	// Salt is the key of the hash that users are told apart by in samples of failures. Processes with the
	// same salt make the same hash of one user. Empty means a random one, which ends with the process.
	Salt config.Secret `config:"salt" doc:"key of the hash by which samples of failures tell users apart"`
}

// SetDefaults fills what is zero.
func (c *ErrorsConfig) SetDefaults() { set(&c.Keep, 30) }

// Validate refuses to keep no report.
func (c *ErrorsConfig) Validate() error {
	if c.Keep < 0 {
		return config.Invalid("keep", "want 1 or more, got %d", c.Keep)
	}
	return nil
}

// LogConfig is the application log.
type LogConfig struct {
	Level  string            `config:"level" doc:"least severe level written: debug, info, warn or error"`
	Levels map[string]string `config:"levels" doc:"levels of single loggers, such as journal=debug"`
	Format string            `config:"format" doc:"json, console, or auto: console on a terminal"`
	// Path is standard error by default. A file is found again after it was renamed or removed
	// ([accesslog.File]); a directory has segments (see LogFilesConfig).
	Path  string         `config:"path" doc:"file to append to, directory (with / at its end) of segments, or - for standard error"`
	Files LogFilesConfig `config:"files"`
}

// SetDefaults fills what is zero.
func (c *LogConfig) SetDefaults() {
	set(&c.Level, "info")
	set(&c.Format, "auto")
	set(&c.Path, "-")
}

// Validate refuses unknown levels and formats.
func (c *LogConfig) Validate() error {
	if _, err := parseLevel(c.Level); err != nil {
		return config.Invalid("level", "%w", err)
	}
	for name, level := range c.Levels {
		if _, err := parseLevel(level); err != nil {
			return config.Invalid("levels", "logger %q: %w", name, err)
		}
	}
	switch c.Format {
	case "json", "console", "auto":
		return nil
	}
	return config.Invalid("format", "want json, console or auto, got %q", c.Format)
}

// DrainConfig is how the service stops.
type DrainConfig struct {
	ReadinessDelay time.Duration `config:"readiness_delay" doc:"how long to go on accepting after readiness went off"`
	// Min is for connections that no other process can take over: all of them when the service
	// stops, those with TLS when it is reloaded. A client whose idle connections are closed by
	// itself after less than Min never writes to one that is being closed. Negative is none; after
	// Timeout everything is closed.
	Min     time.Duration `config:"min" doc:"how long an idle HTTP/1 connection that cannot be handed over is kept"`
	Timeout time.Duration `config:"timeout" doc:"how long requests and background work may take to finish"`
}

// SetDefaults fills what is zero.
func (c *DrainConfig) SetDefaults() {
	set(&c.Min, 3*time.Second)
	set(&c.Timeout, 25*time.Second)
}

// Validate refuses negative spans where they have no meaning.
func (c *DrainConfig) Validate() error {
	if c.ReadinessDelay < 0 {
		return config.Invalid("readiness_delay", "want 0 or more, got %v", c.ReadinessDelay)
	}
	if c.Timeout < 0 {
		return config.Invalid("timeout", "want more than 0, got %v", c.Timeout)
	}
	return nil
}

// ReloadConfig is how a new process takes over from the one that serves.
type ReloadConfig struct {
	StartTimeout time.Duration `config:"start_timeout" doc:"how long a new worker may take until it is ready"`
	MaxDraining  int           `config:"max_draining" doc:"workers that may be draining at a time; a reload waits for the oldest"`
}

// SetDefaults fills what is zero.
func (c *ReloadConfig) SetDefaults() {
	set(&c.StartTimeout, time.Minute)
	set(&c.MaxDraining, 3)
}

// Validate refuses a reload that could never happen.
func (c *ReloadConfig) Validate() error {
	if c.StartTimeout < 0 {
		return config.Invalid("start_timeout", "want more than 0, got %v", c.StartTimeout)
	}
	if c.MaxDraining < 0 {
		return config.Invalid("max_draining", "want 1 or more, got %d", c.MaxDraining)
	}
	return nil
}

// HTTPConfig is one HTTP listener. A zero field means its default. A negative time or number of
// connections means none: no bound. Sizes always have one.
type HTTPConfig struct {
	Addr string    `config:"addr" doc:"where to listen: host:port (port 0: any free one) or unix:/path"`
	TLS  TLSConfig `config:"tls"`
	H2C  bool      `config:"h2c" doc:"also speak HTTP/2 without TLS, by prior knowledge"`

	// ACL says which proxies are trusted to name the client, and who may call.
	ACL acl.Config `config:"acl"`

	// Admission bounds how many requests are answered and wait at a time.
	Admission AdmissionConfig `config:"admission"`

	MaxConns int `config:"max_conns" doc:"connections open at a time"`
	// MaxConnsPerClient counts an IPv6 network of 64 bits as one client. Loopback and unix sockets
	// are exempt: there stand proxies, each of which brings many clients, and who is on the machine
	// itself has other ways to harm it.
	MaxConnsPerClient int           `config:"max_conns_per_client" doc:"connections that one client address has open at a time; one more is closed"`
	MaxHeader         config.Size   `config:"max_header" doc:"size of a request's header"`
	MaxBody           config.Size   `config:"max_body" doc:"size of a request's body"`
	HeaderTimeout     time.Duration `config:"header_timeout" doc:"time for a request's header to arrive"`
	BodyTimeout       time.Duration `config:"body_timeout" doc:"time for a request's body to arrive, longer by what it has of min_body_rate"`
	MinBodyRate       int           `config:"min_body_rate" doc:"bytes a second that a body must have brought to go on after body_timeout; negative: none may"`
	// WriteTimeout is for a single write, so an answer may take as long as it likes with a client
	// that reads it, and an endless stream as well.
	WriteTimeout time.Duration `config:"write_timeout" doc:"how long a client may read nothing of an answer before its connection is closed"`
	// Timeout is shorter for a request that says in Grpc-Timeout how long its caller waits, as chassis/client
	// does ([request.ParseTimeout]); one that cannot be read is ignored. Under bare_context neither bounds a
	// handler.
	Timeout     time.Duration `config:"timeout" doc:"time for a handler to answer, unless its caller has less; streams are exempt"`
	IdleTimeout time.Duration `config:"idle_timeout" doc:"how long a connection may wait for its next request"`

	Compress       bool     `config:"compress" doc:"compress answers with gzip for clients that accept it"`
	CORSOrigins    []string `config:"cors_origins" doc:"origins whose pages may call, such as https://example.com, or *"`
	TrustRequestID bool     `config:"trust_request_id" doc:"take over the X-Request-Id of all callers, not only of trusted proxies"`
	// BareContext leaves the contexts of requests as net/http makes them: without a deadline and
	// the request's id and trace, which spares 600 bytes a request. It is for handlers that ask
	// their context for neither, and that keep nothing of a request when they have returned: what
	// they wrote to is used again.
	BareContext bool `config:"bare_context" doc:"leave id, trace and deadline out of the contexts of requests"`
}

// SetDefaults fills what is zero.
func (c *HTTPConfig) SetDefaults() {
	set(&c.Addr, "127.0.0.1:0")
	set(&c.MaxConns, 10_000)
	set(&c.MaxConnsPerClient, 256)
	set(&c.MaxHeader, 32<<10)
	set(&c.MaxBody, 1<<20)
	set(&c.HeaderTimeout, 5*time.Second)
	set(&c.BodyTimeout, 30*time.Second)
	set(&c.MinBodyRate, 240)
	set(&c.WriteTimeout, 30*time.Second)
	set(&c.Timeout, 30*time.Second)
	set(&c.IdleTimeout, 120*time.Second)
}

// Validate refuses an address that cannot be listened on, sizes without a bound and origins that
// no browser sends.
func (c *HTTPConfig) Validate() error {
	var errs []error
	if err := ValidateAddr(c.Addr); err != nil {
		errs = append(errs, config.Invalid("addr", "%w", err))
	}
	if c.MaxHeader < 0 {
		errs = append(errs, config.Invalid("max_header", "a header must have a bound, got %d bytes", int64(c.MaxHeader)))
	}
	if c.MaxBody < 0 {
		errs = append(errs, config.Invalid("max_body", "bodies must have a bound, got %d bytes; a route may have none by MaxBody(-1)", int64(c.MaxBody)))
	}
	for _, origin := range c.CORSOrigins {
		if err := validateOrigin(origin); err != nil {
			errs = append(errs, config.Invalid("cors_origins", "%w", err))
		}
	}
	return errors.Join(errs...)
}

// validateOrigin refuses what cannot be in an Origin header (RFC 6454, section 7), but for *
// alone and as a part of the host.
func validateOrigin(origin string) error {
	if origin == "*" {
		return nil
	}
	u, err := url.Parse(strings.Replace(origin, "*", "any", 1))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.String() != u.Scheme+"://"+u.Host {
		return fmt.Errorf("want * or scheme://host[:port] without anything behind it, such as https://example.com, got %q", origin)
	}
	return nil
}

// TLSConfig names a certificate. Without one the listener speaks plain text.
type TLSConfig struct {
	Cert string `config:"cert" doc:"file with the certificate chain, PEM"`
	Key  string `config:"key" doc:"file with the private key, PEM"`
}

// Validate refuses half a key pair.
func (c *TLSConfig) Validate() error {
	switch {
	case c.Cert != "" && c.Key == "":
		return config.Invalid("key", "tls.cert is set, so the file of its private key is needed")
	case c.Cert == "" && c.Key != "":
		return config.Invalid("cert", "tls.key is set, so the file of its certificate is needed")
	}
	return nil
}

// ValidateAddr says what is wrong with an address to listen on, nil when it is host:port or
// unix:/path.
func ValidateAddr(addr string) error {
	_, _, err := splitAddr(addr)
	return err
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// splitAddr reads an address of the configuration into what net.Listen takes.
func splitAddr(addr string) (network, address string, err error) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		// A path that begins with @ would be an abstract socket, which has no permissions.
		if path == "" || path[0] == '@' {
			return "", "", &net.AddrError{Err: "want a path behind unix:", Addr: addr}
		}
		return "unix", path, nil
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", "", &net.AddrError{Err: "want host:port or unix:/path", Addr: addr}
	}
	if _, err := net.LookupPort("tcp", port); err != nil || port == "" {
		return "", "", &net.AddrError{Err: "want a port from 0 to 65535", Addr: addr}
	}
	return "tcp", addr, nil
}
