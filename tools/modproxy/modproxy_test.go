package modproxy_test

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-754044b3/roadworthy/tools/internal/treetest"
	"github.com/seed-754044b3/roadworthy/tools/internal/workspace"
	"github.com/seed-754044b3/roadworthy/tools/modproxy"
)

var library = map[string]string{
	".gitignore":           "/out/\n",
	"LICENSE":              "free\n",
	"go.mod":               "module example.com/Lib\n\ngo 1.26.0\n",
	"go.work":              "go 1.26.0\nuse (\n\t.\n\t./template\n)\n",
	"lib.go":               "package lib\n\nfunc Hello() string { return \"hello\" }\n",
	"out/binary":           "ignored",
	"template/go.mod":      "module example.com/Lib/template\n\ngo 1.26.0\n\nrequire example.com/Lib v0.1.0\n",
	"template/cmd/main.go": "package main\n\nimport lib \"example.com/Lib\"\n\nfunc main() { println(lib.Hello()) }\n",
}

func zipNames(t *testing.T, file string) []string {
	t.Helper()
	r, err := zip.OpenReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var names []string
	for _, f := range r.File {
		names = append(names, f.Name)
	}
	return names
}

func TestPackWritesWhatTheProxyProtocolAsksFor(t *testing.T) {
	root := treetest.Repository(t, library)
	p := modproxy.Proxy{Dir: filepath.Join(t.TempDir(), "proxy")}
	for _, version := range []string{"v0.10.0", "v0.2.0", "v0.10.0"} {
		m, err := p.Pack(t.Context(), root, version, nil)
		if err != nil {
			t.Fatal(err)
		}
		if m.Path != "example.com/Lib" || m.Version != version {
			t.Errorf("packed %v", m)
		}
	}
	folder := "example.com/!lib/@v/" // upper-case letters are escaped
	if got, want := treetest.Read(t, p.Dir, folder+"list"), "v0.2.0\nv0.10.0\n"; got != want {
		t.Errorf("list %q, want %q", got, want)
	}
	if got, want := treetest.Read(t, p.Dir, folder+"v0.2.0.info"), `{"Version":"v0.2.0","Time":"2026-01-01T00:00:00Z"}`; got != want {
		t.Errorf("info %s, want %s", got, want)
	}
	if got := treetest.Read(t, p.Dir, folder+"v0.2.0.mod"); got != library["go.mod"] {
		t.Errorf("mod %q", got)
	}
	names := zipNames(t, filepath.Join(p.Dir, folder, "v0.2.0.zip"))
	prefix := "example.com/Lib@v0.2.0/"
	want := []string{prefix + ".gitignore", prefix + "LICENSE", prefix + "go.mod", prefix + "go.work", prefix + "lib.go"}
	if !slices.Equal(names, want) {
		t.Errorf("zip holds %v, want %v: no ignored file, no nested module", names, want)
	}
}

func TestPackGivesANestedModuleTheLicenseOfTheRepository(t *testing.T) {
	root := treetest.Repository(t, library)
	p := modproxy.Proxy{Dir: t.TempDir()}
	if _, err := p.Pack(t.Context(), filepath.Join(root, "template"), "v0.1.0", nil); err != nil {
		t.Fatal(err)
	}
	names := zipNames(t, filepath.Join(p.Dir, "example.com/!lib/template/@v/v0.1.0.zip"))
	prefix := "example.com/Lib/template@v0.1.0/"
	if want := []string{prefix + "LICENSE", prefix + "cmd/main.go", prefix + "go.mod"}; !slices.Equal(names, want) {
		t.Errorf("zip holds %v, want %v", names, want)
	}
}

