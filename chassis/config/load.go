package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
)

// A Layer is where a value can come from. A higher one overrides a lower.
type Layer int

// The layers, in the order they are applied.
const (
	FromDefault Layer = iota
	FromFile
	FromEnv
	FromFlag
)

// A Source is where the value of one key came from. The zero Source is the default.
type Source struct {
	Layer        Layer
	Name         string // of the file, the variable, or the flag with its hyphen
	Line, Column int    // in the file, from 1; the column counts characters
}

// String is "default", "games.yaml:3:9", "env GAME_HTTP_ADDR" or "flag -http.addr".
func (s Source) String() string {
	switch s.Layer {
	case FromFile:
		if s.Column == 0 {
			return s.Name + ":" + strconv.Itoa(s.Line)
		}
		return s.Name + ":" + strconv.Itoa(s.Line) + ":" + strconv.Itoa(s.Column)
	case FromEnv:
		return "env " + s.Name
	case FromFlag:
		return "flag " + s.Name
	}
	return "default"
}

// Sources is what Load reads besides the flags. The zero Sources is no file and an empty environment.
type Sources struct {
	// File is the name of the YAML file; empty for none. A file that is named must exist.
	File string
	// Open opens File and the files that secrets refer to; nil means os.Open. The Open method of
	// an fs.FS fits.
	Open func(name string) (fs.File, error)
	// Env is the environment as os.Environ gives it: "NAME=value". Of a name given twice the last counts.
	Env []string
}

// fileBytes bounds the configuration file.
const fileBytes = 1 << 20

// Load applies the file, the environment and the flags, in this order, then reads the files that
// secrets refer to, then validates. It returns all mistakes of the layers at once, one a line, or if
// there are none those of validation; then the structs hold their defaults again. Load can be called
// once; Flags and the parsing of the flags come before it.
func (s *Set) Load(src Sources) error {
	if s.loaded {
		return errors.New("config: this Set is loaded already; a new one starts from the defaults")
	}
	s.loaded = true
	open := src.Open
	if open == nil {
		open = func(name string) (fs.File, error) { return os.Open(name) }
	}
	var errs []error
	if src.File != "" {
		errs = s.loadFile(src.File, open)
	}
	errs = append(errs, s.loadEnv(src.Env)...)
	s.root.each(func(f *field) {
		if f.given.IsValid() {
			f.v.Set(f.given)
			f.source = Source{Layer: FromFlag, Name: "-" + f.key}
		}
	})
	if len(errs) == 0 {
		errs = s.resolveSecrets(open)
	}
	if len(errs) == 0 {
		errs = s.validate()
	}
	s.root.each(func(f *field) {
		if err := f.render(); err != nil {
			errs = append(errs, &problem{f.source, f.key, fmt.Errorf("print the value: %w", err)})
		}
	})
	if len(errs) == 0 {
		return nil
	}
	s.root.each(func(f *field) { f.v.Set(f.initial) })
	return errors.Join(errs...)
}

func (s *Set) loadEnv(env []string) (errs []error) {
	given := make(map[string]string)
	for _, pair := range env {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || !strings.HasPrefix(name, s.prefix) {
			continue
		}
		if s.byEnv[name] != nil {
			given[name] = value
		} else if near := s.nearestEnv(name); near != "" {
			s.warnings = append(s.warnings, fmt.Sprintf("environment variable %s sets nothing; did you mean %s?", name, near))
		}
	}
	slices.Sort(s.warnings)
	s.root.each(func(f *field) {
		value, ok := given[f.env]
		if !ok {
			return
		}
		source := Source{Layer: FromEnv, Name: f.env}
		v, err := f.codec.parse(value)
		if err == nil {
			f.v.Set(v)
			f.source = source
			return
		}
		if strings.HasPrefix(value, "tcp://") || strings.HasPrefix(value, "udp://") {
			err = fmt.Errorf("%w; Kubernetes sets such a variable for a service called %s: "+
				"set enableServiceLinks: false in the pod", err, s.service)
		}
		errs = append(errs, &problem{source, f.key, err})
	})
	return errs
}

// nearestEnv finds the variable a name was probably meant to be.
func (s *Set) nearestEnv(name string) string {
	best, bestDistance := "", 0
	s.root.each(func(f *field) {
		short := strings.TrimPrefix(name, s.prefix)
		d := distance(short, strings.TrimPrefix(f.env, s.prefix))
		if d <= near(short) && (best == "" || d < bestDistance) {
			best, bestDistance = f.env, d
		}
	})
	return best
}

// readBounded reads a file of at most limit bytes that check, if any, agrees to.
func readBounded(open func(string) (fs.File, error), name string, limit int64, check func(fs.FileInfo) error) (_ []byte, err error) {
	f, err := open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = cmp.Or(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fmt.Errorf("%s is a directory", name)
	}
	if check != nil {
		if err := check(info); err != nil {
			return nil, err
		}
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s is larger than %s", name, Size(limit))
	}
	return data, nil
}
