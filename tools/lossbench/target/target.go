// Package target is a service whose only purpose is to be asked by every kind of client while it is
// replaced: package lossbench counts what such a replacement loses. The daemon is tools/cmd/lossd:
//
//	func main() { chassis.Main(target.Spec) }
//
// Its listeners are "http" (HTTP/1.1 and h2c), "https" where a certificate is configured, and "grpc".
//
//	GET, POST /work   reads the body and answers "<pid> <bytes read>"
//	GET /sse          an event every 50 ms; says "event: reconnect" and ends when the service drains
//	GET /ws           a websocket that echoes; closed with 1012 (service restart) when the service drains
//	GET /child        starts a process and answers what it has inherited beside its standard descriptors
//	GET /orphan       leaves a process behind that has no parent and soon ends
//	loss.Echo/Unary   echoes a google.protobuf.StringValue
//	loss.Echo/Bidi    echoes every message; sends [Moving] when the service drains, after which the
//	                  client half-closes and gets what is outstanding
//
// Each answer of /work and Unary names the process that gave it or takes as long as real ones do: 2 % take
// 300 ms, half of the others up to 3 ms. The query ms=N has /work take N milliseconds instead.
//
// A fault in the configuration makes the service one that must not be put in another's place; see [Config].
package target

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/seed-754044b3/roadworthy/chassis"
	"github.com/seed-754044b3/roadworthy/chassis/config"
	"github.com/seed-754044b3/roadworthy/chassis/grpcserver"
	"github.com/seed-754044b3/roadworthy/chassis/logfile/s3"
)

// Config is the configuration of the service.
type Config struct {
	HTTP  chassis.HTTPConfig `config:"http"`
	HTTPS chassis.HTTPConfig `config:"https"`
	GRPC  grpcserver.Config  `config:"grpc"`
	Seed  uint64             `config:"seed" doc:"what the mix of handler times is drawn from"`
	// Fault is what goes wrong: "panic", "error" and "hang" in Setup (the last until Setup is
	// given up), "crash" by a panic in another goroutine meanwhile, "die" with exit code 1 shortly after the service is ready, "deaf" with a route
	// /deaf whose handler does not heed its context. "" is nothing.
	Fault string `config:"fault" doc:"what goes wrong: panic, crash, error, hang, die, deaf, or nothing"`
	// FaultFile names a file that holds a fault as above. It wins over Fault unless it is empty
	// or absent. So the worker that a running daemon starts next can get another.
	FaultFile string `config:"fault_file" doc:"file that holds a fault, read at each start"`
	// LeaseFile names a file to which only one process of the service appends at a time: "<pid>
	// open", "<pid> held" every 2 ms, "<pid> close". Empty is none.
	LeaseFile string `config:"lease_file" doc:"file that one process at a time appends to"`
	// Bucket is where segments of the access log go, if it is made of segments.
	Bucket s3.Config `config:"bucket"`
}

var faults = []string{"", "panic", "crash", "error", "hang", "die", "deaf"}

// Validate refuses faults that there are not.
func (c *Config) Validate() error {
	if err := knownFault(c.Fault); err != nil {
		return config.Invalid("fault", "%w", err)
	}
	return nil
}

func knownFault(fault string) error {
	if slices.Contains(faults, fault) {
		return nil
	}
	return fmt.Errorf("want one of %s, or none, got %q", strings.Join(faults[1:], ", "), fault)
}

// Spec is the service. It does not change.
var Spec = chassis.Spec[Config]{
	Name: "loss",
	Doc:  "answers every kind of client while it is replaced",
	Defaults: Config{
		HTTP:  chassis.HTTPConfig{Addr: "127.0.0.1:8080", H2C: true},
		HTTPS: chassis.HTTPConfig{Addr: "127.0.0.1:8443"},
		GRPC:  grpcserver.Config{Addr: "127.0.0.1:9090"},
		Seed:  1,
	},
	Setup: setup,
}

func setup(ctx context.Context, s *chassis.Service, cfg Config) error {
	fault, err := cfg.fault()
	if err != nil {
		return err
	}
	if !s.Dry() {
		if err := suffer(ctx, s, fault); err != nil {
			return err
		}
	}
	if cfg.LeaseFile != "" {
		share(s, cfg.LeaseFile)
	}
	if cfg.Bucket.Enabled() {
		bucket, err := s3.Open(cfg.Bucket)
		if err != nil {
			return err
		}
		s.ShipLogs(bucket)
	}
	srv := newServer(s, cfg.Seed)
	router := srv.router()
	if fault == "deaf" {
		router.Handle("GET /deaf", srv.deaf)
	}
	if err := s.HTTP("http", cfg.HTTP, router); err != nil {
		return err
	}
	if cfg.HTTPS.TLS.Cert != "" {
		if err := s.HTTP("https", cfg.HTTPS, router); err != nil {
			return err
		}
	}
	return grpcserver.Serve(s, "grpc", cfg.GRPC, srv.register)
}

// fault is the fault in effect.
func (c *Config) fault() (string, error) {
	if c.FaultFile == "" {
		return c.Fault, nil
	}
	text, err := os.ReadFile(c.FaultFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read fault_file: %w", err)
	}
	fault := strings.TrimSpace(string(text))
	if fault == "" {
		return c.Fault, nil
	}
	if err := knownFault(fault); err != nil {
		return "", fmt.Errorf("fault_file %s: %w", c.FaultFile, err)
	}
	return fault, nil
}
