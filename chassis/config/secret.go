package config

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// A Secret is a text that does not print: every format of package fmt, JSON, YAML and the structured
// loggers show "[redacted]", or nothing when it is empty. The zero Secret is empty.
//
// A configuration gives it literally, or as "file:PATH", which Load replaces by the file's content
// without its last line break. PATH may be relative to the working directory. The file may hold
// 64 KiB and must not be accessible to anybody but its owner: its mode is 0600 or less. (Windows has
// no such modes; there they are not checked.) Only the reference that wins over all layers is read.
//
// Two Secrets with the same text need not be ==; compare them with Equal.
type Secret struct {
	// A pointer, because fmt calls no methods on what an unexported field holds but prints
	// it by reflection: of a pointer that is only an address.
	value *string
}

const (
	redacted    = "[redacted]"
	reference   = "file:"
	secretBytes = 64 << 10
)

// NewSecret makes a Secret of a text: for defaults and tests. A default may be a "file:" reference.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal is the text itself. Hand it to what needs it and keep it nowhere else.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Equal compares the texts in a time that depends on their lengths alone.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// String is "[redacted]", or "" when the Secret is empty.
func (s Secret) String() string {
	if s.Reveal() == "" {
		return ""
	}
	return redacted
}

// GoString is String.
func (s Secret) GoString() string { return s.String() }

// Format writes String, whatever the verb.
func (s Secret) Format(f fmt.State, verb rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText gives String.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON gives String, as JSON.
func (s Secret) MarshalJSON() ([]byte, error) { return strconv.AppendQuote(nil, s.String()), nil }

type secretCodec struct{}

const secretForm = "a secret as text or file:/path"

func (secretCodec) word() string { return "secret" }

func (secretCodec) parse(text string) (reflect.Value, error) {
	if !utf8.ValidString(text) {
		return reflect.Value{}, errNotUTF8
	}
	return reflect.ValueOf(NewSecret(text)), nil
}

func (c secretCodec) decode(n *yaml.Node) (reflect.Value, error) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
		return reflect.Value{}, &wanted{want: secretForm, got: nodeWord(n)}
	}
	return c.parse(n.Value)
}

func (secretCodec) format(v reflect.Value) (string, func() string, error) {
	s := v.Interface().(Secret)
	text := s.String()
	if strings.HasPrefix(s.Reveal(), reference) {
		text = s.Reveal()
	}
	return text, func() string { return yamlString(text) }, nil
}

// resolveSecrets replaces references by what they refer to. It comes after all layers, so that
// neither an overridden reference is read nor an overridden "[redacted]" refused.
func (s *Set) resolveSecrets(open func(string) (fs.File, error)) (errs []error) {
	s.root.each(func(f *field) {
		secret, ok := f.v.Interface().(Secret)
		if !ok {
			return
		}
		text := secret.Reveal()
		if text == redacted {
			errs = append(errs, &problem{f.source, f.key, errors.New(`"[redacted]" stands for a secret that was not printed; give the secret as text or file:/path`)})
			return
		}
		path, ok := strings.CutPrefix(text, reference)
		if !ok {
			if f.source.Layer == FromFlag && text != "" {
				s.warnings = append(s.warnings, f.source.String()+": everybody on the machine can read a secret on the command line; give it as file:/path")
			}
			return
		}
		content, err := readSecret(open, path)
		if err != nil {
			errs = append(errs, &problem{f.source, f.key, err})
			return
		}
		f.reference = text
		f.v.Set(reflect.ValueOf(NewSecret(content)))
	})
	return errs
}

func readSecret(open func(string) (fs.File, error), path string) (string, error) {
	if path == "" {
		return "", &wanted{want: "the secret's file as file:/path", got: quote(reference)}
	}
	data, err := readBounded(open, path, secretBytes, func(info fs.FileInfo) error {
		// The mode is that of the opened file, so it cannot be exchanged after the look at it.
		if mode := info.Mode().Perm(); mode&^0o600 != 0 && runtime.GOOS != "windows" {
			return fmt.Errorf("%s has mode %04o: want 0600 or less, so that only its owner can read it", path, mode)
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("secret file: %w", err)
	}
	content := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if content == "" {
		return "", fmt.Errorf("secret file: %s is empty", path)
	}
	return content, nil
}
