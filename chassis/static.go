package chassis

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/seed-754044b3/roadworthy/chassis/failure"
)

// Static serves the files of fsys below the route it is mounted on, whose pattern ends in
// "{path...}": "GET /assets/{path...}". Every file has a strong ETag made from its content, so
// that browsers revalidate with 304; directories and hidden files are not there. fsys is
// read once, when Static is called: it is meant for assets embedded in the binary.
func Static(fsys fs.FS) (Handler, error) {
	tags := map[string]string{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if hidden(name) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return nil
		}
		content, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		tags[name] = `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("static files: %w", err)
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		name := r.PathValue("path")
		tag, ok := tags[name]
		if !ok {
			return failure.UnknownRoute.With("path", failure.Safe(r.URL.Path))
		}
		w.Header().Set("ETag", tag)
		w.Header().Set("Cache-Control", "public, max-age=0, must-revalidate")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		http.ServeFileFS(w, r, fsys, name)
		return nil
	}, nil
}

func hidden(name string) bool {
	return name != "." && strings.HasPrefix(path.Base(name), ".")
}
