package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/seed-754044b3/roadworthy/chassis/config"
)

func TestNoWayOfPrintingTellsASecret(t *testing.T) {
	s := config.NewSecret("hunter2")
	type open struct{ Secret config.Secret }
	type closed struct{ secret config.Secret }
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%10s"} {
		for _, v := range []any{s, &s, open{s}, &open{s}, closed{s}, []config.Secret{s}, map[string]config.Secret{"k": s}, fmt.Errorf("with %w", fmt.Errorf("%v", s))} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	fmt.Fprintln(&out, s.GoString(), s.String())
	for _, marshal := range []func(any) ([]byte, error){json.Marshal, yaml.Marshal} {
		b, err := marshal(map[string]any{"a": s, "b": open{s}, "c": []*config.Secret{&s}})
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "s", s, "o", open{s})
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "s", s, "o", open{s})
	for _, leak := range []string{"hunter2", fmt.Sprintf("%x", "hunter2"), fmt.Sprintf("%X", "hunter2"), fmt.Sprint([]byte("hunter2"))} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("%s shows in\n%s", leak, out.String())
		}
	}
	if n := strings.Count(out.String(), "[redacted]"); n < 60 {
		t.Errorf("[redacted] shows %d times, want most of them", n)
	}
	var none config.Secret
	if none.String() != "" || none.Reveal() != "" || fmt.Sprintf("%v|%#v", none, none) != "|" {
		t.Errorf("the empty secret shows as %v", none)
	}
}

func TestSecretsCompareByText(t *testing.T) {
	a, b := config.NewSecret("x"), config.NewSecret(strings.Repeat("x", 1))
	if !a.Equal(b) || a.Equal(config.NewSecret("y")) || a.Equal(config.Secret{}) || !(config.Secret{}).Equal(config.NewSecret("")) {
		t.Error("Equal does not compare the texts")
	}
	if !reflect.DeepEqual(a, b) {
		t.Error("reflect.DeepEqual, with which configurations are compared, tells equal secrets apart")
	}
}

type secretive struct{ Token config.Secret }

// secretFile writes a file and gives its path.
func secretFile(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestASecretIsReadFromTheFileItRefersTo(t *testing.T) {
	for name, c := range map[string]struct{ content, want string }{
		"plain": {"abc", "abc"}, "line break": {"abc\n", "abc"}, "Windows line break": {"abc\r\n", "abc"},
		"only the last break": {"abc\n\n", "abc\n"}, "binary": {"\xff\x00", "\xff\x00"}, "looks like a reference": {"file:x", "file:x"},
	} {
		t.Run(name, func(t *testing.T) {
			ref := "file:" + secretFile(t, c.content, 0o400)
			cfg := secretive{config.NewSecret(ref)} // a default may be a reference
			set := mustNew(t, "s", &cfg)
			if err := set.Load(config.Sources{}); err != nil {
				t.Fatal(err)
			}
			if cfg.Token.Reveal() != c.want {
				t.Errorf("got %q, want %q", cfg.Token.Reveal(), c.want)
			}
			if f, _ := set.Lookup("token"); f.Value != ref || f.Default != ref || f.Type != "secret" {
				t.Errorf("field is %+v", f)
			}
			if out := printed(t, set); !strings.Contains(out, "token: "+ref+"  # default") {
				t.Errorf("printed\n%s", out)
			}
		})
	}
}

func TestASecretFileThatIsUnsafeOrUnusableIsRefused(t *testing.T) {
	open, missing, dir := secretFile(t, "x", 0o640), filepath.Join(t.TempDir(), "no"), t.TempDir()
	empty, large := secretFile(t, "\n", 0o600), secretFile(t, strings.Repeat("x", 64<<10+1), 0o600)
	for ref, want := range map[string]string{
		"file:" + open:    "secret file: " + open + " has mode 0640: want 0600 or less, so that only its owner can read it",
		"file:" + missing: "secret file: open " + missing + ": no such file or directory",
		"file:" + dir:     "secret file: " + dir + " is a directory",
		"file:" + empty:   "secret file: " + empty + " is empty",
		"file:" + large:   "secret file: " + large + " is larger than 64KiB",
		"file:":           `want the secret's file as file:/path, got "file:"`,
		"[redacted]":      `"[redacted]" stands for a secret that was not printed; give the secret as text or file:/path`,
	} {
		var cfg secretive
		err := mustNew(t, "s", &cfg).Load(config.Sources{Env: []string{"S_TOKEN=" + ref}})
		if want = `env S_TOKEN: key "token": ` + want; err == nil || err.Error() != want {
			t.Errorf("%s gives %v, want %s", ref, err, want)
		}
		if cfg.Token.Reveal() != "" {
			t.Errorf("%s left %q", ref, cfg.Token.Reveal())
		}
	}
}

func TestAnOverriddenSecretIsNeitherReadNorRefused(t *testing.T) {
	for _, given := range []string{"file:/nowhere", `"[redacted]"`} {
		path := filepath.Join(t.TempDir(), "f.yaml")
		if err := os.WriteFile(path, []byte("token: "+given), 0o644); err != nil {
			t.Fatal(err)
		}
		var cfg secretive
		err := mustNew(t, "s", &cfg).Load(config.Sources{File: path, Env: []string{"S_TOKEN=real"}})
		if err != nil || cfg.Token.Reveal() != "real" {
			t.Errorf("%s: got %q, %v", given, cfg.Token.Reveal(), err)
		}
	}
}
