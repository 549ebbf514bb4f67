// Package gonewgate tries the service template as a user would, before anything is released.
//
// Nothing else shows whether the template can be copied: gonew rewrites only the module line and the
// import paths in Go files, so a path in a Dockerfile, a README or a protobuf option stays what it was,
// and inside the repository go.work hides requirements that a copy lacks. The package's test packs the
// library and the template from the working tree into a proxy of files, runs the real gonew against it,
// builds, vets and tests the copy outside the repository, starts its service, calls it and stops it.
package gonewgate

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/seed-754044b3/roadworthy/tools/internal/workspace"
	"github.com/seed-754044b3/roadworthy/tools/modproxy"
	"github.com/seed-754044b3/roadworthy/tools/tidy"
)

const (
	gonew   = "golang.org/x/tools/cmd/gonew@v0.52.0"
	version = "v0.1.0" // what the template is packed as
)

// A Copy is a module that gonew made from a template.
type Copy struct {
	Dir string   // its folder
	Env []string // what go commands in it need to see the packed modules: add it to the environment
}

// New packs the workspace's module with the path template, the siblings it requires and the modules with
// the paths beside, whose programs the copy runs at the same version, and has gonew copy the template to a
// new module with the path destination. All it writes is below scratch, an existing
// folder outside any module; the developer's module cache gets nothing but gonew itself.
func New(ctx context.Context, w *workspace.Workspace, template, destination, scratch string, beside ...string) (Copy, error) {
	root, err := w.RootModule()
	if err != nil {
		return Copy{}, err
	}
	proxy := modproxy.Proxy{Dir: filepath.Join(scratch, "proxy")}
	cache := filepath.Join(scratch, "modcache")
	if err := tidy.Pack(ctx, w, proxy, cache, version, append([]string{template}, beside...)...); err != nil {
		return Copy{}, err
	}
	bin := filepath.Join(scratch, "bin")
	if _, err := workspace.Output(ctx, scratch, []string{"GOBIN=" + bin, "GOWORK=off"}, "go", "install", gonew); err != nil {
		return Copy{}, err
	}
	// The module cache is a new folder each time. -trimpath keeps its name out of what is compiled, so
	// that the next run finds that in the build cache.
	env, err := proxy.Environment(ctx, root.Path, cache, "-trimpath")
	if err != nil {
		return Copy{}, err
	}
	dir := filepath.Join(scratch, "copy")
	if _, err := workspace.Output(ctx, scratch, env, filepath.Join(bin, "gonew"), template+"@"+version, destination, dir); err != nil {
		return Copy{}, err
	}
	return Copy{Dir: dir, Env: env}, nil
}

// Leftovers returns the files below dir, relative to it and in lexical order, that hold text.
func Leftovers(dir, text string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if bytes.Contains(data, []byte(text)) {
			relative, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			found = append(found, filepath.ToSlash(relative))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("search %s: %w", dir, err)
	}
	return found, nil
}

var (
	listenerField = regexp.MustCompile(`"?\blistener"?\s*[:=]\s*"?([\w.-]+)`)
	addrField     = regexp.MustCompile(`"?\baddr"?\s*[:=]\s*"?([^\s",}]+)`)
)

// Listener reads a log line by which a service says that one of its listeners is bound, in JSON or as
// on a terminal: one with fields "listener" and "addr".
func Listener(line string) (name, addr string, ok bool) {
	n, a := listenerField.FindStringSubmatch(line), addrField.FindStringSubmatch(line)
	if n == nil || a == nil {
		return "", "", false
	}
	return n[1], a[1], true
}
