// Package modproxy packs modules of the working tree into a module proxy made of files, so that
// what is not released yet can be fetched by version, as users will fetch it.
//
// The tree follows the GOPROXY protocol (https://go.dev/ref/mod#goproxy-protocol): for each module
// a folder PATH/@v with list, VERSION.info, VERSION.mod and VERSION.zip. A module's zip holds the
// files that git tracks or would track, without those of modules nested in it, and the LICENSE of
// the repository when the module has none of its own: what the go command would make of a tag.
//
// [Proxy.Environment] gives the go command a module cache of its own. An unreal version in the
// developer's cache would otherwise stand there for good and hide the real one.
package modproxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
	"golang.org/x/mod/zip"

	"github.com/seed-754044b3/roadworthy/tools/internal/workspace"
)

// A Proxy is a file tree that GOPROXY can name. It is not safe for concurrent use.
type Proxy struct {
	Dir string // absolute path of the tree; made when the first module is packed
}

// packedAt is the time stamp of every version: the same tree always packs to the same bytes.
const packedAt = "2026-01-01T00:00:00Z"

// URL is what GOPROXY names the tree by.
func (p Proxy) URL() string { return "file://" + filepath.ToSlash(p.Dir) }

// Pack adds the module in dir, a folder of a git work tree, to the proxy at the given version,
// in place of what the proxy held for it. The files in overlay, named relative to dir, stand in
// for those on disk, or beside them. It returns the module's path and version.
func (p Proxy) Pack(ctx context.Context, dir, version string, overlay map[string][]byte) (module.Version, error) {
	if semver.Canonical(version) != version {
		return module.Version{}, fmt.Errorf("pack module %s: version %q is not of the form vMAJOR.MINOR.PATCH", dir, version)
	}
	files, err := moduleFiles(ctx, dir, overlay)
	if err != nil {
		return module.Version{}, fmt.Errorf("pack module %s: %w", dir, err)
	}
	mod, err := content(files, "go.mod")
	if err != nil {
		return module.Version{}, fmt.Errorf("pack module %s: %w", dir, err)
	}
	m := module.Version{Path: modfile.ModulePath(mod), Version: version}
	if err := p.write(m, mod, files); err != nil {
		return module.Version{}, fmt.Errorf("pack module %s: %w", dir, err)
	}
	return m, nil
}

func (p Proxy) write(m module.Version, mod []byte, files []zip.File) error {
	escaped, err := module.EscapePath(m.Path)
	if err != nil {
		return err
	}
	folder := filepath.Join(p.Dir, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	var archive bytes.Buffer
	if err := zip.Create(&archive, m, files); err != nil {
		return err
	}
	info, err := json.Marshal(struct{ Version, Time string }{m.Version, packedAt})
	if err != nil {
		return err
	}
	base := filepath.Join(folder, m.Version)
	for name, data := range map[string][]byte{
		base + ".info": info,
		base + ".mod":  mod,
		base + ".zip":  archive.Bytes(),
	} {
		if err := os.WriteFile(name, data, 0o644); err != nil {
			return err
		}
	}
	return addToList(filepath.Join(folder, "list"), m.Version)
}

func addToList(file, version string) error {
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	versions := strings.Fields(string(text))
	for _, v := range versions {
		if v == version {
			return nil
		}
	}
	versions = append(versions, version)
	semver.Sort(versions)
	return os.WriteFile(file, []byte(strings.Join(versions, "\n")+"\n"), 0o644)
}

// moduleFiles lists what the zip of the module in dir holds. zip.Create leaves out nested modules
// and links by itself.
func moduleFiles(ctx context.Context, dir string, overlay map[string][]byte) ([]zip.File, error) {
	names, err := workspace.Files(ctx, dir)
	if err != nil {
		return nil, err
	}
	var files []zip.File
	licensed := false
	for _, name := range names {
		if _, replaced := overlay[name]; replaced {
			continue
		}
		licensed = licensed || name == "LICENSE"
		files = append(files, diskFile{name, filepath.Join(dir, filepath.FromSlash(name))})
	}
	for name, data := range overlay {
		files = append(files, memoryFile{name, data})
	}
	if !licensed {
		top, err := workspace.Output(ctx, dir, nil, "git", "rev-parse", "--show-toplevel")
		if err != nil {
			return nil, err
		}
		license := filepath.Join(strings.TrimSpace(string(top)), "LICENSE")
		if _, err := os.Stat(license); err == nil {
			files = append(files, diskFile{"LICENSE", license})
		}
	}
	sort.Slice(files, func(i, j int) bool { return files[i].Path() < files[j].Path() })
	return files, nil
}

func content(files []zip.File, name string) ([]byte, error) {
	for _, f := range files {
		if f.Path() != name {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return io.ReadAll(r)
	}
	return nil, fmt.Errorf("it has no %s", name)
}

type diskFile struct{ name, path string }

func (f diskFile) Path() string                 { return f.name }
func (f diskFile) Lstat() (fs.FileInfo, error)  { return os.Lstat(f.path) }
func (f diskFile) Open() (io.ReadCloser, error) { return os.Open(f.path) }

type memoryFile struct {
	name string
	data []byte
}

func (f memoryFile) Path() string                 { return f.name }
func (f memoryFile) Lstat() (fs.FileInfo, error)  { return memoryInfo{f}, nil }
func (f memoryFile) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(f.data)), nil }

type memoryInfo struct{ file memoryFile }

func (i memoryInfo) Name() string     { return path.Base(i.file.name) }
func (i memoryInfo) Size() int64      { return int64(len(i.file.data)) }
func (memoryInfo) Mode() fs.FileMode  { return 0o644 }
func (memoryInfo) ModTime() time.Time { return time.Time{} }
func (memoryInfo) IsDir() bool        { return false }
func (memoryInfo) Sys() any           { return nil }
