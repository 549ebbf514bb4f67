package aggregate

import (
	"path"
	"runtime/debug"
	"strings"
)

// A module tells the service's own code from that of others.
type module struct {
	paths []string // of modules that are the service's own
	main  string   // import path of package main, whose functions are named without one
}

// chassisModule is the module that this package is a part of. Its tests and examples are services of
// their own; its rooms are not.
const chassisModule = "github.com/seed-754044b3/roadworthy"

// moduleOf reads what the running binary was built from: its main module and, of a build in a
// workspace (go.work), the other modules of that, which have no version either. A test binary of go test
// has the module under test. What go run builds of single files has none; there package main
// alone is the service's own.
func moduleOf(info *debug.BuildInfo) module {
	if info == nil {
		return module{}
	}
	m := module{main: info.Path}
	if p := info.Main.Path; p != "" && p != "command-line-arguments" {
		m.paths = append(m.paths, p)
	}
	for _, d := range info.Deps {
		if d.Version == "(devel)" && d.Replace == nil {
			m.paths = append(m.paths, d.Path)
		}
	}
	return m
}

// owns reports whether a function is the service's own code, given its name with the import path.
func (m *module) owns(function string) bool {
	pkg := packageOf(function)
	if pkg == "main" {
		return true
	}
	for _, room := range []string{"/chassis", "/fake", "/internal"} {
		if within(pkg, chassisModule+room) && !strings.HasSuffix(pkg, "_test") {
			return false
		}
	}
	for _, p := range m.paths {
		if within(strings.TrimSuffix(pkg, "_test"), p) {
			return true
		}
	}
	return false
}

// file is how the source file of a function is called: see [Frame.File].
func (m *module) file(function, file string) string {
	// Files of a build on Windows have slashes as well.
	pkg := packageOf(function)
	if pkg == "main" && m.main != "" {
		pkg = m.main
	}
	pkg = strings.TrimSuffix(pkg, "_test")
	longest := ""
	for _, p := range m.paths {
		if within(pkg, p) && len(p) > len(longest) {
			longest = p
		}
	}
	if longest != "" {
		pkg = strings.TrimPrefix(pkg[len(longest):], "/")
	}
	return path.Join(pkg, path.Base(file))
}

// within reports whether a package is p or in a directory below it.
func within(pkg, p string) bool {
	rest, ok := strings.CutPrefix(pkg, p)
	return ok && (rest == "" || rest[0] == '/')
}

// packageOf is the import path in the name of a function: it ends with the first dot behind the last
// slash in front of arguments of type parameters. Dots in the last element are escaped there.
func packageOf(function string) string {
	name, _, _ := strings.Cut(function, "[")
	slash := strings.LastIndexByte(name, '/') + 1
	pkg, _, _ := strings.Cut(name[slash:], ".")
	return name[:slash] + pkg
}

// short is a function's name with the last element of its import path only.
func short(function string) string {
	name, _, _ := strings.Cut(function, "[")
	return function[strings.LastIndexByte(name, '/')+1:]
}
