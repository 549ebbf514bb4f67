package config_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/seed-754044b3/roadworthy/chassis/config"
)

type Mode string

func (m Mode) Validate() error {
	if m != "fast" && m != "safe" {
		return fmt.Errorf("want fast or safe, got %q", string(m))
	}
	return nil
}

type TLS struct{ Cert, Key string }

func (c *TLS) Validate() error { // on the pointer
	if (c.Cert == "") != (c.Key == "") {
		return errors.New("want both cert and key, or neither")
	}
	return nil
}

type Server struct {
	Mode    Mode
	Modes   []Mode
	Min     int
	Max     int
	Timeout time.Duration
	TLS     TLS
}

var errTimeout = errors.New("too long")

func (c Server) Validate() error {
	var errs []error
	if c.Min > c.Max {
		errs = append(errs, config.Invalid("min", "want at most max (%d), got %d", c.Max, c.Min))
	}
	if c.Timeout > time.Hour {
		errs = append(errs, config.Invalid("timeout", "%w", errTimeout))
	}
	switch c.Max {
	case 101:
		return config.Invalid("tls.cert", "does not fit max")
	case 102:
		return config.Invalid("tls", "does not fit max")
	case 103:
		return config.Invalid("nothing", "is wrong")
	case 104:
		return fmt.Errorf("among others, %w", config.Invalid("max", "is wrong"))
	case 105:
		return config.Invalid("", "is wrong")
	case 106:
		return fmt.Errorf("%w and %w", errors.New("this"), errors.New("that"))
	}
	return errors.Join(errs...)
}

type Plain struct {
	Title  string
	Server Server
	strict
}

type strict struct{ Strict bool }

func (s strict) Validate() error {
	if s.Strict {
		return config.Invalid("strict", "is not possible here")
	}
	return nil
}

func TestValidateIsToldWithTheSourceOfWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		file string
		env  []string
		want string
	}{
		"fine": {"server: {timeout: 1s}", nil, ""},
		"a leaf": {"server:\n  mode: slow", nil,
			`f.yaml:2:9: key "server.mode": want fast or safe, got "slow"`},
		"an item": {"", []string{"S_SERVER_MODES=safe,slow"},
			`env S_SERVER_MODES: key "server.modes": item 2: want fast or safe, got "slow"`},
		"a section": {"server: {tls: {cert: c}}", []string{"S_SERVER_MAX=7"},
			`section "server.tls": want both cert and key, or neither (from f.yaml:1:22)`},
		"parts before the whole": {"server: {min: 9, tls: {cert: c}}", nil,
			`section "server.tls": want both cert and key, or neither (from f.yaml:1:30)`},
		"siblings together": {"server: {mode: slow, tls: {cert: c}}", nil,
			"f.yaml:1:16: key \"server.mode\": want fast or safe, got \"slow\"\nsection \"server.tls\": want both cert and key, or neither (from f.yaml:1:34)"},
		"a named field": {"server:\n  timeout: 2h", nil,
			`f.yaml:2:12: key "server.timeout": too long`},
		"several named fields": {"server:\n  timeout: 2h", []string{"S_SERVER_MIN=4"},
			"env S_SERVER_MIN: key \"server.min\": want at most max (2), got 4\nf.yaml:2:12: key \"server.timeout\": too long"},
		"a field that holds its default": {"server: {max: -1}", nil,
			`default: key "server.min": want at most max (-1), got 1`},
		"a field of an inner section": {"server: {max: 101}", nil,
			`default: key "server.tls.cert": does not fit max`},
		"an inner section": {"server: {max: 102}", nil,
			`section "server.tls": does not fit max (all defaults)`},
		"a field there is not": {"server: {max: 103}", nil,
			`section "server": nothing: is wrong (from f.yaml:1:15)`},
		"a named field within a text": {"server: {max: 104}", nil,
			`f.yaml:1:15: key "server.max": among others, max: is wrong`},
		"no field": {"server: {max: 105, min: 2, mode: safe, modes: [], timeout: 3s}", nil,
			`section "server": is wrong (from f.yaml:1:34, f.yaml:1:47, f.yaml:1:25, f.yaml:1:15 and 1 more)`},
		"woven errors": {"server: {max: 106}", nil,
			`section "server": this and that (from f.yaml:1:15)`},
		"an embedded private struct": {"strict: true", nil,
			`f.yaml:1:9: key "strict": is not possible here`},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Plain{Server: Server{Mode: "fast", Min: 1, Max: 2}}
			err := mustNew(t, "s", &cfg).Load(config.Sources{
				File: "f.yaml", Open: fstest.MapFS{"f.yaml": {Data: []byte(c.file)}}.Open, Env: c.env,
			})
			if c.want == "" {
				if err != nil || cfg.Server.Timeout != time.Second {
					t.Errorf("got %+v, %v", cfg, err)
				}
				return
			}
			if err == nil {
				t.Fatal("it was accepted")
			}
			check(t, err.Error(), c.want)
			if strings.Contains(c.want, "too long") && !errors.Is(err, errTimeout) {
				t.Errorf("%v does not wrap what Validate wrapped", err)
			}
			if cfg.Server.Min != 1 || cfg.Server.Max != 2 || cfg.Server.Mode != "fast" {
				t.Errorf("the defaults became %+v", cfg)
			}
		})
	}
}

type grumpy struct{ Name string }

func (grumpy) Validate() error { return errors.New("no") }

func TestTheWholeConfigurationIsValidatedToo(t *testing.T) {
	err := mustNew(t, "s", &grumpy{}, &struct{ Other int }{}).Load(config.Sources{Env: []string{"S_NAME=x", "S_OTHER=1"}})
	if err == nil || err.Error() != "configuration: no (from env S_NAME)" {
		t.Errorf("got %v", err)
	}
}

func TestNothingIsValidatedBeforeEverythingIsRead(t *testing.T) {
	err := mustNew(t, "s", &grumpy{}, &struct{ Other int }{}).Load(config.Sources{Env: []string{"S_OTHER=x"}})
	if err == nil || err.Error() != `env S_OTHER: key "other": want a whole number, got "x"` {
		t.Errorf("got %v", err)
	}
}

func TestInvalidReadsWellByItself(t *testing.T) {
	err := config.Invalid("addr", "want host:port: %w", errTimeout)
	if err.Error() != "addr: want host:port: too long" || !errors.Is(err, errTimeout) {
		t.Errorf("got %v", err)
	}
}