func TestPackTakesOverlaidFilesInsteadOfThoseOnDisk(t *testing.T) {
	root := treetest.Repository(t, library)
	p := modproxy.Proxy{Dir: t.TempDir()}
	overlay := map[string][]byte{"go.mod": []byte("module example.com/Lib\n\ngo 1.26.1\n"), "go.sum": nil}
	if _, err := p.Pack(t.Context(), root, "v0.1.0", overlay); err != nil {
		t.Fatal(err)
	}
	if got := treetest.Read(t, p.Dir, "example.com/!lib/@v/v0.1.0.mod"); got != string(overlay["go.mod"]) {
		t.Errorf("mod %q", got)
	}
	if names := zipNames(t, filepath.Join(p.Dir, "example.com/!lib/@v/v0.1.0.zip")); !slices.Contains(names, "example.com/Lib@v0.1.0/go.sum") {
		t.Errorf("go.sum is not in %v", names)
	}
}

func TestPackingTheSameTreeTwiceGivesTheSameBytes(t *testing.T) {
	root := treetest.Repository(t, library)
	var archives [2][]byte
	for i := range archives {
		p := modproxy.Proxy{Dir: t.TempDir()}
		if _, err := p.Pack(t.Context(), root, "v0.1.0", nil); err != nil {
			t.Fatal(err)
		}
		archives[i] = []byte(treetest.Read(t, p.Dir, "example.com/!lib/@v/v0.1.0.zip"))
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("the zips differ")
	}
}

func TestPackSaysWhatIsWrong(t *testing.T) {
	good := treetest.Repository(t, library)
	file := filepath.Join(treetest.Write(t, map[string]string{"file": ""}), "file")
	listIsFolder := treetest.Write(t, map[string]string{"example.com/!lib/@v/list/x": ""})
	zipIsFolder := treetest.Write(t, map[string]string{"example.com/!lib/@v/v0.1.0.zip/x": ""})
	for name, c := range map[string]struct{ proxy, dir, version, want string }{
		"version not semantic":  {t.TempDir(), good, "0.1.0", `version "0.1.0" is not`},
		"no repository":         {t.TempDir(), t.TempDir(), "v0.1.0", "not a git repository"},
		"no go.mod":             {t.TempDir(), treetest.Repository(t, map[string]string{"a": ""}), "v0.1.0", "no go.mod"},
		"no module path":        {t.TempDir(), treetest.Repository(t, map[string]string{"go.mod": ""}), "v0.1.0", "malformed module path"},
		"wrong major version":   {t.TempDir(), good, "v2.0.0", "v2.0.0"},
		"proxy below a file":    {filepath.Join(file, "proxy"), good, "v0.1.0", "not a directory"},
		"list cannot be read":   {listIsFolder, good, "v0.1.0", "is a directory"},
		"zip cannot be written": {zipIsFolder, good, "v0.1.0", "is a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := modproxy.Proxy{Dir: c.proxy}.Pack(t.Context(), c.dir, c.version, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestTheGoCommandBuildsFromTheProxyAndLeavesTheDevelopersCacheAlone(t *testing.T) {
	t.Setenv("GONOSUMDB", "example.org")
	root := treetest.Repository(t, library)
	p := modproxy.Proxy{Dir: t.TempDir()}
	if _, err := p.Pack(t.Context(), root, "v0.1.0", nil); err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	env, err := p.Environment(t.Context(), "example.com/Lib", cache, "-mod=mod")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(env, "GONOSUMDB=example.com/Lib,example.org") {
		t.Errorf("the developer's GONOSUMDB is lost: %q", env)
	}
	out, err := workspace.Output(t.Context(), filepath.Join(root, "template"), env, "go", "list", "-m", "-f", "{{.Dir}}", "example.com/Lib")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(out)); got != "" && !strings.HasPrefix(got, cache) {
		t.Errorf("the library came to %s, want it below %s", got, cache)
	}
	if _, err := workspace.Output(t.Context(), filepath.Join(root, "template"), env, "go", "vet", "./..."); err != nil {
		t.Error(err)
	}
	if err := os.RemoveAll(cache); err != nil {
		t.Errorf("the cache cannot be removed: %v", err)
	}
}

func TestEnvironmentReportsAGoCommandThatCannotRun(t *testing.T) {
	t.Setenv("PATH", "")
	if _, err := (modproxy.Proxy{Dir: t.TempDir()}).Environment(t.Context(), "example.com", t.TempDir()); err == nil {
		t.Error("no error")
	}
}
