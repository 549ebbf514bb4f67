package chassis

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/accesslog"
	"github.com/seed-754044b3/roadworthy/chassis/config"
)

// AccessLogConfig is the access log: one line a request, in the form that a LogFormat of the Apache
// HTTP Server gives ([accesslog.Compile]). A zero field means its default.
type AccessLogConfig struct {
	// Path is a file that is found again after it was renamed or removed ([accesslog.File]). A
	// directory has segments, which are rotated, compressed and removed here (see LogFilesConfig).
	Path string `config:"path" doc:"file to append to, directory (with / at its end) of segments, - for standard output, or off"`
	// Format is checked before anything is served; an unknown directive is an error.
	Format string `config:"format" doc:"a LogFormat of httpd, or common, combined or vhost_combined"`
	// Headers lists what is refused otherwise: headers that carry secrets, cookies among them, and,
	// where Privacy is not full, headers in which proxies hand on addresses.
	Headers []string `config:"headers" doc:"headers that the format may show although they carry secrets or addresses"`
	// Exclude is by default where orchestrators ask for health and metrics. The empty list excludes
	// nothing. What is excluded is counted in the metrics all the same.
	Exclude []string `config:"exclude" doc:"paths and gRPC methods whose requests have no line"`

	// Streams is end by default. The line of a start has neither status nor size: -. Routes are streams
	// by [Stream], gRPC methods by their contract.
	Streams string `config:"streams" doc:"lines of a stream: end for one at its end, start for one at its start as well"`

	// Privacy is what is written of addresses; see [accesslog.AddressMode] for what each mode tells.
	Privacy string `config:"privacy" doc:"addresses: full, truncate (to /24 and /48), hmac (pseudonyms of a day) or drop"`
	// PrivacyKey should be the same for all processes of a service. Without one each has its own, so
	// that pseudonyms change at every reload.
	PrivacyKey config.Secret `config:"privacy_key" doc:"key of the pseudonyms of hmac, 16 bytes or more"`
	// Query is auto by default: query strings are written where addresses are written in full.
	Query string `config:"query" doc:"whether query strings are written: true, false, or auto: with full addresses"`

	FlushEvery time.Duration `config:"flush_every" doc:"how long a line may wait for others before it is written"`
	Buffer     config.Size   `config:"buffer" doc:"size at which lines are written without waiting; two of these are kept"`
}

// probes are the paths at which health and metrics are asked for, and the methods of gRPC's health
// service.
func probes() []string {
	return []string{
		"/healthz", "/livez", "/readyz", "/startupz", "/metrics",
		"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/List", "/grpc.health.v1.Health/Watch",
	}
}

// SetDefaults fills what is zero.
func (c *AccessLogConfig) SetDefaults() {
	set(&c.Path, "-")
	set(&c.Format, "combined")
	if c.Exclude == nil {
		c.Exclude = probes()
	}
	set(&c.Streams, "end")
	set(&c.Privacy, "full")
	set(&c.Query, "auto")
	set(&c.FlushEvery, 200*time.Millisecond)
	set(&c.Buffer, 64<<10)
}

// Validate refuses a format that cannot be, one that tells what is to be kept private, and a log
// without bounds.
func (c *AccessLogConfig) Validate() error {
	_, err := c.options(nil)
	return err
}

// Bounds of access_log.buffer: a page, and what a service can spare.
const (
	minLogBuffer = 4 << 10
	maxLogBuffer = 16 << 20
)

// options is what a writer is made with. A key that the settings do not have is read from rand; nil
// is for settings that are only looked at.
func (c *AccessLogConfig) options(rand io.Reader) (accesslog.Options, error) {
	o := accesslog.Options{FlushEvery: c.FlushEvery, Buffer: int(c.Buffer)}
	var err error
	if o.Format, err = accesslog.Compile(c.Format, c.Headers...); err != nil {
		return o, config.Invalid("format", "%w", err)
	}
	if o.Privacy.Addresses, err = accesslog.ParseAddressMode(c.Privacy); err != nil {
		return o, config.Invalid("privacy", "%w", err)
	}
	full := o.Privacy.Addresses == accesslog.FullAddresses
	for _, header := range []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip", "X-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip"} {
		allowed := slices.ContainsFunc(c.Headers, func(name string) bool { return strings.EqualFold(name, header) })
		if !full && o.Format.Shows(header) && !allowed {
			return o, config.Invalid("format", "%s holds addresses, of which privacy=%s hides what it can: leave it out, or list it in access_log.headers", header, c.Privacy)
		}
	}
	switch c.Query {
	case "auto":
		o.Privacy.NoQuery = !full
	case "true", "false":
		o.Privacy.NoQuery = c.Query == "false"
	default:
		return o, config.Invalid("query", "want true, false or auto, got %q", c.Query)
	}
	if c.Streams != "end" && c.Streams != "start" {
		return o, config.Invalid("streams", "want end or start, got %q", c.Streams)
	}
	if c.FlushEvery < 0 {
		return o, config.Invalid("flush_every", "want more than 0, got %v", c.FlushEvery)
	}
	if c.Buffer < minLogBuffer || c.Buffer > maxLogBuffer {
		return o, config.Invalid("buffer", "want %v to %v, got %v", config.Size(minLogBuffer), config.Size(maxLogBuffer), c.Buffer)
	}
	o.Privacy.Secret = []byte(c.PrivacyKey.Reveal())
	switch n := len(o.Privacy.Secret); {
	case n > 0 && n < 16:
		return o, config.Invalid("privacy_key", "want 16 bytes or more, got %d: whoever guesses it finds the addresses", n)
	case n == 0 && rand != nil && o.Privacy.Addresses == accesslog.HashAddresses:
		o.Privacy.Secret = make([]byte, 32)
		if _, err := io.ReadFull(rand, o.Privacy.Secret); err != nil {
			return o, fmt.Errorf("privacy_key: make one: %w", err)
		}
	}
	return o, nil
}
