package chassis_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis"
	keys "github.com/seed-754044b3/roadworthy/chassis/config"
)

func TestSettingsThatMakeNoSenseAreRefused(t *testing.T) {
	for want, v := range map[string]interface{ Validate() error }{
		`level: want debug, info, warn or error, got "loud"`:                                                                          &chassis.LogConfig{Level: "loud", Format: "json"},
		`levels: logger "x": want debug, info, warn or error, got "DEBUG"`:                                                            &chassis.LogConfig{Level: "info", Levels: map[string]string{"x": "DEBUG"}, Format: "json"},
		`format: want json, console or auto, got "xml"`:                                                                               &chassis.LogConfig{Level: "info", Format: "xml"},
		"readiness_delay: want 0 or more, got -1s":                                                                                    &chassis.DrainConfig{ReadinessDelay: -time.Second},
		"timeout: want more than 0, got -1s":                                                                                          &chassis.DrainConfig{Timeout: -time.Second},
		"addr: address 8080: want host:port or unix:/path":                                                                            &chassis.HTTPConfig{Addr: "8080"},
		"addr: address :70000: want a port from 0 to 65535":                                                                           &chassis.HTTPConfig{Addr: ":70000"},
		"addr: address 127.0.0.1:: want a port from 0 to 65535":                                                                       &chassis.HTTPConfig{Addr: "127.0.0.1:"},
		"addr: address unix:: want a path behind unix:":                                                                               &chassis.HTTPConfig{Addr: "unix:"},
		"addr: address unix:@abstract: want a path behind unix:":                                                                      &chassis.HTTPConfig{Addr: "unix:@abstract"},
		"max_header: a header must have a bound, got -1 bytes":                                                                        &chassis.HTTPConfig{Addr: ":0", MaxHeader: -1},
		"max_body: bodies must have a bound, got -1 bytes; a route may have none by MaxBody(-1)":                                      &chassis.HTTPConfig{Addr: ":0", MaxBody: -1},
		`cors_origins: want * or scheme://host[:port] without anything behind it, such as https://example.com, got "https://x.test/"`: &chassis.HTTPConfig{Addr: ":0", CORSOrigins: []string{"https://x.test/"}},
		`cors_origins: want * or scheme://host[:port] without anything behind it, such as https://example.com, got "x.test"`:          &chassis.HTTPConfig{Addr: ":0", CORSOrigins: []string{"x.test"}},
		"key: tls.cert is set, so the file of its private key is needed":                                                              &chassis.TLSConfig{Cert: "c"},
		"cert: tls.key is set, so the file of its certificate is needed":                                                              &chassis.TLSConfig{Key: "k"},
		"": &chassis.HTTPConfig{Addr: ":0", CORSOrigins: []string{"*", "https://x.test:8443", "http://*.x.test"}},
	} {
		err := v.Validate()
		if got := errorText(err); got != want {
			t.Errorf("%+v: %s, want %s", v, got, want)
		}
	}
	if err := chassis.ValidateAddr("127.0.0.1:80"); err != nil {
		t.Error(err)
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestWhatIsLeftZeroHasDefaults(t *testing.T) {
	var c chassis.HTTPConfig
	c.SetDefaults()
	if c.Addr != "127.0.0.1:0" || c.MaxConns != 10_000 || c.MaxHeader != 32*keys.KiB || c.MaxBody != keys.MiB || c.HeaderTimeout != 5*time.Second ||
		c.BodyTimeout != 30*time.Second || c.Timeout != 30*time.Second || c.IdleTimeout != 2*time.Minute || c.H2C || c.Compress || c.TrustRequestID {
		t.Errorf("defaults %+v", c)
	}
	c = chassis.HTTPConfig{Timeout: -1, MaxConns: 7}
	c.SetDefaults()
	if c.Timeout != -1 || c.MaxConns != 7 {
		t.Errorf("what was set is lost: %+v", c)
	}
	type inner struct{ HTTP chassis.HTTPConfig }
	type nested struct {
		Inner  inner
		Number int
		hidden chassis.HTTPConfig
	}
	_, err := chassis.Start(t.Context(), chassis.Spec[nested]{Name: "test", Setup: func(_ context.Context, _ *chassis.Service, c nested) error {
		if c.Inner.HTTP.MaxConns != 10_000 || c.hidden.MaxConns != 0 {
			t.Errorf("configuration %+v", c)
		}
		return os.ErrInvalid
	}}, nil, chassis.World{Log: nil, Stdout: os.Stderr})
	if err == nil {
		t.Error("started")
	}
	// A configuration need not be a struct of sections.
	_, err = chassis.Start(t.Context(), chassis.Spec[int]{Name: "test", Setup: func(context.Context, *chassis.Service, int) error { return nil }}, nil, chassis.World{})
	if err == nil || !strings.Contains(err.Error(), "want a pointer to a struct") {
		t.Errorf("a number as configuration: %v", err)
	}
}

func TestUnixSocketsAreForOwnerAndGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	h := start(t, options{http: chassis.HTTPConfig{Addr: "unix:" + path}}, serve(routes(nil)))
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := try(t, options{http: chassis.HTTPConfig{Addr: "unix:" + path}}, serve(routes(nil))); err == nil ||
		!strings.Contains(err.Error(), "address already in use (another process listens there, or another listener of this service)") {
		t.Errorf("a second listener: %v", err)
	}
	h.stop()
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

func TestASocketThatADeadProcessLeftIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	h := start(t, options{http: chassis.HTTPConfig{Addr: "unix:" + path}}, serve(routes(nil)))
	h.stop()
}

func TestASocketThatCannotBeMadeSaysWhy(t *testing.T) {
	dir := t.TempDir()
	regular := filepath.Join(dir, "file")
	if err := os.WriteFile(regular, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/nonexistent/s":                     "no such file or directory (the directory does not exist)",
		dir + "/" + strings.Repeat("x", 200): "invalid argument (the path of a socket has at most about 100 characters)",
		regular:                              "address already in use (another process listens there, or another listener of this service)",
	} {
		_, err := try(t, options{http: chassis.HTTPConfig{Addr: "unix:" + path}}, serve(routes(nil)))
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if readFile(t, regular) != "precious" {
		t.Error("a file was removed")
	}
	_, err := try(t, options{http: chassis.HTTPConfig{Addr: "no.such.host.invalid:80"}}, serve(routes(nil)))
	if err == nil || !strings.Contains(err.Error(), `listener "http": cannot listen on no.such.host.invalid:80: lookup`) {
		t.Errorf("an unknown host: %v", err)
	}
}

func TestAPortThatNeedsAPrivilegeIsExplained(t *testing.T) {
	refuse := func(context.Context, string, string, string) (net.Listener, error) {
		return nil, &net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", syscall.EACCES)}
	}
	_, err := try(t, options{http: chassis.HTTPConfig{Addr: "127.0.0.1:80"}, world: func(w *chassis.World) { w.Listen = refuse },
		settings: func(s *chassis.Settings) { s.Admin.Addr = "off" }}, serve(routes(nil)))
	if err == nil || err.Error() != `test: listener "http": cannot listen on 127.0.0.1:80: permission denied (ports below 1024 need a privilege)` {
		t.Errorf("error %v", err)
	}
}
