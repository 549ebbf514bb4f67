// Package docsync keeps documentation honest: Go code shown in Markdown is a copy of code that is
// compiled, and links to files of the repository lead somewhere.
//
// A line above a fenced block names the code it shows:
//
//	<!-- example: examples/hello/main.go#setup -->
//
// The path is relative to the module that the Markdown file lies in; what may follow "#" is told at
// [Excerpt]. A block of Go without such a line is an error.
package docsync

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-754044b3/roadworthy/tools/internal/golden"
	"github.com/seed-754044b3/roadworthy/tools/internal/workspace"
)

// Sync checks every Markdown file of the workspace that git tracks or would track, testdata apart;
// with write it first copies the examples into them. All that is wrong is reported together.
func Sync(ctx context.Context, w *workspace.Workspace, write bool) error {
	files, err := workspace.Files(ctx, w.Root, "*.md")
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range files {
		if !strings.Contains("/"+name, "/testdata/") {
			errs = append(errs, syncFile(w, name, write)...)
		}
	}
	return errors.Join(errs...)
}

func syncFile(w *workspace.Workspace, name string, write bool) []error {
	file := filepath.Join(w.Root, filepath.FromSlash(name))
	data, err := os.ReadFile(file)
	if err != nil {
		return []error{fmt.Errorf("read documentation: %w", err)}
	}
	text := string(data)
	module := moduleOf(w, file)
	rewritten, errs := Rewrite(text, func(path, name string) (string, error) {
		source, err := os.ReadFile(filepath.Join(module, filepath.FromSlash(path)))
		if err != nil {
			return "", err
		}
		return Excerpt(source, name)
	})
	for i, err := range errs {
		errs[i] = fmt.Errorf("%s: %w", name, err)
	}
	errs = append(errs, golden.Sync(file, []byte(rewritten), write))
	return append(errs, checkLinks(name, file, rewritten)...)
}

// moduleOf is the folder of the innermost module that file lies in.
func moduleOf(w *workspace.Workspace, file string) string {
	dir := w.Root
	for _, m := range w.Modules {
		if strings.HasPrefix(file, m.Dir+string(filepath.Separator)) && len(m.Dir) > len(dir) {
			dir = m.Dir
		}
	}
	return dir
}

func checkLinks(name, file, text string) []error {
	var errs []error
	for _, link := range Links(text) {
		target, targetText := file, text
		if link.Path != "" {
			target = filepath.Join(filepath.Dir(file), filepath.FromSlash(link.Path))
			if _, err := os.Stat(target); err != nil {
				errs = append(errs, fmt.Errorf("%s: line %d: link to %s: no such file", name, link.Line, link.Path))
				continue
			}
			data, err := os.ReadFile(target)
			if err != nil { // a folder
				continue
			}
			targetText = string(data)
		}
		if link.Anchor != "" && strings.HasSuffix(target, ".md") && !Anchors(targetText)[link.Anchor] {
			errs = append(errs, fmt.Errorf("%s: line %d: link to %s#%s: no such heading", name, link.Line, link.Path, link.Anchor))
		}
	}
	return errs
}
