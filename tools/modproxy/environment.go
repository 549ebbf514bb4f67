package modproxy

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/seed-754044b3/roadworthy/tools/internal/workspace"
)

// Environment returns what to add to the environment of a go command that is to see the modules in
// the proxy, outside any workspace. own is the path prefix of the packed modules: they are in no
// checksum database. cache becomes its module cache, which the caller removes; modules that the
// developer's own cache holds already are copied from its download folder, which has the layout of
// a proxy, so that nothing is downloaded twice. Flags are added to GOFLAGS.
func (p Proxy) Environment(ctx context.Context, own, cache string, flags ...string) ([]string, error) {
	out, err := workspace.Output(ctx, ".", []string{"GOWORK=off"}, "go", "env", "-json", "GOPROXY", "GOMODCACHE", "GOFLAGS", "GONOSUMDB")
	if err != nil {
		return nil, fmt.Errorf("read the go command's settings: %w", err)
	}
	var env struct{ GOPROXY, GOMODCACHE, GOFLAGS, GONOSUMDB string }
	if err := json.Unmarshal(out, &env); err != nil {
		return nil, fmt.Errorf("read the go command's settings: %w", err)
	}
	downloads := "file://" + filepath.ToSlash(filepath.Join(env.GOMODCACHE, "cache", "download"))
	unsummed := own
	if env.GONOSUMDB != "" {
		unsummed += "," + env.GONOSUMDB
	}
	return []string{
		"GOWORK=off",
		"GOMODCACHE=" + cache,
		// A cache that is written read-only could not be removed without changing its modes first.
		"GOFLAGS=" + strings.Join(append(strings.Fields(env.GOFLAGS), append(flags, "-modcacherw")...), " "),
		"GOPROXY=" + p.URL() + "," + downloads + "," + env.GOPROXY,
		"GONOSUMDB=" + unsummed,
		// A developer's GOPRIVATE that covers the packed modules would send the go command past the proxy.
		"GONOPROXY=none",
	}, nil
}
